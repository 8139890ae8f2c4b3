use std::time::Duration;

use cardea_core::{Assurance, ProviderId, entropy::Fixed};
use cardea_identity::{
    AccountId, Factor, FactorData, Had, LinkedIdentity, Sealed, Sealer, Status, User,
    factors::recovery::{self, Drawn},
};

use super::*;
use crate::{
    Accepted, Accepting, FactorInserted, Linked, Unlinked, Unlinking,
    testing::{Dir, t0, tenant, user},
};

fn factor(seed: u64, data: FactorData) -> Factor {
    Factor { id: FactorId::mint(t0(), &Fixed::new(seed)), name: String::new(), data, created: t0(), last_used: None }
}

fn password() -> Factor {
    factor(1, FactorData::Password { phc: "$argon2id$1".to_owned() })
}

fn totp() -> Factor {
    factor(2, FactorData::Totp { secret: Sealed::from_stored("sealed"), last_step: None })
}

fn key() -> Factor {
    let (credential_id, credential) = ("k".to_owned(), serde_json::Value::Null);
    factor(3, FactorData::Passkey { credential_id, credential, reach: Assurance::Two, copied: None })
}

fn codes() -> Drawn {
    recovery::draw(&Sealer::new(&cardea_core::Secret::new([7; 32])).unwrap(), t0(), &Fixed::new(9)).unwrap()
}

fn account() -> LinkedIdentity {
    LinkedIdentity {
        provider: ProviderId::parse("work").unwrap(),
        issuer: "https://idp.example".to_owned(),
        subject: "ada".to_owned(),
    }
}

fn ticket_of(owner: &User, byte: u8, kind: TicketKind) -> TicketRecord {
    TicketRecord {
        hash: TicketHash::from_bytes([byte; 32]),
        tenant: owner.tenant.clone(),
        kind,
        subject: owner.id.to_string(),
        payload: serde_json::json!({ "nth": byte }),
        author: String::new(),
        created: t0().plus(Duration::from_secs(byte.into())),
        expires: t0().plus(Duration::from_secs(3600)),
        used: None,
    }
}

fn device(owner: &User, byte: u8) -> TicketRecord {
    ticket_of(owner, byte, TicketKind::Device)
}

const HAD: fn() -> [FactorId; 2] = || [password().id, totp().id];

/// A store in which Ada has a password, codes, and a device that is remembered.
async fn ada_with(dir: &Dir) -> (Store, User) {
    let (store, ada) = (dir.store().await, user("acme", "ada@x.example"));
    store.insert_user(&ada).await.unwrap();
    for factor in [password(), totp()] {
        store.insert_factor(&ada.tenant, ada.id, &factor).await.unwrap();
    }
    assert!(store.keep_device(&device(&ada, 1), ada.id, &HAD(), None).await.unwrap());
    (store, ada)
}

async fn kept(store: &Store, of: &User) -> Vec<TicketHash> {
    let found = store.tickets(&of.tenant, TicketKind::Device, Some(&of.id.to_string()), t0()).await.unwrap();
    found.into_iter().map(|one| one.hash).collect()
}

#[tokio::test]
async fn of_fifty_who_show_one_key_one_goes_on_under_the_next() {
    let dir = Dir::new();
    let (store, ada) = ada_with(&dir).await;
    let (hash, had) = (device(&ada, 1).hash, HAD());
    let next: Vec<_> = (2..52).map(|byte| device(&ada, byte)).collect();
    let racing = next.iter().map(|next| store.keep_device(next, ada.id, &had, Some(&hash)));
    let done: Vec<_> = futures_util::future::join_all(racing).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(done.iter().filter(|done| **done).count(), 1);
    let found = kept(&store, &ada).await;
    assert!(found.len() == 1 && found[0] != hash, "{found:?}");
    // Another's key is none.
    let ben = user("acme", "ben@x.example");
    store.insert_user(&ben).await.unwrap();
    assert!(!store.keep_device(&device(&ben, 60), ben.id, &[], Some(&found[0])).await.unwrap());
    assert_eq!(kept(&store, &ada).await, found);
}

