//! Mistakes of a first day: each is told with the way out.

use std::process::Command;

use anyhow::Context;
use cardea_tests::{Gateway, Plan, Process, Story, Upstream, free_port, process};

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
        process::run(command).await
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

/// Both were called whole: an empty log beside a tenant, and one whose head was taken away with its end.
#[tokio::test]
async fn a_log_that_was_removed_or_lost_its_head_is_missed() -> Story {
    let (_upstream, gateway) = house().await?;
    let on = gateway.stop().await?;
    on.does(&["audit", "verify"]).await?;
    for (sql, told) in [
        ("DELETE FROM log_heads WHERE tenant = 'acme'", "the log's head is gone"),
        ("DELETE FROM log WHERE tenant = 'acme'", "the log was removed"),
    ] {
        on.by_hand(sql).await?;
        for arguments in [&["audit", "verify"][..], &["audit", "verify", "--tenant", "acme"]] {
            let (status, out, err) = on.cardea(arguments).await?;
            assert!(status == 1 && err.contains(told), "{sql}: {status} {out}{err}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_told_before_anybody_signs_in() -> Story {
    let (_upstream, gateway) = house().await?;
    let on = &gateway.on;
    let provider = "id = \"work\"\nname = \"Work\"\nissuer = \"https://login.acme.localhost\"\nclient_id = \"cardea\"\n\
                    client_secret = { file = \"secrets/work\" }\n";
    on.write("resources/tenants/acme/providers/work.toml", provider)?;
    for command in [&["check", "resources"][..], &["apply", "resources", "--yes"]] {
        let (status, _, err) = on.cardea(command).await?;
        let place = "tenants/acme/providers/work.toml:5:26: client_secret `secrets/work` cannot be used";
        assert!(status == 1 && err.contains(place) && err.contains("help: name a file"), "{command:?}: {status} {err}");
    }
    on.write("secrets/work", "geheim\n")?;
    on.does(&["check", "resources"]).await?;
    on.apply().await?;
    Ok(())
}

#[tokio::test]
async fn a_proxy_that_nobody_listed_is_told_of_and_does_not_fill_the_log() -> Story {
    let upstream = Upstream::start().await?;
    let carried =
        "id = \"lab\"\nname = \"Lab\"\nhosts = [\"lab.acme.localhost\"]\n[forward_auth]\ndialect = \"nginx\"\n";
    let plan = Plan::before(upstream.port).behind(free_port()?).file("tenants/acme/apps/lab.toml", carried);
    let mut gateway = plan.start().await?;
    assert!(!gateway.on.said().contains("ERROR"), "{}", gateway.on.said());
    // Believed, and says nothing of a request.
    for _ in 0..20 {
        assert_eq!(gateway.on.ask("lab.acme", "GET /.cardea/authorize", "").await?.status(), 403);
    }
    gateway.on.edit("cardea.toml", "trusted_proxies = [\"127.0.0.0/8\"]\n", "")?;
    gateway.hangs_up()?;
    gateway.says("configuration reloaded").await?;
    let told = gateway.on.said();
    let error = told.lines().find(|line| line.contains("ERROR")).context("nothing is said of the list that is gone")?;
    assert!(error.contains("no `trusted_proxies`") && error.contains("tenants/acme/apps/lab.toml"), "{error}");
    for _ in 0..20 {
        assert_eq!(gateway.on.ask("lab.acme", "GET /.cardea/authorize", "").await?.status(), 403);
    }
    let told = gateway.on.said();
    for what in ["does not describe a request", "is not among `trusted_proxies`"] {
        let lines: Vec<_> = told.lines().filter(|line| line.contains(what)).collect();
        assert!((1..=3).contains(&lines.len()), "{what}: {told}");
        for part in ["WARN", "127.0.0.1", "acme", "lab", "nginx", "times=1"] {
            assert!(lines[0].contains(part), "{part}: {}", lines[0]);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_service_out_of_reach_is_told_of_with_its_app_and_does_not_fill_the_log() -> Story {
    let (upstream, gateway) = house().await?;
    upstream.stop().await;
    for _ in 0..20 {
        assert_ne!(gateway.on.ask("echo.acme", "GET /public/x", "").await?.status(), 200);
    }
    let told = gateway.on.said();
    let lines: Vec<_> = told.lines().filter(|line| line.contains("the service cannot be reached")).collect();
    assert!((1..=3).contains(&lines.len()), "{told}");
    for part in ["WARN", "tenant=\"acme\"", "app=\"echo\"", "address=127.0.0.1:", "times=1"] {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }
    Ok(())
}

#[tokio::test]
async fn files_that_may_be_open_are_raised_and_too_few_are_told_of() -> Story {
    let (_upstream, gateway) = house().await?;
    let on = gateway.stop().await?;
    let log = on.path("limited.log");
    let serve = async |limits: &str, enough: bool| {
        let _ = std::fs::remove_file(&log);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{limits} && exec \"$0\" serve")]).arg(process::binary());
        command.current_dir(on.path("")).env("CARDEA_CONFIG", "cardea.toml");
        let mut process = Process::start(command, &log)?;
        let told = || std::fs::read_to_string(&log).unwrap_or_default();
        process.until(async || told().contains("ready")).await?;
        if !enough {
            process.until(async || told().contains("fewer files may be open at once")).await?;
        }
        let pid = process.id().context("it has ended")?;
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"))?;
        assert!(process.stop().await?.success());
        let open = limits.lines().find_map(|line| line.strip_prefix("Max open files")).context("no limit")?;
        let open: Vec<_> = open.split_whitespace().take(2).map(str::to_owned).collect();
        anyhow::Ok((open, told()))
    };
    let (open, told) = serve("ulimit -n 400", false).await?;
    assert_eq!(open, ["400", "400"]);
    // As many clients as may come, as many connections to services for them, and the rest.
    assert!(told.contains("allowed=400 needed=33024 connections=16384"), "{told}");
    on.write("cardea.toml", &(on.read("cardea.toml")? + "[limits]\nconnections = 500\n"))?;
    let (open, told) = serve("ulimit -Sn 400 && ulimit -Hn 2000", true).await?;
    assert_eq!(open, ["2000", "2000"], "{told}");
    assert!(!told.contains("fewer files"), "{told}");
    Ok(())
}
