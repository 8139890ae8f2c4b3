//! Access tokens (RFC 9068): what a program shows with each request. Ten minutes long, for named apps, good for a named scope,
//! and, where it is bound, good for nothing without the key or certificate of whoever it was given to.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_core::{Assurance, ClientId, GrantId, Timestamp, TokenId};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde::{Deserialize, Serialize};

use super::{
    Refused, Scope,
    jws::{self, Key},
};
use crate::{
    keys::{KeyFault, KeyRecord, SigningKey, coordinates},
    token::sha256,
};

/// How long a token is good for. Ten minutes: a stolen one is soon worth nothing, and a program asks for the next six times an hour.
pub const LIFE: Duration = Duration::from_secs(600);

/// How far the clocks of gateways that share one house may differ.
const SKEW: Duration = Duration::from_secs(5);

/// The kind that the header names (RFC 9068 section 2.1), so that no other token of ours is taken for one.
const KIND: &str = "at+jwt";

/// What a token is bound to (RFC 7800).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Confirmation {
    /// The thumbprint of a key whose proof is shown with each request (RFC 9449 section 6).
    #[serde(rename = "jkt")]
    Key(String),
    /// The thumbprint of the certificate of the connection (RFC 8705 section 3).
    #[serde(rename = "x5t#S256")]
    Certificate(String),
}

impl Confirmation {
    /// The confirmation by the certificate of these bytes.
    pub fn of_certificate(der: &[u8]) -> Self {
        Self::Certificate(URL_SAFE_NO_PAD.encode(sha256(der)))
    }
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessToken {
    /// The tenant's sign-in origin.
    pub iss: String,
    /// Who: a person's id, or the service account's name.
    pub sub: String,
    /// The origins of the apps that it is for.
    pub aud: Vec<String>,
    /// The client that it was given to.
    pub client_id: ClientId,
    /// What it is good for.
    pub scope: Scope,
    /// Its name.
    pub jti: TokenId,
    /// What the person let the client do; absent where that asks in its own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
    /// How sure we are of the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assurance: Option<Assurance>,
    /// When the person proved who they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// The factors used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<String>,
    /// What it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// When it was made; seconds.
    pub iat: i64,
    /// From when it is good for nothing; seconds.
    pub exp: i64,
}

/// Signs a token.
pub fn mint(token: &AccessToken, key: &SigningKey) -> Result<String, KeyFault> {
    let header = Header { kid: Some(key.id.clone()), typ: Some(KIND.to_owned()), ..Header::new(Algorithm::ES256) };
    jsonwebtoken::encode(&header, token, &key.key).map_err(|_| KeyFault)
}

/// Whether a text says that it is a token of an issuer that is `ours`, so that it is to be believed or refused, and never passed over:
/// however badly it is made beside, whichever of our tenants it names.
pub fn claims_to_be_of(text: &str, ours: impl Fn(&str) -> bool) -> bool {
    let mut parts = text.split('.');
    let (Some(_), Some(claims)) = (parts.next(), parts.next()) else { return false };
    if text.len() > jws::LONGEST {
        return true;
    }
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok();
    let claims: Option<serde_json::Value> = claims.and_then(|claims| serde_json::from_slice(&claims).ok());
    claims.is_some_and(|claims| claims.get("iss").and_then(serde_json::Value::as_str).is_some_and(ours))
}

/// Verifies a token that `issuer` signed with one of `keys`: kind, algorithm, signature, issuer, times and form. For whom it is
/// good, and whether it was revoked, is for the caller to say.
pub fn verify(text: &str, keys: &[KeyRecord], issuer: &str, now: Timestamp) -> Result<AccessToken, Refused> {
    let header = jws::header(text, &[KIND, "application/at+jwt"])?;
    if header.jwk.is_some() {
        return Err(Refused("it brings a key of its own"));
    }
    let kid = header.kid.as_ref().ok_or(Refused("it names no key"))?;
    let record = keys.iter().find(|key| key.id == *kid && now < key.published_until);
    let record = record.ok_or(Refused("its key is not one of ours"))?;
    let token: AccessToken = jws::claims(text, &header, &verifying(record)?)?;
    if token.iss != issuer {
        return Err(Refused("it is another issuer's"));
    }
    let (made, ends) = (jws::time(token.iat)?, jws::time(token.exp)?);
    if made > now.plus(SKEW) || made < record.signs_from.minus(SKEW) || made >= record.signs_until.plus(SKEW) {
        return Err(Refused("it was made at another time than its key signed"));
    }
    if now >= ends || ends.since(made) > LIFE {
        return Err(Refused("its time is over"));
    }
    Ok(token)
}

fn verifying(record: &KeyRecord) -> Result<Key, Refused> {
    let unreadable = Refused("its key cannot be read");
    let point = URL_SAFE_NO_PAD.decode(&record.public).map_err(|_| unreadable)?;
    let (x, y) = coordinates(&point).ok_or(unreadable)?;
    let key = DecodingKey::from_ec_components(&x, &y).map_err(|_| unreadable)?;
    Ok(Key { algorithm: Algorithm::ES256, key })
}

#[cfg(test)]
#[path = "access_token_tests.rs"]
mod tests;
