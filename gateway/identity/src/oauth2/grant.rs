//! What a person has let a client do, and the refresh tokens of it: a family, in which each has one successor (RFC 9700 section
//! 4.14.2).

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use cardea_core::{
    AppId, Assurance, ClientId, Entropy, GrantId, SessionId, TenantId, Timestamp, UserId, resources::ClientSpec,
};
use serde::{Deserialize, Serialize};

use super::{Scope, access_token::Confirmation};
use crate::token::bearer;

bearer!(
    /// What a client gets the next access token for.
    RefreshSecret,
    /// What stores know a refresh token by.
    RefreshHash
);

/// What a person has let a client do. It outlives the browser's session in which it was given, and ends by its limits, by the person, an
/// administrator, a change of factors, or when one of its refresh tokens is used twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its name.
    pub id: GrantId,
    /// The tenant.
    pub tenant: TenantId,
    /// The client.
    pub client: ClientId,
    /// Whose it is.
    pub user: UserId,
    /// What the tokens are good for, at the most.
    pub scope: Scope,
    /// The apps that they are for, at the most.
    pub apps: BTreeSet<AppId>,
    /// How sure we were of the person.
    pub assurance: Assurance,
    /// The factors that they had used.
    pub factors: Vec<String>,
    /// When they had proven who they are.
    pub signed_in_at: Timestamp,
    /// What its tokens are bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Confirmation>,
    /// Where the person said so: the browser, shortened, and its address.
    pub agent: String,
    /// The address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The browser's session in which it was given.
    pub session: SessionId,
    /// When it was given.
    pub created: Timestamp,
    /// When a token was last asked for.
    pub last_used: Timestamp,
    /// When it ends, used or not.
    pub expires: Timestamp,
    /// When and why it ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<GrantEnd>,
}

/// The end of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantEnd {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub why: GrantEndReason,
}

/// Why a grant ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrantEndReason {
    /// Its greatest age was reached, or nobody used it for too long.
    Expired,
    /// The client gave it back (RFC 7009).
    Revoked,
    /// The person took it back in the portal.
    Portal,
    /// The account was suspended, deleted or reset, its factors changed, or all of its sessions were ended.
    Account,
    /// A refresh token, or a code, was used a second time: two parties hold it.
    Reuse,
}

impl GrantEndReason {
    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Portal => "portal",
            Self::Account => "account",
            Self::Reuse => "reuse",
        }
    }

    /// Reads it.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Expired, Self::Revoked, Self::Portal, Self::Account, Self::Reuse]
            .into_iter()
            .find(|one| one.as_str() == text)
    }
}

/// A refresh token as stores keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// What it is found by.
    pub hash: RefreshHash,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its family.
    pub grant: GrantId,
    /// When it was given out.
    pub issued_at: Timestamp,
    /// When it was used: from then on it has a successor. A store sets this by compare-and-set.
    pub used_at: Option<Timestamp>,
    /// Whether it was used from where it is shown now.
    pub used_here: bool,
}

/// How a refresh token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may be used.
    Live,
    /// It was used a moment ago: a client that asks twice at once gets one answer that counts, and this one is refused.
    Racing,
    /// It was used long enough ago for it to be no race: two parties hold it. End the grant, and write that down.
    Reused,
    /// The grant is over.
    Ended(GrantEndReason),
}

/// How long a second use of a refresh token, from the same address, is taken for the same client's. Ten seconds: as long as parallel
/// calls of one program take. Whoever lost is refused all the same.
pub const RACE: Duration = Duration::from_secs(10);

/// Says how a refresh token stands.
pub fn judge(token: &RefreshToken, grant: &Grant, client: &ClientSpec, now: Timestamp) -> Standing {
    if let Some(end) = grant.ended {
        return Standing::Ended(end.why);
    }
    let idle = days(client.idle_days);
    if now >= grant.expires || now >= grant.created.plus(days(client.days)) || now.since(grant.last_used) >= idle {
        return Standing::Ended(GrantEndReason::Expired);
    }
    match token.used_at {
        None => Standing::Live,
        Some(at) if token.used_here && now.since(at) <= RACE => Standing::Racing,
        Some(_) => Standing::Reused,
    }
}

