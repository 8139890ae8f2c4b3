//! Security event tokens (RFC 8417) as the OpenID Shared Signals Framework 1.0 has them: what CAEP and RISC say of a person's account.

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
    Email, TicketHash,
    oidc::{Provider, SKEW, is_name},
    one_time::Purpose,
};

/// Who sends security events about a provider's people: the provider, or whoever the tenant says does it for that one.
#[derive(Debug, Clone, Copy)]
pub struct Transmitter<'a> {
    /// Whose people they are.
    pub provider: &'a Provider,
    /// Who issues them.
    pub issuer: &'a str,
    /// Whom they are for.
    pub audience: &'a str,
    /// What they are signed with.
    pub keys: &'a Keys,
}

/// A security event token that verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityEvent {
    /// Of whom it speaks.
    pub about: About,
    /// The provider's session that alone is meant, where one is.
    pub sid: Option<String>,
    /// What it says, in the order of the events' names.
    pub said: Vec<Said>,
    /// Under what it is noted that it was taken.
    pub once: TicketHash,
}

/// Of whom a token speaks (RFC 9493).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// Of the account with this `sub` at the provider.
    Account(String),
    /// Of whoever has this address; it is of a domain that the tenant says is the provider's.
    Address(Email),
    /// Of nobody whom we could know by it.
    Nobody,
}

/// An event, and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// Its name, as entries tell it: `session-revoked`, …; `unknown` for those that are none of ours.
    pub name: &'static str,
    /// What follows.
    pub effect: Effect,
}

/// What follows from an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// What rests on the account is over.
    Ends,
    /// The same, and the account opens nothing until it is said to again.
    Disables,
    /// The account opens what it did before.
    Enables,
    /// None.
    Nothing,
}

#[derive(Clone, Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    iat: i64,
    exp: Option<i64>,
    jti: String,
    sub_id: Option<Value>,
    events: BTreeMap<String, Value>,
}

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type/";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";
const SSF: &str = "https://schemas.openid.net/secevent/ssf/event-type/";

/// How old an event may be. A day: a transmitter that did not reach us tries again for hours, and an end that comes late is better
/// than none.
const OLDEST: Duration = Duration::from_secs(24 * 3600);

/// It is remembered that one was taken for longer than it verifies.
const _: () = assert!(Purpose::Signal.life().as_secs() > OLDEST.as_secs() + 2 * SKEW.as_secs());

/// Verifies a security event token of this transmitter.
pub fn security_event(token: &str, from: &Transmitter<'_>, now: Timestamp) -> Result<SecurityEvent, Refused> {
    // The kind is demanded: no other token of the issuer has it (RFC 8417 section 2.3).
    let claims: Claims = opened(token, &["secevent+jwt"], from.keys)?;
    if claims.iss != from.issuer {
        return Err(Refused::Issuer);
    }
    if !claims.aud.names(from.audience) {
        return Err(Refused::Audience);
    }
    let issued = time(claims.iat)?;
    if issued > now.plus(SKEW) {
        return Err(Refused::Malformed("its time has not come"));
    }
    let over = claims.exp.map(time).transpose()?.is_some_and(|end| end.plus(SKEW) <= now);
    if issued < now.minus(OLDEST) || over {
        return Err(Refused::Malformed("its time is over"));
    }
    if claims.events.is_empty() {
        return Err(Refused::Malformed("it says nothing"));
    }
    let said: Vec<_> = claims.events.iter().map(|(name, event)| said(name, event)).collect();
    let (about, sid) = meant(claims.sub_id.as_ref().unwrap_or(&Value::Null), from.provider);
    let once = once(from.provider, &claims.iss, &claims.jti)?;
    Ok(SecurityEvent { about, sid, said, once })
}

fn said(name: &str, event: &Value) -> Said {
    let (name, effect) = if let Some(name) = name.strip_prefix(CAEP) {
        match name {
            "session-revoked" => ("session-revoked", Effect::Ends),
            "credential-change" => ("credential-change", Effect::Ends),
            // Claims are read at a sign-in alone: whoever comes back is read anew.
            "token-claims-change" => ("token-claims-change", Effect::Ends),
            "assurance-level-change" if event["change_direction"] == "increase" => {
                ("assurance-level-change", Effect::Nothing)
            }
            "assurance-level-change" => ("assurance-level-change", Effect::Ends),
            "device-compliance-change" if event["current_status"] == "compliant" => {
                ("device-compliance-change", Effect::Nothing)
            }
            "device-compliance-change" => ("device-compliance-change", Effect::Ends),
            _ => ("unknown", Effect::Nothing),
        }
    } else if let Some(name) = name.strip_prefix(RISC) {
        match name {
            "account-disabled" => ("account-disabled", Effect::Disables),
            "account-enabled" => ("account-enabled", Effect::Enables),
            "account-purged" => ("account-purged", Effect::Disables),
            "sessions-revoked" => ("sessions-revoked", Effect::Ends),
            _ => ("unknown", Effect::Nothing),
        }
    } else if name.strip_prefix(SSF) == Some("verification") {
        ("verification", Effect::Nothing)
    } else {
        ("unknown", Effect::Nothing)
    };
    Said { name, effect }
}

/// Whom a subject names, and which session of theirs. One that speaks of a person, a session, a device and so on at once (SSF section
/// 3.2, `complex`) is about the person, and about that session alone where it is named as ID tokens do.
fn meant(subject: &Value, provider: &Provider) -> (About, Option<String>) {
    if subject["format"] == "complex" {
        let session = &subject["session"];
        let sid = session["id"].as_str().filter(|sid| session["format"] == "opaque" && is_name(sid));
        return (person(&subject["user"], provider), sid.map(str::to_owned));
    }
    (person(subject, provider), None)
}

fn person(subject: &Value, provider: &Provider) -> About {
    let text = |name: &str| subject[name].as_str().unwrap_or_default();
    let account = |name: &str| if is_name(name) { About::Account(name.to_owned()) } else { About::Nobody };
    match text("format") {
        "iss_sub" if text("iss") == provider.issuer() => account(text("sub")),
        "opaque" => account(text("id")),
        "email" => match Email::parse(text("email")) {
            Ok(email) if provider.spec().email_domains.iter().any(|domain| domain == email.domain()) => {
                About::Address(email)
            }
            _ => About::Nobody,
        },
        _ => About::Nobody,
    }
}
