//! Enrolment tokens: how a new service earns its first certificate. A token is 256 random bits, good once, for one
//! tenant's one service, for a short time; stores see only its hash.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cardea_core::{Entropy, Secret, TenantId, Timestamp, entropy};
use serde::{Deserialize, Serialize};

use crate::{InvalidSpiffeId, Rejected, SpiffeId, TrustDomain, facts::sha256};

/// How scanners of leaked secrets know one of ours.
pub const PREFIX: &str = "cardea-enrol_";

/// An hour: long enough to carry the token to its machine, short enough that a forgotten one is worthless.
pub const DEFAULT_TOKEN_TTL: Duration = Duration::from_secs(3600);

/// A token as its holder has it. Shown once, never stored.
#[derive(Debug, Clone)]
pub struct EnrolmentToken(Secret<String>);

impl EnrolmentToken {
    /// Makes a new token.
    pub fn mint(source: &dyn Entropy) -> Self {
        Self(Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(entropy::bytes::<32>(source)))))
    }

    /// Reads a token; spaces and line ends around it, as files have them, are dropped.
    pub fn parse(text: &str) -> Result<Self, Rejected> {
        let text = text.trim();
        let body = text.strip_prefix(PREFIX).ok_or(Rejected::NotAToken)?;
        match URL_SAFE_NO_PAD.decode(body) {
            Ok(bytes) if bytes.len() == 32 => Ok(Self(Secret::new(text.to_owned()))),
            _ => Err(Rejected::NotAToken),
        }
    }

    /// The token itself, to be printed once or sent.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// What is stored and looked up: SHA-256 of the text. No salt is needed with 256 random bits.
    pub fn hash(&self) -> [u8; 32] {
        sha256(self.0.expose().as_bytes())
    }
}

/// What a token entitles to; stored beside its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// The tenant whose service it is.
    pub tenant: TenantId,
    /// The service's whole name.
    pub spiffe_id: SpiffeId,
    /// When the token ends, used or not.
    pub expires_at: Timestamp,
    /// When it was used.
    #[serde(default)]
    pub used_at: Option<Timestamp>,
}

impl Enrolment {
    /// The right to enrol one service once, until `now + ttl`.
    pub fn new(
        tenant: TenantId,
        domain: &TrustDomain,
        service: &str,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<Self, InvalidSpiffeId> {
        let spiffe_id = SpiffeId::service(domain, service)?;
        Ok(Self { tenant, spiffe_id, expires_at: now.plus(ttl), used_at: None })
    }

    /// Spends the right. The caller must store the result with one compare-and-set before it signs anything: of two
    /// who race with one token, the second must find it used.
    pub fn redeem(mut self, now: Timestamp) -> Result<Self, Rejected> {
        if self.used_at.is_some() {
            return Err(Rejected::TokenUsed);
        }
        if now >= self.expires_at {
            return Err(Rejected::TokenExpired);
        }
        self.used_at = Some(now);
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::entropy::Fixed;

    fn enrolment(now: Timestamp) -> Enrolment {
        let tenant = TenantId::parse("acme").unwrap();
        let domain = TrustDomain::of_tenant(&tenant, "cardea.internal").unwrap();
        Enrolment::new(tenant, &domain, "records", now, DEFAULT_TOKEN_TTL).unwrap()
    }

    #[test]
    fn a_token_is_good_once_and_in_time() {
        let now = Timestamp::from_secs(1000);
        let used = enrolment(now).redeem(now).unwrap();
        assert_eq!(used.redeem(now), Err(Rejected::TokenUsed));
        let last = now.plus(DEFAULT_TOKEN_TTL - Duration::from_micros(1));
        assert!(enrolment(now).redeem(last).is_ok());
        assert_eq!(enrolment(now).redeem(now.plus(DEFAULT_TOKEN_TTL)), Err(Rejected::TokenExpired));
    }

    #[test]
    fn a_token_names_its_service_whole() {
        let now = Timestamp::from_secs(0);
        assert_eq!(enrolment(now).spiffe_id.as_str(), "spiffe://acme.cardea.internal/service/records");
        let tenant = TenantId::parse("acme").unwrap();
        let domain = TrustDomain::of_tenant(&tenant, "cardea.internal").unwrap();
        for bad in ["", "../gateway", "Records", "a/b"] {
            assert!(Enrolment::new(tenant.clone(), &domain, bad, now, DEFAULT_TOKEN_TTL).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_a_whole_token_reads() {
        let token = EnrolmentToken::mint(&Fixed::new(3));
        assert_eq!(token.expose().len(), 56);
        assert_eq!(EnrolmentToken::parse(&format!(" {}\n", token.expose())).unwrap().hash(), token.hash());
        let cut = &token.expose()[..55];
        for bad in ["", PREFIX, cut, &token.expose()[PREFIX.len()..], &format!("{}A", token.expose())] {
            assert!(EnrolmentToken::parse(bad).is_err(), "{bad:?}");
        }
        assert!(!format!("{token:?}").contains(PREFIX));
    }
}
