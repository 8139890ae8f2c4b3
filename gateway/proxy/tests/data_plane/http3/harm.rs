//! HTTP/3 as a client that means harm would speak it: each pays with its own stream or connection.

use cardea_proxy::Limits;
use quinn::VarInt;

use super::*;

#[tokio::test]
async fn a_head_is_no_longer_than_it_may_be() {
    let (house, ours, service) = speaking_http3(|plan| plan).await;
    let client = Client::connect(&house, &ours).await;
    let long = |length: usize| get("/public").header("x-own", "a".repeat(length));
    assert_eq!(client.ask(long(30_000)).await.unwrap().status(), 200);
    assert_eq!(client.ask(long(33_000)).await.unwrap().outcome(), (431, Some("headers-too-large".to_owned())));
    let many = (0..120).fold(get("/public"), |request, nth| request.header(format!("x-{nth}"), "1"));
    assert_eq!(client.ask(many).await.unwrap().status(), 431);
    assert_eq!(house.ends()[1..], [(431, Some(Reason::HeadersTooLarge)), (431, Some(Reason::HeadersTooLarge))]);
    // One that is far longer is not read to its end.
    raw(&house, &ours, &[&[1, 0x80, 3, 0x0d, 0x40], &[b'x'; 50_000]]).await.unwrap_err();
    assert_eq!(client.get("/public").await.status(), 200, "others go on");
    assert_eq!(service.count(), 2);
}

/// Bytes of a stream as no client's library writes them.
async fn raw(house: &House, ours: &Authority, frames: &[&[u8]]) -> Result<Vec<u8>, quinn::ReadToEndError> {
    let quic = dial(house, &Arc::new(config(ours)), APP_HOST).await.unwrap();
    let (mut send, mut receive) = quic.open_bi().await.unwrap();
    for frame in frames {
        // It may be stopped before it has sent all.
        let _ = send.write_all(frame).await;
    }
    let _ = send.finish();
    receive.read_to_end(100_000).await
}

/// A head of `method` for `/public/x` (RFC 9204: literals with names from the static table).
fn head(method: u8, more: &[u8]) -> Vec<u8> {
    let host = [&[0x50, u8::try_from(APP_HOST.len()).unwrap()][..], APP_HOST.as_bytes()].concat();
    let fields = [&[0, 0, method, 0xd7][..], &host, &[0x51, 9], b"/public/x", more].concat();
    [&[1, 0x40, u8::try_from(fields.len()).unwrap()][..], &fields].concat()
}

const GET: u8 = 0xd1;
const POST: u8 = 0xd4;

#[tokio::test]
async fn half_a_body_is_never_a_whole_one() {
    let (house, ours, service) = speaking_http3(|plan| plan).await;
    let whole = raw(&house, &ours, &[&head(GET, &[])]).await.unwrap();
    assert_eq!(whole[0], 1, "a head comes back");
    assert_eq!(service.count(), 1);
    // An empty frame of data, and one that means nothing, end no body.
    let cookie = chemist(&house);
    let cookie = [&[0x55, u8::try_from(cookie.len()).unwrap()][..], cookie.as_bytes()].concat();
    assert!(cookie.len() < 127);
    let post = |more: &[u8]| head(POST, &[&cookie[..], more].concat());
    raw(&house, &ours, &[&post(&[]), &[0, 0], &[0, 2, b'a', b'b'], &[0x21, 1, 9], &[0, 1, b'c']]).await.unwrap();
    assert_eq!(service.last().body, b"abc");
    // `content-length: 5`, with more and with less; a frame that is cut off.
    let five = [0x54, 1, b'5'];
    for body in [&[0, 2, b'a', b'b'][..], &[0, 6, b'a', b'b', b'c', b'd', b'e', b'f']] {
        let _ = raw(&house, &ours, &[&post(&five), body]).await;
    }
    let _ = raw(&house, &ours, &[&post(&[]), &[0, 9, b'a', b'b']]).await;
    let _ = raw(&house, &ours, &[&post(&[]), &[0, 9]]).await;
    for length in ["", "+2", "2,2", "99999999999999999999"] {
        let length = [&[0x54, u8::try_from(length.len()).unwrap()][..], length.as_bytes()].concat();
        raw(&house, &ours, &[&post(&length), &[0, 2, b'a', b'b']]).await.unwrap_err();
    }
    let heard: Vec<_> = service.heard.lock().unwrap()[2..].iter().map(|heard| heard.body.clone()).collect();
    assert!(heard.iter().all(|body| body == b"broken off"), "{heard:?}");
    assert!(house.ends()[2..].iter().all(|(status, _)| *status != 200), "{:?}", house.ends());
}

