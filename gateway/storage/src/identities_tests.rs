//! Accounts at providers: whose they are, how they come and go.

use super::*;
use crate::{
    TicketKind, TicketRecord,
    testing::{Dir, t0, tenant, user},
};
use cardea_core::{Assurance, entropy::Fixed};
use cardea_identity::{
    AccountId, Factor, FactorData, Sealed, Status, Ticket,
    assurance::{Means, Proof},
};

const LATER: std::time::Duration = std::time::Duration::from_secs(1);

fn at(issuer: &str, subject: &str) -> LinkedIdentity {
    LinkedIdentity {
        provider: ProviderId::parse("work").unwrap(),
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
    }
}

/// The provider's word, by that account.
fn word(account: Option<AccountId>) -> Proof {
    let (provider, origin) = (ProviderId::parse("work").unwrap(), Origin::Provider);
    Proof { means: Means::Oidc { provider, assurance: Assurance::One, origin, account, sid: None }, at: t0() }
}

#[tokio::test]
async fn an_account_elsewhere_names_one_user_of_one_pool() {
    let dir = Dir::new();
    let store = dir.store().await;
    let (ada, bob) = (user("acme", "ada@x.example"), user("acme", "bob@x.example"));
    store.insert_user(&ada).await.unwrap();
    store.insert_user(&bob).await.unwrap();
    let acme = tenant("acme");
    let account = at("https://idp.example", "1");
    assert_eq!(store.link_identity(&acme, ada.id, &account, t0()).await.unwrap(), Linked::Done);
    assert_eq!(store.link_identity(&acme, ada.id, &account, t0()).await.unwrap(), Linked::Already { told: false });
    assert_eq!(store.link_identity(&acme, bob.id, &account, t0()).await.unwrap(), Linked::Taken);
    let found = store.user_by_identity(&acme, &account).await.unwrap().unwrap();
    let kept = LinkedAccount {
        identity: account.clone(),
        linked: t0(),
        used: None,
        origin: Origin::Provider,
        told: false,
        off: false,
    };
    assert_eq!((found.0.id, &found.1), (ada.id, &kept));
    assert_eq!(store.identities(&acme, ada.id).await.unwrap(), std::slice::from_ref(&kept));
    store.shown(&acme, bob.id, &[word(Some(kept.id()))]).await.unwrap();
    assert_eq!(store.identities(&acme, ada.id).await.unwrap(), std::slice::from_ref(&kept), "by another's proof");
    store.shown(&acme, ada.id, &[word(Some(kept.id()))]).await.unwrap();
    let used = LinkedAccount { used: Some(t0()), ..kept };
    assert_eq!(store.identities(&acme, ada.id).await.unwrap(), [used]);
    for other in [at("https://other.example", "1"), at("https://idp.example", "2")] {
        assert_eq!(store.user_by_identity(&acme, &other).await.unwrap(), None);
    }
    assert_eq!(store.user_by_identity(&tenant("beta"), &account).await.unwrap(), None);
}

/// Whoever was invited by a letter and signs in by a provider leaves the letter unused: it replaced all that they sign in with,
/// for whoever reads the mailbox.
#[tokio::test]
async fn who_signs_in_by_a_provider_leaves_no_link_that_opens_something() {
    let dir = Dir::new();
    let store = dir.store().await;
    let (ada, bob) = (user("acme", "ada@x.example"), user("acme", "bob@x.example"));
    let mut kept = Vec::new();
    for (nth, (person, kind)) in
        [(&ada, TicketKind::Invitation), (&ada, TicketKind::Factor), (&bob, TicketKind::Invitation)]
            .into_iter()
            .enumerate()
    {
        let ticket = TicketRecord {
            hash: Ticket::draw(&Fixed::new(nth as u64 + 1)).hash(),
            tenant: tenant("acme"),
            kind,
            subject: person.id.to_string(),
            payload: serde_json::json!({}),
            author: "operator".to_owned(),
            created: t0(),
            expires: t0().plus(std::time::Duration::from_secs(60)),
            used: None,
        };
        store.insert_ticket(&ticket).await.unwrap();
        kept.push(ticket);
    }
    for person in [&ada, &bob] {
        store.insert_user(person).await.unwrap();
    }
    store.link_identity(&tenant("acme"), ada.id, &at("https://idp.example", "1"), t0()).await.unwrap();
    let mut there = Vec::new();
    for ticket in &kept {
        let found = store.peek_ticket(&ticket.tenant, ticket.kind, &ticket.hash, t0()).await.unwrap();
        there.push(found.is_some());
    }
    assert_eq!(there, [false, false, true]);
}

