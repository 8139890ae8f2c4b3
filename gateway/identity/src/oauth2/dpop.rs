//! Proof of possession (DPoP, RFC 9449): with each request whoever holds a token shows that they hold its key, too.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_core::Timestamp;
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, ThumbprintHash},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Refused,
    jws::{self, Key},
};
use crate::token::sha256;

/// How old a proof may be. A minute: it is made for the request that it comes with, and its name is remembered that long.
pub const LIFE: Duration = Duration::from_secs(60);

/// How far the holder's clock may be ahead.
pub const AHEAD: Duration = Duration::from_secs(5);

/// How long it is remembered that one was shown, as [`super::client::REMEMBERED`].
pub const REMEMBERED: Duration = Duration::from_secs(LIFE.as_secs() + AHEAD.as_secs() + 1);

/// What a proof must speak of.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The request's method.
    pub method: &'a str,
    /// The request's address without query, as whoever sent it sees it: origin and path.
    pub url: &'a str,
    /// The access token that it comes with; none at the token endpoint.
    pub token: Option<&'a str>,
    /// The present moment.
    pub now: Timestamp,
}

/// A proof that holds. It holds once: whoever believes it spends [`Proof::spent_as`] first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The thumbprint of the key (RFC 7638).
    pub thumbprint: String,
    /// Under what its use is noted.
    pub spent_as: [u8; 32],
    /// Until when it could be shown again.
    pub until: Timestamp,
}

#[derive(Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: i64,
    ath: Option<String>,
}

/// Verifies a proof (section 4.3).
pub fn verify(proof: &str, expected: &Expected<'_>) -> Result<Proof, Refused> {
    let header = jws::header(proof, &["dpop+jwt"])?;
    let key = header.jwk.as_ref().ok_or(Refused("the proof brings no key"))?;
    if holds_more_than_a_public_key(key) {
        return Err(Refused("the proof's key is not a public one alone"));
    }
    let jwk = Jwk::deserialize(key).map_err(|_| Refused("the proof's key cannot be read"))?;
    let claims: Claims = jws::claims(proof, &header, &verifying(&jwk)?)?;
    if claims.htm != expected.method || !is_same_address(&claims.htu, expected.url) {
        return Err(Refused("the proof is for another request"));
    }
    let made = jws::time(claims.iat)?;
    if made > expected.now.plus(AHEAD) || expected.now.since(made) > LIFE {
        return Err(Refused("the proof is of another time"));
    }
    let hash = expected.token.map(|token| URL_SAFE_NO_PAD.encode(sha256(token.as_bytes())));
    if expected.token.is_some() && claims.ath != hash {
        return Err(Refused("the proof is for another token"));
    }
    if claims.jti.is_empty() || claims.jti.len() > 256 {
        return Err(Refused("the proof has no name to be known by"));
    }
    let thumbprint =
        jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| Refused("the proof's key has no thumbprint"))?;
    let spent_as = sha256(format!("{thumbprint} {}", claims.jti).as_bytes());
    Ok(Proof { thumbprint, spent_as, until: made.plus(LIFE).plus(Duration::from_secs(1)) })
}

fn verifying(jwk: &Jwk) -> Result<Key, Refused> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(of) if of.curve == EllipticCurve::P256 => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(of) if of.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        _ => return Err(Refused("the proof's key is of another kind")),
    };
    let key = DecodingKey::from_jwk(jwk).map_err(|_| Refused("the proof's key cannot be read"))?;
    Ok(Key { algorithm, key })
}

/// Whether a key has members that no public key has: its private part, say.
fn holds_more_than_a_public_key(key: &Value) -> bool {
    const PUBLIC: [&str; 8] = ["kty", "crv", "x", "y", "kid", "alg", "use", "key_ops"];
    key.as_object().is_none_or(|key| key.keys().any(|name| !PUBLIC.contains(&name.as_str())))
}

/// Whether two addresses are the same but for query and fragment (section 4.3, 9.), after normalisation (RFC 3986 section 6.2).
fn is_same_address(said: &str, actual: &str) -> bool {
    let bare = |text: &str| {
        let mut url = url::Url::parse(text).ok()?;
        url.set_query(None);
        url.set_fragment(None);
        Some(url)
    };
    matches!((bare(said), bare(actual)), (Some(said), Some(actual)) if said == actual)
}

#[cfg(test)]
#[path = "dpop_tests.rs"]
mod tests;
