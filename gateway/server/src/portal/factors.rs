//! `/factors`: the person's ways of signing in; naming and removing one, both of which take the same proof.

use axum::{
    Form,
    extract::{
        Path, Query,
        rejection::{FormRejection, QueryRejection},
    },
    response::Response,
};
use cardea_audit::Event;
use cardea_core::{Assurance, FactorId, Reason, resources::FactorRules};
use cardea_identity::{
    Factor, FactorKind, LinkedAccount,
    assurance::{self, Means, Proof},
    sign_in,
};
use serde::Deserialize;

use super::{
    accounts, enrolment,
    fresh::{self, Act},
    recovery, totp,
    visit::{Failed, Visit, see_other},
};
use crate::{
    house::subject,
    pages::{FactorRow, Factors, NameFactor, Page, Problem, RemoveFactor, factors::FactorKind as Shown, when::When},
};

const HERE: &str = "/factors";

#[derive(Debug, Default, Deserialize)]
pub(super) struct Done {
    done: Option<String>,
    /// Where they were going, from where something opened nothing yet.
    to: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Named {
    name: String,
}

/// Lists them.
pub(super) async fn show(visit: Visit, done: Result<Query<Done>, QueryRejection>) -> Response {
    let words = &visit.look.w.factors;
    let Done { done, to } = done.map(|Query(done)| done).unwrap_or_default();
    let done = match done.as_deref() {
        Some("added") => Some(words.done_added.to_string()),
        Some("removed") => Some(words.done_removed.to_string()),
        Some("linked") => Some(words.done_linked.to_string()),
        Some("named") => Some(words.done_named.to_string()),
        Some("recovery") => Some(words.done_recovery.to_string()),
        _ => None,
    };
    let result = list(&visit, done, None).await;
    visit.keep_onward(to.as_deref(), visit.answer(result))
}

pub(super) async fn list(visit: &Visit, done: Option<String>, problem: Option<Problem>) -> Result<Response, Failed> {
    let standing = Standing::read(visit).await?;
    let rules = &visit.tenant.bundle.tenant.factors;
    let codes = recovery::set_of(&standing.factors);
    let left = match codes {
        Some(set) => Some(visit.house.store.recovery_codes_left(visit.tenant_id(), visit.user_id(), set.id).await?),
        None => None,
    };
    let own = standing.factors.iter().map(|factor| FactorRow {
        left: left.filter(|_| factor.kind() == FactorKind::Recovery),
        ..standing.row(visit, factor)
    });
    let may_make_codes = recovery::may_make(visit, &standing);
    let may_have_totp = totp::is_of_use(visit, &standing.factors).await?;
    let may_have_totp = may_have_totp && !standing.factors.iter().any(|factor| factor.kind() == FactorKind::Totp);
    let linkable = accounts::linkable(visit);
    let may_add = rules.passkey || may_have_totp || !linkable.is_empty();
    let needs_link = may_add && fresh::needs_link(visit, &standing.factors).await?;
    let by_mail = standing.signs_in_by_mail(visit).then(|| mail_row(visit));
    let others = standing.accounts.iter().map(|linked| standing.account_row(visit, linked)).chain(by_mail);
    let page = Factors {
        look: &visit.look,
        person: visit.person(),
        factors: own.chain(others).collect(),
        may_add_totp: may_have_totp && !needs_link,
        may_add_passkey: rules.passkey && !needs_link,
        may_link: if needs_link { vec![] } else { linkable },
        offer_recovery: may_make_codes && codes.is_none() && !needs_link,
        may_renew_recovery: may_make_codes && codes.is_some() && !needs_link,
        needs_link,
        owed: visit.live.owes_second_factor,
        recovering: visit.live.assurance < Assurance::Two && visit.live.factors.contains(&Means::RECOVERY),
        done,
        problem,
    };
    Ok(page.respond())
}

/// Asks before one is removed.
pub(super) async fn ask_remove(visit: Visit, Path(id): Path<String>) -> Response {
    let result = confirm(&visit, &id).await;
    visit.answer(result)
}

async fn confirm(visit: &Visit, id: &str) -> Result<Response, Failed> {
    let standing = Standing::read(visit).await?;
    let factor = standing.find(id)?;
    let row = standing.row(visit, factor);
    if !row.removable {
        return list(visit, None, Some(Problem::LastFactor)).await;
    }
    fresh::require(visit, removing(factor), &standing.factors, &format!("{HERE}/{id}/remove")).await?;
    let reach = |factors: &[Factor]| assurance::reachable(&[], factors, None);
    let weakens = reach(&visit.usable(&standing.factors)) >= Some(Assurance::Two)
        && reach(&visit.usable(&standing.without(factor.id))) < Some(Assurance::Two);
    Ok(RemoveFactor { look: &visit.look, person: visit.person(), factor: row, weakens }.respond())
}

const fn removing(factor: &Factor) -> Act {
    if matches!(factor.kind(), FactorKind::Recovery) { Act::RemoveCodes } else { Act::Remove }
}

/// Removes one, and ends the sessions elsewhere that rest on it.
pub(super) async fn remove(visit: Visit, Path(id): Path<String>) -> Response {
    let result = remove_own(&visit, &id).await;
    visit.answer(result)
}

async fn remove_own(visit: &Visit, id: &str) -> Result<Response, Failed> {
    let doer = visit.doer()?;
    let standing = Standing::read(visit).await?;
    let factor = standing.find(id)?;
    fresh::require(visit, removing(factor), &standing.factors, &format!("{HERE}/{id}/remove")).await?;
    if !standing.row(visit, factor).removable {
        return list(visit, None, Some(Problem::LastFactor)).await;
    }
    let (store, tenant, user) = (&visit.house.store, visit.tenant_id(), visit.user_id());
    let removed = store.remove_factor(tenant, user, factor.id, visit.now()).await?;
    let removed = removed.ok_or(Failed::Refused(Reason::NotFound))?;
    // Two requests may each remove what the other counts on: whoever sees no way left puts theirs back. Nobody counts on
    // recovery codes.
    let left = Standing::read(visit).await?;
    if removed.kind() != FactorKind::Recovery && !left.opens(visit, &left.factors) {
        store.insert_factor(tenant, user, &removed).await?;
        return list(visit, None, Some(Problem::LastFactor)).await;
    }
    visit.house.forget_user(user);
    // Whoever signed in elsewhere with it has to sign in again; this browser just proved itself.
    visit.house.end_what_rests_on_factor(tenant, user, removed.id, Some(visit.live.id), &doer).await?;
    let event = Event::FactorRemoved {
        user: subject(&visit.user().await?),
        factor: removed.id,
        factor_kind: removed.kind().as_str().into(),
    };
    visit.house.record(tenant, &doer, event).await?;
    Ok(see_other("/factors?done=removed"))
}

/// The form for another name.
pub(super) async fn ask_name(visit: Visit, Path(id): Path<String>) -> Response {
    let result = offer_name(&visit, &id).await;
    visit.answer(result)
}

async fn offer_name(visit: &Visit, id: &str) -> Result<Response, Failed> {
    let standing = Standing::read(visit).await?;
    let factor = may_name(visit, &standing, id).await?;
    Ok(name_page(visit, standing.row(visit, factor), None))
}

/// By its name a person knows the factor to remove: whoever may not remove it misleads nobody about which it is.
async fn may_name<'a>(visit: &Visit, standing: &'a Standing, id: &str) -> Result<&'a Factor, Failed> {
    let factor = standing.find(id)?;
    fresh::require(visit, removing(factor), &standing.factors, &format!("{HERE}/{id}/name")).await?;
    Ok(factor)
}

