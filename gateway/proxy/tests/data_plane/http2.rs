//! HTTP/2 as a client that means harm would speak it: raw frames, over a plain connection with prior knowledge (G12,
//! requirement H7). Each flood ends its own connection, and is counted.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    house::{APP_HOST, House, Plan, SIGN_IN_HOST},
    service::Service,
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

const ENHANCE_YOUR_CALM: u32 = 11;

/// A client that writes frames.
struct Raw {
    stream: TcpStream,
}

struct Frame {
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A field that the table of fields does not learn (RFC 7541 section 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0];
    for text in [name, value] {
        assert!(text.len() < 127, "longer ones need more than one byte");
        out.push(u8::try_from(text.len()).unwrap());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

fn request(path: &str) -> Vec<u8> {
    request_at(APP_HOST, path)
}

fn request_at(host: &str, path: &str) -> Vec<u8> {
    [(":method", "GET"), (":scheme", "http"), (":authority", host), (":path", path)]
        .iter()
        .flat_map(|(name, value)| field(name, value))
        .collect()
}

impl Raw {
    async fn connect(house: &House) -> Self {
        let mut stream = TcpStream::connect(house.address).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        Self { stream }
    }

    /// Writes, unless the gateway has ended the connection by now.
    async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    async fn next(&mut self) -> Option<Frame> {
        let reading = async {
            let mut header = [0; 9];
            self.stream.read_exact(&mut header).await.ok()?;
            let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.stream.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
            Some(Frame { kind: header[3], stream, payload })
        };
        tokio::time::timeout(Duration::from_secs(10), reading).await.expect("the gateway says nothing and stays")
    }

    /// The reason in the gateway's last word, once it has ended the connection.
    async fn ended(&mut self) -> Option<u32> {
        let mut reason = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                reason = Some(u32::from_be_bytes(frame.payload[4..8].try_into().unwrap()));
            }
        }
        reason
    }
}

async fn house() -> (House, Service) {
    let (service, url) = Service::start().await;
    (Plan::at(&url).open().await, service)
}

#[tokio::test]
async fn a_plain_listener_speaks_http2_with_prior_knowledge() {
    let (house, service) = house().await;
    let stream = TcpStream::connect(house.address).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut ask = async |path: &str, cookie: &str| {
        let request = Request::builder().version(Version::HTTP_2).uri(format!("http://{APP_HOST}{path}"));
        let reply = sender.send_request(request.header("cookie", cookie).body(Empty::<Bytes>::new()).unwrap()).await;
        let (head, body) = reply.unwrap().into_parts();
        (head.status.as_u16(), body.collect().await.unwrap().to_bytes())
    };
    assert_eq!(ask("/public", "").await, (200, Bytes::from_static(b"heard")));
    assert_eq!(ask("/studies", "").await.0, 401);
    assert_eq!(ask("/studies", &house.chemist()).await.0, 200);
    assert_eq!(ask("/%2e%2e/x", "").await.0, 400);
    assert_eq!(service.count(), 2);
    // Half a preface is no request, and an upgrade in the middle is not taken (RFC 9113 section 3.1 took it away).
    assert_eq!(house.raw(b"PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n").await.status(), 400);
    let upgrade = "upgrade: h2c\r\nconnection: close, upgrade, http2-settings\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n";
    assert_eq!(house.ask("GET /public", upgrade).await.status(), 200);
}

#[tokio::test]
async fn a_flood_ends_its_own_connection_and_no_other() {
    let (house, service) = house().await;
    let mut honest = Raw::connect(&house).await;
    let opened_and_given_up = (0..2_000_u32).flat_map(|nth| {
        let stream = nth * 2 + 1;
        let opened = frame(HEADERS, END_HEADERS | END_STREAM, stream, &request("/secret"));
        [opened, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    });
    // A trailer opens nothing, and so allows no reset.
    let ended_and_given_up = (0..2_000_u32).flat_map(|nth| {
        let stream = nth * 2 + 1;
        let opened = frame(HEADERS, END_HEADERS, stream, &request("/secret"));
        let ended = frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0, 1, b't', 1, b'x']);
        [opened, ended, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    });
    let endless = frame(HEADERS, 0, 1, &request("/public"));
    let bomb = {
        // One long field is learnt, and then named again and again in one byte each.
        let mut block = request("/public");
        block.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
        block.extend([b'a'; 4_000]);
        block.extend([0xbe; 12_000]);
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)
    };
    let open = frame(HEADERS, END_HEADERS, 1, &request("/public"));
    for (what, kind, flood) in [
        ("rapid resets", None, opened_and_given_up.collect::<Vec<_>>()),
        ("rapid resets after trailers", None, ended_and_given_up.collect::<Vec<_>>()),
        ("pings", Some("idle-frames"), frame(PING, 0, 0, &[0; 8]).repeat(50_000)),
        ("settings", Some("idle-frames"), frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]).repeat(50_000)),
        ("priorities", Some("idle-frames"), frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 16]).repeat(50_000)),
        ("window updates", Some("idle-frames"), frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(50_000)),
        ("unknown frames", Some("idle-frames"), frame(0xbe, 0, 0, &[0; 4]).repeat(50_000)),
        ("empty data", None, [open.clone(), frame(DATA, 0, 1, &[]).repeat(50_000)].concat()),
        ("tiny data", Some("frames"), [open, frame(DATA, 0, 1, b"a").repeat(50_000)].concat()),
        ("continuations", Some("frames"), [endless, frame(CONTINUATION, 0, 1, &[]).repeat(50_000)].concat()),
        ("a header bomb", Some("frames"), bomb),
    ] {
        let before = figures(&house);
        let mut client = Raw::connect(&house).await;
        client.send(&flood).await;
        assert_eq!(client.ended().await, Some(ENHANCE_YOUR_CALM), "{what}");
        let after = loop {
            let after = figures(&house);
            if after != before {
                break after;
            }
            tokio::task::yield_now().await;
        };
        assert!(kind.is_none_or(|kind| after[kind] > before[kind]), "{what}: {before:?} {after:?}");
    }
    honest.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &request("/public"))).await;
    let answered = async {
        while let Some(frame) = honest.next().await {
            if frame.kind == DATA {
                return frame.payload;
            }
        }
        panic!("the honest client's connection ended, too");
    };
    assert_eq!(answered.await, b"heard");
    // Whoever comes again at once after a flood waits a moment, and is served.
    let began = std::time::Instant::now();
    let mut again = Raw::connect(&house).await;
    again.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &request("/public"))).await;
    while again.next().await.expect("the next connection is served").kind != DATA {}
    assert!(began.elapsed() >= Duration::from_millis(250), "a flood is begun again at once");
    assert!(service.count() < 1_000, "most of the flood was heard: {}", service.count());
}

