//! What another proxy is told of requests that it carries: G3 to G6, G13, G32.

use std::sync::{Arc, atomic::Ordering};

use cardea_audit::Event;
use cardea_core::{Assurance, Reason};
use cardea_proxy::{Body, Connection, Description, Door, Vouched};

use crate::{
    house::{APP_HOST, House, Plan, SIGN_IN_HOST},
    reply::Reply,
};

const PAGE: &str = "accept: text/html\r\n";

/// A question as nginx puts it about `line`.
async fn nginx(house: &House, line: &str, more: &str) -> Reply {
    let (method, target) = line.split_once(' ').unwrap();
    let told = format!("x-original-method: {method}\r\nx-original-uri: {target}\r\nx-forwarded-proto: http\r\n{more}");
    house.ask("GET /.cardea/authorize", &told).await
}

/// As Traefik and Caddy put it.
async fn traefik(house: &House, line: &str, more: &str) -> Reply {
    let (method, target) = line.split_once(' ').unwrap();
    let told = format!(
        "x-forwarded-method: {method}\r\nx-forwarded-uri: {target}\r\nx-forwarded-proto: http\r\n\
         x-forwarded-host: {APP_HOST}\r\n{more}"
    );
    house.ask("GET /.cardea/authorize", &told).await
}

fn cookie(cookie: &str) -> String {
    format!("cookie: {cookie}\r\n")
}

#[tokio::test]
async fn a_yes_says_who_asks() {
    let house = Plan::carried("dialect = 'nginx'").open().await;
    let chemist = cookie(&house.chemist());
    let forged = "remote-user: eve\r\ncardea-assertion: forged\r\nx-groups: administrators\r\n";
    let reply = nginx(&house, "POST /studies?x=1", &format!("{chemist}{forged}")).await;
    assert_eq!(reply.status(), 200, "{}", reply.0);
    for (name, value) in [
        ("cardea-assertion", "signed-for-mira@acme.test"),
        ("remote-user", "mira@acme.test"),
        ("x-groups", "chemists"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    assert_eq!(reply.header("cookie"), Some(""), "ours are not the service's to see");
    let both = format!("cookie: theme=dark; {}; a=1\r\n", house.chemist());
    assert_eq!(nginx(&house, "GET /studies", &both).await.header("cookie"), Some("theme=dark; a=1"));
    let reply = nginx(&house, "GET /public", forged).await;
    assert_eq!((reply.status(), reply.header("remote-user"), reply.header("cardea-assertion")), (200, None, None));
    let entries = house.lent.entries.lock().unwrap();
    let Event::Request(request) = &entries[0].event else { panic!("{:?}", entries[0]) };
    assert_eq!((&*request.method, &*request.path, request.asked_by.as_deref()), ("POST", "/studies", Some("nginx")));
    assert_eq!(reply.header("x-request-id"), Some(entries[2].id.to_string().as_str()));
}

#[tokio::test]
async fn a_no_is_said_in_words_that_the_proxy_knows() {
    for (dialect, sends_itself) in [("nginx", true), ("traefik", false), ("caddy", false), ("haproxy", false)] {
        let house = Plan::carried(&format!("dialect = '{dialect}'")).open().await;
        let ask = async |line: &str, more: &str| match dialect {
            "nginx" => nginx(&house, line, more).await,
            _ => traefik(&house, line, more).await,
        };
        let led = if sends_itself { 401 } else { 303 };
        let reply = ask("GET /studies?x=1", PAGE).await;
        let to = format!("http://{SIGN_IN_HOST}/sign-in?to=http%3A%2F%2F{APP_HOST}%2Fstudies%3Fx%3D1&flow=");
        assert_eq!(reply.status(), led, "{dialect}");
        assert!(reply.header("location").unwrap().starts_with(&to), "{dialect}: {}", reply.0);
        assert!(reply.header("set-cookie").unwrap().starts_with("cardea-flow="), "{dialect}");

        let reply = ask("GET /studies", "accept: application/json\r\n").await;
        assert_eq!((reply.status(), reply.header("location")), (401, None), "{dialect}");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"cardea\""), "{dialect}");

        let chemist = cookie(&house.chemist());
        let reply = ask("GET /secret", &format!("{chemist}{PAGE}")).await;
        assert_eq!(reply.status(), led, "{dialect}");
        assert!(reply.header("location").unwrap().contains("/sign-in/step-up?need=2&to="), "{dialect}: {}", reply.0);

        let stranger = cookie(&house.sign_in(APP_HOST, "painters", Assurance::Two));
        assert_eq!(ask("GET /studies", &format!("{stranger}{PAGE}")).await.status(), 403, "{dialect}");
        assert_eq!(
            ask("GET /secret", &cookie(&house.sign_in(APP_HOST, "chemists", Assurance::Two))).await.status(),
            200
        );
    }
}

