//! Pages of other origins: what an app declares is what they may do, whatever its service says; and a page that was not
//! named reads nothing.

use cardea_audit::Event;
use cardea_core::Reason;

use crate::{
    house::{APP_HOST, House, Plan},
    reply::Reply,
    service::Service,
};

const SHARED: &str = "[cors]\norigins = ['https://lab.example', 'https://*.acme.example']\nmethods = ['GET', 'PUT']\n\
                      headers = ['Content-Type', 'X-Lab']\nexposed = ['X-Total']\ncredentials = true\nmax_age = 60\n";

/// Origins that look like declared ones, and are not.
const STRANGERS: [&str; 9] = [
    "https://evil.example",
    "http://lab.example",
    "https://lab.example:8443",
    "https://lab.example.evil.example",
    "https://evil-acme.example",
    "https://acme.example",
    "https://evil.example/.acme.example",
    "null",
    "https://LAB.example",
];

async fn shared() -> (Service, House) {
    let (service, url) = Service::start().await;
    (service, Plan::at(&url).and(SHARED).open().await)
}

fn preflight(origin: &str, method: &str, headers: &str) -> String {
    format!(
        "origin: {origin}\r\naccess-control-request-method: {method}\r\naccess-control-request-headers: {headers}\r\n"
    )
}

/// What an answer says to a page's browser.
fn told(reply: &Reply) -> (Option<&str>, Option<&str>, bool) {
    let vary = reply.all("vary").iter().any(|value| value.to_ascii_lowercase().contains("origin"));
    (reply.header("access-control-allow-origin"), reply.header("access-control-allow-credentials"), vary)
}

#[tokio::test]
async fn a_preflight_is_answered_because_a_policy_says_so() {
    let (service, house) = shared().await;
    let reply = house.ask("OPTIONS /records/1", &preflight("https://lab.example", "PUT", "content-type, x-lab")).await;
    assert_eq!((reply.status(), reply.body()), (204, ""), "{}", reply.0);
    assert_eq!(told(&reply), (Some("https://lab.example"), Some("true"), true));
    assert_eq!(reply.header("access-control-allow-methods"), Some("GET, PUT"));
    assert_eq!(reply.header("access-control-allow-headers"), Some("Content-Type, X-Lab"));
    assert_eq!(reply.header("access-control-max-age"), Some("60"));
    assert_eq!(service.count(), 0, "the service hears of no preflight");
    let entries = house.lent.entries.lock().unwrap();
    let Event::Request(request) = &entries[0].event else { panic!("no request") };
    let decision = request.decision.as_ref().unwrap();
    assert_eq!((&*decision.action, &*decision.determined_by[0]), ("preflight", "built-in/preflight-records"));
}

#[tokio::test]
async fn a_preflight_for_what_is_not_declared_is_refused() {
    let (service, house) = shared().await;
    for origin in STRANGERS {
        let reply = house.ask("OPTIONS /records/1", &preflight(origin, "PUT", "x-lab")).await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (403, Some("cross-site")), "{origin}");
        assert_eq!(told(&reply), (None, None, true), "{origin}");
    }
    for (method, headers) in [("DELETE", "x-lab"), ("put", ""), ("PUT", "x-lab, authorization"), ("PUT", "*")] {
        let reply = house.ask("OPTIONS /records/1", &preflight("https://lab.example", method, headers)).await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (403, Some("cross-site")), "{method} {headers}");
        assert_eq!(reply.header("access-control-allow-methods"), None, "{method} {headers}");
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn a_page_that_is_named_reads_answers_and_nobody_elses_does() {
    let (service, house) = shared().await;
    let cookie = house.chemist();
    let says = "x-say: access-control-allow-origin: *\r\nx-say: access-control-allow-credentials: true\r\n\
                x-say: access-control-expose-headers: x-secret\r\nx-say: vary: accept\r\n";
    for origin in ["https://lab.example", "https://data.acme.example", "https://a.b.acme.example"] {
        let reply = house.ask("GET /records/1", &format!("cookie: {cookie}\r\norigin: {origin}\r\n{says}")).await;
        assert_eq!((reply.status(), told(&reply)), (200, (Some(origin), Some("true"), true)), "{}", reply.0);
        assert_eq!(reply.all("access-control-expose-headers"), ["X-Total"], "ours replace the service's own");
        assert_eq!(reply.all("vary"), ["accept", "Origin"]);
    }
    for origin in STRANGERS {
        let reply = house.ask("GET /records/1", &format!("cookie: {cookie}\r\norigin: {origin}\r\n{says}")).await;
        assert_eq!((reply.status(), told(&reply)), (200, (None, None, true)), "{origin}");
        assert!(!reply.0.to_ascii_lowercase().contains("access-control-"), "{origin}: {}", reply.0);
    }
    // The app's own pages, and programs, need nothing of it; a cache still learns that answers differ.
    for own in [format!("origin: http://{APP_HOST}\r\n"), String::new()] {
        let reply = house.ask("GET /records/1", &format!("cookie: {cookie}\r\n{own}{says}")).await;
        assert_eq!((reply.status(), told(&reply)), (200, (None, None, true)), "{own}");
    }
    assert_eq!(service.count(), 3 + STRANGERS.len() + 2);
}

