//! What an app declares of its paths, headers and answers: after the decision, and never instead of one.

use cardea_core::Reason;

use crate::{
    house::{House, Plan},
    service::Service,
};

async fn open(line: &str, tables: &str) -> (Service, House) {
    let (service, url) = Service::start().await;
    (service, Plan::at(&url).with(line).and(tables).open().await)
}

#[tokio::test]
async fn a_path_is_moved_after_it_was_decided() {
    let (service, house) = open("", "[rewrite]\nstrip_prefix = '/public'\nadd_prefix = '/secret'\n").await;
    // Anybody may read `/public…`, and nobody `/secret…` with one factor: what was asked is what counts.
    let reply = house.ask("GET /public/%78?q=/public", "").await;
    assert_eq!((reply.status(), service.last().target.as_str()), (200, "/secret/x?q=/public"));
    let cookie = house.chemist();
    for (line, status) in [("GET /records/x", 404), ("GET /publicly", 404), ("GET /public/..%2fx", 400)] {
        let reply = house.ask(line, &format!("cookie: {cookie}\r\n")).await;
        assert_eq!(reply.status(), status, "{line}: {}", reply.0);
    }
    assert_eq!(house.ask("GET /secret/x", "").await.status(), 401, "it is decided before it is looked for");
    assert_eq!(service.count(), 1);
    let says = "x-say: location: /secret/next?a=b\r\nx-say: set-cookie: a=1; Path=/secret\r\nx-say: content-location: /secret/y\r\n";
    let reply = house.ask("GET /public/x", says).await;
    assert_eq!(reply.header("location"), Some("/public/next?a=b"));
    assert_eq!(reply.header("content-location"), Some("/public/y"));
    assert_eq!(reply.header("set-cookie"), Some("a=1; Path=/public"));
}

#[tokio::test]
async fn a_prefix_alone_goes_on_to_its_slash_once_it_is_permitted() {
    let (service, house) = open("", "[rewrite]\nstrip_prefix = '/records'\n").await;
    assert_eq!(house.ask("GET /records?a=b", "").await.status(), 401);
    let cookie = format!("cookie: {}\r\n", house.chemist());
    let reply = house.ask("GET /records?a=b", &cookie).await;
    assert_eq!((reply.status(), reply.header("location")), (308, Some("/records/?a=b")), "{}", reply.0);
    assert_eq!(service.count(), 0);
    assert_eq!(house.ask("GET /records/?a=b", &cookie).await.status(), 200);
    assert_eq!(service.last().target, "/?a=b");
}

#[tokio::test]
async fn declared_headers_are_set_and_ours_stay_ours() {
    let tables = "[rewrite.request]\nset = { X-Lab = 'one' }\nremove = ['Accept-Language']\n\
                  [rewrite.response]\nset = { Cache-Control = 'no-store' }\nremove = ['X-Internal']\n";
    let (service, house) = open("", tables).await;
    let more = format!(
        "cookie: {}\r\nx-lab: forged\r\nx.lab: forged\r\naccept-language: de\r\nx-say: x-internal: secret\r\n\
         x-say: cache-control: public\r\n",
        house.chemist()
    );
    let reply = house.ask("GET /records/1", &more).await;
    assert_eq!((reply.all("cache-control"), reply.header("x-internal")), (vec!["no-store"], None));
    let heard = service.last();
    assert_eq!(heard.headers.get_all("x-lab").iter().collect::<Vec<_>>(), ["one"]);
    assert!(!heard.headers.contains_key("x.lab") && !heard.headers.contains_key("accept-language"));
    assert_eq!(heard.header("remote-user"), Some("mira@acme.test"));
    assert_eq!(heard.header("cardea-assertion"), Some("signed-for-mira@acme.test"));
}