#[tokio::test]
async fn nothing_but_one_clear_description_is_answered_with_yes() {
    let fine = "x-original-method: GET\r\nx-original-uri: /public\r\nx-forwarded-proto: http\r\n";
    let house = Plan::carried("dialect = 'nginx'").open().await;
    assert_eq!(house.ask("GET /.cardea/authorize", fine).await.status(), 200);
    let rows = [
        String::new(),
        fine.replace("x-original-method: GET\r\n", ""),
        fine.replace("x-original-uri: /public\r\n", ""),
        fine.replace("x-forwarded-proto: http\r\n", ""),
        format!("{fine}x-original-uri: /public\r\n"),
        format!("{fine}x-original-method: GET\r\n"),
        format!("{fine}x-forwarded-proto: http\r\n"),
        format!("{fine}x-original-url: http://{APP_HOST}/public\r\n"),
        format!("{fine}x_original_uri: /public\r\n"),
        fine.replace("http\r\n", "https, http\r\n"),
        fine.replace("GET", "get"),
        fine.replace("GET", "CONNECT"),
        fine.replace("GET", "TRACE"),
        fine.replace("GET", ""),
        // Another dialect.
        format!(
            "x-forwarded-method: GET\r\nx-forwarded-uri: /public\r\nx-forwarded-proto: http\r\nx-forwarded-host: {APP_HOST}\r\n"
        ),
    ];
    for row in &rows {
        assert_eq!(house.ask("GET /.cardea/authorize", row).await.status(), 403, "{row}");
    }
    // G5, G7: paths with two readings, or that the service would read otherwise than the policies.
    for path in [
        "//public",
        "/public/..",
        "/public/../x",
        "/public%2fx",
        "/public;x",
        "/%70ublic;x",
        "/public#",
        "/x#/public",
        "public",
        "http://evil.test/public",
        "/public%5cx",
        "/public\\x",
        "/%2e%2e/public",
        "/.cardea/session",
        "*",
        "/public?\u{e9}",
    ] {
        let row = fine.replace("/public", path);
        assert_eq!(house.ask("GET /.cardea/authorize", &row).await.status(), 403, "{path}");
    }
    for url in [
        format!("https://{APP_HOST}/public"),
        format!("http://{SIGN_IN_HOST}/public"),
        "http://evil.test/public".to_owned(),
        format!("http://{APP_HOST}@evil.test/public"),
        format!("http://eve@{APP_HOST}/public"),
        format!("//{APP_HOST}/public"),
        "/public".to_owned(),
    ] {
        let row = fine.replace("x-original-uri: /public", &format!("x-original-url: {url}"));
        assert_eq!(house.ask("GET /.cardea/authorize", &row).await.status(), 403, "{url}");
    }
    let row = fine.replace("x-original-uri: /public", &format!("x-original-url: http://{APP_HOST}/public?q"));
    assert_eq!(house.ask("GET /.cardea/authorize", &row).await.status(), 200);
    for line in ["POST /.cardea/authorize", "PUT /.cardea/authorize", "GET /oauth2/auth"] {
        assert!(house.ask(line, fine).await.status() >= 400, "{line}");
    }
    assert!(!house.ask("GET /.cardea/authorize/", fine).await.0.contains("cardea-assertion"), "a page of ours, if any");
    for spelled in ["remote_user: eve", "cardea.assertion: x", "x_groups: administrators", "X_Forwarded_For: 1.1.1.1"] {
        assert_eq!(
            house.ask("GET /.cardea/authorize", &format!("{fine}{spelled}\r\n")).await.status(),
            403,
            "{spelled}"
        );
    }
}

