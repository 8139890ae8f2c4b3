//! Who a provider's person is in the pool: known there, linked by the provider's word, or new. Decided in
//! `cardea_identity::oidc::admit`, done here.

use cardea_audit::Event;
use cardea_core::{GroupId, Reason, UserId, resources::ProviderSpec};
use cardea_identity::{
    Email, LinkedAccount, Origin, Status, User,
    oidc::{Admission, Pool, ProviderPerson, admit, regroup},
};
use cardea_storage::{Inserted, Linked};

use super::visit::{No, Visit};
use crate::house::{Doer, opens_by, subject};

/// The user as whom the person comes in, and by which account. By one that they linked themselves the provider gives and takes no
/// group, since they are the pool's. Nobody where they may not.
///
/// INVARIANT: a step-up is of somebody, `whose`. Anybody else is refused before anything of theirs is changed.
pub(super) async fn enter(
    visit: &Visit,
    spec: &ProviderSpec,
    person: &ProviderPerson,
    whose: Option<UserId>,
    doer: &Doer,
) -> Result<Option<(User, LinkedAccount)>, No> {
    let store = &visit.house.store;
    let (linked, account) = store.user_by_identity(visit.id(), &person.identity).await?.unzip();
    if account.as_ref().is_some_and(|account| opens_by(&visit.tenant, account).is_none()) {
        return Ok(None);
    }
    let by_email = match &person.email {
        Some(email) if linked.is_none() => store.user_by_email(visit.id(), email).await?,
        _ => None,
    };
    let domain_is_anothers = person.email.as_ref().is_some_and(|email| is_anothers(visit, spec, email));
    let pool = Pool { linked: linked.as_ref(), by_email: by_email.as_ref(), domain_is_anothers };
    let admission = admit(spec, person, pool);
    let named = linked.as_ref().or(by_email.as_ref()).map(|user| user.id);
    if whose.is_some_and(|user| named != Some(user)) && admission != Admission::NotAMember {
        visit.note_provider(spec, Reason::FactorRejected, person.email.as_ref(), "the step-up is somebody else's");
        return Err(Reason::FactorRejected.into());
    }
    let user = match admission {
        Admission::Known => linked,
        Admission::Link => match by_email {
            Some(user) => Some(link(visit, spec, user, person, doer).await?),
            None => None,
        },
        Admission::Join(email) => join(visit, spec, email, person, doer).await?,
        Admission::NotAMember => None,
    };
    let account = match account {
        // Linked just now.
        None if user.is_some() => {
            store.user_by_identity(visit.id(), &person.identity).await?.map(|(_, account)| account)
        }
        account => account,
    };
    let (Some(mut user), Some(account)) = (user, account) else { return Ok(None) };
    if !account.told {
        visit.house.tell_linked(visit.id(), &user, (&account.identity, account.origin), doer).await?;
    }
    if !account.is_brought() {
        return Ok(Some((user, account)));
    }
    visit.house.join_by_word(visit.id(), &mut user, &spec.id, doer).await?;
    Ok(Some((follow_groups(visit, spec, person, user, doer).await?, account)))
}

/// Whether another provider of the tenant is the one for the address's domain.
fn is_anothers(visit: &Visit, spec: &ProviderSpec, email: &Email) -> bool {
    let others = visit.tenant.bundle.providers.values().filter(|other| other.id != spec.id);
    others.flat_map(|other| &other.email_domains).any(|theirs| theirs == email.domain())
}

/// Makes an account a person's by the provider's word. INVARIANT: never one that was taken from them.
async fn link(
    visit: &Visit,
    spec: &ProviderSpec,
    mut user: User,
    person: &ProviderPerson,
    doer: &Doer,
) -> Result<User, No> {
    let identity = &person.identity;
    if !matches!(user.status, Status::Invited | Status::Active) {
        return Err(Reason::UserSuspended.into());
    }
    let store = &visit.house.store;
    match store.link_identity(visit.id(), user.id, identity, visit.now).await? {
        Linked::Done | Linked::Already { .. } => {}
        Linked::Unlinked => {
            let why = "it was unlinked, and is linked again by the person only";
            visit.note_provider(spec, Reason::AccountUnlinked, person.email.as_ref(), why);
            return Err(No::Stranger { reason: Reason::AccountUnlinked, may_link: spec.link });
        }
        Linked::Taken | Linked::NoUser | Linked::Changed => return Err(Reason::NotAMember.into()),
    }
    visit.house.tell_linked(visit.id(), &user, (identity, Origin::Provider), doer).await?;
    visit.house.join_by_word(visit.id(), &mut user, &spec.id, doer).await?;
    Ok(user)
}

async fn join(
    visit: &Visit,
    spec: &ProviderSpec,
    email: Email,
    person: &ProviderPerson,
    doer: &Doer,
) -> Result<Option<User>, No> {
    let user = User {
        id: UserId::mint(visit.now, &*visit.house.entropy),
        tenant: visit.id().clone(),
        name: person.name.clone().unwrap_or_else(|| email.to_string()),
        email,
        status: Status::Active,
        groups: vec![],
        created: visit.now,
        changed: visit.now,
        last_seen: None,
        attributes: cardea_core::Attributes::default(),
    };
    if visit.house.store.insert_user(&user).await? != Inserted::Done {
        return Ok(None);
    }
    let provider = person.identity.provider.clone();
    let event = Event::UserJoined { user: subject(&user), provider: Some(provider) };
    visit.house.record(visit.id(), doer, event).await?;
    link(visit, spec, user, person, doer).await.map(Some)
}

async fn follow_groups(
    visit: &Visit,
    spec: &ProviderSpec,
    person: &ProviderPerson,
    mut user: User,
    doer: &Doer,
) -> Result<User, No> {
    let mut before = user.groups.clone();
    before.sort();
    if before == regroup(spec, &before, &person.groups) {
        return Ok(user);
    }
    // Decided anew on what stands in that moment: an administrator may have changed the other groups since it was read.
    let to = |current: &[GroupId]| regroup(spec, current, &person.groups);
    let changed = visit.house.store.change_groups(visit.id(), user.id, to, visit.now).await?;
    let (before, after) = changed.ok_or(Reason::NotAMember)?;
    visit.house.forget_user(user.id);
    let provider = Some(spec.id.clone());
    let event = Event::GroupsChanged { user: subject(&user), before, after: after.clone(), provider };
    visit.house.record(visit.id(), doer, event).await?;
    user.groups = after;
    Ok(user)
}
