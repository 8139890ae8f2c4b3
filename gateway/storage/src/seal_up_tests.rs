use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use cardea_audit::{Actor, Event, Head, chain};
use cardea_core::{EntryId, Secret, entropy::Fixed};
use cardea_identity::{Status, User, factors::totp::Seed};
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use super::*;
use crate::testing::{Dir, t0, tenant, user};

/// A file as the version before left it, with a person, their password and authenticator, a policy version and an entry.
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
    let body = entry().body().unwrap();
    let leaf = chain::leaf(&body);
    let head = Head::EMPTY.after(&leaf);
    sqlx::query("INSERT INTO log VALUES ('acme', 0, $1, $2, 'started', NULL, 'gateway', NULL, NULL, $3, $4, $5)")
        .bind(entry().id.to_string())
        .bind(t0().as_micros())
        .bind(String::from_utf8(body).unwrap())
        .bind(leaf.to_vec())
        .bind(head.link.to_vec())
        .execute(&mut file)
        .await
        .unwrap();
    sqlx::query("INSERT INTO log_heads VALUES ('acme', 1, $1)")
        .bind(head.link.to_vec())
        .execute(&mut file)
        .await
        .unwrap();
    let totp = serde_json::to_string(&FactorData::Totp { secret: sealed_as_before(), last_step: None }).unwrap();
    sqlx::query("INSERT INTO factors VALUES ($1, 'acme', $2, 'totp', 'phone', $3, NULL, 7, 0, NULL)")
        .bind(phone().to_string())
        .bind(ada.id.to_string())
        .bind(totp)
        .execute(&mut file)
        .await
        .unwrap();
    file.close().await.unwrap();
    ada
}

fn entry() -> Entry {
    let event = Event::Started { version: "1".to_owned() };
    let id = EntryId::mint(t0(), &Fixed::new(9));
    Entry { id, at: t0(), tenant: Some(tenant("acme")), actor: Actor::GATEWAY, session: None, client: None, event }
}

fn phone() -> FactorId {
    FactorId::mint(t0(), &Fixed::new(2))
}

fn seed() -> Seed {
    Seed::draw(&Fixed::new(3))
}

/// A seed under the operator's own key, as it was kept when keys had no names: nonce, ciphertext and tag.
fn sealed_as_before() -> Sealed {
    let operator = Sealer::new(&Secret::new([1; 32])).unwrap();
    let sealed = seed().seal(phone(), &operator, &Fixed::new(4)).unwrap();
    let bytes = STANDARD_NO_PAD.decode(sealed.as_str()).unwrap();
    let (rest, _key) = bytes.split_at(bytes.len() - 4);
    let (body, nonce) = rest.split_at(rest.len() - 12);
    Sealed::from_stored(STANDARD_NO_PAD.encode([nonce, body].concat()))
}

#[tokio::test]
async fn what_lay_open_is_sealed_when_the_file_is_opened_and_found_as_before() {
    let dir = Dir::in_file();
    let ada = before(&dir).await;
    let store = dir.store().await;
    let acme = tenant("acme");
    let found = store.user_by_email(&acme, &ada.email).await.unwrap().unwrap();
    assert_eq!((found.id, found.name.as_str(), found.status), (ada.id, "Ada Fictional", Status::Active));
    let factors = store.factors(&acme, ada.id).await.unwrap();
    assert_eq!(factors.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["phone", "at home"]);
    let FactorData::Totp { secret, last_step: Some(7) } = &factors[0].data else { panic!("{factors:?}") };
    let sealer = store.sealer(Some(&acme)).await.unwrap();
    assert_eq!(Seed::open(phone(), secret, &sealer).unwrap().base32(), seed().base32());
    store.verify_log(Some(&acme), &[]).await.unwrap().unwrap();
    assert_eq!(store.log_range(Some(&acme), 0, 10).await.unwrap()[0].body, entry().body().unwrap());
    assert_eq!(store.identities(&acme, ada.id).await.unwrap()[0].identity.subject, "ada-sub");
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
    let refused = dir.opened(Sealer::new(&Secret::new([9; 32])).unwrap()).await.unwrap_err();
    assert!(matches!(refused, StoreFault::OtherKey), "{refused}");
}
