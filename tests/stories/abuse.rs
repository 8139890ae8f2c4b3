//! Attacks that broke gateways like this one, on the real binary over the wire. The letter and number of each row are
//! those of the table of abuse cases; the data plane's own suite holds more spellings of each.

use std::time::Duration;

use cardea_tests::{Gateway, Plan, Story, Upstream, raw};

struct World {
    upstream: Upstream,
    gateway: Gateway,
    /// The cookie header of a reader with one factor.
    reader: String,
}

impl World {
    async fn open() -> anyhow::Result<Self> {
        let upstream = Upstream::start().await?;
        let gateway = Plan::before(upstream.port).start().await?;
        let mira = gateway.person("mira@acme.example", &["readers"]).await?;
        let (client, _) = mira.opens(&gateway.at("echo.acme", "/x")?).await?;
        let cookie = client.cookie("echo.acme.localhost", "cardea").unwrap_or_default();
        Ok(Self { reader: format!("cookie: cardea={cookie}\r\n"), upstream, gateway })
    }

    async fn ask(&self, line: &str, headers: &str) -> anyhow::Result<raw::RawReply> {
        self.gateway.on.ask("echo.acme", line, headers).await
    }

    async fn send(&self, bytes: &str) -> anyhow::Result<raw::RawReply> {
        raw::send(self.gateway.on.port, bytes.as_bytes()).await
    }

    /// The host header's value.
    fn host(&self) -> String {
        format!("echo.acme.localhost:{}", self.gateway.on.port)
    }
}

/// Every name by which some service learns who calls, and how some would spell it.
const IDENTITY: [&str; 17] = [
    "Cardea-Assertion",
    "cardea_assertion",
    "CARDEA.ASSERTION",
    "Cardea-Anything-New",
    "Remote-User",
    "remote_user",
    "REMOTE_USER",
    "Remote.User",
    "X-Groups",
    "x_groups",
    "X-Forwarded-User",
    "X_Forwarded_User",
    "X-Forwarded-Proto",
    "x_forwarded_for",
    "Forwarded",
    "X-Real-IP",
    "X-Request-Id",
];

/// G1, G3.
#[tokio::test]
async fn identity_from_outside_reaches_no_service() -> Story {
    let world = World::open().await?;
    for name in IDENTITY {
        for (who, user) in [("", None), (world.reader.as_str(), Some("mira@acme.example"))] {
            let forged = format!("{who}{name}: forged-value\r\n{}: forged-value\r\n", name.to_uppercase());
            let reply = world.ask("GET /public/x", &forged).await?;
            assert_eq!(reply.status(), 200, "{name}: {}", reply.0);
            let heard = world.upstream.last();
            assert!(!heard.head.contains("forged"), "{name} came through: {}", heard.head);
            assert_eq!(heard.header("remote-user"), user, "{name}");
            assert_eq!(heard.header("cardea-assertion").is_some(), user.is_some(), "{name}");
        }
    }
    let trailers: String = IDENTITY.iter().map(|name| format!("{name}: forged-value\r\n")).collect();
    let request = format!(
        "POST /x HTTP/1.1\r\nhost: {}\r\n{}connection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n{trailers}\r\n",
        world.host(),
        world.reader
    );
    let reply = world.send(&request).await?;
    assert_eq!(reply.status(), 200, "{}", reply.0);
    let heard = world.upstream.last();
    assert!(heard.rest.contains("abc") && !heard.rest.contains("forged"), "{heard:?}");
    Ok(())
}

/// G2.
#[tokio::test]
async fn connection_strips_nothing_of_ours() -> Story {
    let world = World::open().await?;
    for listed in
        ["Cardea-Assertion", "Remote-User", "X-Groups", "X-Request-Id", "Forwarded", "X-Forwarded-For", "Host"]
    {
        let request = format!(
            "GET /x HTTP/1.1\r\nhost: {}\r\n{}x-own: 1\r\nconnection: close, {listed}, x-own\r\n\r\n",
            world.host(),
            world.reader
        );
        assert_eq!(world.send(&request).await?.status(), 200, "{listed}");
        let heard = world.upstream.last();
        assert!(heard.header(listed).is_some(), "{listed} was stripped: {}", heard.head);
        assert!(heard.header("x-own").is_none());
    }
    Ok(())
}

