//! What may be used once: sign-in flows, hand-over codes, invitations. The rule is the store's contract; the value
//! is opaque to it.

use std::time::Duration;

use cardea_core::{Entropy, TenantId, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    sealing::{CannotOpen, Sealed, Sealer},
    token::{Ticket, TicketHash},
};

/// A value that is kept until it is taken, once.
///
/// Contract of a store: `put` keeps it until `expires` at the longest; `take(purpose, hash, now)` removes and returns
/// it in one atomic step, so that of any number of racing takers exactly one gets it; `peek` returns it and leaves it.
/// Whatever is past `expires`, or of another purpose, is as if it were not there. `put` with a known hash replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTime {
    /// What it is for: a value put for one purpose is never found for another.
    pub purpose: Purpose,
    /// What it is found by.
    pub hash: TicketHash,
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// The value, sealed: nobody who reads the store learns a nonce or a verifier.
    pub body: Sealed,
    /// From when it is as good as gone.
    pub expires: Timestamp,
}

impl OneTime {
    /// Seals `value` under a new ticket, good from `now` for the purpose's life.
    pub fn issue<T: Serialize>(
        purpose: Purpose,
        tenant: &TenantId,
        value: &T,
        sealer: &Sealer,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(Ticket, Self), CannotOpen> {
        let ticket = Ticket::draw(entropy);
        let value = Self::under(ticket.hash(), (purpose, tenant), value, sealer, now, entropy)?;
        Ok((ticket, value))
    }

    /// Seals `value` under what it will be found by, good from `now` for the purpose's life.
    pub fn under<T: Serialize>(
        hash: TicketHash,
        (purpose, tenant): (Purpose, &TenantId),
        value: &T,
        sealer: &Sealer,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Self, CannotOpen> {
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(value).map_err(|_| CannotOpen)?);
        let body = sealer.seal(&place(purpose, tenant, &hash), &plain, entropy)?;
        let expires = now.plus(purpose.life());
        Ok(Self { purpose, hash, tenant: tenant.clone(), body, expires })
    }

    /// The value, if it was issued for this purpose and tenant and is still good.
    pub fn open<T: DeserializeOwned>(
        &self,
        purpose: Purpose,
        tenant: &TenantId,
        sealer: &Sealer,
        now: Timestamp,
    ) -> Result<T, CannotOpen> {
        if self.purpose != purpose || self.tenant != *tenant || now >= self.expires {
            return Err(CannotOpen);
        }
        let plain = sealer.open(&place(purpose, tenant, &self.hash), &self.body)?;
        serde_json::from_slice(plain.expose()).map_err(|_| CannotOpen)
    }
}

fn place(purpose: Purpose, tenant: &TenantId, hash: &TicketHash) -> String {
    format!("one-time/{}/{tenant}/{hash}", purpose.as_str())
}

/// What a one-time value is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// A sign-in under way (see `sign_in`).
    Flow,
    /// A session on its way from the sign-in host to an app host.
    HandOver,
    /// An invitation that has not been accepted.
    Invitation,
    /// A factor being enrolled from the portal: a challenge or an unconfirmed secret.
    Enrolment,
    /// A code on its way from a person's browser to a client (RFC 6749 section 4.1.2).
    AuthorizationCode,
    /// A device that waits for its person (RFC 8628).
    Device,
    /// The short code that this person types, and which device it is of.
    UserCode,
    /// What the person said.
    DeviceAnswer,
    /// Whose a provider's session is: it may end it by its name alone.
    ProviderSession,
    /// That a provider's signal was taken: it is not taken twice.
    Signal,
}

impl Purpose {
    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::HandOver => "hand-over",
            Self::Invitation => "invitation",
            Self::Enrolment => "enrolment",
            Self::AuthorizationCode => "authorization-code",
            Self::Device => "device",
            Self::UserCode => "user-code",
            Self::DeviceAnswer => "device-answer",
            Self::ProviderSession => "provider-session",
            Self::Signal => "signal",
        }
    }

    /// Whether anybody causes values of this purpose: by asking for the sign-in page, or as a device of a client that has no secret.
    /// All others are caused by somebody who is signed in, was invited or has just proven who they are.
    pub const fn is_of_strangers(self) -> bool {
        match self {
            Self::Flow | Self::Device | Self::UserCode => true,
            Self::HandOver
            | Self::Invitation
            | Self::Enrolment
            | Self::AuthorizationCode
            | Self::DeviceAnswer
            | Self::ProviderSession
            | Self::Signal => false,
        }
    }

    /// How long a value of this purpose is good for.
    pub const fn life(self) -> Duration {
        match self {
            // Ten minutes: shorter than a lunch break, longer than a search for the phone.
            Self::Flow | Self::Enrolment | Self::Device | Self::UserCode | Self::DeviceAnswer => {
                Duration::from_secs(600)
            }
            // One redirect: RFC 9700 recommends at most a minute for codes.
            Self::HandOver | Self::AuthorizationCode => Duration::from_secs(60),
            // Three days: over a weekend, not over a holiday.
            Self::Invitation => Duration::from_secs(3 * 24 * 3600),
            // An hour more than a day: longer than any signal verifies.
            Self::Signal => Duration::from_secs(25 * 3600),
            // A month: longer than any session lasts by default.
            Self::ProviderSession => Duration::from_secs(30 * 24 * 3600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{now, tenant};
    use cardea_core::{Secret, entropy::Fixed};

    #[test]
    fn a_value_opens_for_its_purpose_tenant_and_time_only() {
        let sealer = Sealer::new(&Secret::new([3; 32])).unwrap();
        let (ticket, kept) =
            OneTime::issue(Purpose::Invitation, &tenant(), &"ada", &sealer, now(), &Fixed::new(1)).unwrap();
        assert_eq!(kept.hash, ticket.hash());
        let open = |purpose, tenant: &TenantId, at| kept.open::<String>(purpose, tenant, &sealer, at);
        assert_eq!(open(Purpose::Invitation, &tenant(), now()).unwrap(), "ada");
        assert!(open(Purpose::HandOver, &tenant(), now()).is_err());
        assert!(open(Purpose::Invitation, &TenantId::parse("south").unwrap(), now()).is_err());
        assert!(open(Purpose::Invitation, &tenant(), kept.expires).is_err());
    }

    /// Keycloak CVE-2026-1529: an invitation whose signature nobody checked.
    #[test]
    fn a_value_moved_to_another_place_does_not_open() {
        let sealer = Sealer::new(&Secret::new([3; 32])).unwrap();
        let entropy = Fixed::new(1);
        let (_, kept) = OneTime::issue(Purpose::Flow, &tenant(), &"ada", &sealer, now(), &entropy).unwrap();
        let (other, _) = OneTime::issue(Purpose::Flow, &tenant(), &"bob", &sealer, now(), &entropy).unwrap();
        let moved = OneTime { hash: other.hash(), ..kept.clone() };
        assert!(moved.open::<String>(Purpose::Flow, &tenant(), &sealer, now()).is_err());
        let renamed = OneTime { purpose: Purpose::Invitation, ..kept };
        assert!(renamed.open::<String>(Purpose::Invitation, &tenant(), &sealer, now()).is_err());
    }
}