fn name_page(visit: &Visit, factor: FactorRow, problem: Option<Problem>) -> Response {
    NameFactor { look: &visit.look, person: visit.person(), factor, problem }.respond()
}

/// Gives one another name.
pub(super) async fn rename(visit: Visit, Path(id): Path<String>, form: Result<Form<Named>, FormRejection>) -> Response {
    let result = match form {
        Ok(Form(named)) => rename_own(&visit, &id, &named).await,
        Err(_) => Err(Failed::Refused(Reason::BadInput)),
    };
    visit.answer(result)
}

async fn rename_own(visit: &Visit, id: &str, named: &Named) -> Result<Response, Failed> {
    let doer = visit.doer()?;
    let standing = Standing::read(visit).await?;
    let factor = may_name(visit, &standing, id).await?;
    let Some(name) = enrolment::name(&named.name) else {
        return Ok(name_page(visit, standing.row(visit, factor), Some(Problem::BadName)));
    };
    if !visit.house.store.rename_factor(visit.tenant_id(), visit.user_id(), factor.id, &name).await? {
        return Err(Failed::Refused(Reason::NotFound));
    }
    let event = Event::FactorChanged {
        user: subject(&visit.user().await?),
        factor: factor.id,
        factor_kind: factor.kind().as_str().into(),
        what: "name".into(),
    };
    visit.house.record(visit.tenant_id(), &doer, event).await?;
    Ok(see_other("/factors?done=named"))
}

