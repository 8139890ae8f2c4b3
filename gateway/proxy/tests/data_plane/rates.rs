//! Rates: how many requests may come in how much time, and what an answer tells of it.

use cardea_audit::{Entry, Event, Request};
use cardea_core::{Reason, resources::AppSpec};
use cardea_proxy::{Settings, Snapshot, Transport, Upstream};

use crate::{
    house::{self, House, POLICIES, Plan},
    reply::Reply,
    service::Service,
};

/// A house whose app has these rates, behind a listed proxy.
async fn rated(rates: &str) -> (Service, House) {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).trusting("127.0.0.0/8").and(&format!("[rates]\n{rates}")).open().await;
    (service, house)
}

fn from(client: &str) -> String {
    format!("x-forwarded-for: {client}\r\n")
}

fn request(entry: &Entry) -> &Request {
    let Event::Request(request) = &entry.event else { panic!("{entry:?}") };
    request
}

fn told(reply: &Reply) -> (u16, Option<&str>, Option<&str>) {
    (reply.status(), reply.header("ratelimit"), reply.header("retry-after"))
}

#[tokio::test]
async fn beyond_its_rate_a_caller_waits_as_long_as_it_is_told() {
    let (service, house) = rated("caller = { requests = 3, seconds = 30, burst = 2 }").await;
    let ask = async || house.ask("GET /public", &from("192.0.2.1")).await;
    assert_eq!(told(&ask().await), (200, Some("\"caller\";r=1;t=10"), None));
    assert_eq!(told(&ask().await), (200, Some("\"caller\";r=0;t=20"), None));
    let third = ask().await;
    assert_eq!(told(&third), (429, Some("\"caller\";r=0;t=20"), Some("10")));
    assert_eq!(third.header("ratelimit-policy"), Some("\"caller\";q=3;w=30"));
    assert_eq!(third.reason().as_deref(), Some("rate-limited"));
    assert_eq!(service.count(), 2, "what is refused goes no further");
    house.pass(9);
    assert_eq!(told(&ask().await), (429, Some("\"caller\";r=0;t=11"), Some("1")));
    house.pass(1);
    assert_eq!(ask().await.status(), 200);
    house.wait_for_entries(5).await;
    let limited = (429, Some(Reason::RateLimited));
    assert_eq!(house.ends(), [(200, None), (200, None), limited, limited, (200, None)]);
    let entries = house.lent.entries.lock().unwrap().clone();
    let details: Vec<_> = entries.iter().map(|entry| request(entry).detail.as_deref()).collect();
    assert_eq!(details, [None, None, Some("beyond the rate `caller`"), Some("beyond the rate `caller`"), None]);
    let count = r#"cardea_requests_total{tenant="acme",app="records",method="read",class="4xx",reason="rate-limited"}"#;
    assert_eq!(house.figure(count), 2);
}

/// Each row: who has used up theirs, and who then may still come, and who may not.
#[tokio::test]
async fn one_does_not_use_up_what_is_anothers() {
    let (_service, house) = rated("caller = { requests = 1, seconds = 60 }").await;
    let (one, other) = (house.chemist(), house.chemist());
    let at = |client: &str, cookie: &str| format!("{}cookie: {cookie}\r\n", from(client));
    for (who, status) in [
        (from("192.0.2.1"), 200),
        (from("192.0.2.1"), 429),
        (from("192.0.2.2"), 200),
        // Whoever is known counts by themselves, at whatever address.
        (at("192.0.2.1", &one), 200),
        (at("192.0.2.3", &one), 429),
        (at("192.0.2.3", &other), 200),
        (from("192.0.2.3"), 200),
        // A network of IPv6 is one.
        (from("2001:db8::1"), 200),
        (from("2001:db8::2"), 429),
        (from("2001:db8:0:1::2"), 200),
    ] {
        assert_eq!(house.ask("GET /public", &who).await.status(), status, "{who}");
    }
    assert_eq!(house.ask("GET /.cardea/session", &from("192.0.2.1")).await.header("ratelimit"), None, "ours has none");
}

#[tokio::test]
async fn an_address_that_somebody_makes_up_is_not_believed() {
    let (_service, url) = Service::start().await;
    let rates = "[rates]\naddress = { requests = 1, seconds = 60 }";
    let house = Plan::at(&url).and(rates).open().await;
    assert_eq!(house.ask("GET /public", &from("192.0.2.1")).await.status(), 200);
    let third = "forwarded: for=192.0.2.3\r\nx-real-ip: 192.0.2.3\r\n";
    for made_up in [&*from("192.0.2.2"), third, ""] {
        assert_eq!(house.ask("GET /public", made_up).await.status(), 429, "{made_up}");
    }
    // A cookie that was made up is not even looked for.
    house.lent.sessions_fail.store(true, std::sync::atomic::Ordering::SeqCst);
    let handle = "A".repeat(43);
    let reply = house.ask("GET /public", &format!("cookie: cardea={handle}\r\n")).await;
    assert_eq!(reply.reason().as_deref(), Some("rate-limited"));
}