#[tokio::test]
async fn forwarded_hosts_are_the_app_s_own() {
    let house = Plan::carried("dialect = 'traefik'").open().await;
    assert_eq!(traefik(&house, "GET /public", "").await.status(), 200);
    for host in [SIGN_IN_HOST, "other.test", "", "records.acme.test, evil.test", "a_b"] {
        let told = format!(
            "x-forwarded-method: GET\r\nx-forwarded-uri: /public\r\nx-forwarded-proto: http\r\nx-forwarded-host: {host}\r\n"
        );
        let reply = house.ask("GET /.cardea/authorize", &told).await;
        assert_eq!(reply.status(), 400, "{host}: {}", reply.0);
    }
    assert_eq!(traefik(&house, "GET /public", "x-forwarded-host: records.acme.test\r\n").await.status(), 400, "twice");
}

/// What a client says there would go on to the service, of which some act at that address.
#[tokio::test]
async fn no_second_address_goes_along_with_a_yes() {
    for dialect in ["traefik", "caddy", "haproxy"] {
        let house = Plan::carried(&format!("dialect = '{dialect}'")).open().await;
        for (more, status) in [
            ("", 200),
            ("x-own: /secret\r\n", 200),
            ("x-original-url: /secret\r\n", 400),
            ("X_Original_URL: /secret\r\n", 400),
            ("x-rewrite-url: /secret\r\n", 400),
        ] {
            let reply = traefik(&house, "GET /public", more).await;
            assert_eq!(reply.status(), status, "{dialect} {more}: {}", reply.0);
        }
    }
}

/// HAProxy has a WebSocket over HTTP/2 asked about by its version alone: there is no key (RFC 8441), and it keeps `Upgrade` to
/// itself.
#[tokio::test]
async fn a_websocket_is_known_by_any_of_its_headers_and_by_whose_page_it_is_opened() {
    for dialect in ["haproxy", "traefik", "caddy"] {
        let house = Plan::carried(&format!("dialect = '{dialect}'")).open().await;
        let chemist = cookie(&house.chemist());
        for mark in ["sec-websocket-version: 13\r\n", "sec-websocket-key: -\r\n"] {
            for (origin, status) in [(APP_HOST, 200), ("evil.test", 403), ("records.acme.test.evil.test", 403)] {
                let told = format!("{chemist}{mark}origin: http://{origin}\r\n");
                let reply = traefik(&house, "GET /studies", &told).await;
                assert_eq!(reply.status(), status, "{dialect} {mark} {origin}: {}", reply.0);
            }
            let reply = traefik(&house, "GET /studies", &format!("{chemist}{mark}")).await;
            assert_eq!(reply.status(), 403, "{dialect} {mark}, from no page: {}", reply.0);
        }
    }
}

/// G3, G4, G32: nobody but a listed proxy is believed.
#[tokio::test]
async fn a_stranger_s_description_is_not_read() {
    let mut plan = Plan::carried("dialect = 'nginx'");
    plan.trusted = vec!["127.0.0.2/32".parse().unwrap()];
    let house = plan.open().await;
    let reply = nginx(&house, "GET /public", "x-forwarded-for: 127.0.0.2\r\n").await;
    assert_eq!((reply.status(), reply.reason().as_deref()), (403, Some("proxy-not-trusted")));
    assert_eq!(house.ends(), [(403, Some(Reason::ProxyNotTrusted))]);
    assert_eq!(house.ask("GET /public", "").await.status(), 404, "what is carried elsewhere is not here");
}

#[tokio::test]
async fn an_app_that_nobody_else_carries_answers_no_questions() {
    // They come to our own pages, or to the app, like any other address; nobody hears a yes about another request.
    let told = "x-original-method: GET\r\nx-original-uri: /public\r\nx-forwarded-proto: http\r\n";
    for plan in [Plan::at("http://127.0.0.1:1"), Plan::carried("dialect = 'envoy'")] {
        let house = plan.open().await;
        let chemist = cookie(&house.chemist());
        for line in ["GET /.cardea/authorize", "GET /oauth2/auth", "GET /oauth2/start"] {
            let reply = house.ask(line, &format!("{told}{chemist}")).await;
            assert!(reply.header("remote-user").is_none() && reply.header("cardea-assertion").is_none(), "{line}");
        }
        for entry in house.lent.entries.lock().unwrap().iter() {
            let Event::Request(request) = &entry.event else { panic!("{entry:?}") };
            assert!(request.asked_by.is_none() && &*request.path != "/public", "{request:?}");
        }
    }
}

