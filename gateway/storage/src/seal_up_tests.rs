use std::sync::Arc;

use cardea_core::{Secret, entropy::Fixed};
use cardea_identity::{Status, User};
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use super::*;
use crate::{
    Store,
    testing::{Dir, t0, tenant, user},
};

/// A file as the version before left it, with a person, their password, a policy version and an entry.
async fn before(dir: &Dir) -> User {
    let ada = user("acme", "ada@x.example");
    let url = format!("sqlite://{}?mode=rwc", dir.path().join("cardea.db").display());
    let mut file = SqliteConnection::connect(&url).await.unwrap();
    for sql in [
        include_str!("../migrations/0001_house.sql"),
        include_str!("../migrations/0002_offered_handles.sql"),
        include_str!("../migrations/0003_recovery.sql"),
        "CREATE TABLE migrations (version BIGINT PRIMARY KEY); INSERT INTO migrations VALUES (1), (2), (3);",
    ] {
        file.execute(sqlx::raw_sql(sql)).await.unwrap();
    }
    let sql = format!(
        "INSERT INTO users VALUES ('{id}', 'acme', '{email}', 'Ada Fictional', 'active', {at}, {at}, NULL); \
         INSERT INTO users VALUES ('{gone}', 'acme', '', '', 'deleted', {at}, {at}, NULL); \
         INSERT INTO factors VALUES ('{factor}', 'acme', '{id}', 'password', 'at home', '{{\"kind\":\"password\",\"phc\":\"$argon2id$\"}}', NULL, NULL, {at}, NULL); \
         INSERT INTO identities VALUES ('acme', 'work', 'https://idp.example', 'ada-sub', '{id}', {at}); \
         INSERT INTO tenants VALUES ('acme', '{{}}', 1); \
         INSERT INTO policy_versions VALUES ('acme', 1, 'h', '{email}', {at}, 'first', '{{}}');",
        id = ada.id,
        email = ada.email,
        gone = user("acme", "bob@x.example").id,
        factor = FactorId::mint(t0(), &Fixed::new(1)),
        at = t0().as_micros(),
    );
    file.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
    file.close().await.unwrap();
    ada
}

#[tokio::test]
async fn what_lay_open_is_sealed_when_the_file_is_opened_and_found_as_before() {
    let dir = Dir::new();
    let ada = before(&dir).await;
    let store = dir.store().await;
    let acme = tenant("acme");
    let found = store.user_by_email(&acme, &ada.email).await.unwrap().unwrap();
    assert_eq!((found.id, found.name.as_str(), found.status), (ada.id, "Ada Fictional", Status::Active));
    assert_eq!(store.factors(&acme, ada.id).await.unwrap()[0].name, "at home");
    assert_eq!(store.identities(&acme, ada.id).await.unwrap()[0].subject, "ada-sub");
    store.close().await;
    let bytes = std::fs::read(dir.path().join("cardea.db")).unwrap();
    for secret in ["ada@x.example", "Ada Fictional", "at home", "argon2id", "ada-sub"] {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{secret}");
    }
}

#[tokio::test]
async fn another_operators_key_opens_nothing() {
    let dir = Dir::new();
    dir.store().await.close().await;
    let other = Sealer::new(&Secret::new([9; 32])).unwrap();
    let entropy = Arc::new(Fixed::new(1));
    let refused = Store::open(&dir.path().join("cardea.db"), other, entropy).await.unwrap_err();
    assert!(matches!(refused, StoreFault::OtherKey), "{refused}");
}
