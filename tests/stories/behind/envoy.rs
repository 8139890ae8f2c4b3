//! Envoy, by ext_authz over gRPC; and a client of the same protocol that is neither Envoy nor ours.

use std::{path::Path, process::Command};

use anyhow::ensure;
use cardea_tests::{Plan, Story, Upstream, free_port, process::run, python};
use serde_json::Value;

use super::{Front, World, walk};
use crate::enrolment::tenant;

fn command(folder: &Path, snippet: &str, port: u16) -> anyhow::Result<Command> {
    let text =
        snippet.replace("address: 0.0.0.0, port_value: 80 }", &format!("address: 127.0.0.1, port_value: {port} }}"));
    std::fs::write(folder.join("envoy.yaml"), text)?;
    let mut command = python("envoy");
    command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]);
    command.arg("--base-id-path").arg(folder.join("id")).arg("-c").arg(folder.join("envoy.yaml"));
    Ok(command)
}

const ENVOY: Front = Front {
    snippet: "envoy/envoy.yaml",
    app: "[forward_auth]\ndialect = \"envoy\"",
    command,
    listens: ("# Envoy carries", |_| "# Envoy carries".to_owned()),
};

#[tokio::test]
async fn envoy_keeps_the_service_and_asks_about_each_request() -> Story {
    walk::holds(&ENVOY).await
}

/// A question by grpcio: the status of the answer and the headers to be set.
async fn asked(world: &World, question: &Value) -> anyhow::Result<Value> {
    let mut command = python("python");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/services/ext_authz.py"));
    command.arg(world.ext_authz.to_string()).arg(question.to_string());
    let (status, out, err) = run(command).await?;
    ensure!(status == 0, "{err}");
    Ok(serde_json::from_str(&out)?)
}

#[tokio::test]
async fn whoever_speaks_the_protocol_is_answered() -> Story {
    let world = ENVOY.start().await?;
    let ben = world.gateway.person("ben@acme.example", &["readers"]).await?;
    let (client, _) = ben.opens(&world.app("/studies")?).await?;
    let cookie = format!("cardea={}", client.cookie("echo.acme.localhost", "cardea").unwrap_or_default());
    let host = format!("echo.acme.localhost:{}", world.port);
    let question = |method: &str, path: &str, headers: Value| {
        serde_json::json!({
            "method": method, "path": path, "host": host, "scheme": "http", "client": "192.0.2.7", "headers": headers,
        })
    };
    let yes = asked(&world, &question("GET", "/studies?x=1", serde_json::json!({ "cookie": cookie }))).await?;
    assert_eq!((&yes["code"], &yes["set"]["remote-user"]), (&0.into(), &"ben@acme.example".into()), "{yes}");
    assert!(yes["remove"].as_array().is_some_and(|names| names.contains(&"cookie".into())), "{yes}");
    let forged = serde_json::json!({ "remote-user": "eve", "x-webauth-user": "eve", "x-user": "7" });
    let visitor = asked(&world, &question("GET", "/public/page", forged)).await?;
    assert!(visitor["remove"].as_array().is_some_and(|names| !names.contains(&"x-user".into())), "{visitor}");
    let removed = visitor["remove"].as_array().is_some_and(|names| {
        ["remote-user", "x-groups", "cardea-assertion", "x-webauth-user"]
            .iter()
            .all(|name| names.contains(&(*name).into()))
    });
    assert!(visitor["code"] == 0 && removed, "{visitor}");

    let page = serde_json::json!({ "accept": "text/html" });
    let led = asked(&world, &question("GET", "/studies", page.clone())).await?;
    assert_eq!((&led["code"], &led["status"]), (&16.into(), &303.into()), "{led}");
    assert!(led["set"]["location"].as_str().is_some_and(|to| to.contains("/sign-in?to=")), "{led}");
    assert!(led["set"]["set-cookie"].as_str().is_some_and(|set| set.starts_with("cardea-flow=")), "{led}");
    let up = asked(&world, &question("GET", "/secret", serde_json::json!({ "accept": "text/html", "cookie": cookie })))
        .await?;
    assert_eq!(up["code"], 7, "ben has no second factor, and no way on: {up}");

    // Whatever is not one clear question is no yes.
    for (method, path, host, scheme) in [
        ("GET", "//public/x", host.as_str(), "http"),
        ("GET", "/public/%2e%2e/x", &host, "http"),
        ("GET", "/public;x", &host, "http"),
        ("GET", "public", &host, "http"),
        ("", "/public/x", &host, "http"),
        ("GET", "/public/x", "acme.localhost", "http"),
        ("GET", "/public/x", "echo.north.localhost", "http"),
        ("GET", "/public/x", "nobody.example", "http"),
        ("GET", "/public/x", "", "http"),
        ("GET", "/public/x", &host, ""),
        ("GET", "/.cardea/session", &host, "http"),
    ] {
        let mut odd = question(method, path, page.clone());
        (odd["host"], odd["scheme"]) = (host.into(), scheme.into());
        let no = asked(&world, &odd).await?;
        assert!(no["code"] != 0 && no["status"].as_u64() >= Some(400), "{odd}: {no}");
    }
    let log = world.gateway.on.log("acme").await?;
    let last = log.iter().rfind(|entry| entry["event"]["asked_by"] == "envoy" && entry["event"]["path"] == "/studies");
    assert_eq!(last.map(|entry| &entry["client"]["address"]), Some(&"192.0.2.7".into()), "{last:?}");
    Ok(())
}

