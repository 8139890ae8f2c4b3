//! What is kept sealed, and what it is bound to. Everything else of a row is ids, times, states and counts.
//!
//! | table | sealed | found by |
//! |---|---|---|
//! | `users` | address, name and attributes | a mark of the address |
//! | `identities`, `unlinked` | issuer and subject | a mark of provider, issuer and subject |
//! | `factors` | name, and what it is checked with (its secret sealed once more, so that none lies open in memory) | id |
//! | `tickets` | payload and author | hash |
//! | `policy_versions` | author and note | number |
//! | `sessions` | browser, address and proofs | id |
//! | `grants` | what it is good for, browser, address and factors | id |
//! | `access_keys` | name, and what it is good for | id |
//! | `log` | the entry (see [`cardea_identity::sealing::EntrySealer`]) | id, number, facets |
//! | `tries` | nothing | a mark of what was tried, at whose account and from where |
//! | `one_time`, `signing_keys`, `secrets` | the value, by whoever made it | hash, id |
//! | `tenant_keys` | the tenant's key, under the operator's | tenant, id |
//!
//! The tenant is bound by its key. A mark is a keyed hash (HMAC-SHA-256 under a key that follows from the tenant's).

use std::fmt;

use cardea_core::{AccessKeyId, Entropy, FactorId, GrantId, SessionId, TenantId, UserId};
use cardea_identity::{Email, LinkedIdentity, Sealer, TicketHash};
use serde::{Serialize, de::DeserializeOwned};

use crate::StoreFault;

/// The row that sealed bytes belong to: elsewhere they do not open.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    Key { owner: &'a str, id: &'a [u8] },
    Account { user: UserId, mark: &'a str },
    Factor(FactorId),
    Ticket(&'a TicketHash),
    Policies(i64),
    Session(SessionId),
    Grant(GrantId),
    AccessKey(AccessKeyId),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { owner, id } => {
                write!(f, "tenant-key/{owner}/")?;
                id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Account { user, mark } => write!(f, "account/{user}/{mark}"),
            Self::Factor(id) => write!(f, "factor/{id}"),
            Self::Ticket(hash) => write!(f, "ticket/{hash}"),
            Self::Policies(version) => write!(f, "policies/{version}"),
            Self::Session(id) => write!(f, "session/{id}"),
            Self::Grant(id) => write!(f, "grant/{id}"),
            Self::AccessKey(id) => write!(f, "access-key/{id}"),
        }
    }
}

/// Seals a value as JSON.
pub(crate) fn seal<T: Serialize>(
    sealer: &Sealer,
    place: Place<'_>,
    value: &T,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, StoreFault> {
    Ok(sealer.seal_bytes(&place.to_string(), &serde_json::to_vec(value)?, entropy)?)
}

/// Opens what [`seal`] sealed.
pub(crate) fn open<T: DeserializeOwned>(sealer: &Sealer, place: Place<'_>, sealed: Vec<u8>) -> Result<T, StoreFault> {
    let plain = sealer.open_bytes(&place.to_string(), sealed)?;
    serde_json::from_slice(&plain).map_err(|why| StoreFault::corrupt("sealed", why))
}

/// A person's address and name. Not JSON, since searches go through it: the address, a line's end, the name;
/// behind another line's end what the tenant says of the person beside (see `users.rs`).
pub(crate) fn seal_person(
    sealer: &Sealer,
    id: UserId,
    email: &Email,
    name: &str,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, StoreFault> {
    let plain = format!("{email}\n{name}");
    Ok(sealer.seal_bytes(&format!("person/{id}"), plain.as_bytes(), entropy)?)
}

/// The address and name that [`seal_person`] sealed.
pub(crate) fn open_person(sealer: &Sealer, id: UserId, sealed: Vec<u8>) -> Result<(Email, String), StoreFault> {
    let plain = person_text(sealer, &id.to_string(), sealed)?;
    let (email, name) = plain.split_once('\n').ok_or_else(|| StoreFault::corrupt("person", "no name"))?;
    let email = Email::parse(email).map_err(|why| StoreFault::corrupt("person", why))?;
    Ok((email, name.to_owned()))
}

/// The same as it was sealed, by the id as text: for searches.
pub(crate) fn person_text(sealer: &Sealer, id: &str, sealed: Vec<u8>) -> Result<String, StoreFault> {
    let plain = sealer.open_bytes(&["person/", id].concat(), sealed)?;
    String::from_utf8(plain).map_err(|why| StoreFault::corrupt("person", why))
}

/// What any other secret is bound to by whoever makes it.
pub fn secret(tenant: Option<&TenantId>, purpose: &str, id: &str) -> String {
    format!("{}/{purpose}/{id}", tenant.map_or("operator", TenantId::as_str))
}

/// By which marks an address is found.
pub(crate) const EMAIL: &str = "email";

/// By which marks an account at a provider is found, and the text that is marked.
pub(crate) const ACCOUNT: &str = "account";

/// See [`ACCOUNT`]. No part of it can hold a zero.
pub(crate) fn account(identity: &LinkedIdentity) -> String {
    [identity.provider.as_str(), &identity.issuer, &identity.subject].join("\0")
}
