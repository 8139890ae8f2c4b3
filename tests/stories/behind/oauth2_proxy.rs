//! In oauth2-proxy's place: its addresses and its header names.

use cardea_tests::{Client, Plan, Story, form};

use super::{Front, nginx};
use crate::enrolment::tenant;

const OAUTH2_PROXY: Front = Front {
    snippet: "nginx/oauth2-proxy.conf",
    app: "[forward_auth]\ndialect = \"nginx\"\noauth2_proxy = true",
    ..nginx::NGINX
};

#[tokio::test]
async fn cardea_takes_oauth2_proxy_s_place() -> Story {
    let world = OAUTH2_PROXY.start().await?;
    let url = world.app("/studies?study=1&record=7")?;
    let (mut client, mira) = world.gateway.person_with_codes("mira@acme.example", &["readers"]).await?;
    let page = client.open(&url).await?;
    assert_eq!((page.status.as_u16(), &page.url), (200, &url), "one sign-in serves all apps: {}", page.body);
    assert_eq!(world.upstream.last().header("x-email"), Some("mira@acme.example"));
    assert!(!world.upstream.last().head.contains("cardea="), "{}", world.upstream.last().head);

    let who = client.get(&world.app("/oauth2/userinfo")?).await?.json()?;
    assert_eq!(
        (&who["email"], &who["groups"]),
        (&"mira@acme.example".into(), &serde_json::json!(["readers"])),
        "{who}"
    );
    assert_eq!(Client::program().get(&world.app("/oauth2/userinfo")?).await?.status, 401);

    // Signed out, to the sign-in and back; then a step-up and back.
    let mut client = Client::browser();
    let page = client.open(&url).await?;
    assert_eq!(page.url.path(), "/sign-in", "{} {}", page.status, page.body);
    let page = client.submit(&page, &[("email", &mira.email)]).await?;
    let page = client.submit(&page, &[("password", &mira.password)]).await?;
    let page = if page.url == url { page } else { mira.answer(&mut client, page).await? };
    assert_eq!((page.status.as_u16(), &page.url), (200, &url), "{}", page.body);
    let secret = world.app("/secret")?;
    let page = client.open(&secret).await?;
    if page.url != secret {
        assert!(form::find(&page.body, "code").is_some(), "no step-up at {}: {}", page.url, page.body);
        let page = mira.answer(&mut client, page).await?;
        assert_eq!((page.status.as_u16(), &page.url), (200, &secret), "{}", page.body);
    }

    // G30: `rd` leads to this app and nowhere else.
    for rd in ["https://evil.example/", "//evil.example/", "/%5Cevil.example", "http://acme.localhost/"] {
        let reply = client.get(&world.app(&format!("/oauth2/start?rd={rd}"))?).await?;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (400, None), "{rd}");
    }
    client.headers = vec![("sec-fetch-site".to_owned(), "same-origin".to_owned())];
    let page = client.open(&world.app("/oauth2/sign_out?rd=%2Fpublic%2Fbye")?).await?;
    assert!(page.status == 200 && page.body.contains("/public/bye"), "{} {}", page.status, page.body);
    let reply = client.get(&world.app("/oauth2/sign_out?rd=https%3A%2F%2Fevil.example")?).await?;
    assert_eq!(reply.status, 400, "{}", reply.body);
    client.headers.clear();
    assert_eq!(client.open(&url).await?.url.path(), "/sign-in");
    Ok(())
}

/// What a client says of who it is does not come to the service, and the question is not the client's to put.
#[tokio::test]
async fn nobody_but_cardea_says_who_asks() -> Story {
    let world = OAUTH2_PROXY.start().await?;
    for name in [
        "x-auth-request-user",
        "x-auth-request-email",
        "x-auth-request-groups",
        "x-auth-request-preferred-username",
        "remote-user",
        "x-groups",
        "x-user",
        "x-email",
        "x-forwarded-user",
        "x-forwarded-email",
        "x-forwarded-groups",
        "cardea-assertion",
        "x-request-id",
    ] {
        let reply = world.raw("GET /public/page", &format!("{name}: forged\r\n")).await?;
        assert_eq!(reply.status(), 200, "{name}: {}", reply.0);
        assert!(!world.upstream.last().head.contains("forged"), "{name}: {}", world.upstream.last().head);
    }
    for path in ["/.cardea/authorize", "/.cardea/%61uthorize", "/oauth2/auth"] {
        let described = "x-original-method: GET\r\nx-original-uri: /public/page\r\n";
        let reply = world.raw(&format!("GET {path}"), described).await?;
        assert_eq!(reply.status(), 404, "{path}: {}", reply.0);
    }
    Ok(())
}

