//! What an app declares at the edge, on the wire: it is done once a policy has permitted the request, and never in place of that.

use cardea_tests::{Gateway, Plan, Story, Upstream, raw::RawReply};

/// The origin that the app lets in, and one that only looks like it.
const LAB: &str = "http://bench.acme.localhost:8000";
const LOOKALIKE: &str = "http://evil-bench.acme.localhost:8000";

const DECLARED: &str = r#"start_path = "/public/"
[rewrite]
strip_prefix = "/public"
add_prefix = "/lab"
request = { set = { X-Lab = "one" }, remove = ["Accept-Language"] }
[cors]
origins = ["http://bench.acme.localhost:8000"]
methods = ["GET", "PUT"]
credentials = true
[[answers]]
pattern = "/public/robots.txt"
body = "Disallow: /"
[[answers]]
pattern = "/secret/{*rest}"
redirect = "/public/"
"#;

async fn house(extra: &str) -> anyhow::Result<(Upstream, Gateway)> {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).app("lab", upstream.port, extra).start().await?;
    Ok((upstream, gateway))
}

fn preflight(origin: &str, method: &str) -> String {
    format!("origin: {origin}\r\naccess-control-request-method: {method}\r\n")
}

fn allows(reply: &RawReply) -> Option<&str> {
    reply.header("access-control-allow-origin")
}

#[tokio::test]
async fn a_declared_app_is_moved_answered_and_hardened() -> Story {
    let (upstream, gateway) = house(DECLARED).await?;
    let more = "x.lab: forged\r\nx-lab: forged\r\naccept-language: de\r\ncardea-assertion: forged\r\n";
    let reply = gateway.on.ask("lab.acme", "GET /public/a%20b?q=/public", more).await?;
    assert_eq!((reply.status(), upstream.last().line()), (200, "GET /lab/a%20b?q=/public"), "{}", reply.0);
    let heard = upstream.last();
    assert_eq!(
        (heard.header("x-lab"), heard.header("x.lab"), heard.header("accept-language")),
        (Some("one"), None, None)
    );
    assert_ne!(heard.header("cardea-assertion"), Some("forged"));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "SAMEORIGIN"),
        ("referrer-policy", "strict-origin-when-cross-origin"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{}", reply.0);
    }
    let reply = gateway.on.ask("lab.acme", "GET /public/robots.txt", "").await?;
    assert!(reply.status() == 200 && reply.0.ends_with("Disallow: /"), "{}", reply.0);
    // Where nobody may go, nobody is led from.
    assert_eq!(gateway.on.ask("lab.acme", "GET /secret/x", "").await?.status(), 401);
    for line in ["GET /public/../secret", "GET /public/%2e%2e/secret", "GET /public//secret", "GET /public/%2Fsecret"] {
        assert_eq!(gateway.on.ask("lab.acme", line, "").await?.status(), 400, "{line}");
    }
    assert_eq!(upstream.count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_preflight_is_explained_by_the_policy_that_the_declaration_made() -> Story {
    let (upstream, gateway) = house(DECLARED).await?;
    let reply = gateway.on.ask("lab.acme", "OPTIONS /public/x", &preflight(LAB, "PUT")).await?;
    assert_eq!((reply.status(), allows(&reply)), (204, Some(LAB)), "{}", reply.0);
    let id = reply.header("x-request-id").unwrap_or_default();
    let told = gateway.on.does(&["policy", "explain", id]).await?;
    for fact in ["built-in/preflight-lab", "preflight", "visitor"] {
        assert!(told.contains(fact), "`{fact}` is not in:\n{told}");
    }
    for (headers, status, reason) in [
        (preflight(LOOKALIKE, "PUT"), 403, "cross-site"),
        (preflight("null", "PUT"), 403, "cross-site"),
        (preflight(LAB, "DELETE"), 403, "cross-site"),
        (format!("origin: {LOOKALIKE}\r\n{}", preflight(LAB, "PUT")), 400, "bad-header"),
    ] {
        let reply = gateway.on.ask("lab.acme", "OPTIONS /public/x", &headers).await?;
        assert_eq!((reply.status(), reply.reason()), (status, Some(reason)), "{headers}");
    }
    // An app that declares nothing is asked as ever: its policies say that nobody may.
    let reply = gateway.on.ask("echo.acme", "OPTIONS /x", &preflight(LAB, "PUT")).await?;
    assert_eq!((reply.status(), allows(&reply)), (401, None), "{}", reply.0);
    assert_eq!(upstream.count(), 0);
    Ok(())
}

#[tokio::test]
async fn a_refusal_is_read_by_the_page_that_is_named_alone() -> Story {
    let (_upstream, gateway) = house(DECLARED).await?;
    for (origin, allowed) in [(LAB, Some(LAB)), (LOOKALIKE, None), ("null", None)] {
        let reply = gateway.on.ask("lab.acme", "GET /records/1", &format!("origin: {origin}\r\n")).await?;
        assert_eq!(
            (reply.status(), reply.reason(), allows(&reply)),
            (401, Some("sign-in-required"), allowed),
            "{}",
            reply.0
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_case_that_a_service_would_fold_is_no_way_round_the_policies() -> Story {
    let (upstream, gateway) = house("unmatched = \"deny\"").await?;
    let mut reader = gateway.newcomer("rea@acme.example", &["readers"]).await?.0;
    // Nothing but what is public has a pattern there.
    assert_eq!(reader.open(&gateway.at("lab.acme", "/public/x")?).await?.status, 200);
    for path in ["/PUBLIC/x", "/Secret/x", "/records/1"] {
        assert_eq!(reader.open(&gateway.at("lab.acme", path)?).await?.status, 404, "{path}");
    }
    assert_eq!(upstream.count(), 1);
    Ok(())
}

#[tokio::test]
async fn what_is_declared_comes_out_as_it_went_in() -> Story {
    let (_upstream, gateway) = house(DECLARED).await?;
    gateway.on.does(&["export", "out"]).await?;
    let again = gateway.on.does(&["apply", "out", "--yes"]).await?;
    assert!(again.to_lowercase().contains("nothing"), "{again}");
    // A mistake names its place, and changes nothing.
    let app = "resources/tenants/acme/apps/lab.toml";
    for (from, to, told) in [
        (
            "origins = [\"http://bench",
            "origins = [\"*\", \"http://bench",
            "lets any page act with the person's session",
        ),
        ("redirect = \"/public/\"", "redirect = \"//evil.example/\"", "is not a path of the same host"),
        ("X-Lab = \"one\"", "Cardea-Assertion = \"one\"", "cannot be changed on the way to the service"),
    ] {
        gateway.on.edit(app, from, to)?;
        let (status, out, err) = gateway.on.cardea(&["apply", "resources", "--yes"]).await?;
        assert!(status == 1 && format!("{out}{err}").contains(told), "{status}\n{out}{err}");
        gateway.on.edit(app, to, from)?;
    }
    Ok(())
}
