//! Caddy, by `forward_auth` written out. Its questions are Traefik's too.

use std::{path::Path, process::Command};

use cardea_tests::{Client, Story};

use super::{Front, walk};

fn command(folder: &Path, snippet: &str, port: u16) -> anyhow::Result<Command> {
    let text = format!("{{\n\tadmin off\n\thttp_port {port}\n\tauto_https off\n}}\n{snippet}");
    std::fs::write(folder.join("Caddyfile"), text)?;
    let mut command = super::front::program("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(folder.join("Caddyfile"));
    command.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
    Ok(command)
}

/// Caddy itself, which understands a port only beside the name.
const fn caddy(app: &'static str) -> Front {
    Front {
        snippet: "caddy/Caddyfile",
        app,
        command,
        listens: ("\t# In this order", |_| "\t# In this order".to_owned()),
    }
}

#[tokio::test]
async fn caddy_keeps_the_service_and_asks_about_each_request() -> Story {
    walk::holds(&caddy("[forward_auth]\ndialect = \"caddy\"")).await
}

#[tokio::test]
async fn what_traefik_would_ask_is_answered_alike() -> Story {
    walk::holds(&caddy("[forward_auth]\ndialect = \"traefik\"")).await
}

/// Caddy writes a placeholder itself where there is nothing to put in its place: everybody was one and the same user.
#[tokio::test]
async fn who_is_named_in_no_header_is_named_in_none() -> Story {
    let app = "id = \"echo\"\nname = \"echo\"\nhosts = [\"echo.acme.localhost\"]\n\n[forward_auth]\ndialect = \"caddy\"\n\n\
        [[resources]]\npattern = \"/public/{*rest}\"\ntype = \"PublicPage\"\n";
    let front = caddy("[forward_auth]\ndialect = \"caddy\"");
    let world = front.start_with(|plan| plan.file("tenants/acme/apps/echo.toml", app)).await?;
    let mut visitor = Client::program();
    assert_eq!(visitor.get(&world.app("/public/x")?).await?.status, 200);
    let heard = world.upstream.last();
    for name in ["remote-user", "x-groups"] {
        assert_eq!(heard.header(name), None, "{}", heard.head);
    }
    assert!(!heard.head.contains("http.reverse_proxy"), "{}", heard.head);
    Ok(())
}
