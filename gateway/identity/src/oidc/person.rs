//! Who a provider's claims are here, and whether they may come in.

use std::collections::BTreeSet;

use cardea_core::{
    Assurance, GroupId,
    resources::{JoinRule, ProviderSpec},
};
use serde_json::Value;

use super::{Claims, Provider, Refused, id_token::is_name};
use crate::pool::{Email, LinkedIdentity, User, misleads};

/// A person as the provider vouches for them, in our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderPerson {
    /// Who: the key that never changes.
    pub identity: LinkedIdentity,
    /// The e-mail address, if the provider says that it has verified it. An unverified one is as good as none.
    pub email: Option<Email>,
    /// Name as the provider shows it.
    pub name: Option<String>,
    /// The groups of ours that the provider's groups give.
    pub groups: Vec<GroupId>,
    /// What the tenant says that the provider's word is worth.
    pub assurance: Assurance,
    /// What the provider calls its session with the person, where it says so (OpenID Connect Back-Channel Logout 1.0 section 2.1).
    pub sid: Option<String>,
}

/// What the pool knows of the person.
#[derive(Debug, Clone, Copy)]
pub struct Pool<'a> {
    /// The user who is linked to this identity.
    pub linked: Option<&'a User>,
    /// The user who has this e-mail address.
    pub by_email: Option<&'a User>,
    /// Whether another provider of the tenant is the one for the address's domain.
    pub domain_is_anothers: bool,
}

/// Whether and as whom the person comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// As the user who is linked already.
    Known,
    /// As the user with the same address, who is linked from now on.
    Link,
    /// As a new user of the pool.
    Join(Email),
    /// Not at all.
    NotAMember,
}

impl Provider {
    /// Who the claims are, with those of the userinfo endpoint where they were fetched. What the signed token says goes
    /// first; userinfo must be about the same subject (Core section 5.3.2).
    pub fn person(&self, claims: &Claims, userinfo: Option<&Value>) -> Result<ProviderPerson, Refused> {
        let nothing = Value::Null;
        let more = userinfo.unwrap_or(&nothing);
        if userinfo.is_some() && more["sub"].as_str() != Some(claims.subject.as_str()) {
            return Err(Refused::Answer("its userinfo is about somebody else"));
        }
        // An address and whether it is verified come from one source, never mixed.
        let (email, verified) = match &claims.email {
            Some(email) => (Some(email.as_str()), claims.email_verified),
            None => (more["email"].as_str(), more["email_verified"] == Value::Bool(true)),
        };
        let named = claims.name.as_deref().or_else(|| more["name"].as_str());
        let groups = claims.further.get(&self.spec.groups_claim).unwrap_or(&more[self.spec.groups_claim.as_str()]);
        Ok(ProviderPerson {
            identity: LinkedIdentity {
                provider: self.spec.id.clone(),
                issuer: self.issuer.clone(),
                subject: claims.subject.clone(),
            },
            email: email.filter(|_| verified).and_then(|email| Email::parse(email).ok()),
            name: named.and_then(tidy),
            groups: mapped(&self.spec, groups),
            assurance: self.worth(claims),
            sid: claims.further.get("sid").and_then(Value::as_str).filter(|sid| is_name(sid)).map(str::to_owned),
        })
    }

    /// Whether the token itself says all that is wanted of a person; else userinfo is asked.
    pub fn says_enough(&self, claims: &Claims) -> bool {
        let groups = self.spec.groups.is_empty() || claims.further.contains_key(&self.spec.groups_claim);
        claims.email.is_some() && claims.name.is_some() && groups
    }

    /// What the provider's word is worth: the best that the tenant gives to its `acr` or one of its `amr`, else 1.
    fn worth(&self, claims: &Claims) -> Assurance {
        let words = claims.acr.iter().chain(&claims.amr);
        words.filter_map(|word| self.spec.assurance.get(word)).max().copied().unwrap_or(Assurance::One)
    }
}

/// Decides whether a person comes in, and as whom. An e-mail address alone joins nobody to an account: it must be
/// verified, and the provider must be one that the tenant trusts for its domain. That goes for an invitation that waits,
/// too: it was sent to whoever reads that address's mail, and any provider could say that it knows them.
pub fn admit(spec: &ProviderSpec, person: &ProviderPerson, pool: Pool<'_>) -> Admission {
    if pool.linked.is_some() {
        return Admission::Known;
    }
    let Some(email) = &person.email else { return Admission::NotAMember };
    if pool.domain_is_anothers {
        return Admission::NotAMember;
    }
    let trusted = spec.email_domains.iter().any(|domain| domain == email.domain());
    match pool.by_email {
        Some(_) if trusted => Admission::Link,
        Some(_) => Admission::NotAMember,
        None if spec.join == JoinRule::Open => Admission::Join(email.clone()),
        None => Admission::NotAMember,
    }
}

/// The best that a provider's word can be worth, as the tenant says.
pub fn best_word(spec: &ProviderSpec) -> Assurance {
    spec.assurance.values().max().copied().unwrap_or(Assurance::One)
}

/// A user's groups after the provider has spoken: the groups that it may give are as it says, all others as they were.
pub fn regroup(spec: &ProviderSpec, current: &[GroupId], given: &[GroupId]) -> Vec<GroupId> {
    let its: BTreeSet<_> = spec.groups.values().collect();
    let kept = current.iter().filter(|group| !its.contains(group));
    kept.chain(given.iter().filter(|group| its.contains(group))).cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

fn mapped(spec: &ProviderSpec, claim: &Value) -> Vec<GroupId> {
    let one = claim.as_str().into_iter();
    let many = claim.as_array().into_iter().flatten().filter_map(Value::as_str);
    let ours: BTreeSet<_> = one.chain(many).filter_map(|name| spec.groups.get(name)).cloned().collect();
    ours.into_iter().collect()
}

/// A name as the pool keeps names. Of one that is too long, or that hides or turns others, as much as may stand; people may
/// write theirs at a provider as they like.
fn tidy(name: &str) -> Option<String> {
    let fits: String = name.trim().chars().filter(|c| !misleads(*c)).take(120).collect();
    User::checked_name(&fits).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever may write their own name at a provider reads as nobody else in ours.
    #[test]
    fn a_name_from_a_provider_shows_itself_as_it_is() {
        let long = "x".repeat(200);
        for (said, kept) in [
            (" Ada ", Some("Ada")),
            ("A\u{202e}da\u{3164}", Some("Ada")),
            ("\u{3164}\u{200b}", None),
            ("\u{200d}", None),
            ("", None),
            (long.as_str(), Some(&long[..120])),
        ] {
            assert_eq!(tidy(said).as_deref(), kept, "{said:?}");
        }
    }
}
