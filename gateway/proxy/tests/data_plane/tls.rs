//! TLS on both sides: who may answer for an app, and under which name a request may come.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use cardea_core::Reason;
use cardea_proxy::{
    Body, ClientCertificate, Connection, Description, Door, Listener, Security, Transport, Vouched, upstream::tls,
};
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http2, ext::Protocol};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose as Usage, IsCa, Issuer, KeyPair, SanType};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::{ResolvesClientCert, WantsClientCert},
    crypto::aws_lc_rs,
    server::WebPkiClientVerifier,
    sign::{CertifiedKey, SingleCertAndKey},
    time_provider::TimeProvider,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

use crate::{
    house::{APP_HOST, House, Plan, SIGN_IN_HOST},
    service::Service,
};

const GATEWAY: &str = "spiffe://acme.cardea.internal/gateway";
const RECORDS: &str = "spiffe://acme.cardea.internal/service/records";

pub(crate) struct Authority {
    pub(crate) certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

pub(crate) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // What has its issuer's name is taken by some for self-signed.
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority of the tests");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn issue(&self, hosts: &[&str], uris: &[&str]) -> Identity {
        self.issue_until(hosts, uris, 4000)
    }

    /// One that is valid until the first of January of that year.
    fn issue_until(&self, hosts: &[&str], uris: &[&str], year: i32) -> Identity {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.subject_alt_names.extend(uris.iter().map(|&uri| SanType::URI(uri.try_into().unwrap())));
        params.extended_key_usages = vec![Usage::ServerAuth, Usage::ClientAuth];
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        roots
    }

    /// A server that shows `identity` and, if `asks`, wants a certificate of ours from the client.
    pub(crate) fn server(&self, identity: Identity, asks: Option<bool>) -> ServerConfig {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let verifier = |required: bool| {
            let builder = WebPkiClientVerifier::builder_with_provider(self.roots().into(), provider);
            let builder = if required { builder } else { builder.allow_unauthenticated() };
            builder.build().unwrap()
        };
        let builder = builder.unwrap();
        let (chain, key) = identity;
        match asks {
            None => builder.with_no_client_auth().with_single_cert(chain, key),
            Some(required) => builder.with_client_cert_verifier(verifier(required)).with_single_cert(chain, key),
        }
        .unwrap()
    }

    pub(crate) fn client(&self) -> rustls::ConfigBuilder<ClientConfig, WantsClientCert> {
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots())
    }
}

fn shows(identity: Identity) -> Arc<dyn ResolvesClientCert> {
    let (chain, key) = identity;
    let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
    Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)))
}

/// A service over mTLS.
async fn service(config: ServerConfig) -> (Service, SocketAddr) {
    let service = Service::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (serving, acceptor) = (service.clone(), TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            *serving.connections.lock().unwrap() += 1;
            let (serving, acceptor) = (serving.clone(), acceptor.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serving.serve(stream).await;
                }
            });
        }
    });
    (service, address)
}

/// What a gateway that expects [`RECORDS`] under `ours` says when the service shows `identity`.
async fn said(ours: &Authority, identity: Identity, gateway: Identity) -> (u16, Option<String>) {
    let (_, address) = service(ours.server(identity, Some(true))).await;
    let mut plan = Plan::at(&format!("https://{address}"));
    let config = tls::mutual(std::slice::from_ref(&ours.certificate), RECORDS, shows(gateway)).unwrap();
    plan.transport = Transport::Tls(config);
    let house = plan.open().await;
    let reply = house.ask("GET /public", "").await;
    (reply.status(), reply.reason())
}

#[tokio::test]
async fn only_the_named_service_under_the_tenants_authority_is_spoken_to() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let gateway = || ours.issue(&[], &[GATEWAY]);
    assert_eq!(said(&ours, ours.issue(&[], &[RECORDS]), gateway()).await.0, 200);
    for wrong in [
        ours.issue(&[], &["spiffe://acme.cardea.internal/service/other"]),
        ours.issue(&[], &["spiffe://globex.cardea.internal/service/records"]),
        ours.issue(&[], &["spiffe://acme.cardea.internal/service/records/"]),
        ours.issue(&[], &["SPIFFE://acme.cardea.internal/service/records"]),
        ours.issue(&[], &[RECORDS, "spiffe://acme.cardea.internal/service/other"]),
        ours.issue(&["127.0.0.1"], &[]),
        theirs.issue(&[], &[RECORDS]),
    ] {
        let (status, reason) = said(&ours, wrong, gateway()).await;
        assert_eq!((status, reason.as_deref()), (502, Some("upstream-identity")));
    }
}