/// What the proxy adds to the question's address leaves out whom it does not hold, and what is not known there is no yes.
#[tokio::test]
async fn its_lists_narrow_who_may_pass() -> Story {
    let world = OAUTH2_PROXY.start().await?;
    let ben = world.gateway.person("ben@acme.example", &["readers"]).await?;
    let (client, _) = ben.opens(&world.app("/studies")?).await?;
    let cookie = client.cookie("echo.acme.localhost", "cardea").unwrap_or_default();
    let described = "x-original-method: GET\r\nx-original-uri: /studies\r\nx-forwarded-proto: http\r\n";
    let asking = format!("{described}cookie: cardea={cookie}\r\n");
    let host = format!("echo.acme.localhost:{}", world.port);
    for (query, status) in [
        ("", 202),
        ("?allowed_groups=reviewers,readers", 202),
        ("?allowed_groups=none", 403),
        ("?allowed_groups=Readers", 403),
        ("?allowed_emails=ben@acme.example", 202),
        ("?allowed_emails=mira@acme.example", 403),
        ("?allowed_email_domains=ACME.example", 202),
        ("?allowed_email_domains=.acme.example", 403),
        ("?allowed_groups=readers&allowed_email_domains=other.example", 403),
        ("?allowed_group=readers", 400),
    ] {
        let line = format!("GET /oauth2/auth{query}");
        let reply = cardea_tests::raw::ask(world.gateway.on.port, &host, &line, &asking).await?;
        assert_eq!(reply.status(), status, "{query}: {}", reply.0);
        assert_eq!(reply.header("cardea-assertion").is_some(), status == 202, "{query}: {}", reply.0);
        assert!(status != 400 || reply.0.contains("no `allowed_group`"), "{query}: {}", reply.0);
    }
    Ok(())
}

/// An app that does not ask for them keeps these addresses.
#[tokio::test]
async fn without_its_word_the_addresses_are_the_app_s() -> Story {
    let world = nginx::NGINX.start().await?;
    for path in ["/oauth2/userinfo", "/oauth2/auth", "/oauth2/start", "/oauth2/sign_out"] {
        let host = format!("echo.acme.localhost:{}", world.port);
        let reply = cardea_tests::raw::ask(world.gateway.on.port, &host, &format!("GET {path}"), "").await?;
        assert_eq!(reply.status(), 401, "{path}: decided like any address of the app's: {}", reply.0);
    }
    Ok(())
}

/// Whoever owes a second factor is refused where another proxy asks, and so is the page that asks who they are.
#[tokio::test]
async fn a_second_factor_that_is_owed_comes_first_here_too() -> Story {
    let special = |plan: Plan| plan.file("tenants/acme/tenant.toml", &tenant("must_enrol = true\n"));
    let world = OAUTH2_PROXY.start_with(special).await?;
    let ben = world.gateway.person("ben@acme.example", &["readers"]).await?;
    let count = world.upstream.count();
    let (mut client, page) = ben.opens(&world.app("/studies")?).await?;
    assert_eq!((page.url.host_str(), page.url.path()), (Some("acme.localhost"), "/factors"), "{}", page.body);
    client.program = true;
    for path in ["/studies", "/oauth2/userinfo", "/.cardea/session"] {
        let refused = client.get(&world.app(path)?).await?;
        assert_eq!(refused.status, 403, "{path}: {}", refused.body);
        assert!(!refused.body.contains("ben@acme.example"), "{path}: {}", refused.body);
    }
    assert_eq!(world.upstream.count(), count, "a request came through");
    Ok(())
}
