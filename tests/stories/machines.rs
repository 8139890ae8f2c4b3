//! Services with certificates of ours: whom they answer, how they enrol, and that renewal is not felt.

use std::{collections::BTreeSet, path::Path, process::Command, time::Duration};

use anyhow::Context;
use cardea_tests::{Client, Demo, Installation, Plan, Process, Story, Upstream, free_port, process::run, python};

/// What a server says to a client with (or without) this certificate and key.
async fn tls(port: u16, name: &str, identity: Option<(&Path, &Path)>) -> anyhow::Result<String> {
    let identity = identity.map_or_else(String::new, |(cert, key)| {
        format!("-cert '{}' -cert_chain '{}' -key '{}'", cert.display(), cert.display(), key.display())
    });
    let script = format!(
        "printf 'GET /studies HTTP/1.1\\r\\nHost: records\\r\\nConnection: close\\r\\n\\r\\n' | \
         timeout 20 openssl s_client -quiet -connect 127.0.0.1:{port} -servername {name} {identity} 2>&1"
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]);
    Ok(run(command).await?.1)
}

/// Enrols a service; gives how the agent ended and what it said.
async fn enrol(on: &Installation, host: &str, token_file: &str, dir: &str) -> anyhow::Result<(i32, String, String)> {
    on.write("root.pem", &on.does(&["cert", "root"]).await?)?;
    let server = format!("https://{host}:{}", on.machines);
    on.cardea(&[
        "agent",
        "--server",
        &server,
        "--bundle",
        "root.pem",
        "--token-file",
        token_file,
        "--dir",
        dir,
        "--once",
    ])
    .await
}

async fn token(on: &Installation, tenant: &str, service: &str, file: &str) -> anyhow::Result<()> {
    on.write(file, &on.does(&["cert", "token", "--tenant", tenant, "--service", service]).await?)
}

#[tokio::test]
async fn the_records_service_answers_nobody_but_its_gateway() -> Story {
    let demo = Demo::start().await?;
    let (_, page) = demo.signed_in("rui@acme.example", &demo.at("records.acme", "/studies")?).await?;
    assert_eq!(page.status, 200, "through the gateway it answers: {}", page.body);
    let exported = demo.folder().join("exported");
    let (status, _, err) = demo.cardea(&["export", exported.to_str().unwrap_or_default()]).await?;
    assert_eq!(status, 0, "{err}");
    let app = std::fs::read_to_string(exported.join("tenants/acme/apps/records.toml"))?;
    let port: u16 = app
        .split("https://127.0.0.1:")
        .nth(1)
        .and_then(|rest| rest.split(['"', '/']).next()?.parse().ok())
        .with_context(|| format!("no port in {app}"))?;
    let config = std::fs::read_to_string(demo.folder().join("cardea.toml"))?;
    let machines = config.split("[machines]").nth(1).and_then(|rest| rest.split('"').nth(1)).context("no machines")?;
    let machines = machines.rsplit(':').next().context("no port")?.to_owned();

    // A certificate of the tenant's own, for a service that is not the gateway; the same of the other tenant; and one
    // that says all the right things, signed by nobody.
    let root = demo.cardea(&["cert", "root"]).await?.1;
    std::fs::write(demo.folder().join("root.pem"), root)?;
    for (tenant, service) in [("acme", "nosy"), ("acme", "gateway"), ("north", "records")] {
        let (status, token, err) = demo.cardea(&["cert", "token", "--tenant", tenant, "--service", service]).await?;
        assert_eq!(status, 0, "{err}");
        let at = |name: String| demo.folder().join(name).display().to_string();
        std::fs::write(at("token".into()), token)?;
        let server = format!("https://{tenant}.localhost:{machines}");
        let arguments = ["agent", "--once", "--server", &server, "--bundle", &at("root.pem".into())];
        let files = ["--token-file", &at("token".into()), "--dir", &at(format!("{tenant}-{service}"))];
        let (status, _, err) = demo.cardea(&[&arguments[..], &files[..]].concat()).await?;
        assert_eq!(status, 0, "{err}");
    }
    let forged = demo.folder().join("forged");
    std::fs::create_dir_all(&forged)?;
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/"]);
    openssl.args(["-addext", "subjectAltName=URI:spiffe://acme.cardea.internal/gateway"]);
    openssl.arg("-keyout").arg(forged.join("key.pem")).arg("-out").arg(forged.join("cert.pem"));
    assert_eq!(run(openssl).await?.0, 0);

    for who in ["", "acme-nosy", "acme-gateway", "north-records", "forged"] {
        let folder = demo.folder().join(who);
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        let said = tls(port, "records", Some((cert.as_path(), key.as_path())).filter(|_| !who.is_empty())).await?;
        assert!(!said.contains("HTTP/1.1") && said.contains("alert"), "`{who}` was answered: {said}");
    }
    let plain = cardea_tests::raw::send(port, b"GET /studies HTTP/1.1\r\nHost: records\r\n\r\n").await;
    assert!(plain.is_err() || plain.is_ok_and(|said| !said.0.contains("HTTP/1.1")), "it speaks plain HTTP");
    Ok(())
}

