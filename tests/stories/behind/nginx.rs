//! nginx, by `auth_request`.

use std::{path::Path, process::Command};

use cardea_tests::{Plan, Story, raw};

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
        let reply = raw::ask(world.port, &host, &format!("GET http://{app}/studies"), "").await?;
        assert!(reply.status() >= 300, "{host}: {}", reply.0);
        assert_eq!(world.upstream.count(), count, "{host}: the service heard of it");
        let reply = raw::ask(world.port, &host, &format!("GET http://{app}/public/page"), "").await?;
        // Decided as the app's own, and told to the service under the app's host.
        assert_eq!(reply.status(), 200, "{host}: {}", reply.0);
        assert_eq!(world.upstream.last().header("host"), Some(&*app), "{host}");
    }
    Ok(())
}

/// Another tenant's app whose policies let in everybody, carried by a proxy of its own.
fn with_a_generous_neighbour(plan: Plan) -> Plan {
    plan.file("tenants/north/policies/echo.cedar", "permit (principal, action, resource in App::\"echo\");\n").file(
        "tenants/north/apps/echo.toml",
        "id = \"echo\"\nname = \"echo\"\nhosts = [\"echo.north.localhost\"]\n\n[forward_auth]\ndialect = \"nginx\"\n",
    )
}

/// Whatever host a client says, what one tenant's policies allow opens nothing of another's.
#[tokio::test]
async fn another_tenant_s_yes_does_not_cross() -> Story {
    let world = NGINX.start_with(with_a_generous_neighbour).await?;
    let described = "x-original-method: GET\r\nx-original-uri: /studies\r\nx-forwarded-proto: http\r\n";
    let (ours, theirs) = ("echo.acme.localhost", "echo.north.localhost");
    let yes = raw::ask(world.gateway.on.port, theirs, "GET /.cardea/authorize", described).await?;
    assert_eq!(yes.status(), 200, "the neighbour lets in everybody: {}", yes.0);
    let no = raw::ask(world.gateway.on.port, ours, "GET /.cardea/authorize", described).await?;
    assert_eq!(no.status(), 401, "{}", no.0);

    let with_port = |host: &str| format!("{host}:{}", world.port);
    for host in
        [theirs.to_owned(), with_port(theirs), format!("{theirs}:80"), format!("{theirs}."), theirs.to_uppercase()]
    {
        for line in [
            "GET /studies".to_owned(),
            format!("GET http://{}/studies", with_port(ours)),
            format!("GET http://{ours}/studies"),
        ] {
            for headers in
                ["", described, &format!("x-forwarded-host: {theirs}\r\nx-original-url: http://{theirs}/studies\r\n")]
            {
                let reply = raw::ask(world.port, &host, &line, headers).await?;
                assert!(reply.status() >= 300, "{host} {line} {headers}: {}", reply.0);
            }
        }
    }
    // The other way round: the address names the neighbour, and `Host` the app that nginx carries.
    for line in [format!("GET http://{theirs}/studies"), format!("GET http://{}/studies", with_port(theirs))] {
        let reply = raw::ask(world.port, &with_port(ours), &line, "").await?;
        assert!(reply.status() >= 300, "{line}: {}", reply.0);
    }
    assert_eq!(world.upstream.count(), 0, "the service heard of it: {}", world.upstream.last().head);
    Ok(())
}