/// Seconds of that many days.
pub const fn days(days: u16) -> Duration {
    Duration::from_secs(days as u64 * 24 * 3600)
}

impl Grant {
    /// A refresh token of it: the secret for the client, the record for the store.
    pub fn refresh(&self, now: Timestamp, entropy: &dyn Entropy) -> (RefreshSecret, RefreshToken) {
        let secret = RefreshSecret::draw(entropy);
        let (hash, tenant, grant) = (secret.hash(), self.tenant.clone(), self.id);
        (secret, RefreshToken { hash, tenant, grant, issued_at: now, used_at: None, used_here: false })
    }

    /// Whether it is over at `now`, as far as that can be said without its client.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.ended.is_some() || now >= self.expires
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{now, tenant};
    use cardea_core::entropy::Fixed;

    fn grant() -> Grant {
        Grant {
            id: GrantId::mint(now(), &Fixed::new(1)),
            tenant: tenant(),
            client: ClientId::parse("tool").unwrap(),
            user: UserId::mint(now(), &Fixed::new(2)),
            scope: Scope::parse("read").unwrap(),
            apps: BTreeSet::new(),
            assurance: Assurance::Two,
            factors: vec!["passkey".to_owned()],
            signed_in_at: now(),
            bound: None,
            agent: "Firefox on Linux".to_owned(),
            address: None,
            session: SessionId::mint(now(), &Fixed::new(9)),
            created: now(),
            last_used: now(),
            expires: now().plus(days(30)),
            ended: None,
        }
    }

    fn client() -> ClientSpec {
        let text = serde_json::json!({ "id": "tool", "name": "Tool", "grants": ["device_code"], "apps": ["records"], "scope": ["read"] });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn a_refresh_token_is_used_once_and_a_latecomer_ends_the_family() {
        let (_, token) = grant().refresh(now(), &Fixed::new(3));
        let at = |seconds| now().plus(Duration::from_secs(seconds));
        let used = RefreshToken { used_at: Some(now()), used_here: true, ..token.clone() };
        let elsewhere = RefreshToken { used_here: false, ..used.clone() };
        assert_eq!(judge(&token, &grant(), &client(), at(600)), Standing::Live);
        assert_eq!(judge(&used, &grant(), &client(), at(10)), Standing::Racing);
        assert_eq!(judge(&used, &grant(), &client(), at(11)), Standing::Reused);
        assert_eq!(judge(&elsewhere, &grant(), &client(), at(1)), Standing::Reused, "from elsewhere it is no race");
    }

    #[test]
    fn a_grant_ends_by_age_disuse_a_shorter_setting_and_whoever_ended_it() {
        let (_, token) = grant().refresh(now(), &Fixed::new(3));
        let day = |of| now().plus(days(of));
        let used = |at| Grant { last_used: at, ..grant() };
        let over = Standing::Ended(GrantEndReason::Expired);
        assert_eq!(judge(&token, &used(day(13)), &client(), day(26)), Standing::Live);
        assert_eq!(judge(&token, &used(day(13)), &client(), day(27)), over, "unused for fourteen days");
        assert_eq!(judge(&token, &used(day(29)), &client(), day(30)), over, "thirty days old");
        let shorter = ClientSpec { days: 5, ..client() };
        assert_eq!(judge(&token, &used(day(4)), &shorter, day(5)), over, "the setting is another now");
        let ended = Grant { ended: Some(GrantEnd { at: now(), why: GrantEndReason::Portal }), ..grant() };
        assert_eq!(judge(&token, &ended, &client(), now()), Standing::Ended(GrantEndReason::Portal));
    }
}
