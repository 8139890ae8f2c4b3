//! Who a client is: by a JWT that it signs (RFC 7523 section 3, `private_key_jwt`), by a secret, or by its certificate (RFC 8705).

use std::time::Duration;

use cardea_core::{
    ClientId, Timestamp,
    resources::{ClientKey, ClientSpec},
};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;

use super::{
    Refused,
    jws::{self, Audience, Key},
};
use crate::token::sha256;

/// How far a client's clock may differ from ours.
const SKEW: Duration = Duration::from_secs(30);

/// How long a client's JWT may be good for. An hour: what usual libraries make it last, though it is for the request that it comes
/// with. It is remembered that long.
pub const ASSERTION_LIFE: Duration = Duration::from_secs(3600);

/// How long it is remembered that one was shown: at the longest from the first showing to the last moment at which it verifies.
pub const REMEMBERED: Duration = Duration::from_secs(ASSERTION_LIFE.as_secs() + 2 * SKEW.as_secs());

/// The kind of assertion that is understood (RFC 7523 section 2.2).
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A JWT with which a client proved who it is. It proves that once: whoever believes it spends [`ClientAssertion::spent_as`] first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAssertion {
    /// Under what its use is noted, for [`REMEMBERED`].
    pub spent_as: [u8; 32],
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: i64,
    iat: Option<i64>,
    nbf: Option<i64>,
    jti: String,
}

/// Whose assertion it says that it is, before anything of it is believed: to find the keys by.
pub fn claimed(assertion: &str) -> Option<ClientId> {
    #[derive(Deserialize)]
    struct Whose {
        sub: String,
    }
    if assertion.len() > jws::LONGEST {
        return None;
    }
    let whose: Whose = jsonwebtoken::dangerous::insecure_decode_claims(assertion).ok()?;
    ClientId::parse(&whose.sub).ok()
}

/// Verifies a client's assertion. `audiences` are the names under which we are known to clients: our issuer and the address of the
/// token endpoint. One that names several audiences could have been made for another, and is refused.
pub fn verify(
    assertion: &str,
    client: &ClientSpec,
    audiences: &[&str],
    now: Timestamp,
) -> Result<ClientAssertion, Refused> {
    let header = jws::header(assertion, &["JWT", "client-authentication+jwt", ""])?;
    if header.jwk.is_some() {
        return Err(Refused("it brings a key of its own"));
    }
    let key = match (&header.kid, client.keys.as_slice()) {
        (None, [only]) => only,
        (Some(_), [only]) if only.kid.is_none() => only,
        (Some(kid), all) => {
            let named = all.iter().find(|key| key.kid.as_ref() == Some(kid));
            named.ok_or(Refused("it names a key that the client does not have"))?
        }
        (None, _) => return Err(Refused("it names none of the client's keys")),
    };
    let claims: Claims = jws::claims(assertion, &header, &verifying(key)?)?;
    if claims.iss != client.id.as_str() || claims.sub != client.id.as_str() {
        return Err(Refused("it speaks of another client"));
    }
    let ours = match &claims.aud {
        Audience::One(one) => audiences.contains(&one.as_str()),
        Audience::Several(all) => matches!(all.as_slice(), [one] if audiences.contains(&one.as_str())),
    };
    if !ours {
        return Err(Refused("it is for another audience"));
    }
    let until = jws::time(claims.exp)?;
    if now >= until.plus(SKEW) {
        return Err(Refused("its time is over"));
    }
    if until > now.plus(ASSERTION_LIFE + SKEW) {
        return Err(Refused("it is good for longer than an hour"));
    }
    for begins in [claims.iat, claims.nbf].into_iter().flatten() {
        if jws::time(begins)? > now.plus(SKEW) {
            return Err(Refused("its time has not come"));
        }
    }
    if claims.jti.is_empty() || claims.jti.len() > 256 {
        return Err(Refused("it has no name to be known by"));
    }
    let spent_as = sha256(format!("{} {}", client.id, claims.jti).as_bytes());
    Ok(ClientAssertion { spent_as })
}

fn verifying(key: &ClientKey) -> Result<Key, Refused> {
    let unreadable = |_| Refused("the client's key cannot be read");
    Ok(match (key.kty.as_str(), key.crv.as_str(), &key.y) {
        ("EC", "P-256", Some(y)) => {
            Key { algorithm: Algorithm::ES256, key: DecodingKey::from_ec_components(&key.x, y).map_err(unreadable)? }
        }
        ("OKP", "Ed25519", None) => {
            Key { algorithm: Algorithm::EdDSA, key: DecodingKey::from_ed_components(&key.x).map_err(unreadable)? }
        }
        _ => return Err(Refused("the client's key is of another kind")),
    })
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
