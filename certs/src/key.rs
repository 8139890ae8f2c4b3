//! Private keys: P-256, made from the randomness given, kept as PKCS #8.

use aws_lc_rs::{
    agreement,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use cardea_core::{Entropy, Secret, entropy};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData as _};
use rustls_pki_types::PrivatePkcs8KeyDer;
use zeroize::Zeroize as _;

use crate::{Error, pem};

/// A private key of ours or of a workload. Never prints.
pub struct PrivateKey {
    pub(crate) pair: KeyPair,
}

/// Draws before giving up. One in 2^32 draws is no scalar of P-256, so four in a row means a broken source.
const DRAWS: usize = 4;

impl PrivateKey {
    /// Makes a new P-256 key.
    pub fn generate(source: &dyn Entropy) -> Result<Self, Error> {
        let broken = |cause: &str| Error::Broken { what: "a private key", done: "made", cause: cause.to_owned() };
        for _ in 0..DRAWS {
            let mut scalar = entropy::bytes::<32>(source);
            let drawn = agreement::PrivateKey::from_private_key(&agreement::ECDH_P256, &scalar)
                .ok()
                .and_then(|key| key.compute_public_key().ok())
                .and_then(|public| {
                    EcdsaKeyPair::from_private_key_and_public_key(
                        &ECDSA_P256_SHA256_ASN1_SIGNING,
                        &scalar,
                        public.as_ref(),
                    )
                    .ok()
                });
            scalar.zeroize();
            if let Some(pair) = drawn {
                let document = pair.to_pkcs8v1().map_err(|_| broken("it has no PKCS #8 form"))?;
                debug_assert!(!pair.public_key().as_ref().is_empty());
                return Self::from_pkcs8(document.as_ref());
            }
        }
        Err(broken("the randomness given holds no scalar of P-256"))
    }

    /// Reads a PKCS #8 key in PEM.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        Ok(Self { pair: KeyPair::from_pem(text).map_err(Error::broken("a private key", "read"))? })
    }

    /// Reads a PKCS #8 key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
        let pair = KeyPair::try_from(&PrivatePkcs8KeyDer::from(der)).map_err(Error::broken("a private key", "read"))?;
        Ok(Self { pair })
    }

    /// The key as PKCS #8 in PEM, to be sealed or written with mode 0600.
    pub fn to_pem(&self) -> Secret<String> {
        Secret::new(pem::encode("PRIVATE KEY", self.pair.serialized_der()))
    }

    /// The key as PKCS #8, as rustls takes it.
    pub fn to_pkcs8(&self) -> PrivatePkcs8KeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.pair.serialized_der().to_vec())
    }

    /// A certificate request (PKCS #10, PEM) signed by this key. It holds no name: names come from the authority.
    pub fn request(&self) -> Result<String, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&self.pair).map_err(Error::broken("a certificate request", "made"))?;
        Ok(pem::encode("CERTIFICATE REQUEST", request.der()))
    }

    /// SHA-256 of the public key (SubjectPublicKeyInfo): two certificates of one key share it.
    pub fn fingerprint(&self) -> [u8; 32] {
        crate::facts::sha256(&self.pair.subject_public_key_info())
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PrivateKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::entropy::Fixed;

    #[test]
    fn a_key_comes_from_the_randomness_given_and_survives_pem() {
        let key = PrivateKey::generate(&Fixed::new(1)).unwrap();
        assert_eq!(key.fingerprint(), PrivateKey::generate(&Fixed::new(1)).unwrap().fingerprint());
        assert_ne!(key.fingerprint(), PrivateKey::generate(&Fixed::new(2)).unwrap().fingerprint());
        let read = PrivateKey::from_pem(key.to_pem().expose()).unwrap();
        assert_eq!(read.fingerprint(), key.fingerprint());
        assert_eq!(format!("{key:?}"), "PrivateKey(***)");
    }

    #[test]
    fn randomness_that_is_none_makes_no_key() {
        struct Zero;
        impl Entropy for Zero {
            fn fill(&self, out: &mut [u8]) {
                out.fill(0);
            }
        }
        assert!(PrivateKey::generate(&Zero).is_err());
    }
}
