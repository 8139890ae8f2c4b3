//! G5, G7, G8 (requirements H5, H6): one spelling of path and host for policy, entry and service.

use cardea_audit::Event;
use cardea_core::Reason;

use crate::{
    house::{APP_HOST, Plan},
    service::Service,
};

#[tokio::test]
async fn the_service_gets_exactly_what_was_decided() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let cookie = house.chemist();
    for (sent, decided, arrived) in [
        ("/studies/S-1", "/studies/S-1", "/studies/S-1"),
        ("/studies/S-1/", "/studies/S-1/", "/studies/S-1/"),
        ("/%73tudies/%7Ex", "/studies/~x", "/studies/~x"),
        ("/a%20b?x=%2e%2e/&y", "/a b", "/a%20b?x=%2e%2e/&y"),
        ("/a;v=1/b", "/a;v=1/b", "/a%3Bv=1/b"),
        ("/100%25", "/100%", "/100%25"),
        ("/%E2%82%AC", "/€", "/%E2%82%AC"),
        ("http://records.acme.test/abs", "/abs", "/abs"),
    ] {
        let before = service.count();
        let reply = house.ask(&format!("GET {sent}"), &format!("cookie: {cookie}\r\n")).await;
        assert_eq!(reply.status(), 200, "{sent}: {}", reply.0);
        assert_eq!(service.count(), before + 1);
        assert_eq!(service.last().target, arrived, "{sent}");
        let entries = house.lent.entries.lock().unwrap();
        let Event::Request(entry) = &entries.last().unwrap().event else { panic!() };
        assert_eq!(&*entry.path, decided, "{sent}");
    }
}

#[tokio::test]
async fn a_path_with_two_readings_reaches_nobody() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let cookie = house.chemist();
    let sent = [
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
        "/public%0d%0a",
        "/public%c2%9b2J",
        "/%252e%252e/secret",
        "/public%ff",
        "/public%c0%af",
        "/public%",
        "/public%g0",
        "//evil.test/x",
        "/x#/public",
        "/public/%25%32%65",
    ];
    for path in sent {
        let reply = house.ask(&format!("GET {path}"), &format!("cookie: {cookie}\r\n")).await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (400, Some("ambiguous-path")), "{path}: {}", reply.0);
    }
    assert_eq!(service.count(), 0);
    assert_eq!(house.ends().len(), sent.len(), "every end has its entry");
}

#[tokio::test]
async fn a_path_that_is_too_long_is_put_to_no_policy() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    for (length, status) in [(8_192, 200), (8_193, 414)] {
        let path = format!("/public/{}", "a".repeat(length - "/public/".len()));
        let reply = house.ask(&format!("GET {path}"), "").await;
        assert_eq!(reply.status(), status, "{length}");
        // A query is put to no policy.
        let long = house.ask(&format!("GET {path}?{}", "q".repeat(9_000)), "").await;
        assert_eq!(long.status(), status, "{length}");
    }
    assert_eq!(house.ends().last(), Some(&(414, Some(Reason::UriTooLong))));
    assert_eq!(service.count(), 2);
}

#[tokio::test]
async fn an_app_that_keeps_encoded_slashes_is_not_climbed_out_of() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).with("encoded_slashes = true").open().await;
    assert_eq!(house.ask("GET /public/a%2fb", "").await.status(), 200);
    assert_eq!(service.last().target, "/public/a%2Fb");
    for path in ["/public/..%2Fsecret", "/public/..%2fsecret", "/public/x%2F..%2F..%2Fsecret", "/public/..%5csecret"] {
        let reply = house.ask(&format!("GET {path}"), "").await;
        assert_eq!((reply.status(), reply.reason().as_deref()), (400, Some("ambiguous-path")), "{path}: {}", reply.0);
    }
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn a_public_path_is_public_by_its_path_alone() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    assert_eq!(house.ask("GET /public/a", "").await.status(), 200);
    for line in [
        "GET /secret?/public",
        "GET /secret?x=/public/",
        "GET /secret%3F/public",
        "GET /secret%23/public",
        "GET /PUBLIC",
        "GET /secret/public",
    ] {
        assert_eq!(house.ask(line, "").await.status(), 401, "{line}");
    }
    // G4, G6: nor by any header.
    for header in [
        "X-Forwarded-Uri: /public",
        "X-Original-URL: /public",
        "X-Rewrite-Url: /public",
        "X-Forwarded-Prefix: /public",
        "User-Agent: kube-probe/1.30",
        "User-Agent: ELB-HealthChecker/2.0",
        "X-Forwarded-Host: id.acme.test",
        "X-Forwarded-For: 127.0.0.1",
        "Cardea-Assertion: x",
        "Authorization: Bearer x",
        "Access-Control-Request-Method: GET",
    ] {
        for line in ["GET /secret", "OPTIONS /secret", "HEAD /secret"] {
            assert_eq!(house.ask(line, &format!("{header}\r\n")).await.status(), 401, "{line} {header}");
        }
    }
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn an_app_that_keeps_encoded_slashes_gets_them_encoded() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).with("encoded_slashes = true").open().await;
    let reply = house.ask("GET /public/a%2fb", "").await;
    assert_eq!((reply.status(), service.last().target.as_str()), (200, "/public/a%2Fb"));
    for path in ["/public/a%252fb", "/public%5cb", "/public/%2e%2e/secret", "/public/a%25%32%46b"] {
        assert_eq!(house.ask(&format!("GET {path}"), "").await.status(), 400, "{path}");
    }
}

