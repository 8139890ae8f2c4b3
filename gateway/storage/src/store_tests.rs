//! How a store is opened, and what becomes of it on a full disk.

use super::*;
use crate::testing::Dir;

#[tokio::test]
async fn the_file_is_private_and_opens_again() {
    let dir = Dir::new();
    let path = dir.path().join("a folder%with?odd#name");
    std::fs::create_dir(&path).unwrap();
    let path = path.join("cardea.db");
    for _ in 0..2 {
        let store = Dir::open(&path).await.unwrap();
        store.ping().await.unwrap();
        for file in std::fs::read_dir(path.parent().unwrap()).unwrap() {
            let mode = std::os::unix::fs::PermissionsExt::mode(&file.unwrap().metadata().unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
        store.close().await;
    }
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let dir = Dir::new();
    let store = dir.store().await;
    sqlx::query("DELETE FROM users").execute(store.reader()).await.unwrap_err();
}

/// Each row is a way in which SQLite rolls back by itself; the second lasts until it is taken away from outside.
#[tokio::test]
async fn after_a_full_disk_it_writes_again_without_a_restart() {
    for (what, full) in [
        ("no more pages", "PRAGMA max_page_count = 1"),
        (
            "a rollback of its own",
            "CREATE TRIGGER full BEFORE INSERT ON secrets BEGIN SELECT RAISE(ROLLBACK, 'disk is full'); END",
        ),
    ] {
        let dir = Dir::in_file();
        let store = dir.store().await;
        let fill = async || {
            let mut tx = store.write().await?;
            sqlx::query("INSERT INTO secrets VALUES ('acme', 'x', hex(randomblob(8)), zeroblob(1000000), '', 0, 0)")
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        };
        let mut tx = store.write().await.unwrap();
        sqlx::raw_sql(full).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        let told = fill().await.unwrap_err().with_causes();
        assert!(told.contains("full"), "{what}: {told}");
        // A second time: what lasts is told as what it is, too.
        assert!(fill().await.map_or_else(|fault| fault.with_causes().contains("full"), |()| true), "{what}");
        let outside = dir.store().await;
        let mut tx = outside.write().await.unwrap();
        sqlx::raw_sql("DROP TRIGGER IF EXISTS full").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        fill().await.unwrap_or_else(|fault| panic!("{what}: {}", fault.with_causes()));
        let row = sqlx::query("PRAGMA synchronous").fetch_one(&mut *store.turn().await.unwrap()).await.unwrap();
        assert_eq!(row.try_get::<i64, _>(0).unwrap(), 2, "{what}: a new connection is as durable as the first");
    }
}

#[tokio::test]
async fn what_is_opened_to_read_is_neither_made_nor_written() {
    let (dir, file) = (Dir::new(), Dir::in_file());
    let nothing = file.read().await.unwrap_err();
    assert!(matches!(nothing, StoreFault::File { .. }) && !file.path().join("cardea.db").exists(), "{nothing}");
    dir.store().await.close().await;
    let store = dir.read().await.unwrap();
    store.ping().await.unwrap();
    store.announce(None, &crate::Change::Resources, crate::testing::t0()).await.unwrap_err();
    assert_eq!(store.last_change().await.unwrap(), 0);
}

#[tokio::test]
async fn a_newer_database_and_an_unreachable_one_are_faults() {
    let dir = Dir::new();
    let store = dir.store().await;
    let mut tx = store.write().await.unwrap();
    sqlx::query("INSERT INTO migrations (version) VALUES (999)").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    store.close().await;
    let again = dir.opened(crate::testing::operator()).await.unwrap_err();
    assert!(matches!(again, StoreFault::Newer { stands: 999, .. }), "{again}");
    let again = dir.read().await.unwrap_err();
    assert!(matches!(again, StoreFault::Newer { stands: 999, .. }), "{again}");
    let nowhere = Dir::open(&dir.path().join("no/such/folder/cardea.db")).await.unwrap_err();
    assert!(matches!(nowhere, StoreFault::File { .. }), "{nowhere}");
    // Nobody listens at port 1.
    let nobody = "postgres://cardea@127.0.0.1:1/cardea";
    let nowhere = Store::connect(nobody, crate::testing::operator(), crate::testing::entropy()).await.unwrap_err();
    assert!(matches!(nowhere, StoreFault::Sql(_)), "{nowhere}");
}

/// Both find nothing, and both make all of it: one of them does.
#[tokio::test]
async fn of_two_first_starts_at_once_one_makes_the_keys() {
    use crate::testing::{entropy, operator};
    let dir = Dir::new();
    let (one, two) = tokio::join!(dir.opened(operator()), dir.opened(operator()));
    let (one, two) = (one.unwrap(), two.unwrap());
    let plain = one.sealer(None).await.unwrap().seal("place", b"x", &*entropy()).unwrap();
    assert_eq!(two.sealer(None).await.unwrap().open("place", &plain).unwrap().expose(), b"x");
    let dir = Dir::new();
    let another = Sealer::new(&Secret::new([2; 32])).unwrap();
    let (one, two) = tokio::join!(dir.opened(operator()), dir.opened(another));
    let refused = one.err().into_iter().chain(two.err()).collect::<Vec<_>>();
    assert!(matches!(refused[..], [StoreFault::OtherKey]), "{refused:?}");
}

#[tokio::test]
async fn an_empty_database_on_a_server_holds_nothing_and_is_not_made_by_looking() {
    let dir = Dir::new();
    let Some(url) = dir.database().await else { return };
    assert!(Store::holds_nothing(&url).await.unwrap() && !Store::holds_keys(&url).await.unwrap());
    let empty = dir.read().await.unwrap_err();
    assert!(matches!(empty, StoreFault::Nothing), "{empty}");
    assert!(Store::holds_nothing(&url).await.unwrap());
    dir.store().await;
    assert!(!Store::holds_nothing(&url).await.unwrap() && Store::holds_keys(&url).await.unwrap());
}
