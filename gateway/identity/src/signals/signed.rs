//! A signed token that a provider sends by itself (RFC 7515), opened by its published keys.

use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, jwk::Jwk};
use openidconnect::{
    JsonWebKey as _, JsonWebKeyUse as _,
    core::{CoreJsonWebKey, CoreJsonWebKeySet, CoreJsonWebKeyType},
};
use serde::{Deserialize, de::DeserializeOwned};

use super::Refused;
use crate::oidc::{self, Provider};

/// Keys that a provider publishes.
#[derive(Debug, Clone)]
pub struct Keys(CoreJsonWebKeySet);

/// The longest token that is looked at: 16 KiB. Those of providers have one or two.
const LONGEST: usize = 16 * 1024;

/// Signatures that are believed: those of ID tokens. Never `none`, never a MAC.
const ALGORITHMS: [Algorithm; 6] =
    [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::RS256, Algorithm::PS256, Algorithm::PS512];

impl Keys {
    /// Those that a provider signs ID tokens with.
    pub fn of(provider: &Provider) -> Self {
        Self(provider.keys().clone())
    }

    /// Reads a JWKS document.
    pub fn read(document: &[u8]) -> Result<Self, oidc::Refused> {
        let bad = |cause: String| oidc::Refused::Document { document: "key set", cause };
        let keys: CoreJsonWebKeySet = serde_json::from_slice(document).map_err(|error| bad(error.to_string()))?;
        if keys.keys().is_empty() { Err(bad("it holds no key".to_owned())) } else { Ok(Self(keys)) }
    }

    /// The one key that a token can be signed with, by its header.
    fn key(&self, header: &Header) -> Result<Jwk, Refused> {
        let named = |key: &&CoreJsonWebKey| {
            header.kid.as_ref().is_none_or(|kid| key.key_id().is_some_and(|id| id.as_str() == kid))
        };
        let fits = |key: &&CoreJsonWebKey| {
            key.key_use().is_none_or(|usage| usage.allows_signature()) && *key.key_type() == kind(header.alg)
        };
        let mut found = self.0.keys().iter().filter(named).filter(fits);
        let key = found.next().ok_or(Refused::UnknownKey)?;
        if found.next().is_some() {
            return Err(Refused::Malformed("it does not say which key it is signed with"));
        }
        let unusable = |_| Refused::Malformed("its key cannot be used");
        let key: Jwk = serde_json::to_value(key).and_then(serde_json::from_value).map_err(unusable)?;
        match key.common.key_algorithm {
            Some(only) if only.to_string() != format!("{:?}", header.alg) => {
                Err(Refused::Malformed("it names another algorithm than its key's"))
            }
            _ => Ok(key),
        }
    }
}

const fn kind(algorithm: Algorithm) -> CoreJsonWebKeyType {
    match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => CoreJsonWebKeyType::EllipticCurve,
        Algorithm::EdDSA => CoreJsonWebKeyType::OctetKeyPair,
        _ => CoreJsonWebKeyType::RSA,
    }
}

/// The claims of a token of one of these kinds (`typ`; one without is the empty kind) whose signature verifies. INVARIANT: of times,
/// issuer and audience nothing is checked here: that takes the time that is given, and is for whoever knows what the token is for.
pub(super) fn opened<C: DeserializeOwned + Clone>(token: &str, kinds: &[&str], keys: &Keys) -> Result<C, Refused> {
    if token.len() > LONGEST {
        return Err(Refused::Malformed("it is longer than 16 KiB"));
    }
    let header = jsonwebtoken::decode_header(token)
        .map_err(|_| Refused::Malformed("it is no signed token, or its header names no algorithm that is known"))?;
    let of = header.typ.as_deref().unwrap_or_default().to_ascii_lowercase();
    let of = of.strip_prefix("application/").unwrap_or(&of);
    if !kinds.contains(&of) {
        return Err(Refused::Malformed("it is of another kind"));
    }
    if !ALGORITHMS.contains(&header.alg) {
        return Err(Refused::Malformed("its algorithm is none that is believed"));
    }
    if header.jwk.is_some() || header.jku.is_some() || header.x5u.is_some() || header.x5c.is_some() {
        return Err(Refused::Malformed("it brings a key of its own"));
    }
    if header.crit.is_some() || header.cty.is_some() || header.enc.is_some() || header.zip.is_some() {
        return Err(Refused::Malformed("it has a part that is not understood"));
    }
    let key = DecodingKey::from_jwk(&keys.key(&header)?).map_err(|_| Refused::Malformed("its key cannot be used"))?;
    // What is left out here is checked by whoever asks, with the time that is given.
    let mut only = Validation::new(header.alg);
    (only.validate_exp, only.validate_nbf, only.validate_aud) = (false, false, false);
    only.required_spec_claims.clear();
    match jsonwebtoken::decode::<C>(token, &key, &only) {
        Ok(read) => Ok(read.claims),
        Err(error) => Err(match error.kind() {
            jsonwebtoken::errors::ErrorKind::InvalidSignature => Refused::Signature,
            _ => Refused::Malformed("its claims cannot be read"),
        }),
    }
}

/// One text or a list of them (RFC 7519 section 4.1.3).
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    /// Whether it is among them.
    pub(super) fn names(&self, who: &str) -> bool {
        match self {
            Self::One(one) => one == who,
            Self::Several(all) => all.iter().any(|one| one == who),
        }
    }
}
