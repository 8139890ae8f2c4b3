//! Where a sign-in leads, and how a session comes to an app's host: to the tenant's own addresses, once, in the browser
//! that asked.

use cardea_tests::{Client, Gateway, Plan, Story, Upstream};
use http::Method;

async fn house() -> anyhow::Result<(Upstream, Gateway)> {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    Ok((upstream, gateway))
}

/// G30: a sign-in ends at the tenant's own addresses only.
#[tokio::test]
async fn no_sign_in_leads_elsewhere() -> Story {
    let (_upstream, gateway) = house().await?;
    let port = gateway.on.port;
    let mut browser = Client::browser();
    for to in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "/%09/evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        &format!("http://evil.example:{port}/"),
        &format!("http://acme.localhost.evil.example:{port}/"),
        &format!("http://evilacme.localhost:{port}/"),
        &format!("http://echo.north.localhost:{port}/x"),
        &format!("http://acme.localhost:{port}@evil.example/"),
        &format!("http://user@acme.localhost:{port}/"),
        &format!("https://acme.localhost:{port}/"),
        "http://acme.localhost:1/",
        &format!("http://acme.localhost:{port}/\r\nx: y"),
        &format!(" http://evil.example:{port}/"),
    ] {
        let mut url = gateway.at("acme", "/sign-in")?;
        url.query_pairs_mut().append_pair("to", to);
        let reply = browser.get(&url).await?;
        assert_eq!(reply.status, 400, "{to}: {:?} {}", reply.header("location"), reply.body);
        let form = [("email", "mira@acme.example"), ("to", to)];
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let posted = browser.send(Method::POST, &gateway.at("acme", "/sign-in")?, Some((FORM, body))).await?;
        assert_eq!(posted.status, 400, "{to}: {:?}", posted.header("location"));
        // Nor does the hand-over at an app's host.
        let mut url = gateway.at("echo.acme", "/.cardea/callback")?;
        url.query_pairs_mut().append_pair("code", &"A".repeat(43)).append_pair("to", to);
        let reply = browser.get(&url).await?;
        assert!(
            reply.status == 400 && reply.header("location").is_none(),
            "{to}: {} {:?}",
            reply.status,
            reply.headers
        );
    }
    Ok(())
}

const FORM: &str = "application/x-www-form-urlencoded";

/// The hand-over of a session to an app's host: one code, one host, one browser.
#[tokio::test]
async fn a_hand_over_code_opens_one_host_in_one_browser_once() -> Story {
    let (_upstream, gateway) = house().await?;
    let ben = gateway.person("ben@acme.example", &["readers"]).await?;
    let echo = gateway.at("echo.acme", "/x")?;
    let (signed_in, _) = ben.opens(&gateway.at("acme", "/")?).await?;
    // As far as the code, which is not followed.
    let code = async || {
        let mut client = signed_in.clone();
        let first = client.get(&echo).await?;
        let last = client.follow_until(first, "/.cardea/callback").await?;
        anyhow::Ok((client, last.location()?))
    };
    let (mut client, url) = code().await?;
    let mut other = Client::browser();
    assert_eq!(other.get(&url).await?.status, 400, "in another browser");
    assert!(other.cookie("echo.acme.localhost", "cardea").is_none());
    // Nor does whoever else learned the address keep him from arriving.
    assert_eq!(client.open(&url).await?.status, 200, "in his own");

    let (mut client, url) = code().await?;
    let mut twin = client.clone();
    assert_eq!(client.open(&url).await?.status, 200);
    assert_eq!(twin.get(&url).await?.status, 400, "twice");

    let (mut client, url) = code().await?;
    let elsewhere = url.as_str().replace("echo.acme", "echo.north");
    assert_eq!(client.get(&elsewhere.parse()?).await?.status, 400, "at another tenant");
    let elsewhere = url.as_str().replace("echo.acme", "acme");
    assert_eq!(client.get(&elsewhere.parse()?).await?.status, 400, "at the sign-in host");
    let doubled = format!("{url}&code=x");
    assert!(client.get(&doubled.parse()?).await?.status.is_client_error(), "doubled");
    Ok(())
}

/// Another site's page changes nothing, whatever cookies the browser adds.
#[tokio::test]
async fn another_site_s_page_changes_nothing() -> Story {
    let (_upstream, gateway) = house().await?;
    let mira = gateway.person("eve@acme.example", &["readers"]).await?;
    let (mut client, _) = mira.opens(&gateway.at("acme", "/")?).await?;
    for headers in [
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
        vec![("sec-fetch-site", "same-site"), ("origin", "http://evil.acme.localhost")],
    ] {
        client.headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let out = client.send(Method::POST, &gateway.at("acme", "/sign-out")?, None).await?;
        assert_eq!(out.status, 403, "{headers:?}: {}", out.body);
    }
    client.headers.clear();
    assert_eq!(client.get(&gateway.at("acme", "/")?).await?.status, 200, "still signed in");
    Ok(())
}
