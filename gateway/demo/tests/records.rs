//! The records service over real TLS: whom it answers, what it believes, and how it takes a renewed certificate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a story that cannot go on ends here")]

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_certs::{Authority, Issued, PrivateKey, Profile, Request, SpiffeId, TrustDomain};
use cardea_core::{Clock, TenantId, Timestamp, entropy::Fixed};
use cardea_demo::records::{self, Assertions, Identity, Options};
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::{
    ClientConfig,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
};
use serde_json::{Value, json};

/// TLS checks certificates against the machine's time, so these stories are told in it.
struct Now;
impl Clock for Now {
    fn now(&self) -> Timestamp {
        let since = UnixTime::now();
        Timestamp::from_secs(i64::try_from(since.as_secs()).unwrap())
    }
}

const ISSUER: &str = "http://acme.localhost:8080";
const HOUR: Duration = Duration::from_secs(3600);

struct World {
    entropy: Arc<Fixed>,
    root: Authority,
    acme: Authority,
    folder: PathBuf,
    address: std::net::SocketAddr,
    identity: Arc<Identity>,
    signer: EncodingKey,
    fetched: Arc<AtomicUsize>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

fn domain(tenant: &str) -> TrustDomain {
    TrustDomain::of_tenant(&TenantId::parse(tenant).unwrap(), "cardea.internal").unwrap()
}

fn issue(authority: &Authority, profile: &Profile, entropy: &Fixed) -> (Issued, PrivateKey) {
    let key = PrivateKey::generate(entropy).unwrap();
    let request = Request::parse(&key.request().unwrap()).unwrap();
    (authority.issue(profile, &request, HOUR, Now.now(), entropy).unwrap(), key)
}

fn service() -> Profile {
    Profile::Workload(SpiffeId::service(&domain("acme"), "records").unwrap())
}

/// Writes the files as the agent does; gives the serial.
fn place(folder: &Path, authority: &Authority, entropy: &Fixed) -> String {
    let (issued, key) = issue(authority, &service(), entropy);
    std::fs::write(folder.join("key.pem"), key.to_pem().expose()).unwrap();
    std::fs::write(folder.join("bundle.pem"), authority.bundle().to_pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), issued.to_pem()).unwrap();
    issued.facts.serial
}