#[tokio::test]
async fn a_person_links_and_unlinks_what_is_theirs_as_it_was_judged() {
    let dir = Dir::new();
    let store = dir.store().await;
    let (ada, bob) = (user("acme", "ada@x.example"), user("acme", "bob@x.example"));
    store.insert_user(&ada).await.unwrap();
    store.insert_user(&bob).await.unwrap();
    let (acme, work) = (tenant("acme"), ProviderId::parse("work").unwrap());
    let none = Had::default();
    let stray = Had { factors: [FactorId::mint(t0(), &Fixed::new(1))].into(), ..Had::default() };
    let (hers, given) = (at("https://idp.example", "1"), at("https://idp.example", "2"));
    let link = async |user: &User, had: &Had| store.link_own_identity(&acme, user.id, &hers, had, t0()).await.unwrap();
    assert_eq!(link(&ada, &stray).await, Linked::Changed);
    let another = Had { accounts: [AccountId::of(&work, t0())].into(), ..Had::default() };
    assert_eq!(link(&ada, &another).await, Linked::Changed, "an account that is gone was counted on");
    assert_eq!(link(&ada, &none).await, Linked::Done);
    assert_eq!(link(&bob, &none).await, Linked::Taken);
    store.set_status(&acme, bob.id, Status::Active, Status::Suspended, t0()).await.unwrap();
    assert_eq!(link(&bob, &none).await, Linked::NoUser, "whoever may not enter links nothing");
    let later = t0().plus(LATER);
    store.link_identity(&acme, ada.id, &given, later).await.unwrap();
    assert!(!store.user_by_identity(&acme, &hers).await.unwrap().unwrap().1.is_brought());
    let unlink = async |user: &User, linked, by| {
        store.unlink_identity(&acme, user.id, (&work, linked), by, later).await.unwrap()
    };
    let both = Had { accounts: [t0(), later].map(|at| AccountId::of(&work, at)).into(), ..Had::default() };
    // As many, and not the same.
    let others =
        Had { accounts: [t0(), t0().plus(LATER + LATER)].map(|at| AccountId::of(&work, at)).into(), ..Had::default() };
    let strays = Had { accounts: both.accounts.clone(), ..stray };
    for had in [&another, &others, &strays] {
        assert_eq!(unlink(&ada, t0(), Unlinking::Own { had }).await, Unlinked::Changed, "another way was counted on");
    }
    assert_eq!(unlink(&bob, t0(), Unlinking::Own { had: &none }).await, Unlinked::NoAccount, "another's");
    let own = Unlinking::Own { had: &both };
    assert_eq!(unlink(&ada, later, own).await, Unlinked::NoAccount, "the provider's to end");
    let done = |account: &LinkedIdentity, invited| Unlinked::Done { account: account.clone(), invited };
    assert_eq!(unlink(&ada, t0(), own).await, done(&hers, false));
    assert_eq!(store.user_by_identity(&acme, &hers).await.unwrap(), None);
}

#[tokio::test]
async fn what_was_unlinked_stays_so_until_its_person_links_it_anew() {
    let dir = Dir::new();
    let store = dir.store().await;
    let (ada, bob) = (user("acme", "ada@x.example"), user("acme", "bob@x.example"));
    store.insert_user(&ada).await.unwrap();
    store.insert_user(&bob).await.unwrap();
    let (acme, work) = (tenant("acme"), ProviderId::parse("work").unwrap());
    let account = at("https://idp.example", "1");
    let word = async |user: &User| store.link_identity(&acme, user.id, &account, t0()).await.unwrap();
    let unlink = async || {
        let by = Unlinking::Administrator { mailbox: true };
        store.unlink_identity(&acme, ada.id, (&work, t0()), by, t0()).await.unwrap()
    };
    let untold = async |user: &User| store.untold_unlinkings(&acme, user.id).await.unwrap();

    assert_eq!(word(&ada).await, Linked::Done);
    assert!(matches!(unlink().await, Unlinked::Done { .. }));
    assert_eq!(word(&ada).await, Linked::Unlinked);
    // What broke off before it was told is known of, until it is.
    assert_eq!(untold(&ada).await, [(AccountId::of(&work, t0()), account.clone())]);
    assert_eq!((untold(&bob).await, store.untold_unlinkings(&tenant("beta"), ada.id).await.unwrap()), (vec![], vec![]));
    store.unlinking_told(&acme, ada.id, &account).await.unwrap();
    assert_eq!(untold(&ada).await, []);
    // It was taken from her, and from nobody else.
    assert_eq!(word(&bob).await, Linked::Done);
    store.delete_user(&acme, bob.id, t0()).await.unwrap();
    assert_eq!(word(&ada).await, Linked::Unlinked);

    store.set_status(&acme, ada.id, Status::Invited, Status::Active, t0()).await.unwrap();
    let own = async || store.link_own_identity(&acme, ada.id, &account, &Had::default(), t0()).await.unwrap();
    assert_eq!(own().await, Linked::Done);
    store.linking_told(&acme, &account).await.unwrap();
    assert_eq!(own().await, Linked::Already { told: true });
    // Starting over unlinks, too.
    store.reset_user(&acme, ada.id, t0()).await.unwrap();
    assert_eq!((word(&ada).await, untold(&ada).await.len()), (Linked::Unlinked, 1));
    store.delete_user(&acme, ada.id, t0()).await.unwrap();
    assert_eq!(untold(&ada).await, [], "it goes with the person");
}

