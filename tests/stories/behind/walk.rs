//! What must hold behind every proxy: the same story, walked through each.

use cardea_tests::{Client, Story, form};
use http::Method;

use super::{Front, World};

/// Who would be somebody else.
const FORGED: [(&str, &str); 5] = [
    ("remote-user", "eve@acme.example"),
    ("x-groups", "overlords"),
    ("cardea-assertion", "forged"),
    ("x-original-uri", "/public/forged"),
    ("x-forwarded-uri", "/public/forged"),
];

fn forging(mut client: Client) -> Client {
    client.headers = FORGED.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    client
}

/// Allowed, denied, signed out, stepped up, another site's page, and no gateway at all.
pub(crate) async fn holds(front: &Front) -> Story {
    let world = front.start().await?;
    visitors(&world).await?;
    let client = a_person_signs_in(&world).await?;
    websockets(&world, &client).await?;
    others_are_denied(&world).await?;
    secrets_want_more(&world).await?;
    odd_requests(&world, &client).await?;
    questions_from_outside(&world, &client).await?;
    sign_out(&world, client).await?;
    without_the_gateway(world).await
}

async fn visitors(world: &World) -> Story {
    let page = forging(Client::browser()).get(&world.app("/public/page?x=1")?).await?;
    assert_eq!(page.status, 200, "{}", page.body);
    // What is of no meaning to the service may come through.
    let heard = world.upstream.last();
    assert_eq!(heard.line(), "GET /public/page?x=1");
    for name in ["remote-user", "x-groups", "cardea-assertion"] {
        assert_eq!(heard.header(name).unwrap_or_default(), "", "{name}: {}", heard.head);
    }
    let count = world.upstream.count();
    let told = forging(Client::program()).get(&world.app("/studies")?).await?;
    assert_eq!((told.status.as_u16(), told.header("location")), (401, None), "{:?}", told.headers);
    assert!(told.header("www-authenticate").is_some_and(|demand| demand.starts_with("Bearer")), "{:?}", told.headers);
    assert_eq!(world.upstream.count(), count, "the service heard of a request that was refused");
    Ok(())
}

/// Signed out, led to the sign-in, and back to where they were going.
async fn a_person_signs_in(world: &World) -> anyhow::Result<Client> {
    let ben = world.gateway.person("ben@acme.example", &["readers"]).await?;
    let url = world.app("/studies?x=1&y=%2F")?;
    let (mut client, page) = ben.opens(&url).await?;
    assert_eq!((page.status.as_u16(), &page.url), (200, &url), "{}", page.body);
    world.heard("GET /studies?x=1&y=%2F", Some("ben@acme.example"))?;
    assert_eq!(world.upstream.last().header("x-groups"), Some("readers"));
    // With a body, and with what somebody else would like the service to be told.
    let mut forger = client.clone();
    forger.headers = FORGED[..3].iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let sent = forger.send(Method::POST, &world.app("/studies")?, Some(("text/plain", "a body".to_owned()))).await?;
    assert_eq!(sent.status, 200, "{}", sent.body);
    world.heard("POST /studies", Some("ben@acme.example"))?;
    assert!(world.upstream.last().rest.contains("a body"));
    client.set_cookie("echo.acme.localhost", "theme", "dark");
    assert_eq!(client.get(&world.app("/studies")?).await?.status, 200);
    assert_eq!(world.upstream.last().header("cookie"), Some("theme=dark"), "the app's own cookies come through");
    Ok(client)
}

