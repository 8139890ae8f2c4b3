//! Calls that the gateway itself makes to others (providers' discovery, keys and tokens): bounded in time and size,
//! never following redirects, so that an answer can only be what the named host said.

use std::{
    future::Future,
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
    vec,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector, dns::Name},
    },
    rt::{TokioExecutor, TokioTimer},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};

/// Calls other servers. Cheap to clone.
#[derive(Clone)]
pub struct OutgoingClient {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
}

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallFault {
    /// The other side cannot be reached, or broke off.
    #[error("`{host}` cannot be reached: {cause}")]
    Unreachable {
        /// Who was called.
        host: String,
        /// What went wrong.
        cause: String,
    },
    /// No answer in time.
    #[error("`{0}` did not answer in time")]
    TimedOut(String),
    /// An answer larger than any honest one.
    #[error("the answer of `{0}` is too large or broke off")]
    BadAnswer(String),
    /// The client itself cannot be set up.
    #[error("{0}")]
    Setup(String),
}

/// Ten seconds: a person is waiting at the sign-in page.
const LIMIT: Duration = Duration::from_secs(10);
/// One mebibyte: the largest key sets in the wild take a few dozen kilobytes.
const LARGEST: usize = 1024 * 1024;

impl OutgoingClient {
    /// A client that trusts the system's roots.
    pub fn new() -> Result<Self, CallFault> {
        let tls = rustls::ClientConfig::builder().try_with_platform_verifier().map_err(setup)?.with_no_client_auth();
        Ok(Self::over(tls))
    }

    /// A client that trusts only the roots in a PEM file.
    pub fn with_roots(file: &Path) -> Result<Self, CallFault> {
        let mut roots = rustls::RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(file).map_err(setup)?;
        for certificate in certificates {
            roots.add(certificate.map_err(setup)?).map_err(setup)?;
        }
        Ok(Self::over(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
    }

    fn over(tls: rustls::ClientConfig) -> Self {
        // Providers on loopback may speak plain HTTP; what is allowed to be plain is checked with the resource.
        let mut plain = HttpConnector::new_with_resolver(Resolver);
        plain.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(plain);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(4)
            .build(connector);
        Self { client }
    }

    /// Sends a request and reads the whole answer.
    pub async fn call(&self, request: Request<Vec<u8>>) -> Result<Response<Bytes>, CallFault> {
        let host = request.uri().authority().map_or_else(String::new, ToString::to_string);
        let request = request.map(|body| Full::new(Bytes::from(body)));
        let exchange = async {
            let answer = self.client.request(request).await.map_err(|error| CallFault::Unreachable {
                host: host.clone(),
                cause: crate::house::with_causes(&error),
            })?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, LARGEST).collect().await.map_err(|_| CallFault::BadAnswer(host.clone()))?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        tokio::time::timeout(LIMIT, exchange).await.map_err(|_| CallFault::TimedOut(host.clone()))?
    }
}

fn setup(error: impl std::fmt::Display) -> CallFault {
    CallFault::Setup(error.to_string())
}

/// Asks the system for addresses, but for `localhost` and all below it: they are this machine (RFC 6761 section 6.3),
/// which not every system's resolver knows.
#[derive(Debug, Clone, Copy)]
struct Resolver;

impl tower::Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            let host = name.as_str();
            if host == "localhost" || host.ends_with(".localhost") {
                let here = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))];
                return Ok(here.into_iter());
            }
            let found: Vec<_> = tokio::net::lookup_host((host, 0)).await?.collect();
            Ok(found.into_iter())
        })
    }
}
