//! What the tests of this crate share.

use std::sync::atomic::{AtomicU64, Ordering};

use cardea_core::{Assurance, FactorId, TenantId, Timestamp, UserId, entropy::Fixed};

use crate::{
    pool::{Email, Factor, FactorData, Status, User},
    sealing::Sealed,
};

static NEXT: AtomicU64 = AtomicU64::new(1);

fn entropy() -> Fixed {
    Fixed::new(NEXT.fetch_add(1, Ordering::Relaxed) * 7919)
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

pub(crate) fn tenant() -> TenantId {
    TenantId::parse("north").unwrap()
}

pub(crate) fn user(email: &str) -> User {
    User {
        id: UserId::mint(now(), &entropy()),
        tenant: tenant(),
        email: Email::parse(email).unwrap(),
        name: "Ada".to_owned(),
        status: Status::Active,
        groups: vec![],
        created: now(),
        changed: now(),
        last_seen: None,
        attributes: cardea_core::Attributes::default(),
    }
}

fn factor(data: FactorData) -> Factor {
    let id = FactorId::mint(now(), &entropy());
    Factor { id, name: String::new(), data, created: now(), last_used: None }
}

pub(crate) fn password_factor() -> Factor {
    factor(FactorData::Password { phc: String::new() })
}

pub(crate) fn totp_factor() -> Factor {
    factor(FactorData::Totp { secret: Sealed::from_stored(""), last_step: None })
}

pub(crate) fn recovery_factor() -> Factor {
    factor(FactorData::Recovery { key: Sealed::from_stored("") })
}

pub(crate) fn passkey_factor(reach: Assurance) -> Factor {
    let credential_id = FactorId::mint(now(), &entropy()).to_string();
    factor(FactorData::Passkey { credential_id, credential: serde_json::Value::Null, reach, copied: None })
}
