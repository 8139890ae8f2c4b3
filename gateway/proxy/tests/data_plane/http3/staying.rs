//! What a connection keeps and what it does not: certificates, sessions, permits, and its end.

use bytes::Buf as _;
use cardea_proxy::{Changed, Settings, Snapshot, certificates::Shown};
use tokio::sync::mpsc;

use super::*;

#[tokio::test]
async fn no_request_comes_before_the_handshake() {
    let (house, ours, _service) = speaking_http3(|plan| plan).await;
    let mut config = config(&ours);
    config.enable_early_data = true;
    let config = Arc::new(config);
    for name in [APP_HOST, APP_HOST, SIGN_IN_HOST] {
        let early = dialling(&house, &config, name).into_0rtt();
        assert!(early.is_err(), "{name}: a request may come before the handshake");
        let client = Client::over(early.err().unwrap().await.unwrap()).await;
        let path = if name == APP_HOST { "/public" } else { "/" };
        // Until what follows the handshake has come, too.
        client.ask(Request::get(format!("https://{name}{path}"))).await.unwrap();
    }
}

#[tokio::test]
async fn a_permit_that_ends_resets_its_stream() {
    let (house, ours, service) = speaking_http3(|plan| plan).await;
    let (pieces, receiver) = mpsc::unbounded_channel();
    *service.pieces.lock().unwrap() = Some(receiver);
    pieces.send(Bytes::from_static(b"data: first\n\n")).unwrap();
    let client = Client::connect(&house, &ours).await;
    let mut stream = client.begin(get("/stream").header("cookie", chemist(&house))).await;
    stream.finish().await.unwrap();
    assert_eq!(stream.recv_response().await.unwrap().status(), 200);
    assert!(stream.recv_data().await.unwrap().is_some());
    house.lent.live.lock().unwrap().clear();
    house.proxy.changed(Changed::Everything);
    let ended = tokio::time::timeout(Duration::from_secs(2), stream.recv_data()).await;
    assert_reset(ended.expect("the stream outlived its permit").map(|_| ()), Code::H3_REQUEST_CANCELLED);
    assert_eq!(client.get("/public").await.status(), 200, "the connection stays");
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_whoever_comes_next() {
    let (house, ours, _service) = speaking_http3(|plan| plan).await;
    let certificate = |identity: crate::tls::Identity| {
        let (chain, key) = identity;
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
        let certified = Arc::new(rustls::sign::CertifiedKey::new(chain, key));
        Arc::new(cardea_proxy::Certificate { certified, names: vec![APP_HOST.to_owned()] })
    };
    let mut server = ours.server(ours.issue(&[APP_HOST], &[]), None);
    server.cert_resolver = Arc::new(Shown::at(&house.proxy, 0));
    let listener = cardea_proxy::Listener::bind(
        "127.0.0.1:0".parse().unwrap(),
        cardea_proxy::Security::Tls(Arc::new(server)),
        cardea_proxy::Door::Public,
    );
    let (listener, http3) = listener.unwrap().with_http3(None).unwrap();
    let serving = http3.unwrap().serve(Arc::clone(&house.proxy), house.drain.clone(), Duration::from_secs(1));
    tokio::spawn(serving);
    let house = House { address: listener.address(), ..house };

    let shown = |client: &Client| {
        let chain = client.quic.peer_identity().unwrap().downcast::<Vec<rustls_pki_types::CertificateDer>>().unwrap();
        chain[0].clone()
    };
    let (first, second) = (certificate(ours.issue(&[APP_HOST], &[])), certificate(ours.issue(&[APP_HOST], &[])));
    let before = house.proxy.snapshot();
    let put = |one: &Arc<cardea_proxy::Certificate>| {
        let settings = Settings { certificates: vec![vec![Arc::clone(one)]], ..Settings::clone(&before.settings) };
        let snapshot =
            Snapshot { hosts: before.hosts.clone(), closed: before.closed.clone(), settings: settings.into() };
        house.proxy.swap(snapshot);
    };
    put(&first);
    let early = Client::connect(&house, &ours).await;
    assert_eq!(shown(&early), first.certified.cert[0]);
    put(&second);
    assert_eq!(early.get("/public").await.status(), 200, "an open connection goes on");
    let late = Client::connect(&house, &ours).await;
    assert_eq!(shown(&late), second.certified.cert[0]);
}

#[tokio::test]
async fn what_is_under_way_finishes_when_the_gateway_closes() {
    let (house, ours, service) = speaking_http3(|plan| plan).await;
    let (pieces, receiver) = mpsc::unbounded_channel();
    *service.pieces.lock().unwrap() = Some(receiver);
    pieces.send(Bytes::from_static(b"one")).unwrap();
    let (busy, idle) = (Client::connect(&house, &ours).await, Client::connect(&house, &ours).await);
    assert_eq!(idle.get("/public").await.status(), 200);
    let mut stream = busy.begin(get("/public/stream")).await;
    stream.finish().await.unwrap();
    assert_eq!(stream.recv_response().await.unwrap().status(), 200);
    assert!(stream.recv_data().await.unwrap().is_some());
    house.drain.begin();
    let closed = tokio::time::timeout(Duration::from_secs(2), idle.quic.closed()).await;
    let closed = closed.expect("an idle connection was left open");
    let quinn::ConnectionError::ApplicationClosed(close) = closed else { panic!("{closed:?}") };
    assert_eq!(close.error_code.into_inner(), Code::H3_NO_ERROR.value());
    pieces.send(Bytes::from_static(b"two")).unwrap();
    drop(pieces);
    let mut seen = Vec::new();
    while let Some(mut piece) = stream.recv_data().await.unwrap() {
        seen.extend_from_slice(&piece.copy_to_bytes(piece.remaining()));
    }
    assert_eq!(seen, b"two");
    tokio::time::timeout(Duration::from_secs(2), busy.quic.closed()).await.expect("it never ended");
    let late = tokio::time::timeout(Duration::from_secs(2), dial(&house, &Arc::new(config(&ours)), APP_HOST)).await;
    assert!(!matches!(late, Ok(Ok(_))), "nothing new is taken");
}

#[tokio::test]
async fn whoever_asks_for_nothing_is_told_to_end() {
    let limits = cardea_proxy::Limits { idle: Duration::from_millis(400), ..Default::default() };
    let (house, ours, _service) = speaking_http3(|plan| Plan { limits, ..plan }).await;
    let client = Client::connect(&house, &ours).await;
    assert_eq!(client.get("/public").await.status(), 200);
    tokio::time::timeout(Duration::from_secs(5), client.quic.closed()).await.expect("it was left open");
}