#[tokio::test]
async fn few_are_remembered_and_only_for_who_they_were_judged_for() {
    let dir = Dir::new();
    let (store, ada) = ada_with(&dir).await;
    for byte in 2..30 {
        assert!(store.keep_device(&device(&ada, byte), ada.id, &HAD(), None).await.unwrap());
    }
    let newest: Vec<_> = (20..30).rev().map(|byte| device(&ada, byte).hash).collect();
    assert_eq!(kept(&store, &ada).await, newest);
    // Of whoever has lost a factor meanwhile, or may not enter, none is kept.
    assert!(!store.keep_device(&device(&ada, 40), ada.id, &[password().id], None).await.unwrap());
    store.set_status(&ada.tenant, ada.id, Status::Active, Status::Suspended, t0()).await.unwrap();
    assert!(!store.keep_device(&device(&ada, 40), ada.id, &HAD(), None).await.unwrap());
}

#[tokio::test]
async fn one_is_forgotten_or_all_or_all_but_one_and_nobody_elses() {
    let dir = Dir::new();
    let (store, ada) = ada_with(&dir).await;
    let ben = user("acme", "ben@x.example");
    store.insert_user(&ben).await.unwrap();
    assert!(store.keep_device(&device(&ben, 50), ben.id, &[], None).await.unwrap());
    for byte in 2..5 {
        store.keep_device(&device(&ada, byte), ada.id, &HAD(), None).await.unwrap();
    }
    let third = device(&ada, 3).hash;
    let forget = async |who: &User, which: fn(u64) -> bool| {
        let named = move |one: &TicketRecord| which(one.payload["nth"].as_u64().unwrap());
        store.forget_devices(&who.tenant, who.id, named, t0()).await.unwrap().len()
    };
    assert_eq!(store.forget_devices(&tenant("north"), ada.id, |_| true, t0()).await.unwrap(), [], "another tenant's");
    assert_eq!((forget(&ada, |nth| nth == 2).await, forget(&ada, |nth| nth == 2).await), (1, 0));
    assert_eq!(forget(&ada, |nth| nth != 3).await, 2);
    assert_eq!(kept(&store, &ada).await, [third]);
    assert_eq!(forget(&ada, |_| true).await, 1);
    assert_eq!(kept(&store, &ben).await.len(), 1);
}

#[tokio::test]
async fn what_is_past_its_time_or_of_a_tenant_that_wants_none_is_let_go() {
    let dir = Dir::new();
    let (store, ada) = ada_with(&dir).await;
    let (zoe, end) = (user("north", "zoe@x.example"), device(&ada, 1).expires);
    store.insert_user(&zoe).await.unwrap();
    let invitation = ticket_of(&ada, 80, TicketKind::Invitation);
    store.insert_ticket(&invitation).await.unwrap();
    let hers = device(&zoe, 50);
    let later = TicketRecord { expires: end.plus(Duration::from_secs(1)), ..device(&ada, 2) };
    for (owner, device, had) in [(&ada, &later, &HAD()[..]), (&zoe, &hers, &[])] {
        assert!(store.keep_device(device, owner.id, had, None).await.unwrap());
    }
    let before = end.minus(Duration::from_micros(1));
    assert_eq!(store.drop_devices(&[], before).await.unwrap(), 0);
    assert_eq!(store.drop_devices(std::slice::from_ref(&zoe.tenant), before).await.unwrap(), 1);
    assert_eq!((kept(&store, &zoe).await.len(), kept(&store, &ada).await.len()), (0, 2));
    assert!(store.keep_device(&hers, zoe.id, &[], None).await.unwrap());
    assert_eq!(store.drop_devices(&[], end).await.unwrap(), 2, "one of each");
    assert_eq!((kept(&store, &zoe).await.len(), kept(&store, &ada).await), (0, vec![later.hash]));
    // Where others are forgotten, it goes too, and nothing is told of it.
    let gone = store.forget_devices(&ada.tenant, ada.id, |_| false, later.expires).await.unwrap();
    assert_eq!((gone, kept(&store, &ada).await), (vec![], vec![]));
    let links = store.tickets(&ada.tenant, TicketKind::Invitation, None, t0()).await.unwrap();
    assert_eq!(links, [invitation], "links are another matter");
}

