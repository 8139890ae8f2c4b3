//! What a TLS client may take over from an earlier connection: a session of the same name, and nothing else. No request
//! comes before its handshake is complete, and nothing older than TLS 1.2 is spoken.

use std::sync::{Arc, Mutex};

use cardea_proxy::Door;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, NamedGroup, SupportedProtocolVersion,
    client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue},
    crypto::aws_lc_rs,
};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    house::{APP_HOST, House, SIGN_IN_HOST},
    tls::{Authority, secured},
};

/// Sessions of any name, offered under every other.
#[derive(Debug, Default)]
struct Careless {
    stateful: Mutex<Option<Tls12ClientSessionValue>>,
    /// The newest is offered first.
    tickets: Mutex<Vec<Tls13ClientSessionValue>>,
}

impl ClientSessionStore for Careless {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        *self.stateful.lock().unwrap() = Some(value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.stateful.lock().unwrap().clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.tickets.lock().unwrap().push(value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.tickets.lock().unwrap().pop()
    }
}

fn client(ours: &Authority, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(ours.roots())
        .with_no_client_auth();
    config.resumption = Resumption::store(Arc::new(Careless::default()));
    config.enable_early_data = true;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Connects under a name and asks for something there, so that all that follows a handshake has come, too.
async fn visit(house: &House, config: &Arc<ClientConfig>, host: &str) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(house.address).await.unwrap();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply).await;
    assert!(reply.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&reply));
    stream
}

#[tokio::test]
async fn a_session_is_taken_up_under_its_own_name_only() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let (house, ours, _service) = secured(Door::Public).await;
        let config = client(&ours, version);
        let mut kinds = Vec::new();
        for host in [APP_HOST, APP_HOST, SIGN_IN_HOST, SIGN_IN_HOST] {
            let stream = visit(&house, &config, host).await;
            let session = stream.get_ref().1;
            kinds.push(session.handshake_kind().unwrap());
            let name = ServerName::try_from(host).unwrap();
            let mut next = ClientConnection::new(Arc::clone(&config), name).unwrap();
            assert!(next.early_data().is_none(), "{version:?} {host}: a request may come before the handshake");
        }
        use HandshakeKind::{Full, Resumed};
        // The third offers what it had of the first name.
        assert_eq!(kinds, [Full, Resumed, Full, Resumed], "{version:?}");
    }
}

#[tokio::test]
async fn a_workload_shows_its_certificate_each_time() {
    let (house, ours, _service) = secured(Door::Machines).await;
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = client(&ours, version);
        for _ in 0..2 {
            let stream = visit(&house, &config, SIGN_IN_HOST).await;
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full), "{version:?}");
        }
    }
}

#[tokio::test]
async fn nothing_older_than_tls_1_2_is_spoken() {
    let (house, _ours, _service) = secured(Door::Public).await;
    for minor in [0, 1, 2] {
        // A whole ClientHello of SSL 3.0, TLS 1.0 and TLS 1.1, with two suites that each knew.
        let body = [&[3, minor][..], &[7; 32], &[0, 0, 4, 0xc0, 0x13, 0, 0x2f, 1, 0]].concat();
        let length = u8::try_from(body.len()).unwrap();
        let hello = [&[1, 0, 0, length][..], &body].concat();
        let record = [&[0x16, 3, minor.min(1), 0, length + 4][..], &hello].concat();
        let mut stream = TcpStream::connect(house.address).await.unwrap();
        stream.write_all(&record).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let [0x15, _, _, 0, 2, 2, reason] = answer[..] else { panic!("3.{minor}: no fatal alert: {answer:?}") };
        assert!([40, 47, 50, 70].contains(&reason), "3.{minor}: {reason}");
    }
    assert_eq!(house.figure(r#"cardea_tls_handshakes_total{end="done"}"#), 0);
    assert!(house.ends().is_empty());
}
