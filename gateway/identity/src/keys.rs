//! Signing keys of assertions: made ahead, published, used, retired, by a schedule that needs nobody. Services that keep
//! the key set for up to a day never meet a key that they do not know.

use std::{fmt, time::Duration};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_core::{Entropy, TenantId, Timestamp};
use jsonwebtoken::EncodingKey;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    sealing::{Sealed, Sealer},
    token::sha256,
};

/// How long a key signs. A week: short enough that a rotation is nothing special.
pub const SIGNS: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long it is published before. A day: the longest that verifiers commonly keep a key set.
pub const AHEAD: Duration = Duration::from_secs(24 * 3600);
/// How long it is published after. An hour: assertions live a minute, clocks and queues need the rest.
pub const AFTER: Duration = Duration::from_secs(3600);

/// A signing key as stores keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// `kid`: the key's JWK thumbprint (RFC 7638).
    pub id: String,
    /// The tenant that signs with it.
    pub tenant: TenantId,
    /// The PKCS#8 private key, sealed for `signing-key/<tenant>/<id>`.
    pub sealed: Sealed,
    /// The public key: uncompressed P-256 point, base64url.
    pub public: String,
    /// When it was made, and published from then on.
    pub created: Timestamp,
    /// From when it signs.
    pub signs_from: Timestamp,
    /// From when it signs no more.
    pub signs_until: Timestamp,
    /// From when it is no longer published, and may be deleted.
    pub published_until: Timestamp,
}

/// A key that signs. ES256: every JWT library verifies it, and its signatures are short.
pub struct SigningKey {
    pub(crate) id: String,
    pub(crate) key: EncodingKey,
}

/// A key could not be made, opened or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signing key cannot be made or opened")]
pub struct KeyFault;

/// When the next key is due to be made and from when it signs; `None` while the keys at hand reach far enough.
pub fn due(keys: &[KeyRecord], now: Timestamp) -> Option<Timestamp> {
    let last = keys.iter().map(|key| key.signs_until).max().unwrap_or(now);
    (last < now.plus(AHEAD) || keys.is_empty()).then(|| last.max(now))
}

/// Makes a key that signs from `signs_from`. Its bytes are drawn inside the crypto library.
pub fn make(
    tenant: &TenantId,
    signs_from: Timestamp,
    sealer: &Sealer,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<KeyRecord, KeyFault> {
    let pkcs8 =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).map_err(|_| KeyFault)?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).map_err(|_| KeyFault)?;
    let point = pair.public_key().as_ref();
    let id = thumbprint(point).ok_or(KeyFault)?;
    let sealed = sealer.seal(&place(tenant, &id), pkcs8.as_ref(), entropy).map_err(|_| KeyFault)?;
    let signs_until = signs_from.plus(SIGNS);
    Ok(KeyRecord {
        id,
        tenant: tenant.clone(),
        sealed,
        public: URL_SAFE_NO_PAD.encode(point),
        created: now,
        signs_from,
        signs_until,
        published_until: signs_until.plus(AFTER),
    })
}

/// The key that signs now: the youngest whose time has come and is not over.
pub fn signer(keys: &[KeyRecord], now: Timestamp) -> Option<&KeyRecord> {
    keys.iter().filter(|key| key.signs_from <= now && now < key.signs_until).max_by_key(|key| key.signs_from)
}

impl KeyRecord {
    /// Opens it for signing.
    pub fn open(&self, sealer: &Sealer) -> Result<SigningKey, KeyFault> {
        let pkcs8 = sealer.open(&place(&self.tenant, &self.id), &self.sealed).map_err(|_| KeyFault)?;
        Ok(SigningKey { id: self.id.clone(), key: EncodingKey::from_ec_der(pkcs8.expose()) })
    }

    /// The public key as a JWK (RFC 7517).
    pub fn jwk(&self) -> Option<Value> {
        let (x, y) = coordinates(&URL_SAFE_NO_PAD.decode(&self.public).ok()?)?;
        Some(json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": self.id, "alg": "ES256", "use": "sig" }))
    }
}

/// The key set that services verify with: every key that signs, will sign or has just signed.
pub fn jwks(keys: &[KeyRecord], now: Timestamp) -> Value {
    let published = keys.iter().filter(|key| now < key.published_until);
    json!({ "keys": published.filter_map(KeyRecord::jwk).collect::<Vec<_>>() })
}

pub(crate) fn coordinates(point: &[u8]) -> Option<(String, String)> {
    let [4, rest @ ..] = point else { return None };
    let (x, y) = rest.split_at_checked(32).filter(|(_, y)| y.len() == 32)?;
    Some((URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y)))
}

fn thumbprint(point: &[u8]) -> Option<String> {
    let (x, y) = coordinates(point)?;
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    Some(URL_SAFE_NO_PAD.encode(sha256(canonical.as_bytes())))
}

/// What a signing key is bound to, for whoever seals it again.
pub fn place(tenant: &TenantId, id: &str) -> String {
    format!("signing-key/{tenant}/{id}")
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{now, tenant};
    use cardea_core::{Secret, entropy::Fixed};

    fn sealer() -> Sealer {
        Sealer::new(&Secret::new([9; 32])).unwrap()
    }

    fn made(from: Timestamp, at: Timestamp) -> KeyRecord {
        make(&tenant(), from, &sealer(), at, &Fixed::new(1)).unwrap()
    }

    #[test]
    fn keys_follow_each_other_without_a_gap_or_a_surprise() {
        let mut keys: Vec<KeyRecord> = vec![];
        let mut at = now();
        let mut published: Vec<String> = vec![];
        for hour in 0..24 * 30 {
            if let Some(from) = due(&keys, at) {
                keys.push(made(from, at));
            }
            let signer = signer(&keys, at).expect("there is always a key that signs");
            if hour > 0 {
                assert!(published.contains(&signer.id), "hour {hour}: a key signs that was not published an hour ago");
            }
            keys.retain(|key| at < key.published_until);
            let set = jwks(&keys, at);
            published = set["keys"].as_array().unwrap().iter().map(|k| k["kid"].as_str().unwrap().to_owned()).collect();
            assert!(published.len() <= 2, "hour {hour}: {} keys", published.len());
            at = at.plus(Duration::from_secs(3600));
        }
        assert!(keys[0].created > now(), "the first key was never replaced");
    }

    #[test]
    fn after_a_long_stop_a_key_signs_at_once() {
        let old = made(now(), now());
        let later = now().plus(Duration::from_secs(90 * 24 * 3600));
        assert_eq!(signer(std::slice::from_ref(&old), later), None);
        assert_eq!(due(&[old], later), Some(later));
    }

    #[test]
    fn the_set_shows_no_private_part_and_a_thumbprint() {
        let key = made(now(), now());
        let set = jwks(std::slice::from_ref(&key), now());
        let names: Vec<_> = set["keys"][0].as_object().unwrap().keys().map(String::as_str).collect();
        assert!(!names.contains(&"d"), "{names:?}");
        assert_eq!(key.id.len(), 43);
        assert_eq!(jwks(std::slice::from_ref(&key), key.published_until)["keys"], json!([]));
    }

    #[test]
    fn a_key_opens_for_its_tenant_only() {
        let key = made(now(), now());
        assert!(key.open(&sealer()).is_ok());
        let moved = KeyRecord { tenant: TenantId::parse("south").unwrap(), ..key };
        assert_eq!(moved.open(&sealer()).unwrap_err(), KeyFault);
    }
}