const ANSWERS: &str = "[[answers]]\npattern = '/public/robots.txt'\nbody = 'Disallow: /'\n\
                       headers = { X-Robots-Tag = 'none' }\n\
                       [[answers]]\npattern = '/old/{*rest}'\nredirect = '/records/?from=old'\nstatus = 308\n\
                       [[answers]]\nmethod = 'POST'\npattern = '/records/{record}'\nstatus = 503\n\
                       headers = { Retry-After = '60', Content-Type = 'application/json' }\nbody = '{}'\n";

#[tokio::test]
async fn fixed_answers_stand_behind_the_permit() {
    let (service, house) = open("", ANSWERS).await;
    let reply = house.ask("GET /public/robots.txt", "").await;
    assert_eq!((reply.status(), reply.body()), (200, "Disallow: /"));
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!((reply.header("x-robots-tag"), reply.header("cache-control")), (Some("none"), Some("no-store")));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    let head = house.ask("HEAD /public/robots.txt/", "").await;
    assert_eq!((head.status(), head.body(), head.header("content-length")), (200, "", Some("11")));
    let cookie = format!("cookie: {}\r\n", house.chemist());
    for (line, signed_in, location) in
        [("GET /old/a/b?c=d", 308, Some("/records/?from=old")), ("POST /records/1", 503, None)]
    {
        assert_eq!(house.ask(line, "content-length: 0\r\n").await.status(), 401, "{line}");
        let reply = house.ask(line, &format!("{cookie}content-length: 0\r\n")).await;
        assert_eq!((reply.status(), reply.header("location")), (signed_in, location), "{line}");
    }
    assert_eq!(service.count(), 0);
    assert_eq!(house.ends()[0], (200, None), "it is an entry like any other");
    assert_eq!(house.ask("GET /records/1", &cookie).await.body(), "heard", "another method is the service's");
    let websocket = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                     sec-websocket-version: 13\r\n";
    assert_eq!(house.ask("GET /public/robots.txt", websocket).await.status(), 404, "nobody is there to speak with");
}

#[tokio::test]
async fn answers_are_stricter_unless_the_app_says_otherwise() {
    let says = "x-say: server: Old/1.0\r\nx-say: x-powered-by: PHP/5.2\r\nx-say: set-cookie: app=1\r\n";
    let (_, house) = open("", "").await;
    let reply = house.ask("GET /public", says).await;
    for (name, value) in [
        ("x-content-type-options", Some("nosniff")),
        ("referrer-policy", Some("strict-origin-when-cross-origin")),
        ("x-frame-options", Some("SAMEORIGIN")),
        ("server", None),
        ("x-powered-by", None),
        ("set-cookie", Some("app=1")),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
    let (_, house) = open("", "[hardening]\non = false\n").await;
    let reply = house.ask("GET /public", says).await;
    assert_eq!((reply.header("server"), reply.header("x-frame-options")), (Some("Old/1.0"), None));
    let removed = "[rewrite.response]\nremove = ['X-Frame-Options']\n";
    let (_, house) = open("", removed).await;
    assert_eq!(house.ask("GET /public", "").await.header("x-frame-options"), None, "rewriting has the last word");
}

#[tokio::test]
async fn an_address_that_no_pattern_fits_is_none() {
    let patterns = "[[resources]]\npattern = '/records/{record}'\ntype = 'Record'\n";
    let (service, house) = open("unmatched = 'deny'", patterns).await;
    let cookie = format!("cookie: {}\r\n", house.chemist());
    assert_eq!(house.ask("GET /records/1", &cookie).await.status(), 200);
    for path in ["/Records/1", "/RECORDS/1", "/", "/public", "/records/1/x"] {
        for who in [cookie.as_str(), ""] {
            let reply = house.ask(&format!("GET {path}"), who).await;
            assert_eq!((reply.status(), reply.reason().as_deref()), (404, Some("not-found")), "{path}");
        }
    }
    assert_eq!((service.count(), house.ends()[1]), (1, (404, Some(Reason::NotFound))));
    assert_eq!(house.ask("PURGE /records/1", &cookie).await.status(), 405);
    assert_eq!(house.ask("GET /.cardea/session", "").await.status(), 200, "what is ours there is not the app's");
}
