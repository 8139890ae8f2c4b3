//! TLS towards services: mutual under the tenant's own CA, or plain https under public or given roots.

use std::{sync::Arc, time::Duration};

use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
    client::{
        ResolvesClientCert, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Why a configuration cannot be made.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct BadTls(String);

/// mTLS: the service must chain to one of `anchors` (the tenant's intermediates) and carry exactly `spiffe_id`; we show
/// what `certificate` resolves to at that moment, so that renewal needs no new configuration.
pub fn mutual(
    anchors: &[CertificateDer<'_>],
    spiffe_id: &str,
    certificate: Arc<dyn ResolvesClientCert>,
) -> Result<Arc<ClientConfig>, BadTls> {
    let roots = store(anchors)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        SpiffeVerifier { roots, id: spiffe_id.to_owned(), algorithms: provider.signature_verification_algorithms };
    let mut config = builder(provider)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(certificate);
    // A resumed session would not show its certificate again, and ours last an hour.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(with_alpn(config)))
}

/// https to a service with a certificate of somebody else's: under `roots`, or the system's where none are given.
pub fn public(roots: Option<&[CertificateDer<'_>]>) -> Result<Arc<ClientConfig>, BadTls> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = match roots {
        Some(roots) => builder(provider)?.with_root_certificates(store(roots)?).with_no_client_auth(),
        None => {
            let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(&provider)).map_err(bad)?;
            builder(provider)?.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
    };
    Ok(Arc::new(with_alpn(config)))
}

/// https that trusts nobody: for whoever looks at what would be sent, and sends nothing.
pub fn nobody() -> Result<Arc<ClientConfig>, BadTls> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = builder(provider)?.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    Ok(Arc::new(with_alpn(config)))
}

fn builder(
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, BadTls> {
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(bad)
}

/// HTTP/1.1 first: where the service lets us choose, a connection per request in flight costs less than one for all.
fn with_alpn(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    config
}

fn store(anchors: &[CertificateDer<'_>]) -> Result<RootCertStore, BadTls> {
    let mut roots = RootCertStore::empty();
    for anchor in anchors {
        roots.add(anchor.clone().into_owned()).map_err(bad)?;
    }
    if roots.is_empty() {
        return Err(BadTls("no certificate to trust was given".to_owned()));
    }
    Ok(roots)
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn bad(error: impl ToString) -> BadTls {
    BadTls(error.to_string())
}

/// Accepts one SPIFFE ID under one tenant's CA, whatever the host is called.
#[derive(Debug)]
struct SpiffeVerifier {
    roots: RootCertStore,
    id: String,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for SpiffeVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, self.algorithms.all)?;
        if spiffe_id(end_entity).as_deref() == Some(&self.id) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::CertificateError::NotValidForName.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

/// The certificate that a handshake would show now.
pub(super) fn shown(config: &ClientConfig) -> Option<CertificateDer<'static>> {
    let schemes = config.crypto_provider().signature_verification_algorithms.supported_schemes();
    config.client_auth_cert_resolver.resolve(&[], &schemes)?.cert.first().cloned()
}

/// How long all of these certificates are valid yet, by the clock that handshakes go by. Nothing if that cannot be
/// said.
pub(super) fn left<'a>(
    config: &ClientConfig,
    certificates: impl Iterator<Item = &'a CertificateDer<'static>>,
) -> Duration {
    let now = config.time_provider.current_time().map(|now| now.as_secs());
    let of_one = |certificate| Some(Duration::from_secs(not_after(certificate)?.saturating_sub(now?)));
    certificates.map(|one| of_one(one).unwrap_or_default()).min().unwrap_or_default()
}

/// The last second of a certificate's life, after 1970.
pub(crate) fn not_after(certificate: &CertificateDer<'_>) -> Option<u64> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    u64::try_from(parsed.validity().not_after.timestamp()).ok()
}

/// The SPIFFE ID of a certificate: its URI name, if it has exactly one and that is a SPIFFE ID (X.509-SVID section 2).
pub fn spiffe_id(certificate: &CertificateDer<'_>) -> Option<String> {
    let (rest, parsed) = X509Certificate::from_der(certificate).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let names = parsed.subject_alternative_name().ok()??;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    match (uris.next(), uris.next()) {
        (Some(one), None) if one.starts_with("spiffe://") => Some(one.to_owned()),
        _ => None,
    }
}