#[tokio::test]
async fn a_token_enrols_one_service_of_its_own_tenant_once() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    let on = &gateway.on;
    token(on, "acme", "records", "token").await?;
    // At another tenant's door it is unknown, and not spent by the try.
    let (status, _, err) = enrol(on, "north.localhost", "token", "elsewhere").await?;
    assert!(status == 1 && err.contains("enrolment-spent"), "{status} {err}");
    let (status, out, err) = enrol(on, "acme.localhost", "token", "first").await?;
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("spiffe://acme.cardea.internal/service/records"), "{out}");
    let (status, _, err) = enrol(on, "acme.localhost", "token", "second").await?;
    assert!(status == 1 && err.contains("enrolment-spent"), "the token was used twice: {status} {err}");
    assert!(!on.path("second/cert.pem").exists());

    // Without a token, and with one of nobody's making.
    let (status, _, err) = enrol(on, "acme.localhost", "none", "third").await?;
    assert!(
        status == 1 && err.contains("`none` cannot be read") && err.contains("cardea cert token"),
        "{status} {err}"
    );
    let listed = on.does(&["cert", "list", "--tenant", "acme", "--service", "records"]).await?;
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let kinds: Vec<_> = on.log("acme").await?.iter().map(|entry| entry["event"]["kind"].to_string()).collect();
    assert!(kinds.iter().any(|kind| kind.contains("certificate")), "{kinds:?}");
    Ok(())
}

/// A service that keeps sessions of its own is told of their end by the same proof of who speaks: by the gateway, and by a command, which
/// has a certificate of its own for it.
#[tokio::test]
async fn a_service_behind_mtls_is_told_of_logouts_by_the_same_proof() -> Story {
    let upstream = Upstream::start().await?;
    let port = free_port()?;
    let app = format!(
        "id = \"plain\"\nname = \"Plain\"\nhosts = [\"plain.acme.localhost\"]\nback_channel_logout = \"/over\"\n\n[upstream]\n\
         url = \"https://127.0.0.1:{port}\"\nspiffe_id = \"spiffe://acme.cardea.internal/service/plain\"\n"
    );
    let gateway = Plan::before(upstream.port).file("tenants/acme/apps/plain.toml", &app).start().await?;
    let on = &gateway.on;
    token(on, "acme", "plain", "token").await?;
    let (status, _, err) = enrol(on, "acme.localhost", "token", "tls").await?;
    assert_eq!(status, 0, "{err}");
    let mut service = python("python");
    service.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/services/mtls.py")).arg(port.to_string());
    service.arg(on.path("tls")).arg("spiffe://acme.cardea.internal/gateway");
    let mut service = Process::start(service, &on.path("service.log"))?;
    service.line(|line| (line == "ready").then_some(())).await?;

    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let (mut client, _) = mira.opens(&gateway.at("echo.acme", "/x")?).await?;
    let out = client.send(http::Method::POST, &gateway.at("acme", "/sign-out")?, None).await?;
    assert_eq!(out.status, 200, "{}", out.body);
    let told = |line: &str| line.strip_prefix("told /over logout_token=").map(str::to_owned);
    let first = service.line(told).await?;
    let (status, _, err) = on.cardea(&["user", "--tenant", "acme", "end-sessions", "mira@acme.example"]).await?;
    assert_eq!((status, err.as_str()), (0, ""));
    assert_ne!(service.line(told).await?, first);
    let log = on.log("acme").await?;
    assert!(log.iter().all(|entry| entry["event"]["kind"] != "logout-untold"), "{log:?}");
    Ok(())
}