/// G13.
#[tokio::test]
async fn whatever_fails_the_proxy_hears_no_yes() {
    let house = Plan::carried("dialect = 'nginx'").open().await;
    let chemist = cookie(&house.chemist());
    let switches = [&house.lent.sessions_fail, &house.lent.assertions_fail, &house.lent.log_full];
    for (nth, switch) in switches.into_iter().enumerate() {
        switch.store(true, Ordering::SeqCst);
        assert_eq!(nginx(&house, "GET /x", &chemist).await.status(), 503, "{nth}");
        switch.store(false, Ordering::SeqCst);
    }
    for odd in ["cookie: cardea=\r\n", "cookie: cardea=%00\r\n", "cookie: cardea=x; cardea=y\r\n", "cookie: cardea\r\n"]
    {
        assert_eq!(nginx(&house, "GET /x", odd).await.status(), 401, "{odd}");
    }
    house.lent.suspended.store(true, Ordering::SeqCst);
    house.lent.live.lock().unwrap().clear();
    assert_eq!(nginx(&house, "GET /x", &chemist).await.status(), 403);

    let house = Plan::carried("dialect = 'nginx'").with("audit = 'before'").open().await;
    assert_eq!(nginx(&house, "GET /public", "").await.status(), 200);
    assert_eq!(house.ends(), [(0, None), (200, None)]);
    house.lent.log_fails.store(true, Ordering::SeqCst);
    assert_eq!(nginx(&house, "GET /public", "").await.status(), 503);
}

#[tokio::test]
async fn oauth2_proxy_s_addresses_answer_where_the_app_says_so() {
    let house = Plan::carried("dialect = 'nginx'\noauth2_proxy = true").open().await;
    let told = "x-original-method: GET\r\nx-original-uri: /studies\r\nx-forwarded-proto: http\r\n";
    let chemist = cookie(&house.chemist());
    let reply = house.ask("GET /oauth2/auth", &format!("{told}{chemist}")).await;
    assert_eq!((reply.status(), reply.header("remote-user")), (202, Some("mira@acme.test")));
    assert_eq!(house.ask("GET /oauth2/auth", told).await.status(), 401);
    assert_eq!(house.ask("GET /oauth2/auth", &told.replace("/studies", "/oauth2/userinfo")).await.status(), 403);

    let reply = house.ask("GET /oauth2/start?rd=/studies%3Fx%3D1", PAGE).await;
    let to = format!("http://{SIGN_IN_HOST}/sign-in?to=http%3A%2F%2F{APP_HOST}%2Fstudies%3Fx%3D1&flow=");
    assert!(reply.status() == 303 && reply.header("location").unwrap().starts_with(&to), "{}", reply.0);
    // As nginx has it in `$request_uri`, which it does not escape: all of it is the page.
    for page in [
        "/studies?study=1&record=7",
        "/studies?rd=/a&rd=/b",
        "/studies?x=%26+%3F%2F",
        "/studies/a%20b+c",
        "/studies/a&b=c",
        "/studies",
    ] {
        let reply = house.ask(&format!("GET /oauth2/sign_in?rd={page}"), &format!("{PAGE}{chemist}")).await;
        assert_eq!(
            (reply.status(), reply.header("location")),
            (303, Some(&*format!("http://{APP_HOST}{page}"))),
            "{page}"
        );
    }
    // A visitor may see it, but came to sign in.
    let reply = house.ask("GET /oauth2/start?rd=/public", PAGE).await;
    assert!(reply.header("location").unwrap().contains("/sign-in?to="), "{}", reply.0);
    let reply = house.ask("GET /oauth2/start?rd=/secret", &format!("{PAGE}{chemist}")).await;
    assert!(reply.header("location").unwrap().contains("/sign-in/step-up?need=2"), "{}", reply.0);
    let reply =
        house.ask(&format!("GET /oauth2/sign_in?rd=http://{APP_HOST}/studies"), &format!("{PAGE}{chemist}")).await;
    assert_eq!((reply.status(), reply.header("location")), (303, Some("http://records.acme.test/studies")));
    // G30.
    for rd in [
        "https://evil.test/",
        "//evil.test/",
        "/%5Cevil.test",
        "/\\evil.test",
        "http://records.acme.test@evil.test/",
        "http://records.acme.test.evil.test/",
        "http://id.acme.test/",
        "javascript:alert(1)",
        "/a//b",
        "/x&rd=/y",
        "/\\evil.test?x=1",
        "//evil.test?x=1",
        "/x?y#z",
        "https://records.acme.test/studies",
        "%20http://evil.test",
        "http:/evil.test",
        "/%09/evil.test",
    ] {
        let reply = house.ask(&format!("GET /oauth2/start?rd={rd}"), &format!("{PAGE}{chemist}")).await;
        let led = reply.header("location").is_some_and(|to| to.contains("evil"));
        assert!(!led && reply.status() == 400, "{rd}: {}", reply.0);
    }
}

