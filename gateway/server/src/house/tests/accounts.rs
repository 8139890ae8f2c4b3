//! Accounts at providers that are taken from people, and what rests on them.

use cardea_core::{FactorId, ProviderId};
use cardea_identity::{Had, LinkedIdentity, Status};
use cardea_storage::{Linked, Unlinking};

use super::*;
use crate::house::Raising;

fn account() -> LinkedIdentity {
    let provider = ProviderId::parse("work").unwrap();
    LinkedIdentity { provider, issuer: "https://idp.example".to_owned(), subject: "ada".to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlinking_that_broke_off_before_its_entry_is_made_whole_by_the_next_try() {
    let stage = Stage::set().await;
    let (house, tenant, doer) = (&stage.house, stage.house.tenant(&stage.tenant).unwrap(), Doer::operator());
    house
        .store
        .link_own_identity(&stage.tenant, stage.user.id, &account(), &Had::default(), house.now())
        .await
        .unwrap();
    let id = house.store.identities(&stage.tenant, stage.user.id).await.unwrap()[0].id();
    let count = async || stage.events().await.iter().filter(|code| *code == "identity-unlinked").count();
    // What a process has done that ends right after it.
    let (provider, by) = (account().provider, Unlinking::Administrator { mailbox: false });
    let which = (&provider, house.now());
    house.store.unlink_identity(&stage.tenant, stage.user.id, which, by, house.now()).await.unwrap();
    assert!(stage.find(&stage.handle).await.is_none(), "she is invited");

    let unlink = async |id: &str| house.unlink_account(&tenant, stage.user.id, id, &doer).await;
    assert!(matches!(unlink("work-1").await, Err(ChangeFault::NotFound(_))), "another");
    assert_eq!(count().await, 0);
    unlink(id.as_str()).await.unwrap();
    assert_eq!(count().await, 1);
    assert!(matches!(unlink(id.as_str()).await, Err(ChangeFault::NotFound(_))), "it is whole");
    assert_eq!(count().await, 1);
    let open = house.shared.sessions_of_user(&stage.tenant, stage.user.id, house.now()).await.unwrap();
    assert!(open.is_empty(), "a session outlived the last way in");
    stage.strike().await;
}

/// Linking an account anew forgets that it was ever taken away.
#[tokio::test(flavor = "multi_thread")]
async fn an_unlinking_that_broke_off_before_its_entry_is_told_before_the_account_is_linked_anew() {
    let stage = Stage::set().await;
    let (house, tenant, user, doer) = (&stage.house, &stage.tenant, stage.user.id, Doer::operator());
    let (provider, now) = (account().provider, house.now());
    let link =
        async |had: &Had| house.link_own(tenant, (user, stage.session.id), &account(), had, &doer).await.unwrap();
    // What a process has done that ends right after it.
    let unlink = async || {
        let by = Unlinking::Administrator { mailbox: true };
        house.store.unlink_identity(tenant, user, (&provider, now), by, now).await.unwrap();
    };
    let told = async || {
        let mut newest_first = stage.events().await;
        newest_first.retain(|code| code.starts_with("identity-"));
        newest_first
    };
    let none = Had::default();
    assert_eq!(link(&none).await, Linked::Done);
    assert_eq!(link(&none).await, Linked::Already { told: true });
    let with_it = Had::of(&[], &house.store.identities(tenant, user).await.unwrap());
    unlink().await;
    assert_eq!(told().await, ["identity-linked"]);

    // Whoever is refused links nothing, and it is told all the same, once.
    assert_eq!(link(&with_it).await, Linked::Changed);
    assert_eq!(told().await, ["identity-unlinked", "identity-linked"]);
    assert_eq!(house.store.identities(tenant, user).await.unwrap(), []);
    assert_eq!(link(&none).await, Linked::Done);
    assert_eq!(told().await, ["identity-linked", "identity-unlinked", "identity-linked"]);
    unlink().await;
    assert_eq!(link(&none).await, Linked::Done);
    assert_eq!(told().await[..2], ["identity-linked", "identity-unlinked"]);
    assert_eq!(told().await.len(), 5);
    stage.strike().await;
}

/// Linked and not let in, somebody had lost their invitation to it, and was told that they are suspended.
#[tokio::test(flavor = "multi_thread")]
async fn whom_a_word_linked_and_no_more_the_next_word_lets_in_and_nobody_else() {
    let stage = Stage::set().await;
    let (house, tenant, doer, work) = (&stage.house, &stage.tenant, Doer::operator(), account().provider);
    let joined = async || stage.events().await.iter().filter(|code| *code == "user-joined").count();
    for (from, to, entries) in [
        (Status::Active, Status::Active, 0),
        (Status::Suspended, Status::Suspended, 0),
        (Status::Invited, Status::Active, 1),
    ] {
        let mut user = house.store.user(tenant, stage.user.id).await.unwrap().unwrap();
        house.store.set_status(tenant, user.id, user.status, from, house.now()).await.unwrap();
        user.status = from;
        for _ in 0..2 {
            house.join_by_word(tenant, &mut user, &work, &doer).await.unwrap();
        }
        let kept = house.store.user(tenant, user.id).await.unwrap().unwrap();
        assert_eq!((user.status, kept.status, joined().await), (to, to, entries), "{from:?}");
    }
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_not_raised_by_a_factor_that_is_gone() {
    let stage = Stage::set().await;
    let (house, tenant) = (&stage.house, stage.house.tenant(&stage.tenant).unwrap());
    let (now, factor) = (house.now(), FactorId::mint(house.now(), &Fixed::new(9)));
    let proofs = [Proof { means: Means::Passkey { factor, user_verified: true, bound: false }, at: now }];
    let (session, user) = (stage.session.id, &stage.user);
    let raising = Raising { tenant: &tenant, user, session, proofs: &proofs, now };
    assert!(house.raise(&raising, Doer::operator()).await.unwrap().is_none());
    let open = house.shared.sessions_of_user(&stage.tenant, user.id, now).await.unwrap();
    assert!(open.is_empty(), "it stands in the place of the one before");
    stage.strike().await;
}