async fn websockets(world: &World, client: &Client) -> Story {
    let cookie = client.cookie("echo.acme.localhost", "cardea").unwrap_or_default();
    let open = async |origin: &str| {
        let port = world.port;
        let request = format!(
            "GET /studies/does/websocket HTTP/1.1\r\nhost: echo.acme.localhost:{port}\r\ncookie: cardea={cookie}\r\n\
             origin: {origin}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        cardea_tests::raw::Open::new(port, request.as_bytes()).await
    };
    let mut stream = open(&format!("http://echo.acme.localhost:{}", world.port)).await?;
    let head = stream.until("\r\n\r\n").await?;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    stream.send(b"\x81\x05hello").await?;
    stream.until("hello").await?;
    let mut stream = open("http://evil.acme.localhost").await?;
    let head = stream.until("\r\n\r\n").await?;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    Ok(())
}

async fn others_are_denied(world: &World) -> Story {
    let eve = world.gateway.person("pia@acme.example", &[]).await?;
    let count = world.upstream.count();
    let (mut client, page) = eve.opens(&world.app("/studies")?).await?;
    assert_eq!(page.status, 403, "{}", page.body);
    // In the reader's language; only nginx hands on no page of ours.
    client.headers = vec![("accept-language".to_owned(), "de".to_owned())];
    let page = client.get(&world.app("/studies")?).await?;
    assert_eq!(page.status, 403);
    let ours = page.body.contains("<main ");
    assert!(!ours || page.body.contains("Darauf haben Sie keinen Zugriff"), "{}", page.body);
    assert!(!ours || page.header("content-language") == Some("de"), "{:?}", page.headers);
    assert!(ours || page.body.contains("<center>nginx"), "whose page is this? {}", page.body);
    assert_eq!(world.upstream.count(), count);
    Ok(())
}

/// A step-up appears by itself, and leads back.
async fn secrets_want_more(world: &World) -> Story {
    let (_, mira) = world.gateway.person_with_codes("mira@acme.example", &["readers"]).await?;
    let mut client = Client::browser();
    // As far as the password: the portal asks for no more.
    let page = client.open(&world.gateway.at("acme", "/")?).await?;
    let page = client.submit(&page, &[("email", &mira.email)]).await?;
    client.submit(&page, &[("password", &mira.password)]).await?;
    let secret = world.app("/secret/plan?x=1")?;
    let count = world.upstream.count();
    let page = client.open(&secret).await?;
    assert!(form::find(&page.body, "code").is_some(), "no step-up at {}: {} {}", page.url, page.status, page.body);
    assert_eq!(world.upstream.count(), count, "the service heard of it before the step-up");
    let page = mira.answer(&mut client, page).await?;
    assert_eq!((page.status.as_u16(), &page.url), (200, &secret), "{}", page.body);
    world.heard("GET /secret/plan?x=1", Some("mira@acme.example"))
}

/// Whatever has two readings, or a name that only the service would read as Cardea's, does not come to a secret.
async fn odd_requests(world: &World, client: &Client) -> Story {
    let cookie = client.cookie("echo.acme.localhost", "cardea").unwrap_or_default();
    let cookie = format!("cookie: cardea={cookie}\r\n");
    for target in [
        "/public/../secret",
        "/public/%2e%2e/secret",
        "/public/..%2fsecret",
        "/public%2f..%2fsecret",
        "/public/..;/secret",
        "//secret",
        "/./secret",
        "/secret;x",
        "/public/%252e%252e/secret",
        "/%73ecret",
    ] {
        let count = world.upstream.count();
        let reply = world.raw(&format!("GET {target}"), &cookie).await?;
        assert!(reply.status() >= 300, "{target}: {}", reply.0);
        assert_eq!(world.upstream.count(), count, "{target} came through: {}", world.upstream.last().line());
    }
    for header in ["remote_user: eve", "remote.user: eve", "cardea_assertion: forged", "x_groups: overlords"] {
        let count = world.upstream.count();
        let reply = world.raw("GET /public/page", &format!("{header}\r\n")).await?;
        if reply.status() == 200 {
            let heard = world.upstream.last();
            assert!(!heard.head.contains("eve") && !heard.head.contains("forged"), "{header}: {}", heard.head);
            assert!(!heard.head.contains("overlords"), "{header}: {}", heard.head);
        } else {
            assert_eq!(world.upstream.count(), count, "{header}");
        }
    }
    // What `Connection` lists takes nothing away from the service's knowledge.
    let reply = world.raw("GET /studies", &format!("{cookie}connection: remote-user, cardea-assertion\r\n")).await?;
    if reply.status() == 200 {
        world.heard("GET /studies", Some("ben@acme.example"))?;
    }
    Ok(())
}

/// The question is the proxy's to put and to describe: a client that writes what it is made of changes nothing.
async fn questions_from_outside(world: &World, client: &Client) -> Story {
    let (app, cookie) = (
        format!("echo.acme.localhost:{}", world.port),
        client.cookie("echo.acme.localhost", "cardea").unwrap_or_default(),
    );
    let by_nginx = "x-original-method: GET\r\nx-original-uri: /public/page\r\n".to_owned();
    let by_url = format!("x-original-method: GET\r\nx-original-url: http://{app}/public/page\r\n");
    let by_forwarded = "x-forwarded-method: GET\r\nx-forwarded-uri: /public/page\r\n".to_owned();
    let of_host = format!("x-forwarded-host: {app}\r\nx-forwarded-proto: http\r\nx-forwarded-for: 127.0.0.1\r\n");
    let all = format!("{by_nginx}{by_forwarded}{of_host}");
    for described in [&by_nginx, &by_url, &by_forwarded, &of_host, &all] {
        let count = world.upstream.count();
        let reply = world.raw("GET /studies", described).await?;
        assert!((400..500).contains(&reply.status()), "{described}: {}", reply.0);
        assert_eq!(world.upstream.count(), count, "a stranger came in by {described}");
        let reply = world.raw("GET /public/other", described).await?;
        if reply.status() == 200 {
            assert_eq!(world.upstream.last().line(), "GET /public/other", "{described}");
        } else {
            assert_eq!(world.upstream.count(), count, "{described}: {}", reply.0);
        }
        // Nor is it told who somebody is, not even who it is itself.
        for path in [
            "/.cardea/authorize",
            "/.cardea/%61uthorize",
            "/.cardea//authorize",
            "/.cardea/./authorize",
            "/x/../.cardea/authorize",
        ] {
            let count = world.upstream.count();
            let reply = world.raw(&format!("GET {path}"), &format!("{described}cookie: cardea={cookie}\r\n")).await?;
            assert!(reply.status() >= 300, "{path} {described}: {}", reply.0);
            for name in ["cardea-assertion", "remote-user", "x-groups"] {
                assert_eq!(reply.header(name), None, "{path} {described}: {}", reply.0);
            }
            assert_eq!(world.upstream.count(), count, "{path} {described}");
        }
    }
    Ok(())
}

async fn sign_out(world: &World, mut client: Client) -> Story {
    client.headers = vec![("sec-fetch-site".to_owned(), "same-origin".to_owned())];
    let page = client.open(&world.app("/.cardea/sign-out")?).await?;
    assert_eq!(page.status, 200, "{}", page.body);
    client.headers.clear();
    let page = client.open(&world.app("/studies")?).await?;
    assert_eq!(page.url.path(), "/sign-in", "{} {}", page.status, page.body);
    Ok(())
}

/// The fail-open hunt's last row: nobody to ask is no yes.
async fn without_the_gateway(world: World) -> Story {
    let World { upstream, gateway, port, running: _running, .. } = world;
    let count = upstream.count();
    let on = gateway.kill().await?;
    for path in ["/public/page", "/studies", "/secret"] {
        let reply =
            cardea_tests::raw::ask(port, &format!("echo.acme.localhost:{port}"), &format!("GET {path}"), "").await?;
        assert!((500..600).contains(&reply.status()), "{path}: {}", reply.0);
    }
    assert_eq!(upstream.count(), count, "the service was reached without the gateway");
    drop(on);
    Ok(())
}