#[tokio::test]
async fn whoever_loses_the_last_way_in_to_an_administrator_is_invited() {
    let dir = Dir::new();
    let store = dir.store().await;
    let (acme, work) = (tenant("acme"), ProviderId::parse("work").unwrap());
    let password = || Some(FactorData::Password { phc: "$argon2id$".to_owned() });
    // Codes of an app open nothing by themselves.
    let codes = || Some(FactorData::Totp { secret: Sealed::from_stored("a secret"), last_step: None });
    for (nth, (own, mailbox, factor, invited)) in [
        (true, false, None, true),
        (true, true, None, false),
        (true, false, password(), false),
        (true, false, codes(), true),
        (false, true, None, true),
        (false, false, None, true),
        (false, true, password(), false),
        (false, true, codes(), true),
    ]
    .into_iter()
    .enumerate()
    {
        let person = user("acme", &format!("person{nth}@x.example"));
        store.insert_user(&person).await.unwrap();
        let account = at("https://idp.example", &nth.to_string());
        let linked = if own {
            store.link_own_identity(&acme, person.id, &account, &Had::default(), t0()).await
        } else {
            store.link_identity(&acme, person.id, &account, t0()).await
        };
        assert_eq!(linked.unwrap(), Linked::Done);
        if let Some(data) = factor {
            let id = FactorId::mint(t0(), &Fixed::new(nth as u64));
            let factor = Factor { id, name: String::new(), data, created: t0(), last_used: None };
            store.insert_factor(&acme, person.id, &factor).await.unwrap();
        }
        let by = Unlinking::Administrator { mailbox };
        let gone = store.unlink_identity(&acme, person.id, (&work, t0()), by, t0()).await.unwrap();
        assert_eq!(gone, Unlinked::Done { account, invited }, "{nth}");
        let now = store.user(&acme, person.id).await.unwrap().unwrap();
        assert_eq!((now.status == Status::Invited, now.last_seen.is_some()), (invited, invited), "{nth}");
    }
}

#[tokio::test]
async fn a_user_of_another_pool_cannot_be_linked() {
    let dir = Dir::new();
    let store = dir.store().await;
    let ada = user("acme", "ada@x.example");
    store.insert_user(&ada).await.unwrap();
    let linked = store.link_identity(&tenant("beta"), ada.id, &at("i", "1"), t0()).await.unwrap();
    assert_eq!(linked, Linked::NoUser);
}

/// A page asks for all of its accounts at once, and tells who has a second factor by what it found.
#[tokio::test]
async fn a_list_of_users_tells_their_accounts_and_finds_who_lacks_a_second_factor() {
    let dir = Dir::new();
    let store = dir.store().await;
    let acme = tenant("acme");
    let people = ["brought", "linked", "passkey", "none"].map(|name| user("acme", &format!("{name}@x.example")));
    for person in &people {
        store.insert_user(person).await.unwrap();
    }
    let mut invited = user("acme", "invited@x.example");
    invited.status = Status::Invited;
    store.insert_user(&invited).await.unwrap();
    let [brought, linked, passkey, none] = &people;
    store.link_identity(&acme, brought.id, &at("https://idp.example", "1"), t0()).await.unwrap();
    store.link_own_identity(&acme, linked.id, &at("https://idp.example", "2"), &Had::default(), t0()).await.unwrap();
    let account = store.identities(&acme, linked.id).await.unwrap().remove(0);
    store.shown(&acme, linked.id, &[word(Some(account.id()))]).await.unwrap();
    let data = FactorData::Passkey {
        credential_id: "a".to_owned(),
        credential: serde_json::json!({}),
        reach: Assurance::Two,
        copied: None,
    };
    let id = FactorId::mint(t0(), &Fixed::new(1));
    let factor = Factor { id, name: "Key".to_owned(), data, created: t0(), last_used: None };
    store.insert_factor(&acme, passkey.id, &factor).await.unwrap();

    let all = store.users(&acme, &crate::UserQuery { limit: 50, ..Default::default() }).await.unwrap().items;
    let of = |id| all.iter().find(|one| one.user.id == id).unwrap();
    for (person, own, second) in
        [(brought, Some(false), true), (linked, Some(true), false), (passkey, None, true), (none, None, false)]
    {
        let summary = of(person.id);
        assert_eq!(summary.accounts.first().map(|account| !account.brought), own, "{}", person.email);
        assert_eq!(summary.has_second(), second, "{}", person.email);
    }
    let account = &of(linked.id).accounts[0];
    assert_eq!((account.provider.as_str(), account.linked, account.used), ("work", t0(), Some(t0())));

    let lacking = async |query: Option<&str>| {
        let query = query.map(str::to_owned);
        let query = crate::UserQuery { query, without_second: true, limit: 50, ..Default::default() };
        let mut found: Vec<_> =
            store.users(&acme, &query).await.unwrap().items.into_iter().map(|one| one.user.id).collect();
        found.sort_unstable();
        found
    };
    let mut both = [linked.id, none.id];
    both.sort_unstable();
    assert_eq!(lacking(None).await, both);
    assert_eq!(lacking(Some("x.exam")).await, both);
    assert_eq!(lacking(Some("none@x.example")).await, [none.id]);
    assert_eq!(lacking(Some("passkey@x.example")).await, []);
}
