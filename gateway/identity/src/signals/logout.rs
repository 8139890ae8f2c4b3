//! Somebody signed out over there (OpenID Connect Back-Channel Logout 1.0 section 2.6).

use std::{collections::BTreeMap, time::Duration};

use cardea_core::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Refused, once,
    signed::{Audience, Keys, opened},
    time,
};
use crate::{
    TicketHash,
    oidc::{Provider, SKEW, is_name},
};

/// A logout token that verified: whose sessions are over. It names at least one of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logout {
    /// The provider's name for the person (`sub`).
    pub subject: Option<String>,
    /// The provider's name for its session (`sid`): that one alone is over.
    pub sid: Option<String>,
    /// Under what it is noted that it was taken.
    pub once: TicketHash,
}

#[derive(Clone, Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    iat: i64,
    exp: i64,
    jti: String,
    sub: Option<String>,
    sid: Option<String>,
    events: BTreeMap<String, Value>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// What such a token says, in `events`.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// How old a logout token may be. Ten minutes, as for ID tokens: it comes straight from the provider, which tries again for a while.
const OLDEST: Duration = Duration::from_secs(600);

/// Verifies a logout token of this provider.
pub fn logout(token: &str, provider: &Provider, now: Timestamp) -> Result<Logout, Refused> {
    // Section 2.4 recommends a kind of its own; older providers name the usual one, or none. What keeps an ID token from being taken
    // for a logout token is then its nonce, and the event that it lacks.
    let claims: Claims = opened(token, &["logout+jwt", "jwt", ""], &Keys::of(provider))?;
    if claims.iss != provider.issuer() {
        return Err(Refused::Issuer);
    }
    if !claims.aud.names(&provider.spec().client_id) {
        return Err(Refused::Audience);
    }
    let issued = time(claims.iat)?;
    if issued > now.plus(SKEW) || time(claims.exp)? < issued {
        return Err(Refused::Malformed("its time has not come"));
    }
    if issued < now.minus(OLDEST) || time(claims.exp)?.plus(SKEW) <= now {
        return Err(Refused::Malformed("its time is over"));
    }
    if !claims.events.get(EVENT).is_some_and(Value::is_object) {
        return Err(Refused::Malformed("it says of nobody that they signed out"));
    }
    if claims.rest.contains_key("nonce") {
        return Err(Refused::Malformed("it has a nonce, as an ID token has"));
    }
    if claims.sub.is_none() && claims.sid.is_none() {
        return Err(Refused::Malformed("it names neither a person nor a session"));
    }
    if ![&claims.sub, &claims.sid].into_iter().flatten().all(|name| is_name(name)) {
        return Err(Refused::Malformed("whom it names nobody can be called"));
    }
    let once = once(provider, &claims.iss, &claims.jti)?;
    Ok(Logout { subject: claims.sub, sid: claims.sid, once })
}
