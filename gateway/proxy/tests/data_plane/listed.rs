//! Listed proxies in front of us: what they say of the client is believed in one form, and nobody else is (G32).

use std::sync::Arc;

use cardea_proxy::{Door, ForwardedBy, Security};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{
    house::{APP_HOST, House, Plan},
    service::Service,
    tls::Authority,
};

/// What a proxy says of a client at `192.0.2.last:8080` (PROXY protocol, version 2).
fn said(last: u8) -> Vec<u8> {
    let addresses = [192, 0, 2, last, 10, 0, 0, 1, 0x1f, 0x90, 1, 0xbb];
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", &addresses[..]].concat()
}

fn request(more: &str) -> Vec<u8> {
    format!("GET /public HTTP/1.1\r\nhost: {APP_HOST}\r\nconnection: close\r\n{more}\r\n").into_bytes()
}

/// What comes back of bytes; nothing where the connection is closed without a word.
async fn back(house: &House, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let mut out = Vec::new();
    let _ = stream.read_to_end(&mut out).await;
    String::from_utf8_lossy(&out).into_owned()
}

async fn behind(listed: &str) -> (House, Service) {
    let (service, url) = Service::start().await;
    let mut plan = Plan::at(&url).trusting(listed);
    plan.proxy_protocol = true;
    plan.limits.connections_per_client = 1;
    (plan.open().await, service)
}

fn turned_away(house: &House, kind: &str) -> u64 {
    house.figure(&format!("cardea_connections_turned_away_total{{kind=\"{kind}\"}}"))
}

#[tokio::test]
async fn a_listed_proxy_names_its_client() {
    let (house, service) = behind("127.0.0.0/8").await;
    // What the client itself says of where it comes from is as little believed as without a proxy.
    let claims = request("x-forwarded-for: 203.0.113.9\r\nforwarded: for=203.0.113.9\r\nx-forwarded-proto: https\r\n");
    assert!(back(&house, &[said(7), claims].concat()).await.starts_with("HTTP/1.1 200 "));
    let heard = service.last();
    assert_eq!(heard.header("x-forwarded-for"), Some("192.0.2.7"));
    assert_eq!(heard.header("x-forwarded-proto"), Some("http"));
}

/// What a listed proxy says where it has no client: in a check of whether we are well, and where it does not know.
const NOBODY: [&[u8]; 3] = [
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    b"\r\n\r\n\0\r\nQUIT\n\x20\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\x1f\x90\x01\xbb",
    b"\r\n\r\n\0\r\nQUIT\n\x21\0\0\0",
];

