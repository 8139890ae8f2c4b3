//! One call to the machines listener: TLS with the roots given, the host's name checked, our certificate shown if we
//! have one, bounded in time and size.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use cardea_certs::pem;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use super::{AgentFault, files::Identity};
use crate::ca::Given;

/// A way to one server.
pub(super) struct Channel {
    server: Url,
    tls: TlsConnector,
}

/// Thirty seconds for a call: signing takes a millisecond, a slow network some seconds.
const LIMIT: Duration = Duration::from_secs(30);
/// Largest answer: a chain of two and a bundle have under 8 KiB.
const LARGEST: usize = 256 * 1024;
/// Where nothing else is said.
const HTTPS: u16 = 443;

impl Channel {
    pub(super) fn new(server: &Url, roots: &str, identity: Option<Identity>) -> Result<Self, AgentFault> {
        let unusable = |cause: String| AgentFault::Unreachable { server: server.to_string(), cause, help: None };
        if server.scheme() != "https" || server.host_str().is_none() {
            return Err(unusable("its address is not `https://host:port`".to_owned()));
        }
        let mut store = RootCertStore::empty();
        for root in pem::certificates(roots)? {
            store.add(root).map_err(|error| unusable(format!("a root cannot be used: {error}")))?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| unusable(error.to_string()))?
            .with_root_certificates(store);
        let mut config = match identity {
            Some(Identity { chain, key }) => {
                config.with_client_auth_cert(chain, key).map_err(|error| unusable(error.to_string()))?
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Each renewal shows the certificate itself.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self { server: server.clone(), tls: TlsConnector::from(Arc::new(config)) })
    }

    /// Posts JSON and reads a certificate.
    pub(super) async fn post(&self, path: &str, body: &serde_json::Value) -> Result<Given, AgentFault> {
        let called = tokio::time::timeout(LIMIT, self.call(path, body.to_string())).await;
        let (status, body) = match called {
            Ok(Ok(answer)) => answer,
            Ok(Err(cause)) => return Err(self.unreachable(format!("{cause:#}"), help(&cause))),
            Err(_) => {
                let cause = format!("no answer within {} s", LIMIT.as_secs());
                return Err(self.unreachable(cause, Some(NOBODY)));
            }
        };
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|_| AgentFault::BadAnswer(self.server.to_string()));
        }
        if status.is_server_error() {
            return Err(self.unreachable(format!("it answered {status}"), None));
        }
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |name: &str, else_: &str| problem[name].as_str().unwrap_or(else_).to_owned();
        Err(AgentFault::Refused {
            server: self.server.to_string(),
            reason: text("reason", status.as_str()),
            detail: text("detail", "it gave no detail"),
            request: text("request_id", "unknown"),
        })
    }

    async fn call(&self, path: &str, body: String) -> anyhow::Result<(http::StatusCode, Bytes)> {
        let host = self.server.host_str().unwrap_or_default();
        let port = self.server.port().unwrap_or(HTTPS);
        // RFC 6761 section 6.3: names below `localhost` are this machine's, whatever a resolver says.
        let local = host == "localhost" || host.ends_with(".localhost");
        let stream = TcpStream::connect((if local { "127.0.0.1" } else { host }, port)).await?;
        let stream = self.tls.connect(ServerName::try_from(host.to_owned())?, stream).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let running = tokio::spawn(connection);
        let request = http::Request::post(path)
            .header(http::header::HOST, format!("{host}:{port}"))
            .header(http::header::CONTENT_TYPE, "application/json")
            .header(http::header::ACCEPT, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body =
            Limited::new(response.into_body(), LARGEST).collect().await.map_err(|error| anyhow::anyhow!(error))?;
        running.abort();
        Ok((status, body.to_bytes()))
    }

    fn unreachable(&self, cause: String, help: Option<&'static str>) -> AgentFault {
        AgentFault::Unreachable { server: self.server.to_string(), cause, help }
    }
}

const NOBODY: &str = "name the address and port of `[machines]` in the gateway's configuration; `cardea serve` tells where it listens for machines";
const NO_SUCH_HOST: &str = "name the tenant's sign-in host, by which this machine must be able to find the gateway";
const NOT_A_TENANT: &str = "name the sign-in host of a tenant of that gateway, not an address or another name of it";
/// What answers is not the machines listener.
pub(super) const NOT_OURS: &str = "name the port of `[machines]`, not that for browsers; where it is, `--bundle` must be what \
                                   `cardea cert root` of that gateway prints";

/// What would help, as far as the cause tells.
fn help(cause: &anyhow::Error) -> Option<&'static str> {
    use rustls::{AlertDescription, Error as Tls};
    let error = cause.downcast_ref::<io::Error>()?;
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>());
    match (tls, error.kind()) {
        // Who has no certificate for a name says so in this way.
        (Some(Tls::AlertReceived(AlertDescription::AccessDenied | AlertDescription::UnrecognisedName)), _) => {
            Some(NOT_A_TENANT)
        }
        (Some(Tls::InvalidCertificate(_) | Tls::InvalidMessage(_) | Tls::AlertReceived(_)), _) => Some(NOT_OURS),
        (_, io::ErrorKind::ConnectionRefused | io::ErrorKind::TimedOut) => Some(NOBODY),
        (_, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => Some(NOT_OURS),
        // A name that was not found has no kind of its own.
        (None, _) if error.to_string().contains("lookup") => Some(NO_SUCH_HOST),
        _ => None,
    }
}