#[tokio::test]
async fn what_one_rate_refuses_uses_nothing_of_another() {
    let rates = "caller = { requests = 1, seconds = 60 }\napp = { requests = 3, seconds = 60 }\n\
                 address = { requests = 100, seconds = 60 }";
    let (_service, house) = rated(rates).await;
    for (client, expected) in [
        ("192.0.2.1", (200, Some("\"caller\";r=0;t=60"), None)),
        ("192.0.2.1", (429, Some("\"caller\";r=0;t=60"), Some("60"))),
        ("192.0.2.2", (200, Some("\"caller\";r=0;t=60"), None)),
        ("192.0.2.3", (200, Some("\"app\";r=0;t=60"), None)),
        ("192.0.2.4", (429, Some("\"app\";r=0;t=60"), Some("20"))),
    ] {
        assert_eq!(told(&house.ask("GET /public", &from(client)).await), expected, "{client}");
    }
    house.pass(20);
    // Whom the app had no room for has not used up their own.
    assert_eq!(house.ask("GET /public", &from("192.0.2.4")).await.status(), 200);
}

#[tokio::test]
async fn the_service_s_own_word_stays_where_there_is_no_rate_and_ours_replaces_it_where_there_is() {
    let says = "x-say: RateLimit: \"theirs\";r=7\r\nx-say: RateLimit-Policy: \"theirs\";q=9\r\n";
    let (_service, house) = rated("app = { requests = 5, seconds = 1 }").await;
    let reply = house.ask("GET /public", says).await;
    assert_eq!(reply.all("ratelimit"), ["\"app\";r=4;t=1"]);
    assert_eq!(reply.all("ratelimit-policy"), ["\"app\";q=5;w=1"]);
    let (_service, house) = rated("").await;
    assert_eq!(house.ask("GET /public", says).await.all("ratelimit"), ["\"theirs\";r=7"]);
    // A refusal of the policies counts and tells, too.
    let (_service, house) = rated("caller = { requests = 5, seconds = 5 }").await;
    assert_eq!(told(&house.ask("GET /x", "").await), (401, Some("\"caller\";r=4;t=1"), None));
}

#[tokio::test]
async fn a_proxy_that_asks_is_told_and_the_service_behind_it_is_not() {
    for (dialect, status) in [("nginx", 403), ("caddy", 429)] {
        let plan = Plan::carried(&format!("dialect = '{dialect}'"));
        let house = plan.and("[rates]\naddress = { requests = 1, seconds = 60 }").open().await;
        let question = "x-original-method: GET\r\nx-original-uri: /public\r\nx-forwarded-proto: http\r\n\
                        x-forwarded-method: GET\r\nx-forwarded-uri: /public\r\nx-forwarded-host: records.acme.test\r\n";
        let ask =
            async |client: &str| house.ask("GET /.cardea/authorize", &format!("{question}{}", from(client))).await;
        assert_eq!(told(&ask("192.0.2.1").await), (200, None, None), "{dialect}");
        assert_eq!(told(&ask("192.0.2.1").await), (status, Some("\"address\";r=0;t=60"), Some("60")), "{dialect}");
        assert_eq!(ask("192.0.2.2").await.status(), 200, "{dialect}");
    }
}

/// The generation of an app's file with other rates; the tenant's is `tenant`.
fn under(house: &House, app: &str, tenant: Option<cardea_core::resources::Rate>) -> Snapshot {
    let spec: AppSpec = toml::from_str(app).unwrap();
    let upstream = Upstream::new(spec.upstream.as_ref().unwrap(), Transport::Plain).unwrap();
    let settings = std::sync::Arc::new(Settings::clone(&house.proxy.settings()));
    Snapshot { settings, ..house::rated(&spec, Some(upstream.into()), POLICIES, tenant) }
}

#[tokio::test]
async fn another_generation_changes_the_rate_and_forgets_nothing() {
    let (_service, url) = Service::start().await;
    let file = |many: u32| format!("{}[rates]\ncaller = {{ requests = {many}, seconds = 3600 }}\n", Plan::at(&url).app);
    let plan = Plan { app: file(5), ..Plan::at(&url) };
    let house = plan.trusting("127.0.0.0/8").open().await;
    let ask = async || told(&house.ask("GET /public", &from("192.0.2.1")).await).0;
    for _ in 0..4 {
        assert_eq!(ask().await, 200);
    }
    house.proxy.swap(under(&house, &file(6), None));
    assert_eq!((ask().await, ask().await, ask().await), (200, 200, 429), "four of six were used");
    house.proxy.swap(under(&house, &file(2), None));
    assert_eq!(ask().await, 429);
    house.proxy.swap(under(&house, &file(8), None));
    assert_eq!((ask().await, ask().await, ask().await), (200, 200, 429));
    let none = Plan::at(&url).app;
    let tenant = cardea_core::resources::Rate { requests: 1, seconds: 60, burst: None };
    house.proxy.swap(under(&house, &none, Some(tenant)));
    let reply = house.ask("GET /public", &from("192.0.2.7")).await;
    assert_eq!(told(&reply), (200, Some("\"tenant\";r=0;t=60"), None));
    assert_eq!(ask().await, 429, "whoever comes, and whatever app they come to");
    assert_eq!(house.ask_sign_in("GET /sign-in", &from("192.0.2.1")).await.status(), 200, "our own pages stay open");
}
