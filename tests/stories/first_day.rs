//! Mistakes of a first day: each is told with the way out.

use cardea_tests::{Gateway, Plan, Process, Story, Upstream, free_port};

async fn house() -> anyhow::Result<(Upstream, Gateway)> {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    Ok((upstream, gateway))
}

#[tokio::test]
async fn a_port_that_another_process_has_is_named() -> Story {
    let (_upstream, gateway) = house().await?;
    let on = &gateway.on;
    let config = on.read("cardea.toml")?;
    on.write("other.toml", &config.replace("dir = \"state\"", "dir = \"other\""))?;
    let (status, _, err) = on.cardea(&["--config", "other.toml", "serve"]).await?;
    let address = format!("cannot listen on `127.0.0.1:{}`", on.port);
    assert!(status == 1 && err.contains(&address), "{status} {err}");
    assert!(err.contains("help: another process listens there (`ss -ltunp` tells which)"), "{err}");

    // The same for the others' addresses.
    let (machines, free) = (on.machines.to_string(), free_port()?.to_string());
    on.edit("other.toml", &format!("127.0.0.1:{}", on.port), &format!("127.0.0.1:{free}"))?;
    let (status, _, err) = on.cardea(&["--config", "other.toml", "serve"]).await?;
    assert!(status == 1 && err.contains(&machines) && err.contains("help: another process"), "{status} {err}");
    on.edit("other.toml", &format!("127.0.0.1:{free}"), "192.0.2.1:8080")?;
    on.edit("other.toml", "plain = true", "tls = { certificate = \"c.pem\", key = \"k.pem\" }")?;
    let (chain, key) = cardea_tests::tls::authority()?.issue(&["acme.localhost"])?;
    on.write("c.pem", &chain)?;
    on.write("k.pem", &key)?;
    let (status, _, err) = on.cardea(&["--config", "other.toml", "serve"]).await?;
    assert!(status == 1 && err.contains("help: this machine has no such address"), "{status} {err}");
    Ok(())
}

#[tokio::test]
async fn an_agent_at_the_wrong_door_is_told_of_the_right_one() -> Story {
    let (_upstream, gateway) = house().await?;
    let on = &gateway.on;
    on.write("root.pem", &on.does(&["cert", "root"]).await?)?;
    on.write("token", &on.does(&["cert", "token", "--tenant", "acme", "--service", "lab"]).await?)?;
    let files = ["--bundle", "root.pem", "--token-file", "token", "--dir", "tls"];
    let nobody = free_port()?;
    for (server, says) in [
        (format!("https://acme.localhost:{nobody}"), "help: name the address and port of `[machines]`"),
        (format!("https://acme.localhost:{}", on.port), "help: name the port of `[machines]`, not that for browsers"),
        (format!("https://127.0.0.1:{}", on.machines), "help: name the sign-in host of a tenant"),
        (format!("https://echo.acme.localhost:{}", on.machines), "help: name the sign-in host of a tenant"),
    ] {
        let once = [&["agent", "--once", "--server", &server][..], &files].concat();
        let (status, _, err) = on.cardea(&once).await?;
        assert!(status == 1 && err.contains(says), "{server}: {status} {err}");
    }
    // One that goes on trying says so all the while.
    let server = format!("https://acme.localhost:{nobody}");
    let keeps = [&["agent", "--server", &server][..], &files].concat();
    let log = on.path("agent.log");
    let mut agent = Process::start(on.command(&keeps), &log)?;
    let told = || std::fs::read_to_string(&log).unwrap_or_default();
    agent.until(async || told().contains("name the address and port of `[machines]`")).await?;
    assert!(told().contains("WARN") && told().contains("no new certificate"), "{}", told());
    Ok(())
}

#[tokio::test]
async fn an_export_is_verified_where_it_lies() -> Story {
    let (_upstream, gateway) = house().await?;
    let on = &gateway.on;
    let export = on.does(&["audit", "export", "--tenant", "acme"]).await?;
    on.write("elsewhere/acme.jsonl", &format!("{export}\n"))?;
    let verify = async |arguments: &[&str]| {
        // Without a configuration, as an auditor has it.
        let mut command = on.command(&[&["audit", "verify"], arguments].concat());
        command.current_dir(on.path("elsewhere")).env_remove("CARDEA_CONFIG");
        cardea_tests::process::run(command).await
    };
    for arguments in [&["acme.jsonl"][..], &["--file", "acme.jsonl"]] {
        let (status, out, err) = verify(arguments).await?;
        assert!(status == 0 && out.contains("entries are whole"), "{arguments:?}: {status} {out}{err}");
    }
    let head = verify(&["acme.jsonl"]).await?.1;
    let head = head.rsplit(' ').next().unwrap_or_default().trim().to_owned();
    assert_eq!(verify(&["acme.jsonl", "--head", &head]).await?.0, 0);
    on.write("elsewhere/acme.jsonl", &export.replacen("operator", "nobodies", 1))?;
    let (status, out, err) = verify(&["acme.jsonl"]).await?;
    assert!(status == 1 && err.contains("acme.jsonl"), "{status} {out}{err}");
    let (status, _, _) = verify(&["acme.jsonl", "--tenant", "acme"]).await?;
    assert_eq!(status, 2, "an export is one log");
    Ok(())
}
