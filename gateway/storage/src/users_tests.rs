use super::*;
use crate::testing::{Dir, t0, tenant, user};
use crate::{TicketKind, TicketRecord, UserQuery};
use cardea_core::entropy::Fixed;
use cardea_identity::Ticket;
use std::time::Duration;

fn group(name: &str) -> GroupId {
    GroupId::parse(name).unwrap()
}

#[tokio::test]
async fn a_user_is_found_by_id_and_address_in_their_own_pool_only() {
    let dir = Dir::new();
    let store = dir.store().await;
    let mut ada = user("acme", "ada@x.example");
    ada.groups = vec![group("chemists"), group("staff")];
    assert_eq!(store.insert_user(&ada).await.unwrap(), Inserted::Done);
    let acme = tenant("acme");
    assert_eq!(store.user(&acme, ada.id).await.unwrap(), Some(ada.clone()));
    assert_eq!(store.user_by_email(&acme, &ada.email).await.unwrap(), Some(ada.clone()));
    assert_eq!(store.user(&tenant("beta"), ada.id).await.unwrap(), None);
    assert_eq!(store.user_by_email(&tenant("beta"), &ada.email).await.unwrap(), None);
    assert_eq!(store.group_sizes(&acme).await.unwrap()[&group("staff")], 1);
}

#[tokio::test]
async fn an_address_names_one_user_of_a_pool_and_another_of_another() {
    let dir = Dir::new();
    let store = dir.store().await;
    let ada = user("acme", "ada@x.example");
    let twin = User { id: user("acme", "twin@x.example").id, ..ada.clone() };
    let racing = [&ada, &twin, &ada, &twin].map(|one| store.insert_user(one));
    let outcomes: Vec<_> = futures_util::future::join_all(racing).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|o| **o == Inserted::Done).count(), 1);
    assert!(outcomes.contains(&Inserted::EmailTaken));
    let elsewhere = user("beta", "ada@x.example");
    assert_eq!(store.insert_user(&elsewhere).await.unwrap(), Inserted::Done);
}

#[tokio::test]
async fn a_deleted_user_is_not_found_and_leaves_address_but_not_id() {
    let dir = Dir::new();
    let store = dir.store().await;
    let ada = user("acme", "ada@x.example");
    let acme = tenant("acme");
    store.insert_user(&ada).await.unwrap();
    assert!(store.delete_user(&acme, ada.id, t0()).await.unwrap());
    assert!(!store.delete_user(&acme, ada.id, t0()).await.unwrap());
    assert_eq!(store.user(&acme, ada.id).await.unwrap(), None);
    assert_eq!(store.user_by_email(&acme, &ada.email).await.unwrap(), None);
    assert!(!store.set_status(&acme, ada.id, Status::Deleted, Status::Active, t0()).await.unwrap());
    assert_eq!(store.insert_user(&ada).await.unwrap(), Inserted::IdUsed);
    let successor = User { id: user("acme", "other@x.example").id, ..ada.clone() };
    assert_eq!(store.insert_user(&successor).await.unwrap(), Inserted::Done);
    // Nothing personal is left of the first.
    let sql = "SELECT person, mark FROM users WHERE id = $1";
    let row = sqlx::query(sql).bind(ada.id.to_string()).fetch_one(store.reader()).await.unwrap();
    assert_eq!((row.bytes("person").unwrap(), row.text("mark").unwrap()), (vec![], String::new()));
}

#[tokio::test]
async fn of_two_who_suspend_one_does_it() {
    let dir = Dir::new();
    let store = dir.store().await;
    let ada = user("acme", "ada@x.example");
    store.insert_user(&ada).await.unwrap();
    let before = store.last_change().await.unwrap();
    let later = t0().plus(Duration::from_secs(5));
    let racing = (0..2).map(|_| store.set_status(&ada.tenant, ada.id, Status::Active, Status::Suspended, later));
    let done: Vec<_> = futures_util::future::join_all(racing).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(done.iter().filter(|d| **d).count(), 1);
    let now = store.user(&ada.tenant, ada.id).await.unwrap().unwrap();
    assert_eq!((now.status, now.changed), (Status::Suspended, later));
    let changes = store.changes_since(before).await.unwrap();
    assert_eq!(changes.iter().map(|c| &c.change).collect::<Vec<_>>(), [&Change::User(ada.id)]);
    assert!(!store.set_status(&tenant("beta"), ada.id, Status::Suspended, Status::Active, later).await.unwrap());
}

