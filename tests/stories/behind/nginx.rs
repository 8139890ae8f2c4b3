//! nginx, by `auth_request`.

use std::{path::Path, process::Command};

use cardea_tests::Story;

use super::{Front, walk};

/// A whole configuration around a snippet that goes into the `http` block.
fn command(folder: &Path, snippet: &str, _: u16) -> anyhow::Result<Command> {
    let at = folder.display();
    let text = format!(
        "daemon off;\nmaster_process off;\nerror_log stderr;\npid {at}/pid;\nevents {{}}\nhttp {{\n\
         access_log off;\nclient_body_temp_path {at}/body;\nproxy_temp_path {at}/proxy;\nfastcgi_temp_path {at}/f;\n\
         uwsgi_temp_path {at}/u;\nscgi_temp_path {at}/s;\n{snippet}\n}}\n"
    );
    std::fs::write(folder.join("nginx.conf"), text)?;
    let mut command = super::front::program("nginx");
    command.arg("-c").arg(folder.join("nginx.conf")).arg("-p").arg(folder);
    Ok(command)
}

pub(crate) const NGINX: Front = Front {
    snippet: "nginx/cardea.conf",
    app: "[forward_auth]\ndialect = \"nginx\"",
    command,
    listens: ("listen 80;", |port| format!("listen 127.0.0.1:{port};")),
};

#[tokio::test]
async fn nginx_keeps_the_service_and_asks_about_each_request() -> Story {
    walk::holds(&NGINX).await
}

/// nginx routes by the host of an absolute target. Cardea decides about that one, whatever `Host` says.
#[tokio::test]
async fn nginx_asks_about_the_host_by_which_it_routes() -> Story {
    let world = NGINX.start().await?;
    let app = format!("echo.acme.localhost:{}", world.port);
    for host in ["acme.localhost", "other.acme.localhost", "evil.example"] {
        let host = format!("{host}:{}", world.port);
        let count = world.upstream.count();
        let reply = cardea_tests::raw::ask(world.port, &host, &format!("GET http://{app}/studies"), "").await?;
        assert!(reply.status() >= 300, "{host}: {}", reply.0);
        assert_eq!(world.upstream.count(), count, "{host}: the service heard of it");
        let reply = cardea_tests::raw::ask(world.port, &host, &format!("GET http://{app}/public/page"), "").await?;
        // Decided as the app's own, and told to the service under the app's host.
        assert_eq!(reply.status(), 200, "{host}: {}", reply.0);
        assert_eq!(world.upstream.last().header("host"), Some(&*app), "{host}");
    }
    Ok(())
}