#[tokio::test]
async fn a_host_has_one_spelling() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let ask = |hosts: &str| {
        let request = format!("GET /public HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
        let house = &house;
        async move { house.raw(request.as_bytes()).await.status() }
    };
    for host in ["records.acme.test", "RECORDS.Acme.Test", "records.acme.test.", "records.acme.test:8443"] {
        assert_eq!(ask(&format!("host: {host}\r\n")).await, 200, "{host}");
    }
    assert_eq!(service.count(), 4);
    for (hosts, status) in [
        ("", 400),
        ("host: records.acme.test\r\nhost: records.acme.test\r\n", 400),
        ("host: records.acme.test\r\nHost: other.test\r\n", 400),
        ("host: user@records.acme.test\r\n", 400),
        ("host: records.acme.test, other.test\r\n", 400),
        ("host: records.acme.test/x\r\n", 400),
        ("host: records..acme.test\r\n", 400),
        ("host: records_acme.test\r\n", 400),
        ("host: other.test\r\n", 404),
        ("host: [::1]\r\n", 404),
        ("host: xn--rcords-bva.acme.test\r\n", 404),
    ] {
        assert_eq!(ask(hosts).await, status, "{hosts}");
    }
    let absolute = format!("GET http://other.test/public HTTP/1.1\r\nhost: {APP_HOST}\r\nconnection: close\r\n\r\n");
    assert_eq!(house.raw(absolute.as_bytes()).await.status(), 400);
    for line in ["CONNECT records.acme.test:443", "TRACE /public", "OPTIONS *"] {
        assert!([400, 405].contains(&house.ask(line, "").await.status()), "{line}");
    }
    assert_eq!(service.count(), 4);
}

#[tokio::test]
async fn an_options_request_goes_no_further_than_it_may() {
    let (service, url) = Service::start().await;
    let house = Plan::at(&url).open().await;
    let chemist = format!("cookie: {}\r\n", house.chemist());
    let ask = async |line: &str, hops: &str| house.ask(line, &format!("{chemist}{hops}")).await.status();
    for (said, heard) in [("1", "0"), ("10", "9"), ("007", "6"), ("99999999999999999999", "4294967294")] {
        assert_eq!(ask("OPTIONS /studies", &format!("max-forwards: {said}\r\n")).await, 200, "{said}");
        assert_eq!(service.last().header("max-forwards"), Some(heard), "{said}");
    }
    // It is theirs on other methods.
    assert_eq!(ask("GET /studies", "max-forwards: 0\r\n").await, 200);
    assert_eq!(service.last().header("max-forwards"), Some("0"));
    let before = service.count();
    assert_eq!(ask("OPTIONS /studies", "max-forwards: 0\r\n").await, 204);
    for two_readings in ["-1", "1.5", "", "1, 2", "1\r\nmax-forwards: 1"] {
        assert_eq!(ask("OPTIONS /studies", &format!("max-forwards: {two_readings}\r\n")).await, 400, "{two_readings}");
    }
    // What may not be asked may not be asked here either.
    assert_eq!(house.ask("OPTIONS /studies", "max-forwards: 0\r\n").await.status(), 401);
    assert_eq!(service.count(), before);
}
