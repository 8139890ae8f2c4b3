//! mTLS: our certificate, renewed without dropping a connection, and the one client that we answer.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use cardea_certs::{SpiffeId, TrustBundle, peer_spiffe_id, pem};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject as _},
    server::{
        ClientHello, ResolvesServerCert, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
};

/// Our certificate and key, and the bundle that a client's chain must end in, read from the files that `cardea agent`
/// keeps. New connections see new files; those that are open stay.
pub struct Identity {
    folder: PathBuf,
    held: RwLock<Held>,
}

struct Held {
    written: Option<SystemTime>,
    key: Arc<CertifiedKey>,
    clients: Arc<dyn ClientCertVerifier>,
}

/// How often the files are looked at: soon after a renewal, which comes with half of the old certificate's life left.
const LOOK: Duration = Duration::from_secs(1);

impl Identity {
    /// Reads `cert.pem`, `key.pem` and `bundle.pem` of a folder.
    pub fn from_folder(folder: &Path) -> anyhow::Result<Arc<Self>> {
        let held = RwLock::new(read(folder)?);
        Ok(Arc::new(Self { folder: folder.to_owned(), held }))
    }

    /// Reads the files again; what does not read leaves everything as it was.
    pub fn reload(&self) -> anyhow::Result<()> {
        let next = read(&self.folder)?;
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// Reloads whenever the certificate's file has changed. Never ends by itself.
    pub async fn watch(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            ticks.tick().await;
            let written = written(&self.folder);
            if written.is_none() || written == self.held.read().unwrap_or_else(PoisonError::into_inner).written {
                continue;
            }
            match self.reload() {
                Ok(()) => tracing::info!(folder = %self.folder.display(), "certificate reloaded"),
                Err(error) => {
                    tracing::warn!(error = %format!("{error:#}"), "certificate not reloaded; the old one stays");
                }
            }
        }
    }

    /// TLS settings of a server that answers `gateway` and nobody else.
    pub fn server_config(self: &Arc<Self>, gateway: SpiffeId) -> anyhow::Result<ServerConfig> {
        let verifier = Arc::new(OnlyGateway { identity: Arc::clone(self), gateway });
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A resumed session would skip the check of the client's certificate.
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn clients(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner).clients)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner).key))
    }
}

fn read(folder: &Path) -> anyhow::Result<Held> {
    // Taken before the files are read: if they change meanwhile, the next look reads them again.
    let written = written(folder);
    let text = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("`{}` cannot be read", path.display()))
    };
    let chain = pem::certificates(&text("cert.pem")?)?;
    let key = PrivateKeyDer::from_pem_slice(text("key.pem")?.as_bytes()).context("`key.pem` holds no key")?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key =
        Arc::new(CertifiedKey::from_der(chain, key, &provider).context("`key.pem` is not the key of `cert.pem`")?);
    let mut roots = RootCertStore::empty();
    for anchor in TrustBundle::from_pem(&text("bundle.pem")?)?.anchors() {
        roots.add(anchor.clone()).context("`bundle.pem` holds a certificate that cannot be an anchor")?;
    }
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
    Ok(Held { written, key, clients })
}

fn written(folder: &Path) -> Option<SystemTime> {
    std::fs::metadata(folder.join("cert.pem")).ok()?.modified().ok()
}

/// Verifies the chain against the tenant's anchor, then compares the whole SPIFFE ID.
#[derive(Debug)]
struct OnlyGateway {
    identity: Arc<Identity>,
    gateway: SpiffeId,
}

impl ClientCertVerifier for OnlyGateway {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // The anchors change while connections open, and a hint would only tell strangers whom we trust.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.identity.clients().verify_client_cert(end_entity, intermediates, now)?;
        match peer_spiffe_id(end_entity) {
            Ok(id) if id == self.gateway => Ok(verified),
            Ok(_) | Err(_) => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.identity.clients().verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.identity.clients().verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.identity.clients().supported_verify_schemes()
    }
}