#[tokio::test]
async fn a_service_that_does_not_accept_the_gateway_is_an_identity_fault() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (status, reason) = said(&ours, ours.issue(&[], &[RECORDS]), theirs.issue(&[], &[GATEWAY])).await;
    assert_eq!((status, reason.as_deref()), (502, Some("upstream-identity")));
}

/// A clock for handshakes, at the first of January 2030.
#[derive(Debug)]
struct In2030;

impl TimeProvider for In2030 {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(1_893_456_000)))
    }
}

#[tokio::test]
async fn a_connection_takes_no_request_once_a_certificate_has_ended() {
    let ours = Authority::new();
    for (theirs, gateway, connections) in [(2031, 2031, 1), (2030, 2031, 2), (2031, 2030, 2), (2031, 2029, 2)] {
        let identity = ours.issue_until(&[], &[RECORDS], theirs);
        let (service, address) = service(ours.server(identity, None)).await;
        let mut plan = Plan::at(&format!("https://{address}"));
        let gateway = shows(ours.issue_until(&[], &[GATEWAY], gateway));
        let config = tls::mutual(std::slice::from_ref(&ours.certificate), RECORDS, gateway).unwrap();
        let mut config = Arc::unwrap_or_clone(config);
        config.time_provider = Arc::new(In2030);
        plan.transport = Transport::Tls(Arc::new(config));
        let house = plan.open().await;
        for _ in 0..2 {
            assert_eq!(house.ask("GET /public", "").await.status(), 200);
        }
        assert_eq!(*service.connections.lock().unwrap(), connections);
    }
}

#[tokio::test]
async fn a_public_service_is_known_by_its_host_name() {
    let ours = Authority::new();
    for (name, status) in [("localhost", 200), ("other.test", 502)] {
        let (_, address) = service(ours.server(ours.issue(&[name], &[]), None)).await;
        let mut plan = Plan::at(&format!("https://localhost:{}", address.port()));
        plan.transport = Transport::Tls(tls::public(Some(std::slice::from_ref(&ours.certificate))).unwrap());
        assert_eq!(plan.open().await.ask("GET /public", "").await.status(), status, "{name}");
    }
}

/// A gateway over TLS for both of its hosts.
pub(crate) async fn secured(door: Door) -> (House, Authority, Service) {
    let ours = Authority::new();
    let (service, url) = Service::start().await;
    let mut plan = Plan::at(&url);
    let asks = (door == Door::Machines).then_some(false);
    plan.security = Security::Tls(Arc::new(ours.server(ours.issue(&[APP_HOST, SIGN_IN_HOST], &[]), asks)));
    plan.door = door;
    (plan.open().await, ours, service)
}

