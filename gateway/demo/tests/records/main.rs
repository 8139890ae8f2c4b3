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

mod callers;
mod work;

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
