//! Links that let a person in.

use cardea_storage::{Accepted, Accepting};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_opens_once_and_a_newer_one_makes_it_worthless() {
    let stage = Stage::set().await;
    let tenant = stage.house.tenant(&stage.tenant).unwrap();
    let email = Email::parse("eve@acme.example").unwrap();
    let doer = Doer::operator();
    let first = stage.house.invite_user(&tenant, email.clone(), "Eve", &[], &doer).await.unwrap();
    let twice = stage.house.invite_user(&tenant, email, "Eve", &[], &doer).await;
    assert!(matches!(twice, Err(ChangeFault::Conflict(_))));
    let second = stage.house.invite_again(&tenant, first.user.id, &doer).await.unwrap();
    let hash =
        |invited: &Invited| cardea_identity::Ticket::parse(invited.url.rsplit('/').next().unwrap()).unwrap().hash();
    assert!(
        stage.house.invitation(&stage.tenant, &hash(&first)).await.unwrap().is_none(),
        "the older link still works"
    );
    let (user, factors) = stage.house.invitation(&stage.tenant, &hash(&second)).await.unwrap().unwrap();
    assert_eq!((user.id, factors.len()), (first.user.id, 0));
    let chosen = Factor {
        id: cardea_core::FactorId::mint(stage.house.now(), &*stage.house.entropy),
        name: String::new(),
        data: FactorData::Password { phc: String::new() },
        created: stage.house.now(),
        last_used: None,
    };
    let (ticket, now) = (hash(&second), stage.house.now());
    let with = Accepting { ticket: &ticket, user: user.id, before: &[], chosen: Some(&chosen), now };
    let accept = async || stage.house.store.accept_invitation(&stage.tenant, &with).await.unwrap();
    assert_eq!(accept().await, Accepted::Done { joined: true });
    assert_eq!(accept().await, Accepted::Spent, "a link worked twice");
    stage.strike().await;
}