/// A link that was made before the suspension opened the account again once that was lifted.
#[tokio::test]
async fn a_suspension_ends_the_links_of_whom_it_is_about() {
    let dir = Dir::new();
    let store = dir.store().await;
    let (ada, bob) = (user("acme", "ada@x.example"), user("acme", "bob@x.example"));
    let mut kept = Vec::new();
    for (nth, person) in [(1, &ada), (2, &bob)] {
        store.insert_user(person).await.unwrap();
        let ticket = TicketRecord {
            hash: Ticket::draw(&Fixed::new(nth)).hash(),
            tenant: tenant("acme"),
            kind: TicketKind::Invitation,
            subject: person.id.to_string(),
            payload: serde_json::json!({}),
            author: "operator".to_owned(),
            created: t0(),
            expires: t0().plus(Duration::from_secs(60)),
            used: None,
        };
        store.insert_ticket(&ticket).await.unwrap();
        kept.push(ticket);
    }
    let acme = tenant("acme");
    assert!(!store.set_status(&acme, ada.id, Status::Invited, Status::Suspended, t0()).await.unwrap(), "she is active");
    let good = async |hash| store.peek_ticket(&acme, TicketKind::Invitation, hash, t0()).await.unwrap().is_some();
    assert!(good(&kept[0].hash).await, "nothing happened, and a link is gone");
    assert!(store.set_status(&acme, ada.id, Status::Active, Status::Suspended, t0()).await.unwrap());
    let late = TicketRecord { hash: Ticket::draw(&Fixed::new(9)).hash(), ..kept[0].clone() };
    assert!(store.renew_ticket(&late).await.is_err(), "made while the door was being shut");
    let lifted = async |tenant: TenantId| store.lift_suspension(&tenant, ada.id, Status::Invited, t0()).await.unwrap();
    assert_eq!(lifted(tenant("beta")).await, None);
    assert_eq!(
        (lifted(tenant("acme")).await, lifted(tenant("acme")).await),
        (Some(Status::Active), None),
        "as she was, once"
    );
    assert_eq!((good(&kept[0].hash).await, good(&kept[1].hash).await, good(&late.hash).await), (false, true, false));
    store.renew_ticket(&late).await.unwrap();
    assert!(good(&late.hash).await);
}

#[tokio::test]
async fn groups_are_replaced_as_a_whole() {
    let dir = Dir::new();
    let store = dir.store().await;
    let mut ada = user("acme", "ada@x.example");
    ada.groups = vec![group("a"), group("b")];
    store.insert_user(&ada).await.unwrap();
    let before = store.set_groups(&ada.tenant, ada.id, &[group("b"), group("c")], t0()).await.unwrap();
    assert_eq!(before, Some(vec![group("a"), group("b")]));
    assert_eq!(store.user(&ada.tenant, ada.id).await.unwrap().unwrap().groups, [group("b"), group("c")]);
    assert_eq!(store.set_groups(&tenant("beta"), ada.id, &[], t0()).await.unwrap(), None);
}

#[tokio::test]
async fn lists_are_paged_searched_and_filtered() {
    let dir = Dir::new();
    let store = dir.store().await;
    for nth in 0..25 {
        let mut one = user("acme", &format!("user{nth:02}@x.example"));
        one.name = format!("Person {nth}%");
        if nth == 7 {
            one.groups = vec![group("chemists")];
            one.status = Status::Invited;
        }
        store.insert_user(&one).await.unwrap();
    }
    store.insert_user(&user("beta", "user99@x.example")).await.unwrap();
    let acme = tenant("acme");
    let mut query = UserQuery { limit: 10, ..UserQuery::default() };
    let mut seen = Vec::new();
    loop {
        let page = store.users(&acme, &query).await.unwrap();
        seen.extend(page.items.iter().map(|item| std::cmp::Reverse(item.user.id)));
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 25);
    assert!(seen.is_sorted());
    for (text, found) in [
        ("USER07", 1),
        ("person 7", 1),
        ("7%", 2),
        ("_", 0),
        ("x.example", 25),
        ("user07@X.example", 1),
        ("' OR 1=1", 0),
    ] {
        let query = UserQuery { query: Some(text.to_owned()), limit: 100, ..UserQuery::default() };
        assert_eq!(store.users(&acme, &query).await.unwrap().items.len(), found, "{text}");
    }
    let query = UserQuery { status: Some(Status::Invited), limit: 5, ..UserQuery::default() };
    let page = store.users(&acme, &query).await.unwrap();
    assert_eq!((page.items.len(), page.items[0].user.groups.as_slice()), (1, [group("chemists")].as_slice()));
    let query = UserQuery { group: Some(group("chemists")), limit: 5, ..UserQuery::default() };
    assert_eq!(store.users(&acme, &query).await.unwrap().items.len(), 1);
    let counts = store.user_counts(&acme).await.unwrap();
    assert_eq!((counts["active"], counts["invited"], counts["suspended"]), (24, 1, 0));
}