/// The floods that were counted, by kind.
fn figures(house: &House) -> std::collections::BTreeMap<&'static str, u64> {
    ["resets", "idle-frames", "slow-head", "frames"]
        .map(|kind| (kind, house.figure(&format!("cardea_floods_total{{kind=\"{kind}\"}}"))))
        .into()
}

#[tokio::test]
async fn no_more_streams_are_worked_on_than_were_agreed() {
    let (_, url) = Service::start().await;
    let mut plan = Plan::at(&url);
    plan.limits.http2_streams = 3;
    let house = plan.open().await;
    let mut client = Raw::connect(&house).await;
    for stream in [1, 3, 5, 7, 9] {
        client.send(&frame(HEADERS, END_HEADERS, stream, &request("/public"))).await;
    }
    let mut refused = Vec::new();
    while refused.len() < 2 {
        let frame = client.next().await.expect("the connection ended");
        if frame.kind == RST_STREAM {
            assert_eq!(frame.payload, [0, 0, 0, 7], "REFUSED_STREAM");
            refused.push(frame.stream);
        }
    }
    assert_eq!(refused, [7, 9]);
}

#[tokio::test]
async fn a_head_over_http2_has_its_time_and_its_number_of_fields() {
    let (_, url) = Service::start().await;
    let mut plan = Plan::at(&url);
    plan.limits.head = Duration::from_millis(50);
    plan.limits.headers = 40;
    let house = plan.open().await;
    let mut client = Raw::connect(&house).await;
    client.send(&frame(HEADERS, END_STREAM, 1, &request("/public"))).await;
    assert_eq!(client.ended().await, Some(ENHANCE_YOUR_CALM));
    let mut client = Raw::connect(&house).await;
    let many: Vec<_> = (0..50).flat_map(|nth| field(&format!("x-{nth}"), "1")).collect();
    let block = [request("/public"), many].concat();
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)).await;
    house.wait_for_entries(1).await;
    assert_eq!(house.ends(), [(431, Some(cardea_core::Reason::HeadersTooLarge))]);
}

#[tokio::test]
async fn a_connection_over_http2_without_a_request_ends() {
    let (_, url) = Service::start().await;
    let mut plan = Plan::at(&url);
    plan.limits.idle = Duration::from_millis(300);
    let house = plan.open().await;
    let mut client = Raw::connect(&house).await;
    // It is told, and answers the ping by which the gateway makes sure that it has heard.
    let mut told = false;
    while let Some(next) = client.next().await {
        told |= next.kind == GOAWAY;
        if next.kind == PING {
            client.send(&frame(PING, 1, 0, &next.payload)).await;
        }
    }
    assert!(told);
}

/// Window updates, and the pongs that we owe for pings, once counted as an answer being taken: such a client kept the last place.
#[tokio::test]
async fn noise_keeps_no_place_from_those_who_wait() {
    let (_, url) = Service::start().await;
    let mut plan = Plan::at(&url);
    (plan.limits.connections, plan.limits.idle) = (1, Duration::from_secs(2));
    let house = plan.open().await;
    let mut client = Raw::connect(&house).await;
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &request("/public"))).await;
    while client.next().await.expect("the connection ended").kind != DATA {}
    let noise = [frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), frame(PING, 0, 0, &[0; 8]).repeat(8)].concat();
    let noisy = async {
        loop {
            client.send(&noise).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let next = async {
        let mut next = Raw::connect(&house).await;
        next.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &request("/public"))).await;
        while next.next().await.expect("the connection ended").kind != DATA {}
    };
    tokio::select! {
        () = noisy => {}
        served = tokio::time::timeout(Duration::from_secs(8), next) => served.expect("the place was kept by noise"),
    }
    assert_eq!(house.figure(r#"cardea_connections_turned_away_total{kind="made-room"}"#), 1);
}

/// What is left of a page of our own holds nothing of its connection while it is sent.
#[tokio::test]
async fn an_answer_that_is_taken_slowly_is_not_idleness() {
    let (_, url) = Service::start().await;
    let mut plan = Plan::at(&url);
    plan.limits.idle = Duration::from_secs(1);
    let house = plan.open().await;
    let mut client = Raw::connect(&house).await;
    // Not a byte of a body is taken unasked.
    client.send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
    let path = format!("/sign-in/{}", "a".repeat(60));
    client.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &request_at(SIGN_IN_HOST, &path))).await;
    let mut taken = 0;
    while taken < 40 {
        match client.next().await.expect("the connection ended").kind {
            DATA => taken += 1,
            // The pace of a slow line: one byte in a twentieth of the time after which a silent connection ends.
            HEADERS => {}
            _ => continue,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        client.send(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])).await;
    }
}