/// What the proxy adds to the question's address narrows what the policies allow, and is never passed over.
#[tokio::test]
async fn oauth2_proxy_s_lists_leave_out_whom_they_do_not_hold() {
    let house = Plan::carried("dialect = 'nginx'\noauth2_proxy = true").open().await;
    let chemist = cookie(&house.chemist());
    let painter = cookie(&house.sign_in(APP_HOST, "painters", Assurance::One));
    let ask = async |asked_at: &str, page: &str, who: &str| {
        let told = format!("x-original-method: GET\r\nx-original-uri: {page}\r\nx-forwarded-proto: http\r\n{who}");
        house.ask(&format!("GET {asked_at}"), &told).await
    };
    for (query, page, who, status) in [
        ("?allowed_groups=painters,chemists", "/studies", &*chemist, 202),
        ("?allowed_groups=none", "/studies", &chemist, 403),
        ("?allowed_groups=Chemists", "/studies", &chemist, 403),
        ("?allowed_groups=", "/studies", &chemist, 403),
        ("?allowed_emails=Mira@acme.test", "/studies", &chemist, 202),
        ("?allowed_emails=eve@acme.test", "/studies", &chemist, 403),
        ("?allowed_email_domains=acme.test", "/studies", &chemist, 202),
        ("?allowed_email_domains=*.acme.test", "/studies", &chemist, 403),
        ("?allowed_groups=chemists&allowed_email_domains=other.test", "/studies", &chemist, 403),
        // It opens nothing that the policies keep shut.
        ("?allowed_groups=painters", "/studies", &painter, 403),
        // A visitor, whom the policies let in there, may be somebody who is in it.
        ("?allowed_groups=chemists", "/public", &chemist, 202),
        ("?allowed_groups=chemists", "/public", "", 401),
        ("", "/public", "", 202),
        ("?allowed_group=chemists", "/studies", &chemist, 400),
        ("?allowed_groups=chemists&rd=/", "/studies", &chemist, 400),
        ("?allowed_groups=chemists&allowed_groups=none", "/studies", &chemist, 400),
    ] {
        // Whoever moves from one address to the other keeps the lists: they were passed over at ours.
        for (address, yes) in [("/oauth2/auth", 202), ("/.cardea/authorize", 200)] {
            let reply = ask(&format!("{address}{query}"), page, who).await;
            let status = if status == 202 { yes } else { status };
            assert_eq!(reply.status(), status, "{address}{query} {page}: {}", reply.0);
            let told = reply.header("cardea-assertion").is_some() || reply.header("remote-user").is_some();
            assert_eq!(told, status == yes && !who.is_empty(), "{address}{query} {page}: {}", reply.0);
        }
    }
    for address in ["/oauth2/auth", "/.cardea/authorize"] {
        let reply = ask(&format!("{address}?allowed_group=chemists"), "/studies", &chemist).await;
        assert_eq!(reply.reason().as_deref(), Some("unknown-parameter"), "{address}");
        assert!(reply.0.contains("no `allowed_group`"), "{address}: {}", reply.0);
    }
}