/// Whatever changes what somebody can show, or shuts them out, forgets the devices that stood in for it, in the same step. Links
/// that were given to others are another matter.
#[tokio::test]
async fn a_device_dies_with_every_change_of_what_its_person_can_show() {
    for change in [
        "added",
        "removed",
        "codes",
        "invitation",
        "reset",
        "suspended",
        "deleted",
        "linked",
        "own",
        "unlinked",
        "taken",
    ] {
        let dir = Dir::new();
        let (store, ada) = ada_with(&dir).await;
        let (acme, id) = (&ada.tenant, ada.id);
        match change {
            "added" => {
                let done = store.insert_factor_beside(acme, id, &key(), &HAD()).await.unwrap();
                assert_eq!(done, FactorInserted::Done);
            }
            "removed" => drop(store.remove_factor(acme, id, totp().id, t0()).await.unwrap().unwrap()),
            "codes" => {
                let codes = codes();
                let done = store.replace_recovery(acme, id, &codes.factor, &codes.hashes, &HAD()).await.unwrap();
                assert_eq!(done, FactorInserted::Done);
            }
            "invitation" => {
                let link = ticket_of(&ada, 80, TicketKind::Invitation);
                store.insert_ticket(&link).await.unwrap();
                let before = store.factors(acme, id).await.unwrap();
                let with = Accepting { ticket: &link.hash, user: id, before: &before, chosen: None, now: t0() };
                assert!(matches!(store.accept_invitation(acme, &with).await.unwrap(), Accepted::Done { .. }));
            }
            "reset" => drop(store.reset_user(acme, id, t0()).await.unwrap()),
            "suspended" => assert!(store.set_status(acme, id, Status::Active, Status::Suspended, t0()).await.unwrap()),
            "deleted" => assert!(store.delete_user(acme, id, t0()).await.unwrap()),
            "linked" => assert_eq!(store.link_identity(acme, id, &account(), t0()).await.unwrap(), Linked::Done),
            _ => {
                let (account, had) = (account(), HAD());
                let before = Had { factors: had.into(), ..Had::default() };
                let done = store.link_own_identity(acme, id, &account, &before, t0()).await.unwrap();
                assert_eq!(done, Linked::Done);
                if change != "own" {
                    assert!(store.keep_device(&device(&ada, 2), id, &had, None).await.unwrap());
                    let accounts = [AccountId::of(&account.provider, t0())].into();
                    let both = Had { accounts, ..before };
                    let by = match change {
                        "unlinked" => Unlinking::Own { had: &both },
                        _ => Unlinking::Administrator { mailbox: false },
                    };
                    let gone = store.unlink_identity(acme, id, (&account.provider, t0()), by, t0()).await.unwrap();
                    assert_eq!(gone, Unlinked::Done { account, invited: false });
                }
            }
        }
        assert_eq!(kept(&store, &ada).await, [], "{change}");
    }
}

/// Whoever copied a passkey may have signed in with it, and had their own browser remembered.
#[tokio::test]
async fn a_passkey_that_was_found_copied_forgets_what_it_may_have_had_remembered() {
    let dir = Dir::new();
    let (store, ada) = ada_with(&dir).await;
    store.insert_factor(&ada.tenant, ada.id, &key()).await.unwrap();
    let had = [password().id, totp().id, key().id];
    assert!(store.keep_device(&device(&ada, 2), ada.id, &had, None).await.unwrap());
    let mut found = key().data;
    if let FactorData::Passkey { copied, .. } = &mut found {
        *copied = Some(t0());
    }
    assert!(store.replace_passkey(&ada.tenant, ada.id, key().id, &key().data, &found, t0()).await.unwrap());
    assert_eq!(kept(&store, &ada).await, []);
}

/// A passkey's counter moves with every use: that changes nothing of what its person can show.
#[tokio::test]
async fn a_counter_that_moves_forgets_nothing() {
    let dir = Dir::new();
    let (store, ada) = ada_with(&dir).await;
    store.insert_factor(&ada.tenant, ada.id, &key()).await.unwrap();
    let had = [password().id, totp().id, key().id];
    assert!(store.keep_device(&device(&ada, 2), ada.id, &had, None).await.unwrap());
    let mut moved = key().data;
    if let FactorData::Passkey { credential, .. } = &mut moved {
        *credential = serde_json::json!({ "counter": 7 });
    }
    assert!(store.replace_passkey(&ada.tenant, ada.id, key().id, &key().data, &moved, t0()).await.unwrap());
    assert!(store.advance_totp(&ada.tenant, ada.id, totp().id, 7, t0()).await.unwrap());
    assert!(store.rename_factor(&ada.tenant, ada.id, key().id, "Work laptop").await.unwrap());
    assert_eq!(kept(&store, &ada).await, [device(&ada, 2).hash]);
}
