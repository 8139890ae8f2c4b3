//! What a large pool costs.

use std::time::Instant;

use cardea_core::{GroupId, UserId, entropy::Fixed};
use cardea_identity::{Email, Status, User};

use crate::{
    Store, UserQuery,
    testing::{Dir, t0, tenant, user},
};

/// Not a test of right and wrong: `cargo test --release --workspace --lib pool_cost -- --ignored --nocapture` tells what
/// it costs to list and to find people in a pool of a million. It makes a file of half a gigabyte first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn the_cost_of_finding_people_in_a_large_pool() {
    let people: u64 = std::env::var("PEOPLE").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let dir = Dir::new();
    let store = dir.store().await;
    let made = Instant::now();
    fill(&store, people).await;
    println!("{people} people made in {:?}", made.elapsed());
    let acme = tenant("acme");
    let find = |text: &str| UserQuery { query: Some(text.to_owned()), limit: 50, ..UserQuery::default() };
    let group = GroupId::parse("chemists").ok();
    let exact = Email::parse(&format!("p{}@x.example", people / 2)).unwrap();
    for round in 0..3 {
        for (what, query) in [
            ("a page", UserQuery { limit: 50, ..UserQuery::default() }),
            (
                "a page of the suspended",
                UserQuery { limit: 50, status: Some(Status::Suspended), ..UserQuery::default() },
            ),
            ("a page of a group", UserQuery { limit: 50, group: group.clone(), ..UserQuery::default() }),
            ("a part that a thousandth has", find("person 777")),
            ("a part that nobody has", find("nobody of that name")),
            ("a whole address", find(exact.as_str())),
        ] {
            let begun = Instant::now();
            let found = store.users(&acme, &query).await.unwrap().items.len();
            println!("{round}: {what}: {found} in {:?}", begun.elapsed());
        }
        let begun = Instant::now();
        store.user_by_email(&acme, &exact).await.unwrap().unwrap();
        println!("{round}: an address: {:?}", begun.elapsed());
    }
}

/// In few transactions; a second for each ten thousand would be spent on flushes else.
async fn fill(store: &Store, people: u64) {
    let acme = tenant("acme");
    let model = user("acme", "model@x.example");
    let mut nth = 0;
    while nth < people {
        let (mut tx, sealer) = store.write_sealed(Some(&acme)).await.unwrap();
        for _ in 0..10_000.min(people - nth) {
            let status = if nth % 50_000 == 0 { Status::Suspended } else { Status::Active };
            let groups = (nth % 50_000 == 1).then(|| GroupId::parse("chemists").unwrap()).into_iter().collect();
            let at = t0().plus(std::time::Duration::from_millis(nth));
            let one = User {
                id: UserId::mint(at, &Fixed::new(nth)),
                email: Email::parse(&format!("p{nth}@x.example")).unwrap(),
                name: format!("Person {nth} of the Many"),
                status,
                groups,
                ..model.clone()
            };
            crate::users::insert(&mut tx, &sealer, store.entropy().unwrap(), &one).await.unwrap();
            nth += 1;
        }
        tx.commit().await.unwrap();
    }
}
