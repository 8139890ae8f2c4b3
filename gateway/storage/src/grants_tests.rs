use std::time::Duration;

use cardea_core::entropy::Fixed;
use cardea_identity::oauth2::grant::days;
use futures_util::future::join_all;

use super::*;
use crate::testing::{Dir, add_user, t0, tenant};

fn at(seconds: u64) -> Timestamp {
    t0().plus(Duration::from_secs(seconds))
}

fn of(user: UserId, seed: u64) -> Grant {
    Grant {
        id: GrantId::mint(t0(), &Fixed::new(seed)),
        tenant: tenant("acme"),
        client: ClientId::parse("tool").unwrap(),
        user,
        scope: Scope::parse("read approve").unwrap(),
        apps: [AppId::parse("records").unwrap()].into(),
        assurance: Assurance::Two,
        factors: vec!["passkey".to_owned()],
        signed_in_at: t0(),
        bound: Some(Confirmation::of_certificate(b"x")),
        agent: "Firefox on Linux".to_owned(),
        address: Some(HERE),
        session: SessionId::mint(t0(), &Fixed::new(77)),
        created: t0(),
        last_used: t0(),
        expires: t0().plus(days(30)),
        ended: None,
    }
}

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));

fn end(why: GrantEndReason) -> GrantEnd {
    GrantEnd { at: at(60), why }
}

#[tokio::test]
async fn a_grant_is_read_as_it_was_kept_and_by_its_own_tenant_alone() {
    let dir = Dir::new();
    let store = dir.store().await;
    let grant = of(add_user(&store, "acme", "ada@acme.example").await, 1);
    let (code, (_, first)) = (TicketHash::from_bytes([1; 32]), grant.refresh(t0(), &Fixed::new(2)));
    store.grant_insert(&grant, (Some(&code), t0()), &first).await.unwrap();
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    assert_eq!(store.grant(&acme, grant.id).await.unwrap().as_ref(), Some(&grant));
    assert_eq!(store.grant_by_code(&acme, &code).await.unwrap().as_ref(), Some(&grant));
    assert_eq!(store.refresh_token(&acme, &first.hash, HERE).await.unwrap().as_ref(), Some(&first));
    assert_eq!(store.grants_of(&acme, grant.user, at(1)).await.unwrap(), std::slice::from_ref(&grant));
    assert_eq!(store.grant(&beta, grant.id).await.unwrap(), None);
    assert_eq!(store.refresh_token(&beta, &first.hash, HERE).await.unwrap(), None);
    assert_eq!(store.grants_of(&acme, grant.user, grant.expires).await.unwrap(), []);
    // A second one for the code is a fault, and leaves nothing.
    let second = of(grant.user, 3);
    let (_, more) = second.refresh(t0(), &Fixed::new(4));
    store.grant_insert(&second, (Some(&code), t0()), &more).await.unwrap_err();
    assert_eq!(store.refresh_token(&acme, &more.hash, HERE).await.unwrap(), None);
}

#[tokio::test]
async fn of_many_who_use_one_refresh_token_one_gets_a_successor() {
    let dir = Dir::new();
    let (ours, theirs) = (dir.store().await, dir.store().await);
    let grant = of(add_user(&ours, "acme", "ada@acme.example").await, 1);
    let (_, first) = grant.refresh(t0(), &Fixed::new(2));
    ours.grant_insert(&grant, (None, t0()), &first).await.unwrap();
    let race = (0..50).map(|nth| {
        let store = if nth % 2 == 0 { ours.clone() } else { theirs.clone() };
        let ((_, next), before) = (grant.refresh(at(1), &Fixed::new(100 + nth)), first.hash);
        async move { (store.refresh_succeed(&before, &next, HERE).await.unwrap(), next) }
    });
    let won: Vec<_> = join_all(race).await.into_iter().filter(|(won, _)| *won).collect();
    assert_eq!(won.len(), 1);
    let acme = tenant("acme");
    assert_eq!(ours.refresh_token(&acme, &won[0].1.hash, HERE).await.unwrap().as_ref(), Some(&won[0].1));
    assert_eq!(ours.refresh_token(&acme, &first.hash, HERE).await.unwrap().unwrap().used_at, Some(at(1)));
    assert_eq!(ours.grant(&acme, grant.id).await.unwrap().unwrap().last_used, at(1));
    // Whoever shows it again is known by where it was used.
    for (from, here) in [(HERE, true), (ELSEWHERE, false)] {
        assert_eq!(ours.refresh_token(&acme, &first.hash, from).await.unwrap().unwrap().used_here, here);
    }
}

