//! Streams pass through as they come, and end with the permit that opened them (invariant: a permit outlives nothing).

use std::time::Duration;

use anyhow::Context as _;
use cardea_tests::{Client, Demo, Gateway, Person, Plan, Story, Upstream, raw};
use http::Method;

/// How long after a revocation a stream may go on (DESIGN section 3.7).
const CUT: Duration = Duration::from_secs(2);

async fn house() -> anyhow::Result<(Upstream, Gateway)> {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    Ok((upstream, gateway))
}

/// Server-sent events, open and with their first event come through.
async fn events(gateway: &Gateway, client: &Client) -> anyhow::Result<raw::Open> {
    let (host, cookie) = at_echo(gateway, client);
    let request = format!(
        "GET /does/stream HTTP/1.1\r\nhost: {host}\r\naccept: text/event-stream\r\ncookie: cardea={cookie}\r\n\r\n"
    );
    let mut open = raw::Open::new(gateway.on.port, request.as_bytes()).await?;
    let seen = open.until("data: 1\n\n").await?;
    anyhow::ensure!(seen.contains("text/event-stream"), "{seen}");
    Ok(open)
}

/// A WebSocket, open and answering.
async fn websocket(gateway: &Gateway, client: &Client) -> anyhow::Result<raw::Open> {
    let request = handshake(gateway, client, &format!("http://echo.acme.localhost:{}", gateway.on.port));
    let mut open = raw::Open::new(gateway.on.port, request.as_bytes()).await?;
    let head = open.until("\r\n\r\n").await?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 101"), "{head}");
    open.send(b"echo this").await?;
    open.until("echo this").await?;
    Ok(open)
}