#[tokio::test]
async fn a_refusal_can_be_read_by_the_pages_that_are_named() {
    let (service, house) = shared().await;
    let stranger = house.sign_in(APP_HOST, "readers", cardea_core::Assurance::Two);
    for (cookie, status, reason) in [("", 401, "sign-in-required"), (stranger.as_str(), 403, "denied")] {
        for accept in ["*/*", "text/html"] {
            let more = format!("cookie: {cookie}\r\norigin: https://lab.example\r\naccept: {accept}\r\n");
            let reply = house.ask("GET /records/1", &more).await;
            assert_eq!((reply.status(), reply.reason().as_deref()), (status, Some(reason)), "{accept}: {}", reply.0);
            assert_eq!(told(&reply), (Some("https://lab.example"), Some("true"), true));
        }
        let reply = house.ask("GET /records/1", &format!("cookie: {cookie}\r\norigin: https://evil.example\r\n")).await;
        assert_eq!((reply.status(), told(&reply)), (status, (None, None, true)));
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn two_origins_are_none() {
    let (service, house) = shared().await;
    let cookie = house.chemist();
    let twice = "origin: https://lab.example\r\norigin: https://evil.example\r\n";
    for line in ["GET /records/1", "OPTIONS /records/1"] {
        let more = format!("cookie: {cookie}\r\n{twice}access-control-request-method: PUT\r\n");
        let reply = house.ask(line, &more).await;
        assert_eq!(
            (reply.status(), reply.reason().as_deref(), told(&reply).0),
            (400, Some("bad-header"), None),
            "{line}"
        );
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn what_is_no_preflight_is_decided_as_ever() {
    let (service, house) = shared().await;
    let asks = "access-control-request-method: PUT\r\n";
    let own = format!("origin: http://{APP_HOST}\r\n{asks}");
    for (line, more) in [
        ("OPTIONS /records/1", "origin: https://lab.example\r\n"),
        ("OPTIONS /records/1", asks),
        ("OPTIONS /records/1", own.as_str()),
        ("GET /records/1", &preflight("https://lab.example", "PUT", "x-lab")),
    ] {
        let reply = house.ask(line, more).await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (401, Some("sign-in-required")), "{line} {more}");
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn an_app_that_declares_nothing_says_what_its_service_says() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let says = "origin: https://evil.example\r\nx-say: access-control-allow-origin: https://evil.example\r\n";
    let reply = house.ask("GET /public", says).await;
    assert_eq!((reply.status(), told(&reply)), (200, (Some("https://evil.example"), None, false)));
    assert_eq!(service.count(), 1);
    // Without a declaration there is no policy that lets a preflight in.
    let reply = house.ask("OPTIONS /records/1", &preflight("https://evil.example", "PUT", "")).await;
    assert_eq!((reply.status(), told(&reply)), (401, (None, None, false)));
    assert_eq!(service.count(), 1);
    assert_eq!(house.ends()[1], (401, Some(Reason::SignInRequired)));
}

#[tokio::test]
async fn any_page_reads_what_is_open_to_any_but_never_with_a_session() {
    let (_, url) = Service::start().await;
    let house = Plan::at(&url).and("[cors]\norigins = ['*']\n").open().await;
    let reply = house.ask("GET /public", "origin: null\r\n").await;
    assert_eq!((reply.status(), told(&reply)), (200, (Some("*"), None, false)));
}
