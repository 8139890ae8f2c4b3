//! The provider's one signing key: P-256, named by a hash of its public half.

use anyhow::Context as _;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_certs::PrivateKey;
use cardea_core::{Entropy, Secret};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde::Serialize;

/// A key that signs ID tokens.
pub struct Key {
    signing: EncodingKey,
    id: String,
    jwks: String,
}

/// Makes a signing key (PKCS #8, PEM).
pub fn make_key(source: &dyn Entropy) -> anyhow::Result<Secret<String>> {
    Ok(PrivateKey::generate(source)?.to_pem())
}

impl Key {
    pub(super) fn read(pem: &str) -> anyhow::Result<Self> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).context("the provider's key is no PKCS #8 PEM")?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der())
            .ok()
            .context("the provider's key is not P-256")?;
        // Uncompressed: 4, then x and y of 32 bytes each.
        let public = pair.public_key().as_ref();
        let (x, y) = (public.get(1..33).context("no x")?, public.get(33..65).context("no y")?);
        let id = URL_SAFE_NO_PAD.encode(&aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, public).as_ref()[..8]);
        let jwks = serde_json::json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": id,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        }] });
        Ok(Self { signing: EncodingKey::from_ec_der(der.secret_pkcs8_der()), id, jwks: jwks.to_string() })
    }

    pub(super) fn sign(&self, claims: &impl Serialize) -> anyhow::Result<String> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.clone());
        Ok(jsonwebtoken::encode(&header, claims, &self.signing)?)
    }

    pub(super) fn jwks(&self) -> &str {
        &self.jwks
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}
