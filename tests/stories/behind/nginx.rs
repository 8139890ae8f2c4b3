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