fn handshake(gateway: &Gateway, client: &Client, origin: &str) -> String {
    let (host, cookie) = at_echo(gateway, client);
    format!(
        "GET /does/websocket HTTP/1.1\r\nhost: {host}\r\norigin: {origin}\r\ncookie: cardea={cookie}\r\nupgrade: websocket\r\n\
         connection: Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

fn at_echo(gateway: &Gateway, client: &Client) -> (String, String) {
    let cookie = client.cookie("echo.acme.localhost", "cardea").unwrap_or_default().to_owned();
    (format!("echo.acme.localhost:{}", gateway.on.port), cookie)
}

async fn signed_in(gateway: &Gateway, person: &Person) -> anyhow::Result<Client> {
    Ok(person.opens(&gateway.at("echo.acme", "/x")?).await?.0)
}

/// G18.
#[tokio::test]
async fn a_suspended_person_s_streams_are_cut_and_nobody_else_s() -> Story {
    let (upstream, gateway) = house().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let ben = gateway.person("ben@acme.example", &["readers"]).await?;
    let (hers, his) = (signed_in(&gateway, &mira).await?, signed_in(&gateway, &ben).await?);
    let (events_of_hers, socket_of_hers) = (events(&gateway, &hers).await?, websocket(&gateway, &hers).await?);
    let mut socket_of_his = websocket(&gateway, &his).await?;
    assert_eq!(upstream.open_streams(), 3);

    gateway.on.does(&["user", "--tenant", "acme", "suspend", &mira.email]).await?;
    let (one, other) = tokio::join!(events_of_hers.closed(), socket_of_hers.closed());
    assert!(one? <= CUT && other? <= CUT, "a stream outlived its permit");
    socket_of_his.send(b"still here").await?;
    socket_of_his.until("still here").await?;
    // It hears of it by a connection of its own, a moment later than the client may.
    let told = async {
        while upstream.open_streams() != 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(CUT, told).await.context("the service was not told")?;
    Ok(())
}

#[tokio::test]
async fn signing_out_cuts_streams() -> Story {
    let (_upstream, gateway) = house().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let mut client = signed_in(&gateway, &mira).await?;
    let (stream, socket) = (events(&gateway, &client).await?, websocket(&gateway, &client).await?);
    client.send(Method::POST, &gateway.at("acme", "/sign-out")?, None).await?;
    let (one, other) = tokio::join!(stream.closed(), socket.closed());
    assert!(one? <= CUT && other? <= CUT);
    Ok(())
}

/// As any request of a session that was begun before the tenant asked for it.
#[tokio::test]
async fn a_second_factor_that_is_asked_for_first_cuts_streams() -> Story {
    let (_upstream, gateway) = house().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let client = signed_in(&gateway, &mira).await?;
    let (stream, socket) = (events(&gateway, &client).await?, websocket(&gateway, &client).await?);
    gateway.on.write("resources/tenants/acme/tenant.toml", &crate::enrolment::tenant("must_enrol = true\n"))?;
    gateway.on.apply().await?;
    let (one, other) = tokio::join!(stream.closed(), socket.closed());
    assert!(one? <= CUT && other? <= CUT, "a stream outlived what its session may");
    Ok(())
}

#[tokio::test]
async fn a_policy_that_no_longer_allows_it_cuts_a_stream() -> Story {
    let (_upstream, gateway) = house().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let client = signed_in(&gateway, &mira).await?;
    let (stream, mut socket) = (events(&gateway, &client).await?, websocket(&gateway, &client).await?);
    let forbid = "\n@id(\"no-streams\")\nforbid (principal, action, resource in App::\"echo\") when { context.path == \"/does/stream\" };\n";
    let policies = gateway.on.read("resources/tenants/acme/policies/echo.cedar")?;
    gateway.on.write("resources/tenants/acme/policies/echo.cedar", &format!("{policies}{forbid}"))?;
    gateway.on.apply().await?;
    assert!(stream.closed().await? <= CUT);
    // What is still allowed goes on.
    socket.send(b"still here").await?;
    socket.until("still here").await?;
    Ok(())
}

#[tokio::test]
async fn another_site_s_page_opens_no_websocket() -> Story {
    let (upstream, gateway) = house().await?;
    let mira = gateway.person("mira@acme.example", &["readers"]).await?;
    let client = signed_in(&gateway, &mira).await?;
    let before = upstream.count();
    for origin in ["http://evil.example", "null", "http://echo.acme.localhost:1", "http://acme.localhost"] {
        let request = handshake(&gateway, &client, origin);
        let mut open = raw::Open::new(gateway.on.port, request.as_bytes()).await?;
        let head = open.until("\r\n\r\n").await?;
        assert!(head.starts_with("HTTP/1.1 403"), "{origin}: {head}");
    }
    assert_eq!(upstream.count(), before);
    Ok(())
}

/// The same over mTLS, with a service that speaks the protocols in earnest: what one person changes, another sees.
#[tokio::test]
async fn changes_arrive_over_events_and_websocket_as_they_are_made() -> Story {
    let demo = Demo::start().await?;
    let studies = demo.at("records.acme", "/studies")?;
    let port = studies.port().unwrap_or_default();
    let (mut client, page) = demo.signed_in("rui@acme.example", &studies).await?;
    assert_eq!(page.status, 200, "{}", page.body);
    let host = format!("records.acme.localhost:{port}");
    let cookie = client.cookie("records.acme.localhost", "cardea").unwrap_or_default().to_owned();
    let head = format!("host: {host}\r\norigin: http://{host}\r\ncookie: cardea={cookie}\r\n");
    let request = format!("GET /events HTTP/1.1\r\n{head}accept: text/event-stream\r\n\r\n");
    let mut events = raw::Open::new(port, request.as_bytes()).await?;
    events.until("text/event-stream").await?;
    let request = format!(
        "GET /ws HTTP/1.1\r\n{head}upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let mut socket = raw::Open::new(port, request.as_bytes()).await?;
    socket.until("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=").await?;
    // One masked text frame (RFC 6455 section 5.2), with a mask of zeros; it comes back as it was.
    socket.send(&[&[0x81, 0x85, 0, 0, 0, 0][..], b"hello"].concat()).await?;
    socket.until("hello").await?;

    client.program = true;
    let record = serde_json::json!({ "title": "Seen at once", "text": "by everybody who looks" });
    let made = client.json(Method::POST, &demo.at("records.acme", "/studies/S-12/records")?, &record).await?;
    assert_eq!(made.status, 201, "{}", made.body);
    let id = made.json()?["record"].as_str().unwrap_or("?").to_owned();
    events.until(&id).await?;
    socket.until(&id).await?;

    let (status, _, err) = demo.cardea(&["user", "--tenant", "acme", "suspend", "rui@acme.example"]).await?;
    assert_eq!(status, 0, "{err}");
    let (one, other) = tokio::join!(events.closed(), socket.closed());
    assert!(one? <= CUT && other? <= CUT, "a stream outlived its permit");
    Ok(())
}
