use std::sync::Arc;

use cardea_audit::{Actor, Entry, Event};
use cardea_core::{Clock, EntryId, Secret, entropy::Fixed};
use cardea_identity::{Factor, factors::totp::Seed};

use super::*;
use crate::{
    Log, LogLimits, TicketKind, TicketRecord, UserQuery,
    testing::{Dir, TestClock, t0, tenant, user},
};

fn entry(nth: u64) -> Entry {
    let event = Event::Started { version: nth.to_string() };
    let id = EntryId::mint(t0(), &Fixed::new(nth));
    Entry { id, at: t0(), tenant: Some(tenant("acme")), actor: Actor::GATEWAY, session: None, client: None, event }
}

fn account() -> LinkedIdentity {
    LinkedIdentity {
        provider: ProviderId::parse("work").unwrap(),
        issuer: "https://idp.example".to_owned(),
        subject: "ada".to_owned(),
    }
}

fn unlinked() -> LinkedIdentity {
    LinkedIdentity { subject: "ada before".to_owned(), ..account() }
}

/// A store that holds something of each kind, and the seed that is sealed in it.
async fn filled(store: &Store, log: &Log) -> (UserId, Seed) {
    let (acme, ada) = (tenant("acme"), user("acme", "ada@x.example"));
    for nth in 0..450 {
        log.record(entry(nth));
    }
    log.flush().await.unwrap();
    store.insert_user(&ada).await.unwrap();
    store.link_identity(&acme, ada.id, &account(), t0()).await.unwrap();
    // One that was unlinked.
    let by = crate::Unlinking::Administrator { mailbox: false };
    store.link_identity(&acme, ada.id, &unlinked(), t0().plus(Duration::from_secs(1))).await.unwrap();
    let which = (&unlinked().provider, t0().plus(Duration::from_secs(1)));
    store.unlink_identity(&acme, ada.id, which, by, t0()).await.unwrap();
    let (id, seed) = (FactorId::mint(t0(), &Fixed::new(1)), Seed::draw(&Fixed::new(2)));
    let secret = seed.seal(id, &store.sealer(Some(&acme)).await.unwrap(), &Fixed::new(3)).unwrap();
    let data = FactorData::Totp { secret, last_step: Some(7) };
    let factor = Factor { id, name: "Phone".to_owned(), data, created: t0(), last_used: None };
    store.insert_factor(&acme, ada.id, &factor).await.unwrap();
    let ticket = TicketRecord {
        hash: TicketHash::from_bytes([1; 32]),
        tenant: acme,
        kind: TicketKind::Invitation,
        subject: ada.id.to_string(),
        payload: serde_json::json!({"to": "ada"}),
        author: "operator".to_owned(),
        created: t0(),
        expires: t0().plus(Duration::from_secs(60)),
        used: None,
    };
    store.insert_ticket(&ticket).await.unwrap();
    (ada.id, seed)
}