/// G4, G5, G6: what is public is so by its canonical path, and by no header, query or fragment.
#[tokio::test]
async fn nothing_but_the_path_makes_a_path_public() -> Story {
    let world = World::open().await?;
    for line in [
        "GET /x?/public/x",
        "GET /x?next=/public/",
        "GET /x%3F/public/x",
        "GET /x%23/public/x",
        "GET /PUBLIC/x",
        "GET /x/public/x",
        "GET /publicx",
    ] {
        assert_eq!(world.ask(line, "").await?.status(), 401, "{line}");
    }
    for header in [
        "X-Forwarded-Uri: /public/x",
        "X-Original-URL: /public/x",
        "X-Rewrite-Url: /public/x",
        "X-Forwarded-Prefix: /public",
        "X-Forwarded-Method: OPTIONS",
        "X-Forwarded-Host: acme.localhost",
        "X-Forwarded-For: 127.0.0.1",
        "User-Agent: kube-probe/1.30",
        "User-Agent: GoogleHC/1.0",
        "Authorization: Bearer x",
        "Cookie: cardea=",
        "Cookie: cardea=x; cardea=y",
        "Access-Control-Request-Method: GET",
    ] {
        for line in ["GET /x", "HEAD /x", "OPTIONS /x"] {
            assert_eq!(world.ask(line, &format!("{header}\r\n")).await?.status(), 401, "{line} {header}");
        }
    }
    let heard = world.upstream.all();
    assert!(heard.iter().all(|one| one.line() == "GET /x"), "only the sign-in itself came through");
    Ok(())
}

/// G7: what the service gets is what was decided, and what could be read in two ways reaches nobody.
#[tokio::test]
async fn policy_log_and_service_read_one_path() -> Story {
    let world = World::open().await?;
    for (sent, arrived) in [
        ("/studies/S-1/", "/studies/S-1/"),
        ("/%73tudies/%7Ex", "/studies/~x"),
        ("/a%20b?x=%2e%2e/&y", "/a%20b?x=%2e%2e/&y"),
        ("/a;v=1/b", "/a%3Bv=1/b"),
        ("/100%25", "/100%25"),
        ("/%E2%82%AC", "/%E2%82%AC"),
    ] {
        let reply = world.ask(&format!("GET {sent}"), &world.reader).await?;
        assert_eq!(reply.status(), 200, "{sent}: {}", reply.0);
        assert_eq!(world.upstream.last().line(), format!("GET {arrived}"), "{sent}");
    }
    // Where two factors are wanted, no spelling gets round them.
    for sent in ["/secret", "/%73ecret", "/secret;x", "/secret/", "/secret%20"] {
        let reply = world.ask(&format!("GET {sent}"), &world.reader).await?;
        assert_eq!(reply.status(), 403, "{sent}: this person has no second factor: {}", reply.0);
    }
    let before = world.upstream.count();
    let ambiguous = [
        "/public/..%2fsecret",
        "/public/%2e%2e/secret",
        "/public/../secret",
        "/public/..;/secret",
        "/public//secret",
        "/public/./x",
        "/public%2fx",
        "/public%5cx",
        "/public\\x",
        "/public%00",
        "/public%0d%0aX:1",
        "/public%c2%9b2J",
        "/%252e%252e/secret",
        "/public%ff",
        "/public%c0%af",
        "/public%",
        "//evil.example/x",
        "/x#/public/x",
    ];
    for path in ambiguous {
        let reply = world.ask(&format!("GET {path}"), &world.reader).await?;
        assert_eq!((reply.status(), reply.reason()), (400, Some("ambiguous-path")), "{path}: {}", reply.0);
    }
    assert_eq!(world.upstream.count(), before);
    // What cannot be read is no tenant's: its entry is in the operator's own log.
    let written = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let log = world.gateway.on.does(&["audit", "export", "--operator"]).await?;
            let log = cardea_tests::gateway::entries(&log)?;
            let count = log.iter().filter(|entry| entry["event"]["reason"] == "ambiguous-path").count();
            if count == ambiguous.len() {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), written)
        .await
        .map_err(|_| anyhow::anyhow!("not every end has its entry"))?
}