/// A service that nobody here wrote, behind mTLS, while both its certificate and the gateway's are renewed.
#[tokio::test]
async fn certificates_are_renewed_while_requests_flow_and_none_fails() -> Story {
    let upstream = Upstream::start().await?;
    let port = free_port()?;
    let app = format!(
        "id = \"plain\"\nname = \"Plain\"\nhosts = [\"plain.acme.localhost\"]\n\n[upstream]\n\
         url = \"https://127.0.0.1:{port}\"\nspiffe_id = \"spiffe://acme.cardea.internal/service/plain\"\n"
    );
    let gateway = Plan::before(upstream.port)
        .certificate_minutes(1)
        .file("tenants/acme/apps/plain.toml", &app)
        .file(
            "tenants/acme/policies/plain.cedar",
            "permit (principal, action in Action::\"read\", resource in App::\"plain\");\n",
        )
        .start()
        .await?;
    let on = &gateway.on;
    token(on, "acme", "plain", "token").await?;
    on.write("root.pem", &on.does(&["cert", "root"]).await?)?;
    let server = format!("https://acme.localhost:{}", on.machines);
    let agent = ["agent", "--server", &server, "--bundle", "root.pem", "--token-file", "token", "--dir", "tls"];
    let mut agent = Process::start(on.command(&agent), &on.path("agent.log"))?;
    let cert = on.path("tls/cert.pem");
    agent.until(async || cert.exists()).await?;
    let mut service = python("python");
    let wanted = "spiffe://acme.cardea.internal/gateway";
    service
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/services/mtls.py"))
        .arg(port.to_string())
        .arg(on.path("tls"))
        .arg(wanted);
    let mut service = Process::start(service, &on.path("service.log"))?;
    service.line(|line| (line == "ready").then_some(())).await?;

    let url = gateway.at("plain.acme", "/x")?;
    let (mut visitor, mut clients, mut certificates) = (Client::program(), BTreeSet::new(), BTreeSet::new());
    let flow = async {
        let mut after = 0;
        while clients.len() < 2 || certificates.len() < 2 || after < 50 {
            let reply = visitor.get(&url).await?;
            anyhow::ensure!(reply.status == 200, "{} {} {}", reply.status, reply.body, on.said());
            clients.insert(reply.json()?["client"].as_str().unwrap_or_default().to_owned());
            certificates.insert(on.read("tls/cert.pem")?);
            after += usize::from(clients.len() > 1 && certificates.len() > 1);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(90), flow).await.context("nothing was renewed")??;

    // The same service under a name that is not its own is not spoken to.
    let renamed = app.replace("/service/plain", "/service/other");
    on.write("resources/tenants/acme/apps/plain.toml", &renamed)?;
    on.apply().await?;
    let refused = async {
        loop {
            let reply = visitor.get(&url).await?;
            if reply.status != 200 {
                return anyhow::Ok(reply);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let reply = tokio::time::timeout(Duration::from_secs(5), refused).await??;
    assert_eq!((reply.status.as_u16(), reply.json()?["reason"].as_str()), (502, Some("upstream-identity")));
    Ok(())
}
