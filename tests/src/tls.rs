//! The authority under which the stories' gateways speak TLS, new with every run, and clients that trust it alone.

use std::sync::{Arc, OnceLock};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// An authority that exists for as long as the test does.
#[derive(Debug)]
pub struct Authority {
    /// Its certificate, for clients that read files.
    pub pem: String,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// The one of this run.
pub fn authority() -> anyhow::Result<&'static Authority> {
    static AUTHORITY: OnceLock<Result<Authority, rcgen::Error>> = OnceLock::new();
    AUTHORITY.get_or_init(Authority::new).as_ref().map_err(|error| anyhow::anyhow!("no authority: {error}"))
}

impl Authority {
    fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(vec![])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the stories' authority");
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Self { pem: certificate.pem(), certificate: certificate.der().clone(), issuer: Issuer::new(params, key) })
    }

    /// A certificate for `hosts` and its key, as PEM.
    pub fn issue(&self, hosts: &[&str]) -> anyhow::Result<(String, String)> {
        let key = KeyPair::generate()?;
        let hosts = hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>();
        let certificate = CertificateParams::new(hosts)?.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    fn client(&self, protocols: &[&str]) -> anyhow::Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(config)
    }
}

/// Speaks TLS over `stream` with a gateway that shows a certificate for `host`; it must take the one protocol offered.
pub async fn over(stream: TcpStream, host: &str, protocol: &str) -> anyhow::Result<TlsStream<TcpStream>> {
    again(&connector(protocol)?, stream, host, protocol).await
}

/// What remembers the gateways that it has spoken with, as a browser does.
pub fn connector(protocol: &str) -> anyhow::Result<TlsConnector> {
    Ok(TlsConnector::from(Arc::new(authority()?.client(&[protocol])?)))
}

/// The same with what was remembered.
pub async fn again(
    connector: &TlsConnector,
    stream: TcpStream,
    host: &str,
    protocol: &str,
) -> anyhow::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned())?;
    let stream = connector.connect(name, stream).await.with_context(|| format!("no TLS with {host}"))?;
    anyhow::ensure!(
        stream.get_ref().1.alpn_protocol() == Some(protocol.as_bytes()),
        "{host} does not speak {protocol}"
    );
    Ok(stream)
}