#[tokio::test]
async fn a_proxy_that_names_nobody_is_believed_in_nothing() {
    let claims = request("x-forwarded-for: 203.0.113.9\r\nforwarded: for=203.0.113.9\r\nx-forwarded-proto: https\r\n");
    for by in [ForwardedBy::XForwardedFor, ForwardedBy::Forwarded] {
        let (service, url) = Service::start().await;
        let mut plan = Plan::at(&url).trusting("127.0.0.0/8");
        (plan.proxy_protocol, plan.forwarded) = (true, by);
        let house = plan.open().await;
        for nobody in NOBODY {
            assert!(back(&house, &[nobody, &claims].concat()).await.starts_with("HTTP/1.1 200 "));
            let heard = service.last();
            assert_eq!(heard.header("x-forwarded-for"), Some("127.0.0.1"), "{by:?} {nobody:?}");
            assert_eq!(heard.header("x-forwarded-proto"), Some("http"), "{by:?} {nobody:?}");
        }
    }
    // Nor may it ask about what others ask for.
    let mut plan = Plan::carried("dialect = 'nginx'");
    plan.proxy_protocol = true;
    let house = plan.open().await;
    let question = format!(
        "GET /.cardea/authorize HTTP/1.1\r\nhost: {APP_HOST}\r\nconnection: close\r\nx-original-method: GET\r\n\
         x-original-uri: /public\r\nx-forwarded-proto: http\r\n\r\n"
    );
    for nobody in NOBODY {
        let reply = back(&house, &[nobody, question.as_bytes()].concat()).await;
        assert!(reply.starts_with("HTTP/1.1 403 ") && reply.contains("proxy-not-trusted"), "{nobody:?}: {reply}");
    }
    // A proxy that is the client of another may.
    let chained =
        [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\x1f\x90\x01\xbb"[..], question.as_bytes()];
    assert!(back(&house, &chained.concat()).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_proxy_that_names_nobody_counts_as_one_client() {
    let (house, _service) = behind("127.0.0.0/8").await;
    let mut first = TcpStream::connect(house.address).await.unwrap();
    let kept = format!("GET /public HTTP/1.1\r\nhost: {APP_HOST}\r\n\r\n").into_bytes();
    first.write_all(&[NOBODY[0], &kept].concat()).await.unwrap();
    assert_eq!(first.read_u8().await.unwrap(), b'H');
    assert_eq!(back(&house, &[NOBODY[2], &request("")].concat()).await, "");
    assert_eq!(turned_away(&house, "too-many"), 1);
    assert!(back(&house, &[said(7), request("")].concat()).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn each_client_behind_a_proxy_is_counted() {
    let (house, _service) = behind("127.0.0.0/8").await;
    let mut first = TcpStream::connect(house.address).await.unwrap();
    let kept = format!("GET /public HTTP/1.1\r\nhost: {APP_HOST}\r\n\r\n").into_bytes();
    first.write_all(&[said(7), kept].concat()).await.unwrap();
    assert_eq!(first.read_u8().await.unwrap(), b'H');
    assert_eq!(back(&house, &[said(7), request("")].concat()).await, "");
    assert_eq!(turned_away(&house, "too-many"), 1);
    assert!(back(&house, &[said(8), request("")].concat()).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn nothing_else_comes_in_where_proxies_do() {
    let (house, service) = behind("127.0.0.0/8").await;
    let version_1 = b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 443\r\n".to_vec();
    for bytes in [request(""), [version_1, request("")].concat(), said(7)[..20].to_vec()] {
        let mut stream = TcpStream::connect(house.address).await.unwrap();
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut out = Vec::new();
        let _ = stream.read_to_end(&mut out).await;
        assert!(out.is_empty(), "{}", String::from_utf8_lossy(&out));
    }
    assert_eq!(turned_away(&house, "proxy-protocol"), 3);
    let (stranger, _service) = behind("10.0.0.0/8").await;
    assert_eq!(back(&stranger, &[said(7), request("")].concat()).await, "");
    assert_eq!(turned_away(&stranger, "unlisted-proxy"), 1);
    // And where none is expected, it is no request.
    let (_, url) = Service::start().await;
    let open = Plan::at(&url).trusting("127.0.0.0/8").open().await;
    assert!(back(&open, &[said(7), request("")].concat()).await.starts_with("HTTP/1.1 400 "));
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn a_proxy_speaks_before_tls() {
    let ours = Authority::new();
    let (service, url) = Service::start().await;
    let mut plan = Plan::at(&url).trusting("127.0.0.0/8");
    plan.security = Security::Tls(Arc::new(ours.server(ours.issue(&[APP_HOST], &[]), None)));
    plan.door = Door::Public;
    plan.proxy_protocol = true;
    let house = plan.open().await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    stream.write_all(&said(7)).await.unwrap();
    let connector = TlsConnector::from(Arc::new(ours.client().with_no_client_auth()));
    let mut stream = connector.connect(ServerName::try_from(APP_HOST).unwrap(), stream).await.unwrap();
    stream.write_all(&request("")).await.unwrap();
    let mut out = Vec::new();
    let _ = stream.read_to_end(&mut out).await;
    assert!(out.starts_with(b"HTTP/1.1 200 "));
    assert_eq!(service.last().header("x-forwarded-for"), Some("192.0.2.7"));
    assert_eq!(service.last().header("x-forwarded-proto"), Some("https"));
}

#[tokio::test]
async fn of_two_headers_that_tell_of_the_client_one_is_read() {
    const BOTH: &str = "x-forwarded-for: 203.0.113.9\r\nforwarded: for=192.0.2.7;proto=https\r\n";
    for (by, client, proto) in
        [(ForwardedBy::XForwardedFor, "203.0.113.9", "http"), (ForwardedBy::Forwarded, "192.0.2.7", "https")]
    {
        let (service, url) = Service::start().await;
        let mut plan = Plan::at(&url).trusting("127.0.0.0/8");
        plan.forwarded = by;
        let house = plan.open().await;
        assert!(back(&house, &request(BOTH)).await.starts_with("HTTP/1.1 200 "));
        assert_eq!(service.last().header("x-forwarded-for"), Some(client), "{by:?}");
        assert_eq!(service.last().header("x-forwarded-proto"), Some(proto), "{by:?}");
    }
}
