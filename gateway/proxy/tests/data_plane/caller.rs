//! Callers, challenges and our own pages.

use std::sync::atomic::Ordering;

use cardea_audit::Event;
use cardea_core::{Assurance, Reason};

use crate::{
    house::{APP_HOST, Plan, SIGN_IN_HOST},
    service::Service,
};

#[tokio::test]
async fn a_browser_is_led_to_sign_in_and_bound_to_its_way_back() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let reply = house.ask("GET /studies?x=1", "accept: text/html\r\n").await;
    assert_eq!(reply.status(), 303);
    let location = reply.header("location").unwrap();
    assert!(
        location.starts_with("http://id.acme.test/sign-in?to=http%3A%2F%2Frecords.acme.test%2Fstudies%3Fx%3D1&flow="),
        "{location}"
    );
    assert!(reply.header("set-cookie").unwrap().starts_with("cardea-flow="));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    // The second tab stays in the same flow.
    let flow = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let again = house.ask("GET /other", &format!("accept: text/html\r\ncookie: {flow}\r\n")).await;
    assert_eq!(again.header("set-cookie"), None);
    assert_eq!(again.header("location").unwrap().split("flow=").nth(1), location.split("flow=").nth(1));
    assert_eq!(service.count(), 0);
    assert_eq!(house.ends()[0], (303, Some(Reason::SignInRequired)));
}

/// A return address with a port of the client's choosing would lead a person to whatever listens there.
#[tokio::test]
async fn the_way_back_leads_to_our_port_and_not_to_one_that_the_client_names() {
    for (ours, host) in
        [(Some(80), "records.acme.test"), (Some(8080), "records.acme.test%3A8080"), (None, "records.acme.test%3A9999")]
    {
        let mut plan = Plan::at("http://127.0.0.1:1");
        plan.limits.public_port = ours;
        let house = plan.open().await;
        let asked =
            format!("GET /x HTTP/1.1\r\nhost: {APP_HOST}:9999\r\naccept: text/html\r\nconnection: close\r\n\r\n");
        let reply = house.raw(asked.as_bytes()).await;
        let location = reply.header("location").unwrap();
        assert!(location.contains(&format!("to=http%3A%2F%2F{host}%2Fx&")), "{ours:?}: {location}");
    }
}

