//! HAProxy, by the script that ships with Cardea.

use std::{path::Path, process::Command};

use cardea_tests::{
    Story, WebSocket, Wire,
    wire::{Protocol, nothing},
};
use http::{Method, StatusCode};

use super::{Front, front, walk};

fn command(folder: &Path, snippet: &str, _: u16) -> anyhow::Result<Command> {
    std::fs::write(folder.join("haproxy.cfg"), snippet)?;
    std::fs::write(folder.join("cardea.lua"), front::snippet("haproxy/cardea.lua")?)?;
    let mut command = front::program("haproxy");
    command.arg("-db").arg("-f").arg(folder.join("haproxy.cfg")).current_dir(folder);
    Ok(command)
}

const HAPROXY: Front = Front {
    snippet: "haproxy/haproxy.cfg",
    app: "[forward_auth]\ndialect = \"haproxy\"",
    command,
    listens: ("bind :80", |port| format!("bind 127.0.0.1:{port}")),
};

#[tokio::test]
async fn haproxy_keeps_the_service_and_asks_about_each_request() -> Story {
    walk::holds(&HAPROXY).await
}

/// Over HTTP/2 a WebSocket has no key, and HAProxy keeps `Upgrade` to itself: it is known all the same, and whose page opens it.
#[tokio::test]
async fn a_foreign_page_opens_no_websocket_over_http2_either() -> Story {
    let world = HAPROXY.start().await?;
    let ben = world.gateway.person("ben@acme.example", &["readers"]).await?;
    let url = world.app("/studies/does/websocket")?;
    let (client, _) = ben.opens(&world.app("/studies")?).await?;
    let cookie = format!("cardea={}", client.cookie("echo.acme.localhost", "cardea").unwrap_or_default());
    let mut wire = Wire::open(Protocol::PriorKnowledge, &url).await?;
    // With the first answer HAProxy has said that it takes them.
    let public = wire.request(Method::GET, &world.app("/public/page")?).body(nothing())?;
    assert_eq!(wire.send(public).await?.status(), StatusCode::OK);
    let count = world.upstream.count();
    for origin in ["http://evil.example", "http://acme.localhost", "null"] {
        let refused = WebSocket::open_from(&mut wire, &url, origin, &cookie).await?.err();
        assert_eq!(refused.map(|refused| refused.status.as_u16()), Some(403), "{origin}");
    }
    assert_eq!(world.upstream.count(), count, "the service heard of it");
    let own = url.origin().ascii_serialization();
    // HAProxy makes a key of its own, and our service knows the answer to one only: that it is asked is what counts.
    let _ = WebSocket::open_from(&mut wire, &url, &own, &cookie).await?;
    assert_eq!(world.upstream.count(), count + 1);
    world.heard("GET /studies/does/websocket", Some("ben@acme.example"))
}