/// All ways in which the person can sign in.
pub(super) struct Standing {
    pub(super) factors: Vec<Factor>,
    pub(super) accounts: Vec<LinkedAccount>,
}

impl Standing {
    pub(super) async fn read(visit: &Visit) -> Result<Self, Failed> {
        let factors = visit.factors().await?;
        let accounts = visit.house.accounts(&visit.tenant, visit.user_id()).await?;
        Ok(Self { factors, accounts })
    }

    /// INVARIANT: looks among the person's own only: another's id is as if it were not there.
    fn find(&self, id: &str) -> Result<&Factor, Failed> {
        let found = FactorId::parse(id).ok().and_then(|id| self.factors.iter().find(|factor| factor.id == id));
        found.ok_or(Failed::Refused(Reason::NotFound))
    }

    fn without(&self, id: FactorId) -> Vec<Factor> {
        self.factors.iter().filter(|factor| factor.id != id).cloned().collect()
    }

    /// Whether the person still signs in with these factors, and with their accounts.
    pub(super) fn opens(&self, visit: &Visit, factors: &[Factor]) -> bool {
        let rules = &visit.tenant.bundle.tenant.factors;
        // The mailbox is worth 1, and no more.
        let by_mail = self.signs_in_by_mail(visit) && rules.minimum == Assurance::One;
        let brought = self.accounts.iter().any(|account| account.is_brought());
        opens(rules, factors, &self.accounts, by_mail || brought)
    }

    /// Whether codes come to this person's address: not where a provider brought them, and says who they are.
    fn signs_in_by_mail(&self, visit: &Visit) -> bool {
        visit.house.sends_codes(&visit.tenant) && self.accounts.iter().all(|account| !account.is_brought())
    }

    /// An account as a row. What a provider brought is the provider's to end.
    pub(super) fn account_row(&self, visit: &Visit, account: &LinkedAccount) -> FactorRow {
        let name = visit.tenant.bundle.providers.get(&account.identity.provider).map(|provider| provider.name.clone());
        FactorRow {
            id: format!("accounts/{}", account.id()),
            kind: if account.is_brought() { Shown::Provider } else { Shown::Linked },
            name: name.unwrap_or_default(),
            added: Some(When::new(account.linked, visit.now())),
            used: account.used.map(|at| When::new(at, visit.now())),
            left: None,
            removable: !account.is_brought() && self.without_account(account).opens(visit, &self.factors),
        }
    }

    /// The same without one of the accounts.
    pub(super) fn without_account(&self, account: &LinkedAccount) -> Self {
        let accounts = self.accounts.iter().filter(|one| *one != account).cloned().collect();
        Self { factors: self.factors.clone(), accounts }
    }

    fn row(&self, visit: &Visit, factor: &Factor) -> FactorRow {
        FactorRow {
            id: factor.id.to_string(),
            kind: match factor.kind() {
                FactorKind::Password => Shown::Password,
                FactorKind::Totp => Shown::Totp,
                FactorKind::Passkey => Shown::Passkey,
                FactorKind::Recovery => Shown::Recovery,
            },
            // What enrolment by itself calls it says less than the page does.
            name: if factor.kind() == FactorKind::Password { String::new() } else { factor.name.clone() },
            added: Some(When::new(factor.created, visit.now())),
            used: factor.last_used.map(|at| When::new(at, visit.now())),
            left: None,
            removable: factor.kind() == FactorKind::Recovery || self.opens(visit, &self.without(factor.id)),
        }
    }
}