#[tokio::test]
async fn a_program_is_told_what_to_bring() {
    let (_, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let reply = house.ask("GET /studies", "accept: application/json\r\n").await;
    assert_eq!((reply.status(), reply.reason().as_deref()), (401, Some("sign-in-required")));
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer "));
    assert!(reply.body().contains(r#""need":"sign-in""#) && !reply.body().contains("flow="), "{}", reply.body());
    assert_eq!(reply.header("set-cookie"), None);
}

#[tokio::test]
async fn a_stronger_sign_in_is_asked_for_where_it_would_help() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let cookie = house.chemist();
    let reply = house.ask("GET /secret", &format!("cookie: {cookie}\r\n")).await;
    assert_eq!((reply.status(), reply.reason().as_deref()), (401, Some("step-up-required")));
    assert!(reply.header("www-authenticate").unwrap().contains("urn:cardea:assurance:2"));
    let page = house.ask("GET /secret", &format!("cookie: {cookie}\r\naccept: text/html\r\n")).await;
    assert!(page.header("location").unwrap().starts_with("http://id.acme.test/sign-in/step-up?need=2&to="));
    assert_eq!(service.count(), 0);
    let strong = house.sign_in(APP_HOST, "chemists", Assurance::Two);
    assert_eq!(house.ask("GET /secret", &format!("cookie: {strong}\r\n")).await.status(), 200);
}

#[tokio::test]
async fn whoever_proves_more_for_an_act_returns_to_the_page_with_its_form() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let cookie = house.chemist();
    for (referer, to) in [
        ("http://records.acme.test/studies/S-7?x=1", "http://records.acme.test/studies/S-7?x=1"),
        ("http://elsewhere.test/studies", "http://records.acme.test/"),
        ("http://records.acme.test.elsewhere.test/", "http://records.acme.test/"),
        ("http://records.acme.test@elsewhere.test/", "http://records.acme.test/"),
        ("http://somebody@records.acme.test/studies", "http://records.acme.test/"),
        ("https://records.acme.test/studies", "http://records.acme.test/"),
        ("javascript:alert(1)", "http://records.acme.test/"),
    ] {
        let reply = house.ask("POST /secret", &format!("cookie: {cookie}\r\nreferer: {referer}\r\n")).await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (401, Some("step-up-required")));
        let told: serde_json::Value = serde_json::from_str(reply.body()).unwrap();
        let url = url::Url::parse(told["challenge"]["url"].as_str().unwrap()).unwrap();
        let (_, said) = url.query_pairs().find(|(name, _)| name == "to").unwrap();
        assert_eq!(said, to, "{referer}");
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn a_handle_works_at_its_own_host_and_while_it_lives() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let foreign = house.sign_in(SIGN_IN_HOST, "chemists", Assurance::Two);
    let reply = house.ask("GET /x", &format!("cookie: {foreign}\r\n")).await;
    assert_eq!((reply.status(), reply.reason().as_deref()), (401, Some("session-ended")));
    // A person is told so where they are led; who never had a session is not.
    for (cookie, told) in [(format!("cookie: {foreign}\r\n"), true), (String::new(), false)] {
        let led = house.ask("GET /x", &format!("accept: text/html\r\n{cookie}")).await;
        let location = led.header("location").unwrap();
        assert_eq!(location.ends_with("&ended=yes"), told, "{location}");
    }
    for cookie in
        ["cardea=", "cardea=x", "cardea=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "__Host-cardea=x", "cardea=%00"]
    {
        assert_eq!(house.ask("GET /x", &format!("cookie: {cookie}\r\n")).await.status(), 401, "{cookie}");
    }
    let cookie = house.chemist();
    assert_eq!(house.ask("GET /x", &format!("cookie: {cookie}\r\n")).await.status(), 200);
    house.pass(13 * 3600);
    assert_eq!(house.ask("GET /x", &format!("cookie: {cookie}\r\n")).await.status(), 401);
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn whoever_was_suspended_is_told_so_and_not_sent_round_in_a_circle() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    house.lent.suspended.store(true, Ordering::SeqCst);
    let held = "cookie: cardea=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n";
    let reply = house.ask("GET /x", held).await;
    assert_eq!((reply.status(), reply.reason().as_deref()), (403, Some("user-suspended")));
    let page = house.ask("GET /x", &format!("{held}accept: text/html\r\n")).await;
    assert_eq!((page.status(), page.header("location")), (403, None));
    assert_eq!(house.ends()[1], (403, Some(Reason::UserSuspended)));
    // What visitors may see, they still may.
    assert_eq!(house.ask("GET /public", held).await.status(), 200);
    // Who shows no handle learns of nobody's suspension.
    let stranger = house.ask("GET /x", "").await;
    assert_eq!((stranger.status(), stranger.reason().as_deref()), (401, Some("sign-in-required")));
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn whoever_has_no_second_factor_is_told_where_to_add_one() {
    let house = Plan::at("http://127.0.0.1:1").open().await;
    let cookie = house.sign_in(APP_HOST, "strangers", Assurance::One);
    let ask = async || house.ask("GET /x", &format!("cookie: {cookie}\r\n")).await;
    let reply = ask().await;
    assert_eq!((reply.status(), reply.reason().as_deref()), (403, Some("denied")));
    assert!(!reply.body().contains("help"), "{}", reply.body());
    house.change_sessions(|session| session.lacks_second_factor = true);
    let reply = ask().await;
    assert_eq!((reply.status(), reply.reason().as_deref()), (403, Some("denied")));
    let told: serde_json::Value = serde_json::from_str(reply.body()).unwrap();
    assert_eq!(told["help"], "a second factor may help: add one at `http://id.acme.test/factors`");
}

#[tokio::test]
async fn our_own_pages_are_apps_behind_a_permit_that_works_once() {
    let (_, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    for path in ["/sign-in?x=1", "/assets/app.css", "/.well-known/openid-configuration"] {
        let reply = house.ask_sign_in(&format!("GET {path}"), "").await;
        assert_eq!(reply.body(), format!("cardea-sign-in {path} permits=1"));
    }
    assert_eq!(house.ask("GET /.cardea/session", "").await.body(), "cardea-sign-in /.cardea/session permits=1");
    assert_eq!(house.ask_sign_in("GET /", "").await.status(), 401);
    assert_eq!(house.ask_sign_in("GET /admin/", "").await.status(), 401);
    let person = house.sign_in(SIGN_IN_HOST, "chemists", Assurance::Two);
    let who = format!("cookie: {person}\r\n");
    assert_eq!(house.ask_sign_in("GET /", &who).await.body(), "cardea-portal / permits=1");
    assert_eq!(house.ask_sign_in("GET /api/v1/users", &who).await.status(), 403);
    let admin = house.sign_in(SIGN_IN_HOST, "administrators", Assurance::Two);
    assert_eq!(house.ask_sign_in("GET /api/v1/users", &format!("cookie: {admin}\r\n")).await.status(), 200);
    let weak = house.sign_in(SIGN_IN_HOST, "administrators", Assurance::One);
    let reply = house.ask_sign_in("GET /api/v1/users", &format!("cookie: {weak}\r\n")).await;
    assert_eq!(reply.reason().as_deref(), Some("step-up-required"));
}

#[tokio::test]
async fn another_site_cannot_change_anything_here() {
    let (_, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    for refused in [
        "sec-fetch-site: cross-site\r\n",
        "sec-fetch-site: same-site\r\n",
        "origin: http://evil.test\r\n",
        "origin: null\r\n",
        "origin: https://id.acme.test\r\n",
        "origin: http://id.acme.test.evil.test\r\n",
        "origin: http://id.acme.test:81\r\n",
        "sec-fetch-site: same-origin\r\norigin: http://evil.test\r\n",
    ] {
        let reply = house.ask_sign_in("POST /sign-in", &format!("content-length: 0\r\n{refused}")).await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (403, Some("cross-site")), "{refused}");
    }
    // Both sides stand in the entry: a proxy that drops the port from `Host` is found by it.
    let details: Vec<_> = {
        let entries = house.lent.entries.lock().unwrap();
        let told = entries.iter().filter_map(|entry| match &entry.event {
            Event::Request(request) => request.detail.clone(),
            _ => None,
        });
        told.collect()
    };
    assert_eq!(details.len(), 8, "{details:?}");
    assert_eq!(
        details[6],
        "origin sent: `http://id.acme.test:81` (sec-fetch-site: nothing); expected: `http://id.acme.test`"
    );
    // Said twice, it has two readings.
    let twice = "content-length: 0\r\nsec-fetch-site: same-origin\r\nsec-fetch-site: cross-site\r\n";
    assert_eq!(house.ask_sign_in("POST /sign-in", twice).await.reason().as_deref(), Some("bad-header"));
    // What would say so cannot be taken away before it is read.
    for hidden in ["origin", "sec-fetch-site", "Sec-Fetch-Site , Origin"] {
        let headers = format!("connection: {hidden}\r\norigin: http://evil.test\r\nsec-fetch-site: cross-site\r\n");
        let reply = house.ask_sign_in("POST /sign-in", &headers).await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (400, Some("bad-header")), "{hidden}");
    }
    for fine in ["", "sec-fetch-site: same-origin\r\n", "origin: http://id.acme.test\r\n", "sec-fetch-site: none\r\n"] {
        assert_eq!(
            house.ask_sign_in("POST /sign-in", &format!("content-length: 0\r\n{fine}")).await.status(),
            200,
            "{fine}"
        );
    }
    assert_eq!(house.ask_sign_in("GET /sign-in", "sec-fetch-site: cross-site\r\n").await.status(), 200);
}

#[tokio::test]
async fn a_handle_that_is_due_is_replaced_once() {
    let (_, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let cookie = house.due();
    let next = cookie.split_once('=').unwrap().1.to_owned();
    house.lent.rotations.lock().unwrap().push(next.clone());
    let who = format!("cookie: {cookie}\r\n");
    let first = house.ask("GET /x", &who).await;
    assert!(first.header("set-cookie").unwrap().starts_with(&format!("cardea={next}; Path=/")), "{}", first.0);
    assert_eq!(house.ask("GET /x", &who).await.header("set-cookie"), None, "another request was first");
}
