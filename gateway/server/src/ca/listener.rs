//! TLS of the machines listener: our certificate by the host asked for, the client's if it has one. A client certificate
//! that does not verify ends the handshake; having none is fine, since enrolling needs none.

use std::sync::{Arc, Weak};

use cardea_certs::peer_spiffe_id;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime},
    server::{
        ClientHello, NoServerSessionStorage, ResolvesServerCert,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};

use super::CaFault;
use crate::House;

pub(super) fn server_config(house: &Arc<House>) -> Result<Arc<ServerConfig>, CaFault> {
    let side = Arc::new(Side::of(house));
    asked(Arc::clone(&side), side)
}

/// The same verification at a listener for everybody, whose own certificates are those of its configuration.
pub(super) fn asking(house: &Arc<House>, shown: Arc<dyn ResolvesServerCert>) -> Result<Arc<ServerConfig>, CaFault> {
    asked(Arc::new(Side::of(house)), shown)
}

fn asked(side: Arc<Side>, shown: Arc<dyn ResolvesServerCert>) -> Result<Arc<ServerConfig>, CaFault> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| CaFault::Tls("the settings of a listener that asks for certificates", error.to_string()))?
        .with_client_cert_verifier(side as Arc<dyn ClientCertVerifier>)
        .with_cert_resolver(shown);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A resumed connection would not show the certificate that a renewal is measured against.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// Our side of a handshake. Weak: the house holds the listener that holds this.
struct Side {
    house: Weak<House>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Side {
    fn of(house: &Arc<House>) -> Self {
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        Self { house: Arc::downgrade(house), algorithms }
    }
}

impl std::fmt::Debug for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Side")
    }
}

impl ResolvesServerCert for Side {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let house = self.house.upgrade()?;
        let host = hello.server_name()?.to_ascii_lowercase();
        house.ca.state.load().hosts.get(&host)?.server.key()
    }
}

const REFUSED: Error = Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);

impl ClientCertVerifier for Side {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // A hint would list the tenants to strangers.
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// The name says whose tenant it is; the chain must then end in that tenant's intermediate and no other.
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let house = self.house.upgrade().ok_or(REFUSED)?;
        let id = peer_spiffe_id(end_entity).map_err(|_| REFUSED)?;
        let tenant = id.trust_domain().tenant(&house.config.trust_domain).ok_or(REFUSED)?;
        let tenant = house.ca.loaded(&tenant).ok_or(REFUSED)?;
        tenant.clients.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // TLS 1.2 is not offered.
        Err(REFUSED)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