/// Whether a person with these factors and accounts can still sign in as the tenant asks. The word about an account that they linked is
/// counted as the least that it can be: what the provider will say of them is not known before it says it.
fn opens(rules: &FactorRules, factors: &[Factor], accounts: &[LinkedAccount], vouched_for: bool) -> bool {
    let word = |account: &LinkedAccount| Means::Oidc {
        provider: account.identity.provider.clone(),
        assurance: Assurance::One,
        origin: account.origin,
        account: Some(account.id()),
        sid: None,
    };
    let words: Vec<_> = accounts.iter().map(|account| Proof { means: word(account), at: account.linked }).collect();
    let best = assurance::reachable(&words, &sign_in::usable(rules, factors), None);
    vouched_for || best.is_some_and(|best| best >= rules.minimum)
}

/// The person's own address, as a way to sign in.
fn mail_row(visit: &Visit) -> FactorRow {
    let name = visit.person().email.to_owned();
    FactorRow { id: String::new(), kind: Shown::Email, name, added: None, used: None, left: None, removable: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::{ProviderId, Timestamp, entropy::Fixed};
    use cardea_identity::{FactorData, LinkedIdentity, Origin};

    fn factor(data: FactorData) -> Factor {
        let at = Timestamp::from_secs(1);
        Factor { id: FactorId::mint(at, &Fixed::new(1)), name: String::new(), data, created: at, last_used: None }
    }

    fn password() -> Factor {
        factor(FactorData::Password { phc: String::new() })
    }

    fn passkey() -> Factor {
        let (credential_id, credential) = ("k".to_owned(), serde_json::Value::Null);
        factor(FactorData::Passkey { credential_id, credential, reach: Assurance::Two, copied: None })
    }

    fn account() -> LinkedAccount {
        let provider = ProviderId::parse("work").unwrap();
        let identity = LinkedIdentity { provider, issuer: String::new(), subject: String::new() };
        LinkedAccount {
            identity,
            linked: Timestamp::from_secs(1),
            used: None,
            origin: Origin::Person,
            told: true,
            off: false,
        }
    }

    fn rules() -> FactorRules {
        FactorRules::default()
    }

    #[test]
    fn the_last_way_in_stays() {
        let rules = rules();
        assert!(!opens(&rules, &[], &[], false), "nobody removes the only factor");
        assert!(opens(&rules, &[passkey()], &[], false), "a passkey alone is enough");
        assert!(opens(&rules, &[], &[], true), "a provider's word is enough");
        assert!(opens(&rules, &[], &[account()], false), "an account that they linked is a way in");
        let strict = FactorRules { minimum: Assurance::Two, ..FactorRules::default() };
        assert!(!opens(&strict, &[], &[account()], false), "and may be worth no more than 1");
        assert!(!opens(&strict, &[password()], &[account()], false), "which a password beside it does not change");
        assert!(opens(&strict, &[passkey()], &[account()], false));
    }

    #[test]
    fn what_the_tenant_does_not_take_opens_nothing() {
        let without_passwords = FactorRules { password: false, ..FactorRules::default() };
        assert!(!opens(&without_passwords, &[password()], &[], false));
        let strict = FactorRules { minimum: Assurance::Two, ..FactorRules::default() };
        assert!(!opens(&strict, &[password()], &[], false), "a password alone is less than the tenant asks");
        let codes = factor(FactorData::Recovery { key: cardea_identity::Sealed::from_stored("") });
        assert!(!opens(&strict, &[password(), codes.clone()], &[], false), "recovery codes are no second factor");
        assert!(!opens(&rules(), &[codes], &[], false), "nor a first one");
        assert!(opens(&strict, &[password(), passkey()], &[], false));
    }
}