async fn world(name: &str) -> World {
    let entropy = Arc::new(Fixed::new(1));
    let root = Authority::root(Now.now(), &*entropy).unwrap();
    let acme = root.intermediate(&domain("acme"), Now.now(), &*entropy).unwrap();
    let folder = std::env::temp_dir().join(format!("cardea-records-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    place(&folder, &acme, &entropy);
    let identity = Identity::from_folder(&folder).unwrap();
    let key = PrivateKey::generate(&*entropy).unwrap();
    let der = key.to_pkcs8();
    let public = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der()).unwrap();
    let public = public.public_key().as_ref().to_vec();
    let jwks = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": "k1", "alg": "ES256", "use": "sig",
        "x": URL_SAFE_NO_PAD.encode(&public[1..33]), "y": URL_SAFE_NO_PAD.encode(&public[33..]) }] });
    let fetched = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&fetched);
    let fetch: records::Fetch = Arc::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        let jwks = jwks.to_string();
        Box::pin(async move { Ok(jwks) })
    });
    let clock: Arc<dyn Clock> = Arc::new(Now);
    let options = Options {
        tenant: "Acme".into(),
        data: folder.join("records.json"),
        identity: Arc::clone(&identity),
        gateway: SpiffeId::gateway(&domain("acme")),
        assertions: Arc::new(Assertions::new(ISSUER.into(), "records".into(), fetch, Arc::clone(&clock))),
        clock,
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    tokio::spawn(async move {
        records::serve(listener, options, async {
            let _ = stopped.await;
        })
        .await
        .unwrap();
    });
    let signer = EncodingKey::from_ec_der(der.secret_pkcs8_der());
    World { entropy, root, acme, folder, address, identity, signer, fetched, _stop: stop }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Takes any server, and remembers its certificate.
#[derive(Debug, Default)]
struct Seen(Mutex<Option<CertificateDer<'static>>>);
impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = Some(end_entity.clone().into_owned());
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

struct Answer {
    status: StatusCode,
    location: Option<String>,
    body: String,
}

type Sender = hyper::client::conn::http1::SendRequest<Full<bytes::Bytes>>;

impl World {
    fn gateway(&self) -> Option<(Issued, PrivateKey)> {
        Some(issue(&self.acme, &Profile::Workload(SpiffeId::gateway(&domain("acme"))), &self.entropy))
    }

    /// Connects with a client certificate; gives the serial that the service showed.
    async fn connect(&self, client: Option<(Issued, PrivateKey)>) -> anyhow::Result<(Sender, String)> {
        let seen = Arc::new(Seen::default());
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&seen) as _);
        let config = match client {
            Some((issued, key)) => config.with_client_auth_cert(issued.chain, PrivateKeyDer::Pkcs8(key.to_pkcs8()))?,
            None => config.with_no_client_auth(),
        };
        let stream = tokio::net::TcpStream::connect(self.address).await?;
        let tls = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = tls.connect(ServerName::try_from("records.acme.localhost")?, stream).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        let der = seen.0.lock().unwrap().clone().unwrap();
        Ok((sender, cardea_certs::CertificateFacts::read(&der)?.serial))
    }

    async fn send(
        &self,
        sender: &mut Sender,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> anyhow::Result<Answer> {
        let mut request = http::Request::builder().method(method).uri(path).header("host", "records.acme.localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        sender.ready().await?;
        let response = sender.send_request(request.body(Full::new(body.to_owned().into()))?).await?;
        let location = response.headers().get("location").map(|at| at.to_str().unwrap().to_owned());
        let status = response.status();
        let body = String::from_utf8(response.into_body().collect().await?.to_bytes().to_vec())?;
        Ok(Answer { status, location, body })
    }

    fn claims(&self, name: &str) -> Value {
        let now = Now.now().as_secs();
        json!({ "iss": ISSUER, "aud": "records", "sub": format!("id-{name}"), "tenant": "acme", "assurance": 2,
            "amr": ["password", "totp"], "name": name, "iat": now, "nbf": now, "exp": now + 60 })
    }

    fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("k1".into());
        jsonwebtoken::encode(&header, claims, &self.signer).unwrap()
    }

    fn assertion(&self, name: &str) -> String {
        self.sign(&self.claims(name))
    }
}

const HTML: (&str, &str) = ("accept", "text/html");
const JSON: (&str, &str) = ("accept", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn only_the_gateway_acting_for_the_tenant_is_answered() {
    let world = world("only").await;
    let (mut sender, _) = world.connect(world.gateway()).await.unwrap();
    assert_eq!(world.send(&mut sender, Method::GET, "/about", &[HTML], "").await.unwrap().status, StatusCode::OK);

    let north = world.root.intermediate(&domain("north"), Now.now(), &*world.entropy).unwrap();
    let other_root = Authority::root(Now.now(), &Fixed::new(9)).unwrap();
    let other = other_root.intermediate(&domain("acme"), Now.now(), &Fixed::new(8)).unwrap();
    let gateway = |tenant| Profile::Workload(SpiffeId::gateway(&domain(tenant)));
    let strangers = [
        ("nobody", None),
        ("another service", Some(issue(&world.acme, &service(), &world.entropy))),
        ("another tenant's gateway", Some(issue(&north, &gateway("north"), &world.entropy))),
        ("another house's gateway", Some(issue(&other, &gateway("acme"), &world.entropy))),
    ];
    for (who, client) in strangers {
        // In TLS 1.3 the client may learn of its refusal only with the first answer.
        let refused = match world.connect(client).await {
            Err(_) => true,
            Ok((mut sender, _)) => world.send(&mut sender, Method::GET, "/about", &[HTML], "").await.is_err(),
        };
        assert!(refused, "{who} was answered");
    }
}

#[tokio::test]
async fn nothing_but_a_good_assertion_says_who_asks() {
    let world = world("assertion").await;
    let (mut sender, _) = world.connect(world.gateway()).await.unwrap();
    let good = world.assertion("Rui");
    let ok = world.send(&mut sender, Method::GET, "/studies", &[HTML, ("cardea-assertion", &good)], "").await.unwrap();
    assert_eq!(ok.status, StatusCode::OK);
    assert!(ok.body.contains("Rui") && ok.body.contains("S-12"));

    let with = |name: &str, value: Value| {
        let mut claims = world.claims("Rui");
        claims[name] = value;
        world.sign(&claims)
    };
    let past = Now.now().as_secs() - 120;
    let mut cut = good.clone();
    cut.truncate(good.rfind('.').unwrap() + 1);
    let none =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"k1"}"#), good.split('.').nth(1).unwrap());
    let bad = [
        ("another issuer", with("iss", json!("http://north.localhost:8080"))),
        ("another audience", with("aud", json!("ledger"))),
        ("expired", with("exp", json!(past))),
        ("not yet", with("nbf", json!(past + 3600))),
        ("no signature", cut),
        ("no algorithm", none),
        ("no token", "x".to_owned()),
    ];
    for (what, assertion) in bad {
        let headers = [HTML, ("cardea-assertion", assertion.as_str())];
        let answer = world.send(&mut sender, Method::GET, "/studies", &headers, "").await.unwrap();
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}");
    }
    let two = [HTML, ("cardea-assertion", good.as_str()), ("cardea-assertion", good.as_str())];
    assert_eq!(
        world.send(&mut sender, Method::GET, "/studies", &two, "").await.unwrap().status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        world.send(&mut sender, Method::GET, "/studies", &[HTML], "").await.unwrap().status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(world.fetched.load(Ordering::Relaxed), 1, "the keys were fetched more than once");
}

#[tokio::test]
async fn records_are_created_read_and_approved_by_somebody_else() {
    let world = world("work").await;
    let (mut sender, _) = world.connect(world.gateway()).await.unwrap();
    let (rui, ada) = (world.assertion("Rui"), world.assertion("Ada"));
    let eve = world.assertion("Eve");
    let eve = ("cardea-assertion", eve.as_str());
    let (rui, ada) = (("cardea-assertion", rui.as_str()), ("cardea-assertion", ada.as_str()));
    let form = "title=Swab+%3Cb%3E1&text=clean";
    let made = world.send(&mut sender, Method::POST, "/studies/S-15/records", &[rui, FORM], form).await.unwrap();
    assert_eq!((made.status, made.location.as_deref()), (StatusCode::SEE_OTHER, Some("/studies/S-15/records/R-1")));
    let page = world.send(&mut sender, Method::GET, "/studies/S-15/records/R-1", &[rui, HTML], "").await.unwrap();
    assert!(page.body.contains("Swab") && !page.body.contains("<b>1") && !page.body.contains("<button>Approve"));
    let at = "/studies/S-15/records/R-1/approve";
    assert_eq!(world.send(&mut sender, Method::POST, at, &[rui, HTML], "").await.unwrap().status, StatusCode::CONFLICT);
    assert_eq!(
        world.send(&mut sender, Method::POST, at, &[ada, HTML], "").await.unwrap().status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(world.send(&mut sender, Method::POST, at, &[eve, JSON], "").await.unwrap().status, StatusCode::CONFLICT);
    let read = world.send(&mut sender, Method::GET, "/studies/S-15/records/R-1", &[ada, JSON], "").await.unwrap();
    let read: Value = serde_json::from_str(&read.body).unwrap();
    assert_eq!((&read["approval"]["by"], &read["approval"]["assurance"]), (&json!("Ada"), &json!(2)));
    for body in ["", "title=&text=x", "title=x"] {
        let bad = world.send(&mut sender, Method::POST, "/studies/S-15/records", &[rui, FORM], body).await.unwrap();
        assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY, "{body:?}");
    }
    let cross = [rui, FORM, ("sec-fetch-site", "cross-site")];
    let cross = world.send(&mut sender, Method::POST, "/studies/S-15/records", &cross, form).await.unwrap();
    assert_eq!(cross.status, StatusCode::FORBIDDEN);
    assert_eq!(
        world.send(&mut sender, Method::GET, "/studies/S-0", &[rui, HTML], "").await.unwrap().status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_dropping_who_is_connected() {
    let world = world("renewed").await;
    let (mut old, first) = world.connect(world.gateway()).await.unwrap();
    let next = place(&world.folder, &world.acme, &world.entropy);
    world.identity.reload().unwrap();
    let (mut new, second) = world.connect(world.gateway()).await.unwrap();
    assert_eq!(second, next);
    assert_ne!(first, second);
    for sender in [&mut old, &mut new] {
        assert_eq!(world.send(sender, Method::GET, "/about", &[HTML], "").await.unwrap().status, StatusCode::OK);
    }
    std::fs::write(world.folder.join("key.pem"), "half a key").unwrap();
    world.identity.reload().unwrap_err();
    assert_eq!(world.connect(world.gateway()).await.unwrap().1, second, "a bad file took the good certificate away");
}

#[tokio::test]
async fn changes_are_told_over_a_websocket_and_what_is_said_comes_back() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = world("socket").await;
    let (mut sender, _) = world.connect(world.gateway()).await.unwrap();
    let rui = world.assertion("Rui");
    let request = http::Request::get("/ws")
        .header("host", "records.acme.localhost")
        .header("cardea-assertion", &rui)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(Full::default())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut socket = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    // "hi", masked with zeroes.
    socket.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']).await.unwrap();
    let mut echo = [0; 4];
    socket.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, &[0x81, 2, b'h', b'i']);
    let (mut other, _) = world.connect(world.gateway()).await.unwrap();
    let form = "title=Rinse&text=clean";
    let headers = [("cardea-assertion", rui.as_str()), FORM];
    world.send(&mut other, Method::POST, "/studies/S-15/records", &headers, form).await.unwrap();
    let mut head = [0; 2];
    socket.read_exact(&mut head).await.unwrap();
    let mut told = vec![0; usize::from(head[1])];
    socket.read_exact(&mut told).await.unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!((&told["what"], &told["record"]), (&json!("created"), &json!("R-1")));
}
