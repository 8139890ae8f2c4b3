//! The root and the tenants' intermediates: made, kept as PEM, and used to sign, only after the linter agreed.

use std::time::Duration;

use cardea_core::{Entropy, Secret, Timestamp};
use rcgen::{CertificateParams, Issuer, KeyPair, PublicKeyData};
use rustls_pki_types::CertificateDer;

use crate::{
    CertificateFacts, Error, MAX_TTL, MIN_TTL, PrivateKey, Profile, Request, TrustBundle, TrustDomain,
    lint::{Signer, lint, lint_authority},
    pem,
    profile::{intermediate_params, root_params, serial},
};

/// A certificate that signs certificates, with its key: the operator's root, or one tenant's intermediate.
pub struct Authority {
    certificate: CertificateDer<'static>,
    /// What verifiers trust: the root itself; of an intermediate its self-signed twin, with the same name and key.
    anchor: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    key: Secret<String>,
    signer: Signer,
}

/// A certificate just signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The leaf, then the tenant's intermediate.
    pub chain: Vec<CertificateDer<'static>>,
    /// What the leaf says.
    pub facts: CertificateFacts,
}

impl Issued {
    /// The chain as a file, leaf first.
    pub fn to_pem(&self) -> String {
        pem::encode_certificates(&self.chain)
    }
}

impl Authority {
    /// Makes the operator's root. It signs intermediates only.
    pub fn root(now: Timestamp, source: &dyn Entropy) -> Result<Self, Error> {
        let key = PrivateKey::generate(source)?;
        let certificate = root_params(now, source)?
            .self_signed(&key.pair)
            .map_err(Error::broken("the root certificate", "signed"))?;
        let certificate = CertificateDer::from(certificate);
        Self::new(certificate.clone(), certificate, &key, None)
    }

    /// Makes the intermediate of one tenant, signed by this root.
    pub fn intermediate(&self, domain: &TrustDomain, now: Timestamp, source: &dyn Entropy) -> Result<Self, Error> {
        let key = PrivateKey::generate(source)?;
        let mut params = intermediate_params(domain, now, self.signer.facts.not_after, source)?;
        lint_authority(&self.rehearse(&params, &key.pair, source)?, &self.signer, now)?;
        let certificate = self.sign(&params, &key.pair)?;
        // OpenSSL and what is built on it end a chain only in a certificate that signed itself. With the operator's root
        // in a service's bundle every other tenant would verify too, so the tenant's own name and key sign themselves.
        params.serial_number = Some(serial(source));
        let anchor = params.self_signed(&key.pair).map_err(Error::broken("an intermediate's anchor", "signed"))?;
        Self::new(certificate, anchor.into(), &key, Some(domain.clone()))
    }

    /// Reads what [`Authority::to_pem`] wrote, of a root (`domain` absent) or a tenant's intermediate; the key must be the
    /// certificate's.
    pub fn from_pem(certificate: &str, key: &str, domain: Option<TrustDomain>) -> Result<Self, Error> {
        let key = PrivateKey::from_pem(key)?;
        let mut read = pem::certificates(certificate)?.into_iter();
        let none = || Error::Broken { what: "an authority", done: "read", cause: "there is no certificate".to_owned() };
        let certificate = read.next().ok_or_else(none)?;
        let anchor = read.next().unwrap_or_else(|| certificate.clone());
        Self::new(certificate, anchor, &key, domain)
    }

    fn new(
        certificate: CertificateDer<'static>,
        anchor: CertificateDer<'static>,
        key: &PrivateKey,
        domain: Option<TrustDomain>,
    ) -> Result<Self, Error> {
        let broken = |cause: &str| Error::Broken { what: "an authority", done: "used", cause: cause.to_owned() };
        let signer = Signer::read(&certificate, domain)?;
        let same = CertificateFacts::read(&anchor)?.key_fingerprint == key.fingerprint();
        if !same || signer.facts.key_fingerprint != key.fingerprint() {
            return Err(broken("the key is not the certificate's"));
        }
        let issuer = Self::issuer(&certificate, PrivateKey::from_pkcs8(key.pair.serialized_der())?.pair)?;
        Ok(Self { certificate, anchor, issuer, key: key.to_pem(), signer })
    }

    /// Read back from the DER, so that issuer name and key identifier are byte for byte those of the certificate.
    fn issuer(certificate: &CertificateDer<'static>, pair: KeyPair) -> Result<Issuer<'static, KeyPair>, Error> {
        Issuer::from_ca_cert_der(certificate, pair).map_err(Error::broken("an authority", "read"))
    }

    /// Signs a leaf for what was authorised, with the key of the request. The names are the profile's alone.
    pub fn issue(
        &self,
        profile: &Profile,
        request: &Request,
        ttl: Duration,
        now: Timestamp,
        source: &dyn Entropy,
    ) -> Result<Issued, Error> {
        if !(MIN_TTL..=MAX_TTL).contains(&ttl) {
            return Err(Error::Lint(format!("a life of {} s is not between 4 s and a day", ttl.as_secs())));
        }
        let params = profile.params(ttl, now, source)?;
        lint(&self.rehearse(&params, &request.key, source)?, profile, &self.signer, now)?;
        let leaf = self.sign(&params, &request.key)?;
        let facts = CertificateFacts::read(&leaf)?;
        Ok(Issued { chain: vec![leaf, self.certificate.clone()], facts })
    }

    /// The certificate as it will be, signed by a key that is thrown away: what the linter looks at, so that nothing
    /// that breaks a rule is ever signed by the real one.
    fn rehearse(
        &self,
        params: &CertificateParams,
        key: &impl PublicKeyData,
        source: &dyn Entropy,
    ) -> Result<CertificateDer<'static>, Error> {
        let issuer = Self::issuer(&self.certificate, PrivateKey::generate(source)?.pair)?;
        Ok(params.signed_by(key, &issuer).map_err(Error::broken("a certificate", "rehearsed"))?.into())
    }

    fn sign(&self, params: &CertificateParams, key: &impl PublicKeyData) -> Result<CertificateDer<'static>, Error> {
        Ok(params.signed_by(key, &self.issuer).map_err(Error::broken("a certificate", "signed"))?.into())
    }

    /// The certificate itself.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The certificate as a file, followed by its anchor where that is another.
    pub fn to_pem(&self) -> String {
        let anchor = (self.anchor != self.certificate).then_some(&self.anchor);
        pem::encode_certificates(std::iter::once(&self.certificate).chain(anchor))
    }

    /// The key as PKCS #8 in PEM, to be sealed.
    pub fn key_pem(&self) -> &Secret<String> {
        &self.key
    }

    /// What the certificate says.
    pub fn facts(&self) -> &CertificateFacts {
        &self.signer.facts
    }

    /// The tenant's trust domain; absent at the root.
    pub fn domain(&self) -> Option<&TrustDomain> {
        self.signer.domain.as_ref()
    }

    /// What those who check this authority's certificates trust: itself and nothing above it.
    pub fn bundle(&self) -> TrustBundle {
        TrustBundle::new(vec![self.anchor.clone()])
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("facts", &self.signer.facts).finish_non_exhaustive()
    }
}