#[tokio::test]
async fn a_client_has_its_share_of_connections() {
    let limits = Limits { connections_per_client: 2, ..Limits::default() };
    let (house, ours, _service) = speaking_http3(|plan| Plan { limits, ..plan }).await;
    let config = Arc::new(config(&ours));
    let (first, second) =
        (dial(&house, &config, APP_HOST).await.unwrap(), dial(&house, &config, APP_HOST).await.unwrap());
    let third = dial(&house, &config, APP_HOST).await.unwrap_err();
    let quinn::ConnectionError::ConnectionClosed(close) = third else { panic!("{third:?}") };
    assert_eq!(u64::from(close.error_code), 2, "CONNECTION_REFUSED");
    assert_eq!(house.figure(r#"cardea_connections_turned_away_total{kind="too-many"}"#), 1);
    assert_eq!(Client::over(first).await.get("/public").await.status(), 200);
    second.close(VarInt::from_u32(0x100), b"");
    let again = async { while dial(&house, &config, APP_HOST).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(5), again).await.expect("its room is not given back");
}

#[tokio::test]
async fn where_there_is_no_room_nobody_is_let_in() {
    // The listener over TCP waits for its next client with a place for it.
    let limits = Limits { connections: 2, ..Limits::default() };
    let (house, ours, _service) = speaking_http3(|plan| Plan { limits, ..plan }).await;
    let config = Arc::new(config(&ours));
    let first = Client::connect(&house, &ours).await;
    dial(&house, &config, APP_HOST).await.unwrap_err();
    assert_eq!(first.get("/public").await.status(), 200);
    drop(first);
    let again = async { while dial(&house, &config, APP_HOST).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(5), again).await.expect("its room is not given back");
}

#[tokio::test]
async fn whoever_only_gives_up_loses_the_connection() {
    let limits = Limits { http2_resets: 20, ..Limits::default() };
    let (house, ours, _service) = speaking_http3(|plan| Plan { limits, ..plan }).await;
    let client = Client::connect(&house, &ours).await;
    let flood = async {
        while client.quic.close_reason().is_none() {
            let Ok((mut send, mut receive)) = client.quic.open_bi().await else { break };
            let _ = send.write_all(&head(GET, &[])).await;
            let _ = (send.reset(VarInt::from_u32(0x10c)), receive.stop(VarInt::from_u32(0x10c)));
        }
        client.quic.closed().await
    };
    let closed = tokio::time::timeout(Duration::from_secs(10), flood).await.expect("it may go on for ever");
    let quinn::ConnectionError::ApplicationClosed(close) = closed else { panic!("{closed:?}") };
    assert_eq!(close.error_code.into_inner(), Code::H3_EXCESSIVE_LOAD.value());
    assert_eq!(house.figure(r#"cardea_floods_total{kind="resets"}"#), 1);
    assert_eq!(Client::connect(&house, &ours).await.get("/public").await.status(), 200, "others go on");
}

#[tokio::test]
async fn a_request_that_is_given_up_ends_with_its_client() {
    let (house, ours, service) = speaking_http3(|plan| plan).await;
    let client = Client::connect(&house, &ours).await;
    let request = Request::post(format!("https://{APP_HOST}/records")).header("cookie", chemist(&house));
    let mut stream = client.begin(request).await;
    stream.send_data(Bytes::from_static(b"half")).await.unwrap();
    while house.figure("cardea_in_flight") == 0 {
        tokio::task::yield_now().await;
    }
    stream.stop_stream(Code::H3_REQUEST_CANCELLED);
    stream.stop_sending(Code::H3_REQUEST_CANCELLED);
    house.wait_for_entries(1).await;
    assert_eq!(house.ends(), [(499, Some(Reason::ClientGone))]);
    assert!(service.heard.lock().unwrap().iter().all(|heard| heard.body == b"broken off"));
    assert_eq!(client.get("/public").await.status(), 200, "the connection stays");
}
