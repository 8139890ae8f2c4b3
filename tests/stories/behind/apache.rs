//! Apache as a plain proxy before the gateway, which carries the service itself.

use std::{path::Path, process::Command};

use cardea_tests::Story;

use super::{Front, front, walk};

fn command(folder: &Path, snippet: &str, port: u16) -> anyhow::Result<Command> {
    let at = folder.display();
    let modules: String = ["mpm_event", "authz_core", "proxy", "proxy_http", "headers"]
        .iter()
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .collect();
    let text = format!(
        "ServerRoot {at}\nServerName localhost\nPidFile {at}/pid\nErrorLog /dev/stderr\nDefaultRuntimeDir {at}\n\
         Listen 127.0.0.1:{port}\n{modules}{snippet}"
    );
    std::fs::write(folder.join("httpd.conf"), text)?;
    let mut command = front::program("apache2");
    command.args(["-D", "FOREGROUND", "-f"]).arg(folder.join("httpd.conf"));
    Ok(command)
}

const APACHE: Front = Front {
    snippet: "apache/cardea.conf",
    app: "[upstream]\nurl = \"http://SERVICE\"\nconnect_seconds = 2\nanswer_seconds = 2",
    command,
    listens: ("*:80", |port| format!("*:{port}")),
};

#[tokio::test]
async fn apache_stands_before_a_gateway_that_carries_the_service() -> Story {
    walk::holds(&APACHE).await
}
