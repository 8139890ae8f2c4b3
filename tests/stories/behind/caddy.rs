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

/// Caddy keeps the client's query where the address that it asks at has none. What was to narrow is not switched off by a client
/// that sends it, too.
#[tokio::test]
async fn the_query_of_its_question_is_the_client_s_where_it_has_none_of_its_own() -> Story {
    let kept: fn(&Path, &str, u16) -> _ = |folder, snippet, port| command(folder, &asks_at(snippet, ""), port);
    let dropped: fn(&Path, &str, u16) -> _ = |folder, snippet, port| command(folder, &asks_at(snippet, "?"), port);
    let narrowed: fn(&Path, &str, u16) -> _ =
        |folder, snippet, port| command(folder, &asks_at(snippet, "?allowed_groups=reviewers"), port);
    for (command, rows) in [
        (kept, [("", 200), ("?x=1&x=2", 200), ("?allowed_groups=none", 403), ("?allowed_group=readers", 400)]),
        (dropped, [("", 200), ("?x=1&x=2", 200), ("?allowed_groups=none", 200), ("?allowed_group=readers", 200)]),
        (
            narrowed,
            [("", 403), ("?x=1&x=2", 403), ("?allowed_groups=reviewers", 403), ("?allowed_groups=readers", 403)],
        ),
    ] {
        let front = Front { command, ..caddy("[forward_auth]\ndialect = \"caddy\"\noauth2_proxy = true") };
        let world = front.start().await?;
        let (mut client, _) = world.gateway.person_with_codes("ben@acme.example", &["readers"]).await?;
        client.open(&world.app("/oauth2/start?rd=/studies")?).await?;
        for (query, status) in rows {
            let count = world.upstream.count();
            let page = client.get(&world.app(&format!("/studies{query}"))?).await?;
            assert_eq!(page.status, status, "{query}: {}", page.body);
            let heard = if status == 200 { count + 1 } else { count };
            assert_eq!(world.upstream.count(), heard, "{query}");
        }
    }
    Ok(())
}

/// The snippet with oauth2-proxy's addresses in the place of ours.
fn asks_at(snippet: &str, query: &str) -> String {
    let asks = format!("rewrite /oauth2/auth{query}");
    [
        ("handle /.cardea/* {", "@ours path /.cardea/* /oauth2/*\nhandle @ours {"),
        ("rewrite /.cardea/authorize?", &asks),
        ("status 200", "status 2xx"),
    ]
    .into_iter()
    .fold(snippet.to_owned(), |text, (ours, theirs)| text.replace(ours, theirs))
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