/// Caddy puts the client's query into its question where its own address has none. A client that sends what the proxy would
/// have said itself is narrowed by it like anybody.
#[tokio::test]
async fn a_query_that_may_be_the_client_s_is_not_refused_and_switches_no_list_off() {
    for dialect in ["caddy", "traefik", "haproxy"] {
        let house = Plan::carried(&format!("dialect = '{dialect}'\noauth2_proxy = true")).open().await;
        let chemist = cookie(&house.chemist());
        let keeps = dialect != "haproxy";
        for (query, page, status) in [
            ("", "/studies?x=1", 202),
            ("?x=1", "/studies?x=1", if keeps { 202 } else { 400 }),
            ("?x=1&x=2&rd=/", "/studies?x=1&x=2&rd=/", if keeps { 202 } else { 400 }),
            ("?x=1", "/studies", 400),
            ("?x=1", "/studies?x=2", 400),
            ("?allowed_groups=chemists", "/studies?x=1", 202),
            ("?allowed_groups=none", "/studies?x=1", 403),
            ("?allowed_groups=none", "/studies?allowed_groups=chemists", 403),
            // The very query that the proxy was given.
            ("?allowed_groups=none", "/studies?allowed_groups=none", 403),
            ("?allowed_groups=none&x=1", "/studies?allowed_groups=none&x=1", if keeps { 403 } else { 400 }),
            ("?allowed_group=none", "/studies?allowed_group=none", 400),
            ("?Allowed_Groups=none", "/studies?Allowed_Groups=none", 400),
            (
                "?allowed_groups=none&allowed_groups=chemists",
                "/studies?allowed_groups=none&allowed_groups=chemists",
                400,
            ),
        ] {
            let told = format!(
                "x-forwarded-method: GET\r\nx-forwarded-uri: {page}\r\nx-forwarded-proto: http\r\n\
                 x-forwarded-host: {APP_HOST}\r\n{chemist}"
            );
            for (address, yes) in [("/oauth2/auth", 202), ("/.cardea/authorize", 200)] {
                let reply = house.ask(&format!("GET {address}{query}"), &told).await;
                let status = if status == 202 { yes } else { status };
                assert_eq!(reply.status(), status, "{dialect} {address}{query} {page}: {}", reply.0);
                let told = reply.header("cardea-assertion").is_some();
                assert_eq!(told, status == yes, "{dialect} {address}{query} {page}");
            }
        }
    }
}

/// A preflight is a request like any other here: browsers send it without cookies, so that a policy has to let visitors ask.
/// What pages of other origins are told is the carrier's to say, and nothing is said of it.
#[tokio::test]
async fn a_preflight_is_asked_about_as_the_request_that_it_is() {
    let preflight = "origin: https://lab.example\r\naccess-control-request-method: PUT\r\n";
    // What the check of an app refuses changes nothing where it was kept all the same.
    for more in ["", "[cors]\norigins = ['https://lab.example']\nmethods = ['PUT']\n"] {
        for dialect in ["nginx", "traefik", "caddy", "haproxy"] {
            let house = Plan::carried(&format!("dialect = '{dialect}'")).and(more).open().await;
            let ask = async |line: &str, headers: &str| match dialect {
                "nginx" => nginx(&house, line, headers).await,
                _ => traefik(&house, line, headers).await,
            };
            let chemist = format!("{}{preflight}", cookie(&house.chemist()));
            for (line, headers, status) in [
                ("OPTIONS /public/x", preflight, 200),
                ("OPTIONS /studies", preflight, 401),
                ("OPTIONS /studies", &*chemist, 200),
            ] {
                let reply = ask(line, headers).await;
                assert_eq!(reply.status(), status, "{dialect} {line}: {}", reply.0);
                assert!(!reply.0.contains("access-control-"), "{dialect} {line}: {}", reply.0);
            }
            let entries = house.lent.entries.lock().unwrap();
            let Event::Request(request) = &entries[0].event else { panic!("{:?}", entries[0]) };
            assert_eq!((&*request.method, request.asked_by.as_deref()), ("OPTIONS", Some(dialect)));
            assert_eq!(request.decision.as_ref().map(|decision| &*decision.action), Some("OPTIONS"));
        }
    }
}