#[tokio::test]
async fn being_seen_never_moves_back() {
    let dir = Dir::new();
    let store = dir.store().await;
    let ada = user("acme", "ada@x.example");
    store.insert_user(&ada).await.unwrap();
    let later = t0().plus(Duration::from_secs(60));
    store.user_seen(&ada.tenant, ada.id, later).await.unwrap();
    store.user_seen(&ada.tenant, ada.id, t0()).await.unwrap();
    assert_eq!(store.user(&ada.tenant, ada.id).await.unwrap().unwrap().last_seen, Some(later));
}

#[tokio::test]
async fn a_change_of_groups_is_made_of_what_stands_then() {
    let dir = Dir::new();
    let (ours, theirs) = (dir.store().await, dir.store().await);
    let ada = user("acme", "ada@x.example");
    ours.insert_user(&ada).await.unwrap();
    ours.set_groups(&ada.tenant, ada.id, &[group("administrators"), group("chemists")], t0()).await.unwrap();
    // Each puts the person into one group of their own and leaves the others alone; none undoes another.
    let joins = (0..20).map(|nth| {
        let (store, tenant) = (if nth % 2 == 0 { &ours } else { &theirs }, ada.tenant.clone());
        let joined = group(&format!("group-{nth:02}"));
        async move {
            let to = move |before: &[GroupId]| before.iter().cloned().chain([joined]).collect();
            store.change_groups(&tenant, ada.id, to, t0()).await.unwrap().unwrap()
        }
    });
    let changes = futures_util::future::join_all(joins).await;
    assert!(changes.iter().all(|(before, after)| after.len() == before.len() + 1));
    assert_eq!(ours.user(&ada.tenant, ada.id).await.unwrap().unwrap().groups.len(), 22);
    let nobody = user("acme", "nobody@x.example").id;
    assert!(ours.change_groups(&ada.tenant, nobody, |_| Vec::new(), t0()).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_said_of_a_person_is_kept_beside_the_name_and_found_by_no_search() {
    let dir = Dir::new();
    let store = dir.store().await;
    let acme = tenant("acme");
    let mut ada = user("acme", "ada@x.example");
    ada.name = "Ada\nL".to_owned();
    store.insert_user(&ada).await.unwrap();
    let say = |text: &str| serde_json::from_str::<Attributes>(text).unwrap();
    let said = say("{\"sites\": [\"north\"], \"clearance\": 2, \"contractor\": false, \"centre\": \"R-7\"}");
    let before = store.set_attributes(&acme, ada.id, &said, t0()).await.unwrap();
    assert_eq!(before, Some(Attributes::default()));
    let read = store.user_by_email(&acme, &ada.email).await.unwrap().unwrap();
    assert_eq!((&*read.name, &read.attributes), ("Ada L", &said));
    assert_eq!(store.set_attributes(&tenant("north"), ada.id, &said, t0()).await.unwrap(), None, "another tenant's");
    for (part, hits) in [("ada l", 1), ("north", 0), ("clearance", 0)] {
        let query = UserQuery { query: Some(part.to_owned()), limit: 10, ..UserQuery::default() };
        assert_eq!(store.users(&acme, &query).await.unwrap().items.len(), hits, "{part}");
    }
    let none = Attributes::default();
    assert_eq!(store.set_attributes(&acme, ada.id, &none, t0()).await.unwrap(), Some(said));
    assert_eq!(store.user(&acme, ada.id).await.unwrap().unwrap().attributes, none);
}