pub(crate) async fn connect(house: &House, mut config: ClientConfig, name: &str, alpn: &[u8]) -> TlsStream<TcpStream> {
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect(house.address).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

async fn over_http1(house: &House, config: ClientConfig, sni: &str, host: &str, line: &str) -> String {
    let mut stream = connect(house, config, sni, b"http/1.1").await;
    let request = format!("{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut reply)).await.unwrap();
    String::from_utf8_lossy(&reply).into_owned()
}

#[tokio::test]
async fn a_request_must_be_for_the_name_that_the_connection_was_opened_for() {
    let (house, ours, service) = secured(Door::Public).await;
    let client = || ours.client().with_no_client_auth();
    let reply = over_http1(&house, client(), APP_HOST, APP_HOST, "GET /public").await;
    assert!(reply.starts_with("HTTP/1.1 200 ") && reply.contains("strict-transport-security: "), "{reply}");
    assert_eq!(service.last().header("x-forwarded-proto"), Some("https"));
    let reply = over_http1(&house, client(), SIGN_IN_HOST, APP_HOST, "GET /public").await;
    assert!(reply.starts_with("HTTP/1.1 421 ") && reply.contains("misdirected"), "{reply}");
    assert_eq!(service.count(), 1);
}

pub(crate) type Http2 = http2::SendRequest<Empty<Bytes>>;

pub(crate) async fn http2(house: &House, ours: &Authority) -> Http2 {
    let stream = connect(house, ours.client().with_no_client_auth(), APP_HOST, b"h2").await;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn over_http2(sender: &mut Http2, authority: &str, host: Option<&str>) -> Response<Incoming> {
    let mut request = Request::builder().version(Version::HTTP_2).uri(format!("https://{authority}/public"));
    if let Some(host) = host {
        request = request.header("host", host);
    }
    sender.send_request(request.body(Empty::new()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn http2_is_decided_like_http1() {
    let (house, ours, service) = secured(Door::Public).await;
    let mut sender = http2(&house, &ours).await;
    let reply = over_http2(&mut sender, APP_HOST, None).await;
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.into_body().collect().await.unwrap().to_bytes(), "heard");
    assert_eq!(over_http2(&mut sender, SIGN_IN_HOST, None).await.status(), 421);
    assert_eq!(over_http2(&mut sender, APP_HOST, Some(SIGN_IN_HOST)).await.status(), 400);
    assert_eq!(over_http2(&mut sender, APP_HOST, Some(APP_HOST)).await.status(), 200);
    assert_eq!(service.count(), 2);
}

#[tokio::test]
async fn a_head_is_no_longer_over_http2_than_over_http1() {
    let (house, ours, service) = secured(Door::Public).await;
    let mut sender = http2(&house, &ours).await;
    for (length, status) in [(30_000, 200), (33_000, 431)] {
        let request = Request::builder().version(Version::HTTP_2).uri(format!("https://{APP_HOST}/public"));
        let request = request.header("x-own", "a".repeat(length)).body(Empty::new()).unwrap();
        assert_eq!(sender.send_request(request).await.unwrap().status(), status, "{length}");
    }
    assert_eq!(service.count(), 1);
}

#[tokio::test]
async fn no_reason_is_taken_from_a_client_over_http2() {
    let (house, ours, service) = secured(Door::Public).await;
    let mut sender = http2(&house, &ours).await;
    let request = Request::builder().version(Version::HTTP_2).uri(format!("https://{APP_HOST}/public"));
    let request = request.header("cardea-refused", "log-unavailable").body(Empty::new()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 400);
    assert_eq!(house.ends(), [(400, Some(Reason::BadHeader))]);
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn a_websocket_comes_through_http2() {
    let (house, ours, _) = secured(Door::Public).await;
    let cookie = house.chemist().replace("cardea=", "__Host-cardea=");
    let mut sender = http2(&house, &ours).await;
    assert_eq!(over_http2(&mut sender, APP_HOST, None).await.status(), 200);
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("https://{APP_HOST}/ws"))
        .extension(Protocol::from_static("websocket"))
        .header("cookie", cookie)
        .header("origin", format!("https://{APP_HOST}"))
        .header("sec-websocket-version", "13")
        .body(Empty::new())
        .unwrap();
    let mut reply = sender.send_request(request).await.unwrap();
    assert_eq!(reply.status(), StatusCode::OK);
    let mut tunnel = TokioIo::new(hyper::upgrade::on(&mut reply).await.unwrap());
    tunnel.write_all(b"\x81\x02hi").await.unwrap();
    let mut back = [0; 4];
    tokio::time::timeout(Duration::from_secs(5), tunnel.read_exact(&mut back)).await.unwrap().unwrap();
    assert_eq!(&back, b"\x81\x02hi");
}

#[tokio::test]
async fn nothing_for_machines_is_served_at_the_public_door() {
    let (house, ours, _) = secured(Door::Public).await;
    for line in ["GET /ca/roots", "POST /ca/enrol", "POST /ca/renew", "GET /ca", "GET /ca/"] {
        let reply = over_http1(&house, ours.client().with_no_client_auth(), SIGN_IN_HOST, SIGN_IN_HOST, line).await;
        assert!(reply.starts_with("HTTP/1.1 404 ") && reply.contains("not-found"), "{line}: {reply}");
    }
}

#[tokio::test]
async fn the_machines_door_knows_workloads_and_opens_nothing_else() {
    let (house, ours, _) = secured(Door::Machines).await;
    let workload = |uris: &[&str]| {
        let (chain, key) = ours.issue(&[], uris);
        ours.client().with_client_auth_cert(chain, key).unwrap()
    };
    let nobody = || ours.client().with_no_client_auth();
    let ask = async |config, host, path| over_http1(&house, config, host, host, &format!("GET {path}")).await;
    let post = async |config| over_http1(&house, config, SIGN_IN_HOST, SIGN_IN_HOST, "POST /ca/renew").await;
    assert!(ask(nobody(), SIGN_IN_HOST, "/ca/roots").await.contains("cardea-machines /ca/roots"));
    assert!(post(workload(&[RECORDS])).await.starts_with("HTTP/1.1 200 "));
    assert!(!post(nobody()).await.starts_with("HTTP/1.1 2"));
    let foreign = ask(workload(&["spiffe://globex.cardea.internal/service/records"]), SIGN_IN_HOST, "/ca/renew").await;
    assert!(foreign.starts_with("HTTP/1.1 403 ") && foreign.contains("certificate-rejected"), "{foreign}");
    let near = ask(workload(&["spiffe://acme.cardea.internal.evil/x"]), SIGN_IN_HOST, "/ca/renew").await;
    assert!(near.starts_with("HTTP/1.1 403 "), "{near}");
    assert!(ask(workload(&[RECORDS]), APP_HOST, "/public").await.starts_with("HTTP/1.1 404 "));
    assert!(ask(workload(&[RECORDS]), SIGN_IN_HOST, "/admin/").await.starts_with("HTTP/1.1 404 "));
    assert_eq!(ask(workload(&[RECORDS, GATEWAY]), SIGN_IN_HOST, "/ca/renew").await, "", "two names are none");
}

/// Long enough for a certificate until 2028 to end, from when these tests take place.
const BEYOND_2028: i64 = 31_000_000;

/// A handshake proves who somebody was: a connection that outlives the certificate speaks for nobody.
#[tokio::test]
async fn a_connection_speaks_for_its_client_no_longer_than_the_certificate() {
    let (house, ours, _) = secured(Door::Machines).await;
    let client = || {
        let (chain, key) = ours.issue_until(&[], &[RECORDS], 2028);
        ours.client().with_client_auth_cert(chain, key).unwrap()
    };
    let mut old = connect(&house, client(), SIGN_IN_HOST, b"http/1.1").await;
    let request = format!("POST /ca/renew HTTP/1.1\r\nhost: {SIGN_IN_HOST}\r\ncontent-length: 0\r\n\r\n");
    old.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("permits=1") {
        assert!(old.read_buf(&mut seen).await.unwrap() > 0);
    }
    let stream = connect(&house, client(), SIGN_IN_HOST, b"h2").await;
    let (mut new, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut post = async || {
        let request = Request::post(format!("https://{SIGN_IN_HOST}/ca/renew")).version(Version::HTTP_2);
        new.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap().status()
    };
    assert_eq!(post().await, 200);

    house.pass(BEYOND_2028);
    old.write_all(request.as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    // Also where there is no word of farewell, it is an end.
    let _ = tokio::time::timeout(Duration::from_secs(5), old.read_to_end(&mut rest)).await.expect("it stays open");
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.starts_with("HTTP/1.1 401 ") && rest.contains("certificate-ended"), "{rest}");
    assert!(rest.contains("connection: close") && !rest.contains("permits="), "{rest}");
    assert_eq!(post().await, 401);
    let _ = tokio::time::timeout(Duration::from_secs(5), connection).await.expect("it stays open");
    let ended = (401, Some(Reason::CertificateEnded));
    assert_eq!(house.ends(), [(200, None), (200, None), ended, ended]);
}

/// A question over gRPC comes on a connection that may be kept for days.
#[tokio::test]
async fn a_question_is_nobody_s_once_the_certificate_has_ended() {
    let ours = Authority::new();
    let house = Plan::carried("dialect = 'envoy'").open().await;
    let mut connection = Connection::plain("127.0.0.1:1".parse().unwrap(), Door::Asked);
    let (chain, _) = ours.issue_until(&[], &["spiffe://acme.cardea.internal/service/envoy"], 2028);
    connection.certificate = ClientCertificate::read(&chain[0]).map(Arc::new);
    let connection = Arc::new(connection);
    let ask = async || {
        let mut request = Request::new(Body::empty());
        request.extensions_mut().insert(Description {
            method: "GET".to_owned(),
            scheme: "http".to_owned(),
            authority: APP_HOST.to_owned(),
            target: "/public".to_owned(),
            client: "192.0.2.1".parse().unwrap(),
        });
        let response = house.proxy.handle(&connection, request).await;
        (response.status().as_u16(), response.extensions().get::<Vouched>().is_some())
    };
    assert_eq!(ask().await, (200, true));
    assert!(tokio::time::timeout(Duration::from_millis(50), connection.ending(&house.proxy)).await.is_err());
    house.pass(BEYOND_2028);
    assert_eq!(ask().await, (401, false));
    assert!(connection.certificate.as_ref().unwrap().has_ended());
    connection.ending(&house.proxy).await;
    assert_eq!(house.ends().last(), Some(&(401, Some(Reason::CertificateEnded))));
}

#[test]
fn plain_http_stays_on_this_machine() {
    let beyond = Listener::bind("0.0.0.0:0".parse().unwrap(), Security::Plain, Door::Public);
    assert!(beyond.err().unwrap().to_string().contains("not loopback"));
    assert!(!Connection::plain("127.0.0.1:1".parse().unwrap(), Door::Public).tls);
}
