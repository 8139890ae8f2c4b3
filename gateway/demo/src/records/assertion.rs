//! Who the caller is, by the signed assertion of the gateway and nothing else: signature, issuer, audience and time are
//! checked here with a library, as any protected service would.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use cardea_core::{Clock, Timestamp};
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde::Deserialize;

/// Gets the JWKS of the gateway, as text.
pub type Fetch = Arc<dyn Fn() -> BoxFuture<'static, anyhow::Result<String>> + Send + Sync>;

/// The caller, as the gateway asserts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Caller {
    /// The user's id.
    pub sub: String,
    /// The tenant.
    pub tenant: String,
    /// How strongly the caller is signed in.
    pub assurance: u8,
    /// The factors used.
    #[serde(default)]
    pub amr: Vec<String>,
    /// The address, where the app asks for it.
    #[serde(default)]
    pub email: Option<String>,
    /// The name, where the app asks for it.
    #[serde(default)]
    pub name: Option<String>,
    /// From when the assertion is good, in seconds.
    #[serde(default)]
    nbf: i64,
    /// Until when, in seconds.
    exp: i64,
}

impl Caller {
    /// What pages call the caller.
    pub fn label(&self) -> &str {
        self.name.as_deref().or(self.email.as_deref()).unwrap_or(&self.sub)
    }
}

/// Why an assertion is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The text is no assertion of the gateway for this service.
    #[error("the assertion does not verify: {0}")]
    Invalid(String),
    /// The gateway's keys cannot be had.
    #[error("the gateway's keys cannot be fetched: {0:#}")]
    NoKeys(anyhow::Error),
}

/// Least time between two fetches: a forged key id must not make us ask the gateway with every request.
const COOL_DOWN: Duration = Duration::from_secs(5);

/// What two clocks on one network may differ by, in seconds.
const LEEWAY: i64 = 5;

/// Checks assertions with the gateway's keys, which it fetches when it meets one that it does not know.
pub struct Assertions {
    issuer: String,
    audience: String,
    fetch: Fetch,
    clock: Arc<dyn Clock>,
    keys: Mutex<Keys>,
}

#[derive(Default)]
struct Keys {
    set: Option<Arc<JwkSet>>,
    fetched_at: Option<Timestamp>,
}

impl Assertions {
    /// Believes assertions of `issuer` for `audience` only.
    pub fn new(issuer: String, audience: String, fetch: Fetch, clock: Arc<dyn Clock>) -> Self {
        Self { issuer, audience, fetch, clock, keys: Mutex::new(Keys::default()) }
    }

    /// The caller that the assertion names.
    pub async fn verify(&self, assertion: &str) -> Result<Caller, Refusal> {
        let invalid = |error: jsonwebtoken::errors::Error| Refusal::Invalid(error.to_string());
        let header = decode_header(assertion).map_err(invalid)?;
        let kid = header.kid.ok_or_else(|| Refusal::Invalid("it names no key".to_owned()))?;
        let keys = self.keys_with(&kid).await?;
        let jwk = keys.find(&kid).ok_or_else(|| Refusal::Invalid(format!("key `{kid}` is unknown")))?;
        let key = DecodingKey::from_jwk(jwk).map_err(invalid)?;
        // The algorithm is the key's own, never the one that the assertion's header claims.
        let algorithm = match &jwk.algorithm {
            jsonwebtoken::jwk::AlgorithmParameters::EllipticCurve(_) => Algorithm::ES256,
            jsonwebtoken::jwk::AlgorithmParameters::OctetKeyPair(_) => Algorithm::EdDSA,
            _ => return Err(Refusal::Invalid("its key is of a kind that the gateway has not".to_owned())),
        };
        let mut rules = Validation::new(algorithm);
        rules.set_issuer(&[&self.issuer]);
        rules.set_audience(&[&self.audience]);
        rules.set_required_spec_claims(&["iss", "aud", "exp"]);
        // Time is checked below, by the clock given.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        let caller = decode::<Caller>(assertion, &key, &rules).map_err(invalid)?.claims;
        let now = self.clock.now().as_secs();
        if now > caller.exp + LEEWAY || now + LEEWAY < caller.nbf {
            return Err(Refusal::Invalid("its time is past, or not yet come".to_owned()));
        }
        Ok(caller)
    }

    /// The keys, fetched again if none is named so and the last fetch is not just past.
    async fn keys_with(&self, kid: &str) -> Result<Arc<JwkSet>, Refusal> {
        let now = self.clock.now();
        {
            let mut held = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = held.fetched_at.is_some_and(|at| now.since(at) < COOL_DOWN);
            if let Some(set) = &held.set
                && (set.find(kid).is_some() || fresh)
            {
                return Ok(Arc::clone(set));
            }
            held.fetched_at = Some(now);
        }
        let text = (self.fetch)().await.map_err(Refusal::NoKeys)?;
        let set: JwkSet = serde_json::from_str(&text).map_err(|error| Refusal::NoKeys(error.into()))?;
        let set = Arc::new(set);
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).set = Some(Arc::clone(&set));
        Ok(set)
    }
}

impl std::fmt::Debug for Assertions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assertions").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Longest answer read: a JWKS of a few keys has under 2 KiB.
const MAX_BODY: usize = 64 * 1024;

/// Fetches `path` from the gateway's plain listener at `address`, with `host` (and its port) as the host asked for: the
/// `*.localhost` names resolve in browsers, not everywhere else.
pub fn fetch_over_http(address: SocketAddr, host: String, path: String) -> Fetch {
    Arc::new(move || {
        let (host, path) = (host.clone(), path.clone());
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(address).await.context("the gateway cannot be reached")?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            let running = tokio::spawn(connection);
            let request =
                http::Request::get(path).header(http::header::HOST, host).body(Empty::<bytes::Bytes>::new())?;
            let response = sender.send_request(request).await?;
            ensure!(response.status().is_success(), "the gateway answered {}", response.status());
            let body =
                Limited::new(response.into_body(), MAX_BODY).collect().await.map_err(|error| anyhow::anyhow!(error))?;
            running.abort();
            Ok(String::from_utf8(body.to_bytes().to_vec())?)
        })
    })
}