/// Whoever owes a second factor is refused where another proxy asks, as they are without one.
#[tokio::test]
async fn a_second_factor_that_is_owed_comes_first_behind_envoy_too() -> Story {
    let world = ENVOY.start_with(|plan| plan.file("tenants/acme/tenant.toml", &tenant("must_enrol = true\n"))).await?;
    let ben = world.gateway.person("ben@acme.example", &["readers"]).await?;
    let count = world.upstream.count();
    let (client, page) = ben.opens(&world.app("/studies")?).await?;
    assert_eq!((page.url.host_str(), page.url.path()), (Some("acme.localhost"), "/factors"), "{}", page.body);
    let cookie = format!("cardea={}", client.cookie("echo.acme.localhost", "cardea").unwrap_or_default());
    let question = |accept: &str| {
        serde_json::json!({
            "method": "GET", "path": "/studies", "host": format!("echo.acme.localhost:{}", world.port), "scheme": "http",
            "client": "192.0.2.7", "headers": { "cookie": cookie, "accept": accept },
        })
    };
    let led = asked(&world, &question("text/html")).await?;
    assert!(led["set"]["location"].as_str().is_some_and(|to| to.contains("/factors?")) && led["code"] != 0, "{led}");
    let refused = asked(&world, &question("application/json")).await?;
    assert_eq!((&refused["code"], &refused["status"]), (&7.into(), &403.into()), "{refused}");
    assert_eq!(world.upstream.count(), count, "a request came through");
    let log = world.gateway.on.log("acme").await?;
    let held = |one: &&Value| one["event"]["asked_by"] == "envoy" && one["event"]["reason"] == "second-factor-required";
    assert_eq!(log.iter().filter(held).count(), 3, "{log:?}");
    Ok(())
}

/// Beyond loopback: mTLS, for the listed services, about their own tenant's apps.
#[tokio::test]
async fn only_listed_services_ask_over_mtls_and_only_about_their_own_tenant() -> Story {
    let (upstream, port) = (Upstream::start().await?, free_port()?);
    let mut plan = Plan::before(upstream.port).config(&format!(
        "[ext_authz]\naddress = \"0.0.0.0:{port}\"\ncallers = [\"spiffe://acme.cardea.internal/service/envoy\"]\n"
    ));
    for tenant in ["acme", "north"] {
        let app = format!(
            "id = \"echo\"\nname = \"echo\"\nhosts = [\"echo.{tenant}.localhost\"]\n\n[forward_auth]\ndialect = \"envoy\"\n\n\
             [[resources]]\npattern = \"/public/{{*rest}}\"\ntype = \"PublicPage\"\n"
        );
        plan = plan.file(&format!("tenants/{tenant}/apps/echo.toml"), &app);
    }
    let gateway = plan.start().await?;
    let on = &gateway.on;
    on.write("root.pem", &on.does(&["cert", "root"]).await?)?;
    for service in ["envoy", "nosy"] {
        on.write("token", &on.does(&["cert", "token", "--tenant", "acme", "--service", service]).await?)?;
        let server = format!("https://acme.localhost:{}", on.machines);
        let files = ["--bundle", "root.pem", "--token-file", "token", "--dir", service, "--once"];
        on.does(&[&["agent", "--server", &server][..], &files[..]].concat()).await?;
    }
    let ask = async |service: Option<&str>, host: &str| {
        let question = serde_json::json!({
            "method": "GET", "path": "/public/x", "host": host, "scheme": "http", "client": "192.0.2.7", "headers": {},
        });
        let mut command = python("python");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/services/ext_authz.py")).arg(port.to_string());
        command.arg(question.to_string());
        if let Some(service) = service {
            command.arg(on.path("root.pem")).arg(on.path(service));
        }
        let (status, out, _) = run(command).await?;
        anyhow::Ok(if status == 0 { serde_json::from_str::<Value>(&out)?["code"].as_i64() } else { None })
    };
    assert_eq!(ask(Some("envoy"), "echo.acme.localhost").await?, Some(0));
    assert_eq!(ask(Some("envoy"), "echo.north.localhost").await?, Some(7), "another tenant's");
    assert_eq!(ask(Some("nosy"), "echo.acme.localhost").await?, None, "not listed");
    assert_eq!(ask(None, "echo.acme.localhost").await?, None, "no certificate");
    Ok(())
}