/// H8: a page of another site opens no WebSocket with a person's cookie.
#[tokio::test]
async fn a_websocket_s_origin_is_looked_at() {
    let house = Plan::carried("dialect = 'nginx'").open().await;
    let chemist = cookie(&house.chemist());
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (origin, status) in
        [("", 403), ("origin: http://evil.test\r\n", 403), ("origin: http://records.acme.test\r\n", 200)]
    {
        let reply = nginx(&house, "GET /live", &format!("{chemist}{key}{origin}")).await;
        assert_eq!(reply.status(), status, "{origin}");
    }
}

/// A question by message, as Envoy's are: the answer, and whether it is one that was vouched for.
async fn by_message(house: &House, target: &str, cookie: &str) -> (u16, bool) {
    let mut request = http::Request::new(Body::empty());
    if !cookie.is_empty() {
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
    }
    request.extensions_mut().insert(Description {
        method: "GET".to_owned(),
        scheme: "http".to_owned(),
        authority: APP_HOST.to_owned(),
        target: target.to_owned(),
        client: "192.0.2.1".parse().unwrap(),
    });
    let connection = Connection::plain("127.0.0.1:1".parse().unwrap(), Door::Asked);
    let response = house.proxy.handle(&Arc::new(connection), request).await;
    (response.status().as_u16(), response.extensions().get::<Vouched>().is_some())
}

/// A gRPC client's no has the status 200: whoever asks about one hears a no all the same.
#[tokio::test]
async fn a_question_about_a_grpc_call_is_no_grpc_call() {
    for (dialect, target) in
        [("nginx", "/.cardea/authorize"), ("haproxy", "/.cardea/authorize"), ("nginx", "/oauth2/auth")]
    {
        let house = Plan::carried(&format!("dialect = '{dialect}'\noauth2_proxy = true")).open().await;
        for (method, version) in
            [("POST", http::Version::HTTP_2), ("GET", http::Version::HTTP_2), ("POST", http::Version::HTTP_11)]
        {
            let request = http::Request::builder()
                .method(method)
                .version(version)
                .uri(format!("http://{APP_HOST}{target}"))
                .header("content-type", "application/grpc")
                .header("x-original-method", "POST")
                .header("x-original-uri", "/records.Records/List")
                .header("x-forwarded-method", "POST")
                .header("x-forwarded-uri", "/records.Records/List")
                .header("x-forwarded-host", APP_HOST)
                .header("x-forwarded-proto", "http")
                .body(Body::empty())
                .unwrap();
            let connection = Connection::plain("127.0.0.1:1".parse().unwrap(), Door::Public);
            let response = house.proxy.handle(&Arc::new(connection), request).await;
            assert!(response.status().as_u16() >= 400, "{dialect} {target} {method}: {}", response.status());
        }
    }
}

/// G13, for messages.
#[tokio::test]
async fn a_message_is_answered_in_the_same_way() {
    let house = Plan::carried("dialect = 'envoy'").open().await;
    let chemist = house.chemist();
    assert_eq!(by_message(&house, "/studies", &chemist).await, (200, true));
    assert_eq!(by_message(&house, "/public", "").await, (200, true));
    for (target, cookie) in [
        ("/studies", ""),
        ("/secret", &*chemist),
        ("//public", ""),
        ("/public;x", ""),
        ("/.cardea/session", ""),
        ("*", ""),
    ] {
        let (status, vouched) = by_message(&house, target, cookie).await;
        assert!(status >= 400 && !vouched, "{target}: {status}");
    }
    for switch in [&house.lent.sessions_fail, &house.lent.assertions_fail, &house.lent.log_full] {
        switch.store(true, Ordering::SeqCst);
        assert_eq!(by_message(&house, "/studies", &chemist).await, (503, false));
        switch.store(false, Ordering::SeqCst);
    }
    // An app that asks over HTTP is not asked about in messages, nor is one that Cardea carries.
    for plan in [Plan::carried("dialect = 'nginx'"), Plan::at("http://127.0.0.1:1")] {
        assert_eq!(by_message(&plan.open().await, "/public", "").await, (400, false));
    }
    // What tells of nothing is nothing.
    let connection = Connection::plain("127.0.0.1:1".parse().unwrap(), Door::Asked);
    let response = house.proxy.handle(&Arc::new(connection), http::Request::new(Body::empty())).await;
    assert_eq!(response.status(), 400);
}