/// Whether all of it is found and opens.
async fn is_whole(store: &Store, ada: UserId, seed: &Seed) {
    let acme = tenant("acme");
    let found = user("acme", "ada@x.example");
    assert_eq!(store.user_by_email(&acme, &found.email).await.unwrap().unwrap().id, ada);
    assert_eq!(store.user_by_identity(&acme, &account()).await.unwrap().unwrap().0.id, ada);
    assert_eq!(store.identities(&acme, ada).await.unwrap()[0].identity, account());
    assert_eq!(store.link_identity(&acme, ada, &unlinked(), t0()).await.unwrap(), crate::Linked::Unlinked);
    assert_eq!(store.untold_unlinkings(&acme, ada).await.unwrap()[0].1, unlinked());
    let factors = store.factors(&acme, ada).await.unwrap();
    let FactorData::Totp { secret, last_step: Some(7) } = &factors[0].data else { panic!("{factors:?}") };
    let sealer = store.sealer(Some(&acme)).await.unwrap();
    assert_eq!(Seed::open(factors[0].id, secret, &sealer).unwrap().base32(), seed.base32());
    let ticket =
        store.peek_ticket(&acme, TicketKind::Invitation, &TicketHash::from_bytes([1; 32]), t0()).await.unwrap();
    assert_eq!(ticket.unwrap().payload["to"], "ada");
    let query = UserQuery { query: Some("ADA@".to_owned()), limit: 5, ..UserQuery::default() };
    assert_eq!(store.users(&acme, &query).await.unwrap().items.len(), 1);
    store.verify_log(Some(&acme), &[]).await.unwrap().unwrap();
    assert_eq!(store.log_range(Some(&acme), 0, 10).await.unwrap().len(), 10);
    assert_eq!(store.closed_entries(Some(&acme)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_tenants_key_is_replaced_while_another_gateway_writes_and_reads() {
    let dir = Dir::new();
    let (ours, theirs) = (dir.store().await, dir.store().await);
    let log = Log::start(&theirs, LogLimits::default(), TestClock::new() as Arc<dyn Clock>).await.unwrap();
    let (acme, (ada, seed)) = (tenant("acme"), filled(&theirs, &log).await);
    let old = theirs.sealer(Some(&acme)).await.unwrap().ids().next().unwrap();
    // Knows the old key alone until it looks for somebody who is marked anew.
    let late = dir.store().await;
    late.sealer(Some(&acme)).await.unwrap();

    let (made, new) = ours.turn_key(Some(&acme), t0()).await.unwrap();
    assert!(made && new != old);
    assert_eq!(ours.turning().await.unwrap(), [Some(acme.clone())]);
    // Under way, nothing is amiss: not for who did it, nor for who has not heard of it.
    is_whole(&ours, ada, &seed).await;
    is_whole(&theirs, ada, &seed).await;
    // What is changed now is sealed under the new key, whole: its own secret, too.
    let phone = FactorId::mint(t0(), &Fixed::new(1));
    assert!(theirs.rename_factor(&acme, ada, phone, "Old phone").await.unwrap());
    let bob = user("acme", "bob@x.example");
    theirs.insert_user(&bob).await.unwrap();
    let twin = cardea_identity::User { id: user("acme", "twin@x.example").id, ..user("acme", "ada@x.example") };
    assert_eq!(theirs.insert_user(&twin).await.unwrap(), crate::Inserted::EmailTaken, "known by the old mark");
    log.record_durable(entry(1_000)).await.unwrap();
    assert_eq!(
        ours.log(Some(&acme), &crate::LogQuery { limit: 1, ..Default::default() }).await.unwrap().items.len(),
        1
    );

    // Called again, as after a crash, it goes on, and makes no third key.
    assert_eq!(ours.turn_key(Some(&acme), t0()).await.unwrap(), (false, new));
    let done = ours.reseal(Some(&acme), LINGER, t0()).await.unwrap();
    assert_eq!((done.rows, done.opens_until), (450 + 4, Some(t0().plus(LINGER))));
    is_whole(&theirs, ada, &seed).await;
    is_whole(&late, ada, &seed).await;
    assert_eq!(ours.reseal(Some(&acme), LINGER, t0()).await.unwrap().rows, 0);

    let done = ours.reseal(Some(&acme), LINGER, t0().plus(LINGER)).await.unwrap();
    assert_eq!(done, Resealed::default());
    assert!(!ours.sealer(Some(&acme)).await.unwrap().has(old) && ours.turning().await.unwrap().is_empty());
    log.record_durable(entry(1_001)).await.unwrap();
    is_whole(&ours, ada, &seed).await;
    is_whole(&theirs, ada, &seed).await;
}

/// An entry that was changed does not open, and neither does one whose key is gone: the two are still told apart.
#[tokio::test]
async fn an_entry_that_was_changed_shows_after_its_key_is_gone() {
    let dir = Dir::new();
    let store = dir.store().await;
    let log = Log::start(&store, LogLimits::default(), TestClock::new() as Arc<dyn Clock>).await.unwrap();
    filled(&store, &log).await;
    let acme = tenant("acme");
    let sql = "UPDATE log SET sealed = (SELECT o.sealed FROM log o WHERE o.tenant = 'acme' AND o.seq = 8) \
               WHERE tenant = 'acme' AND seq = 7";
    let mut tx = store.write().await.unwrap();
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    for _ in 0..2 {
        let found = store.verify_log(Some(&acme), &[]).await.unwrap();
        assert!(matches!(found, Err(cardea_audit::Break::Edited { seq: 7 })), "{found:?}");
        store.turn_key(Some(&acme), t0()).await.unwrap();
        store.reseal(Some(&acme), LINGER, t0().plus(LINGER)).await.unwrap();
    }
}

#[tokio::test]
async fn the_operators_key_is_replaced_while_another_gateway_has_the_old_one() {
    let dir = Dir::new();
    let (ours, theirs) = (dir.store().await, dir.store().await);
    let log = Log::start(&theirs, LogLimits::default(), TestClock::new() as Arc<dyn Clock>).await.unwrap();
    let (ada, seed) = filled(&theirs, &log).await;
    let (old, new) = (Secret::new([1; 32]), Secret::new([2; 32]));
    let both = || Sealer::ring([&Secret::new([2; 32]), &Secret::new([1; 32])]).ok();
    theirs.reread_operator_by(both);
    let ring = Sealer::ring([&new, &old]).unwrap();
    assert_eq!(ours.reseal_keys(ring, t0()).await.unwrap(), 2);
    // Once done again, as after a crash before the file was in its place.
    assert_eq!(ours.reseal_keys(both().unwrap(), t0()).await.unwrap(), 2);
    theirs.refresh_keys(Some(&tenant("acme"))).await.unwrap();
    is_whole(&theirs, ada, &seed).await;
    // A key that is made now is sealed under the new one, by whoever makes it.
    theirs.insert_user(&user("beta", "bob@x.example")).await.unwrap();
    for (key, opens) in [(old, false), (new, true)] {
        let opened = dir.opened(Sealer::new(&key).unwrap()).await;
        assert_eq!(opened.is_ok(), opens);
        if let Ok(store) = opened {
            is_whole(&store, ada, &seed).await;
            store.sealer(Some(&tenant("beta"))).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_deleted_tenants_key_is_nowhere_and_its_log_is_links() {
    let dir = Dir::in_file();
    let store = dir.store().await;
    let log = Log::start(&store, LogLimits::default(), TestClock::new() as Arc<dyn Clock>).await.unwrap();
    filled(&store, &log).await;
    let acme = tenant("acme");
    let row =
        sqlx::query("SELECT sealed FROM tenant_keys WHERE tenant = 'acme'").fetch_one(store.reader()).await.unwrap();
    let key = row.text("sealed").unwrap();
    let mut tx = store.write().await.unwrap();
    crate::tenants::drop(&mut tx, &acme, t0()).await.unwrap();
    tx.commit().await.unwrap();
    store.refresh_keys(Some(&acme)).await.unwrap();
    store.scrub().await.unwrap();
    for file in ["cardea.db", "cardea.db-wal"] {
        let bytes = std::fs::read(dir.path().join(file)).unwrap();
        assert!(!bytes.windows(key.len()).any(|part| part == key.as_bytes()), "{file} holds the key");
    }
    store.verify_log(Some(&acme), &[]).await.unwrap().unwrap();
    assert_eq!(store.closed_entries(Some(&acme)).await.unwrap(), 450);
    assert!(matches!(store.log_range(Some(&acme), 0, 1).await, Err(StoreFault::Closed { seq: 0 })));
    // One of the same name begins anew, and reads what it writes.
    log.record_durable(entry(2_000)).await.unwrap();
    let page = store.log(Some(&acme), &crate::LogQuery { limit: 10, ..Default::default() }).await.unwrap();
    assert_eq!(page.items.iter().map(|one| one.seq).collect::<Vec<_>>(), [450]);
    store.verify_log(Some(&acme), &[]).await.unwrap().unwrap();
    // The key that this made goes before a tenant of that name is made, and one that is there keeps its own.
    let old = store.sealer(Some(&acme)).await.unwrap().ids().next().unwrap();
    assert_eq!(store.destroy_ownerless(t0()).await.unwrap(), 1);
    assert!(!store.sealer(Some(&acme)).await.unwrap().has(old));
    let mut tx = store.write().await.unwrap();
    crate::tenants::put(&mut tx, &crate::testing::spec("acme")).await.unwrap();
    tx.commit().await.unwrap();
    let new = store.sealer(Some(&acme)).await.unwrap().ids().next().unwrap();
    assert_eq!(store.destroy_ownerless(t0()).await.unwrap(), 0);
    assert!(store.sealer(Some(&acme)).await.unwrap().has(new));
}
