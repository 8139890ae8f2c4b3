//! The one place where a signed token of a program is opened (RFC 7515). What a token says of itself chooses nothing: the key is
//! known before, and with it the algorithm.

use cardea_core::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde::de::DeserializeOwned;

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
    let header = jsonwebtoken::decode_header(token).map_err(|_| Refused("its header cannot be read"))?;
    let kind = header.typ.as_deref().unwrap_or_default();
    if !kinds.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
        return Err(Refused("it is of another kind"));
    }
    if header.jku.is_some() || header.x5u.is_some() || header.x5c.is_some() {
        return Err(Refused("it brings a key of its own"));
    }
    if header.cty.is_some() || header.crit.is_some() {
        return Err(Refused("it has a part that is not understood"));
    }
    Ok(header)
}

/// The claims of a token whose signature `key` verifies. INVARIANT: of times, issuer and audience nothing is checked here: that
/// takes the time that is given, and is for whoever knows what the token is for.
pub(super) fn claims<C: DeserializeOwned>(token: &str, key: &Key) -> Result<C, Refused> {
    let mut rules = Validation::new(key.algorithm);
    rules.algorithms = vec![key.algorithm];
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    rules.validate_nbf = false;
    rules.validate_aud = false;
    let opened = jsonwebtoken::decode::<C>(token, &key.key, &rules);
    opened.map(|opened| opened.claims).map_err(|error| match error.kind() {
        jsonwebtoken::errors::ErrorKind::InvalidAlgorithm => Refused("it names another algorithm than its key's"),
        jsonwebtoken::errors::ErrorKind::InvalidSignature => Refused("its signature does not verify"),
        _ => Refused("its claims cannot be read"),
    })
}

/// Seconds of a claim as a time; what no clock shows is none.
pub(super) fn time(seconds: i64) -> Result<Timestamp, Refused> {
    const LAST: i64 = 253_402_300_799;
    if (0..=LAST).contains(&seconds) { Ok(Timestamp::from_secs(seconds)) } else { Err(Refused("it names no time")) }
}

/// One text or a list of them (RFC 7519 section 4.1.3).
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Several(Vec<String>),
}
