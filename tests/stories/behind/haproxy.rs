//! HAProxy, by the script that ships with Cardea.

use std::{path::Path, process::Command};

use cardea_tests::Story;

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
