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

/// A key of somebody's that signs JWTs.
pub(crate) struct Pair {
    pub(crate) encoding: jsonwebtoken::EncodingKey,
    pub(crate) jwk: jsonwebtoken::jwk::Jwk,
    pub(crate) algorithm: jsonwebtoken::Algorithm,
}

impl Pair {
    pub(crate) fn p256() -> Self {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &aws_lc_rs::rand::SystemRandom::new());
        Self::of(jsonwebtoken::EncodingKey::from_ec_der(pkcs8.unwrap().as_ref()), jsonwebtoken::Algorithm::ES256)
    }

    pub(crate) fn ed25519() -> Self {
        let pkcs8 = aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8v1(&aws_lc_rs::rand::SystemRandom::new());
        Self::of(jsonwebtoken::EncodingKey::from_ed_der(pkcs8.unwrap().as_ref()), jsonwebtoken::Algorithm::EdDSA)
    }

    fn of(encoding: jsonwebtoken::EncodingKey, algorithm: jsonwebtoken::Algorithm) -> Self {
        let mut jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(&encoding, algorithm).unwrap();
        jwk.common = jsonwebtoken::jwk::CommonParameters::default();
        Self { encoding, jwk, algorithm }
    }

    /// Signs claims under a header of this kind, changed as wished.
    pub(crate) fn sign(
        &self,
        kind: &str,
        claims: &serde_json::Value,
        change: impl FnOnce(&mut jsonwebtoken::Header),
    ) -> String {
        let mut header = jsonwebtoken::Header::new(self.algorithm);
        header.typ = Some(kind.to_owned());
        change(&mut header);
        jsonwebtoken::encode(&header, claims, &self.encoding).unwrap()
    }
}