/// G8.
#[tokio::test]
async fn a_host_has_one_spelling() -> Story {
    let world = World::open().await?;
    let port = world.gateway.on.port;
    let ask = async |hosts: &str| world.send(&format!("GET /x HTTP/1.1\r\n{hosts}connection: close\r\n\r\n")).await;
    for host in ["echo.acme.localhost", "ECHO.Acme.LocalHost", "echo.acme.localhost.", "echo.acme.localhost:1"] {
        assert_eq!(ask(&format!("host: {host}\r\n")).await?.status(), 401, "{host}: the same rules hold");
        let reply = ask(&format!("host: {host}\r\n{}", world.reader)).await?;
        assert_eq!(reply.status(), 200, "{host}: {}", reply.0);
    }
    for (hosts, status) in [
        ("".to_owned(), 400),
        (format!("host: echo.acme.localhost:{port}\r\nhost: acme.localhost:{port}\r\n"), 400),
        ("host: user@echo.acme.localhost\r\n".to_owned(), 400),
        ("host: echo.acme.localhost, other.example\r\n".to_owned(), 400),
        ("host: echo.acme.localhost/x\r\n".to_owned(), 400),
        ("host: echo..acme.localhost\r\n".to_owned(), 400),
        ("host: echo_acme.localhost\r\n".to_owned(), 400),
        ("host: xn--cho-9la.acme.localhost\r\n".to_owned(), 404),
        ("host: [::1]\r\n".to_owned(), 404),
        ("host: 127.0.0.1\r\n".to_owned(), 404),
    ] {
        let reply = ask(&format!("{hosts}{}", world.reader)).await?;
        assert_eq!(reply.status(), status, "{hosts}: {}", reply.0);
    }
    Ok(())
}

/// G9, G10, G11: framing and bytes with two readings.
#[tokio::test]
async fn no_second_request_is_smuggled_in_the_first() -> Story {
    let world = World::open().await?;
    let before = world.upstream.count();
    let host = world.host();
    let smuggled = format!("GET /public/smuggled HTTP/1.1\r\nhost: {host}\r\n\r\n");
    for (version, headers) in [
        ("1.1", "content-length: 5\r\ntransfer-encoding: chunked\r\n"),
        ("1.1", "content-length: 5\r\ncontent-length: 6\r\n"),
        ("1.1", "content-length: +5\r\n"),
        ("1.1", "transfer-encoding: gzip, chunked\r\n"),
        ("1.1", "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n"),
        ("1.1", "transfer-encoding : chunked\r\n"),
        ("1.1", "transfer-encoding: xchunked\r\n"),
        ("1.0", "transfer-encoding: chunked\r\n"),
        ("1.1", "x: y\r\n transfer-encoding: chunked\r\n"),
        ("1.1", "x: a\0b\r\n"),
        ("1.1", "x: a\rb\r\n"),
        ("1.1", "x\0: b\r\n"),
        ("1.1", "x: a\x01b\r\n"),
        ("1.1", "x own: b\r\n"),
        ("1.1", "x\u{80}: b\r\n"),
    ] {
        let request = format!("POST /public/x HTTP/{version}\r\nhost: {host}\r\n{headers}\r\n0\r\n\r\n{smuggled}");
        let reply = world.send(&request).await?;
        assert_eq!(reply.statuses(), ["400"], "HTTP/{version} {headers:?}: {}", reply.0);
    }
    assert_eq!(world.upstream.count(), before, "the service heard something");

    // An upgrade that the service does not take leaves no tunnel behind it.
    let upgrade = format!(
        "GET /public/x HTTP/1.1\r\nhost: {host}\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nGET /secret HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    );
    let reply = world.send(&upgrade).await?;
    let statuses = reply.statuses();
    assert!(!statuses.contains(&"101") && statuses.iter().skip(1).all(|status| *status == "401"), "{}", reply.0);
    assert!(
        world.upstream.all().iter().all(|heard| !heard.head.contains("/secret") && !heard.rest.contains("/secret"))
    );

    // Requests in one connection are each decided.
    let both = format!(
        "GET /public/x HTTP/1.1\r\nhost: {host}\r\n\r\nGET /secret HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(world.send(&both).await?.statuses(), ["200", "401"]);
    Ok(())
}

/// G13: a cookie that is no handle of ours, in every way that it can be none, opens nothing.
#[tokio::test]
async fn a_malformed_cookie_opens_nothing() -> Story {
    let world = World::open().await?;
    let good = world.reader.trim_start_matches("cookie: cardea=").trim().to_owned();
    let before = world.upstream.count();
    let cut = &good[..good.len() - 1];
    let bad = [
        String::new(),
        "\"\"".to_owned(),
        "null".to_owned(),
        cut.to_owned(),
        format!("{good}A"),
        format!("\"{good}\""),
        format!("{good}%00"),
        good.to_uppercase(),
        format!("../{good}"),
        "A".repeat(43),
        "A".repeat(8_000),
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.".to_owned(),
    ];
    for value in bad.iter().filter(|value| **value != good) {
        for path in ["/x", "/secret"] {
            let reply = world.ask(&format!("GET {path}"), &format!("cookie: cardea={value}\r\n")).await?;
            assert_eq!(reply.status(), 401, "{value}: {}", reply.0);
        }
    }
    assert_eq!(world.upstream.count(), before);
    Ok(())
}
