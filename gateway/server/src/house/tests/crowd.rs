//! As many sessions as a large house has.

use std::{io::Write as _, path::Path};

use tokio::task::JoinSet;

use super::*;
use crate::system::{SystemClock, SystemEntropy};

/// What one task of those that begin sessions does.
const EACH: usize = 1_000;

/// So many at once.
const AT_ONCE: usize = 32;

/// Not a test of right and wrong, but for `tests/bench/run sessions`: begins `CROWD_SESSIONS` sessions, four of each person, at the host
/// `CROWD_HOST` of tenant `CROWD_TENANT` in the house that is configured in `CROWD_CONFIG`, and writes their handles to `CROWD_HANDLES`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn as_many_sessions_as_are_wanted_are_begun() {
    let told = |name: &str| std::env::var(name).unwrap();
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let config = Config::read(Path::new(&told("CROWD_CONFIG")), clock.now()).unwrap();
    let house = House::open(config, clock, entropy).await.unwrap();
    let tenant = TenantId::parse(&told("CROWD_TENANT")).unwrap();
    let (sessions, host): (usize, Arc<str>) = (told("CROWD_SESSIONS").parse().unwrap(), told("CROWD_HOST").into());
    let mut handles = std::fs::File::create(told("CROWD_HANDLES")).unwrap();
    let mut people = Vec::new();
    for from in (0..sessions / 4).step_by(EACH) {
        let some: Vec<_> = (from..from + EACH).map(|nth| person(&house, &tenant, nth)).collect();
        house.store.insert_users(&tenant, &some).await.unwrap();
        people.extend(some.iter().map(|user| user.id));
    }
    let (people, mut begun) = (Arc::new(people), JoinSet::<String>::new());
    for from in (0..sessions).step_by(EACH) {
        if begun.len() == AT_ONCE {
            handles.write_all(begun.join_next().await.unwrap().unwrap().as_bytes()).unwrap();
        }
        let (house, tenant, host, people) =
            (Arc::clone(&house), tenant.clone(), Arc::clone(&host), Arc::clone(&people));
        begun.spawn(async move {
            let mut cookies = String::new();
            for nth in from..sessions.min(from + EACH) {
                cookies += &begin(&house, &tenant, people[nth % people.len()], &host).await;
                cookies.push('\n');
            }
            cookies
        });
    }
    while let Some(some) = begun.join_next().await {
        handles.write_all(some.unwrap().as_bytes()).unwrap();
    }
    house.close().await;
}

fn person(house: &House, tenant: &TenantId, nth: usize) -> User {
    let now = house.now();
    User {
        id: UserId::mint(now, &*house.entropy),
        tenant: tenant.clone(),
        email: Email::parse(&format!("person-{nth}@crowd.example")).unwrap(),
        name: format!("Person {nth} of the Crowd"),
        status: Status::Active,
        groups: vec![cardea_core::GroupId::parse("readers").unwrap()],
        created: now,
        changed: now,
        last_seen: Some(now),
        attributes: cardea_core::Attributes::default(),
    }
}

/// One session with one handle; gives the cookie.
async fn begin(house: &House, tenant: &TenantId, user: UserId, host: &str) -> String {
    let (now, state) = (house.now(), house.tenant(tenant).unwrap());
    let factor = cardea_core::FactorId::mint(now, &*house.entropy);
    let start = Start {
        tenant: tenant.clone(),
        user,
        proofs: vec![Proof { means: Means::Password { factor }, at: now }],
        agent: "Firefox on Linux".to_owned(),
        client: Some([198, 51, 100, 7].into()),
        rules: &state.bundle.tenant.session,
        now,
    };
    let session = Session::begin(start, &*house.entropy).unwrap();
    let (handle, record) = HandleRecord::issue(&session, host, now, &*house.entropy);
    house.shared.session_insert(&session).await.unwrap();
    house.shared.handle_insert(&record, &session).await.unwrap();
    handle.expose_text()
}