#[tokio::test]
async fn what_has_ended_stays_so_and_is_heard_of() {
    let dir = Dir::new();
    let store = dir.store().await;
    let acme = tenant("acme");
    let grant = of(add_user(&store, "acme", "ada@acme.example").await, 1);
    let (_, first) = grant.refresh(t0(), &Fixed::new(2));
    store.grant_insert(&grant, (None, t0()), &first).await.unwrap();
    let seen = store.last_change().await.unwrap();
    assert!(store.grant_end(&acme, grant.id, end(GrantEndReason::Portal)).await.unwrap());
    assert!(!store.grant_end(&acme, grant.id, end(GrantEndReason::Reuse)).await.unwrap());
    assert_eq!(store.changes_since(seen).await.unwrap()[0].change, Change::Grant(grant.id));
    let (_, next) = grant.refresh(at(61), &Fixed::new(3));
    assert!(!store.refresh_succeed(&first.hash, &next, HERE).await.unwrap(), "it has ended");
    assert_eq!(store.grant(&acme, grant.id).await.unwrap().unwrap().ended, Some(end(GrantEndReason::Portal)));
    // It is told from one that never was for a day, and forgotten then.
    store.sweep_programs(at(60 + 24 * 3600)).await.unwrap();
    assert!(store.grant(&acme, grant.id).await.unwrap().is_some());
    store.sweep_programs(at(61 + 24 * 3600)).await.unwrap();
    assert_eq!(store.grant(&acme, grant.id).await.unwrap(), None);
    assert_eq!(store.refresh_token(&acme, &first.hash, HERE).await.unwrap(), None);
}

#[tokio::test]
async fn all_of_a_persons_end_together_and_nobody_elses() {
    let dir = Dir::new();
    let store = dir.store().await;
    let acme = tenant("acme");
    let (ada, ben) =
        (add_user(&store, "acme", "ada@acme.example").await, add_user(&store, "acme", "ben@acme.example").await);
    for (user, seed) in [(ada, 1), (ada, 2), (ben, 3)] {
        let grant = of(user, seed);
        let (_, first) = grant.refresh(t0(), &Fixed::new(100 + seed));
        store.grant_insert(&grant, (None, t0()), &first).await.unwrap();
    }
    assert_eq!(store.end_programs_of(&acme, ada, end(GrantEndReason::Account)).await.unwrap(), 2);
    assert_eq!(store.end_programs_of(&acme, ada, end(GrantEndReason::Account)).await.unwrap(), 0);
    assert_eq!(store.grants_of(&acme, ada, at(61)).await.unwrap(), []);
    assert_eq!(store.grants_of(&acme, ben, at(61)).await.unwrap().len(), 1);
    store.delete_user(&acme, ben, at(62)).await.unwrap();
    assert_eq!(store.grants_of(&acme, ben, at(62)).await.unwrap(), []);
}

/// A stolen session says yes, and its owner ends all before the code is redeemed.
#[tokio::test]
async fn a_yes_from_before_the_end_is_worth_nothing_after_it() {
    let dir = Dir::new();
    let store = dir.store().await;
    let (acme, ada) = (tenant("acme"), add_user(&store, "acme", "ada@acme.example").await);
    assert_eq!(store.end_programs_of(&acme, ada, end(GrantEndReason::Account)).await.unwrap(), 0, "there is none yet");
    for (given, seed, kept) in [(at(59), 1, false), (at(60), 2, false), (at(61), 3, true)] {
        let grant = of(ada, seed);
        let (_, first) = grant.refresh(at(90), &Fixed::new(100 + seed));
        assert_eq!(store.grant_insert(&grant, (None, given), &first).await.unwrap(), kept, "{seed}");
        assert_eq!(store.refresh_token(&acme, &first.hash, HERE).await.unwrap().is_some(), kept);
    }
}

#[tokio::test]
async fn of_many_grants_for_one_client_the_oldest_end() {
    let dir = Dir::new();
    let store = dir.store().await;
    let (acme, ada) = (tenant("acme"), add_user(&store, "acme", "ada@acme.example").await);
    for nth in 0..22 {
        let grant = Grant { created: at(nth), ..of(ada, nth) };
        let (_, first) = grant.refresh(at(nth), &Fixed::new(100 + nth));
        assert!(store.grant_insert(&grant, (None, t0()), &first).await.unwrap());
    }
    let left = store.grants_of(&acme, ada, at(30)).await.unwrap();
    assert_eq!((left.len(), left.last().unwrap().created), (20, at(2)));
}
