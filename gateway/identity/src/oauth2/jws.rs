//! The one place where a signed token of a program is opened (RFC 7515). What a token says of itself chooses nothing: the key is
//! known before, and with it the algorithm.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_core::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// Why a token is not believed. The text is for the entry; whoever showed it is told no more than that it was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub &'static str);

/// The longest token that is looked at: 8 KiB. Ours have a kilobyte; what is longer is made to be costly.
pub(super) const LONGEST: usize = 8 * 1024;

/// A key that a signature is checked with, and the only algorithm that it is for.
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// What the header says (RFC 7515 section 4.1).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Header {
    alg: String,
    typ: Option<String>,
    pub(super) kid: Option<String>,
    /// A key that the token brings along: only a proof of possession may.
    pub(super) jwk: Option<Value>,
    jku: Option<Value>,
    x5u: Option<Value>,
    x5c: Option<Value>,
    cty: Option<Value>,
    crit: Option<Value>,
    enc: Option<Value>,
    zip: Option<Value>,
}

/// The header of a token that may be believed, if its key is: one signed part, of the kind meant, that names no key of its own
/// making and no extension.
pub(super) fn header(token: &str, kinds: &[&str]) -> Result<Header, Refused> {
    if token.len() > LONGEST {
        return Err(Refused("it is longer than 8 KiB"));
    }
    // Five parts are an encrypted token (RFC 7516): that says nothing of who made it.
    if token.split('.').count() != 3 {
        return Err(Refused("it is no signed token of three parts"));
    }
    let first = token.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let header: Option<Header> = first.and_then(|json| serde_json::from_slice(&json).ok());
    let header = header.ok_or(Refused("its header cannot be read"))?;
    let kind = header.typ.as_deref().unwrap_or_default();
    if !kinds.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
        return Err(Refused("it is of another kind"));
    }
    if header.jku.is_some() || header.x5u.is_some() || header.x5c.is_some() {
        return Err(Refused("it brings a key of its own"));
    }
    if [&header.cty, &header.crit, &header.enc, &header.zip].into_iter().any(Option::is_some) {
        return Err(Refused("it has a part that is not understood"));
    }
    Ok(header)
}

/// The claims of a token whose signature `key` verifies. INVARIANT: of times, issuer and audience nothing is checked here: that
/// takes the time that is given, and is for whoever knows what the token is for.
pub(super) fn claims<C: DeserializeOwned>(token: &str, header: &Header, key: &Key) -> Result<C, Refused> {
    // What the key is for is known: a token that says otherwise is not verified in its way (RFC 8725 section 3.1).
    let names: &[&str] = match key.algorithm {
        Algorithm::ES256 => &["ES256"],
        // RFC 9864 calls the same by the name of its curve.
        Algorithm::EdDSA => &["EdDSA", "Ed25519"],
        _ => &[],
    };
    if !names.contains(&header.alg.as_str()) {
        return Err(Refused("it names another algorithm than its key's"));
    }
    let parts = token.rsplit_once('.').zip(token.split('.').nth(1));
    let ((signed, signature), claims) = parts.ok_or(Refused("it is no signed token of three parts"))?;
    let verified = jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key.key, key.algorithm);
    if !verified.unwrap_or(false) {
        return Err(Refused("its signature does not verify"));
    }
    let claims = URL_SAFE_NO_PAD.decode(claims).ok();
    let claims = claims.and_then(|json| serde_json::from_slice(&json).ok());
    claims.ok_or(Refused("its claims cannot be read"))
}

/// Seconds of a claim as a time; what no clock shows is none.
pub(super) fn time(seconds: i64) -> Result<Timestamp, Refused> {
    const LAST: i64 = 253_402_300_799;
    if (0..=LAST).contains(&seconds) { Ok(Timestamp::from_secs(seconds)) } else { Err(Refused("it names no time")) }
}

/// One text or a list of them (RFC 7519 section 4.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Several(Vec<String>),
}
