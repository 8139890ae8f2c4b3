//! Told where there is a server to copy to.

use std::{future::poll_fn, task::Poll};

use cardea_core::{Secret, entropy::Fixed};
use cardea_identity::{
    Sealed, TicketHash,
    assurance::{Means, Proof},
    one_time::{OneTime, Purpose},
    session::{HandleRecord, Session, Start},
};

use super::*;
use crate::{
    Forgiven, RedisShared, SharedState as _, SqlShared, Store,
    testing::{Dir, t0, tenant, user},
};

/// A file with two rows in each table that its schema knows: one that is full, and one with nothing where nothing may be.
async fn full(dir: &Dir) -> Vec<String> {
    let path = dir.path().join("cardea.db");
    let store = Dir::open(&path).await.unwrap();
    store.close().await;
    let mut own = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    own.execute(raw_sql("PRAGMA foreign_keys = OFF; DELETE FROM tenant_keys")).await.unwrap();
    let tables = tables(&mut own).await.unwrap();
    for table in &tables {
        let columns = sqlx::query("SELECT name, type, \"notnull\" AS needed, pk FROM pragma_table_info($1)");
        let columns = columns.bind(table).fetch_all(&mut own).await.unwrap();
        for (nth, full) in [(1, true), (2, false)] {
            let value = |row: &sqlx::sqlite::SqliteRow| {
                let needed = row.get::<i64, _>("needed") == 1 || row.get::<i64, _>("pk") > 0;
                match row.get::<String, _>("type").as_str() {
                    _ if !needed && !full => "NULL".to_owned(),
                    "TEXT" => format!("'x\"ü\n{nth}'"),
                    "BLOB" => format!("x'00ff0{nth}'"),
                    _ => format!("{}", i64::MAX - nth),
                }
            };
            let names: Vec<String> =
                columns.iter().map(|row| format!("\"{}\"", row.get::<String, _>("name"))).collect();
            let values: Vec<_> = columns.iter().map(value).collect();
            let sql = format!("INSERT INTO \"{table}\" ({}) VALUES ({})", names.join(", "), values.join(", "));
            own.execute(raw_sql(AssertSqlSafe(sql))).await.unwrap_or_else(|error| panic!("{table}: {error}"));
        }
    }
    own.close().await.unwrap();
    tables
}

#[tokio::test]
async fn every_table_that_there_is_is_copied_and_a_database_that_is_not_empty_is_refused() {
    let (dir, target) = (Dir::in_file(), Dir::new());
    let Some(to) = target.database().await else { return };
    let (tables, path) = (full(&dir).await, dir.path().join("cardea.db"));
    let mut heard = Vec::new();
    let copied = copy(&path, &to, None, t0(), |table, rows| heard.push((table.to_owned(), rows))).await.unwrap();
    assert_eq!(heard, tables.iter().map(|table| (table.clone(), 2)).collect::<Vec<_>>());
    assert!(copied.rows.values().all(|rows| *rows == 2) && copied.shared.is_none(), "{copied:?}");
    let mut own = PgConnection::connect(&to).await.unwrap();
    for (sql, is) in [
        (
            "SELECT id || suspended_from || created_at AS one FROM users WHERE last_seen_at IS NOT NULL",
            "x\"ü\n1x\"ü\n19223372036854775806",
        ),
        ("SELECT hex(person) AS one FROM users WHERE last_seen_at IS NULL", "00FF02"),
    ] {
        let one: String = sqlx::query(sql).fetch_one(&mut own).await.unwrap().get("one");
        assert_eq!(one, is, "{sql}");
    }
    let again = copy(&path, &to, None, t0(), |_, _| ()).await.unwrap_err();
    assert!(matches!(again, StoreFault::Occupied), "{again}");
}

#[tokio::test]
async fn a_copy_that_breaks_off_leaves_the_database_empty_and_one_in_use_is_not_begun() {
    let (dir, target) = (Dir::in_file(), Dir::new());
    let Some(to) = target.database().await else { return };
    let (tables, path) = (full(&dir).await, dir.path().join("cardea.db"));
    for left in [1, tables.len()] {
        let mut heard = 0;
        let mut copying = Box::pin(copy(&path, &to, None, t0(), |_, _| heard += 1));
        // It goes away in the middle of what follows a table.
        let mut polls = 0;
        let broke_off = poll_fn(|context| {
            polls += 1;
            match copying.as_mut().poll(context) {
                Poll::Ready(done) => Poll::Ready(done.is_err()),
                Poll::Pending if polls > 40 * left => Poll::Ready(true),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        drop(copying);
        if broke_off {
            assert!(Store::holds_nothing(&to).await.unwrap(), "{heard} tables are there");
        }
    }
    let elsewhere = Dir::new();
    let (to, open) = (elsewhere.database().await.unwrap(), Dir::open(&path).await);
    let in_use = copy(&path, &to, None, t0(), |_, _| ()).await.unwrap_err();
    assert!(matches!(in_use, StoreFault::InUse { .. }), "{in_use}");
    drop(open);
    let missing = copy(&dir.path().join("none.db"), &to, None, t0(), |_, _| ()).await.unwrap_err();
    assert!(matches!(missing, StoreFault::File { .. }), "{missing}");
}

/// What a house is made of goes on as it was: people, sessions and handles, values under way, and what was tried.
#[tokio::test]
async fn people_and_sessions_go_on_where_they_were_copied_to() {
    for by_redis in [false, true] {
        let (dir, target) = (Dir::in_file(), Dir::new());
        let Some(to) = target.database().await else { return };
        let (acme, ada) = (tenant("acme"), user("acme", "ada@x.example"));
        let store = dir.store().await;
        store.insert_user(&ada).await.unwrap();
        let before = SqlShared::new(store.clone());
        let [lives, ended] = [1, 2].map(|seed| {
            let proofs = vec![Proof { means: Means::Email, at: t0() }];
            let rules = &cardea_core::resources::SessionRules::default();
            let (tenant, user, agent) = (acme.clone(), ada.id, "Firefox".to_owned());
            Session::begin(Start { tenant, user, proofs, agent, client: None, rules, now: t0() }, &Fixed::new(seed))
                .unwrap()
        });
        let handle = |of: &Session, seed| HandleRecord::issue(of, "wiki.acme.localhost", t0(), &Fixed::new(seed)).1;
        let (hers, over) = (handle(&lives, 3), handle(&ended, 4));
        for (session, handle) in [(&lives, &hers), (&ended, &over)] {
            before.session_open((session, handle), &Forgiven::default(), t0()).await.unwrap();
        }
        let next = hers.successor(&lives, t0(), &Fixed::new(5)).1;
        assert!(before.handle_offer(&hers, &next, &lives).await.unwrap());
        let end = cardea_identity::session::End { at: t0(), why: cardea_identity::session::EndReason::SignedOut };
        assert!(before.session_end(&acme, ended.id, end).await.unwrap());
        let limit = crate::shared::limit_of_tests("tries/x");
        for _ in 0..10 {
            assert_eq!(before.attempt(&acme, &limit, t0()).await.unwrap(), None);
        }
        let value = OneTime {
            purpose: Purpose::Invitation,
            hash: TicketHash::from_bytes([7; 32]),
            tenant: acme.clone(),
            body: Sealed::from_stored("c2VhbGVk"),
            expires: t0().plus(Purpose::Invitation.life()),
        };
        before.put(&value, t0()).await.unwrap();
        let was = [
            before.session_by_handle(&acme, &hers.hash).await.unwrap(),
            before.session_by_handle(&acme, &next.hash).await.unwrap(),
        ];
        store.close().await;

        let server = crate::shared::RedisServer::start(dir.path()).await;
        let at = RedisAt::One(Secret::new(server.url()));
        let redis = by_redis.then_some((&at, "cardea"));
        let copied = copy(&dir.path().join("cardea.db"), &to, redis, t0(), |_, _| ()).await.unwrap();
        assert_eq!(
            copied.shared.map(|taken| (taken.sessions, taken.handles, taken.values, taken.tries)),
            by_redis.then_some((2, 3, 1, 1))
        );
        let store = target.store().await;
        assert_eq!(store.user(&acme, ada.id).await.unwrap().unwrap().email, ada.email);
        let after: Box<dyn crate::SharedState> = match by_redis {
            true => Box::new(RedisShared::open(&at, "cardea", store.clone()).await.unwrap()),
            false => Box::new(SqlShared::new(store.clone())),
        };
        let is = [
            after.session_by_handle(&acme, &hers.hash).await.unwrap(),
            after.session_by_handle(&acme, &next.hash).await.unwrap(),
        ];
        assert_eq!(is, was, "redis: {by_redis}");
        assert_eq!(after.session(&acme, ended.id).await.unwrap().unwrap().ended, Some(end));
        assert!(after.attempt(&acme, &limit, t0()).await.unwrap().is_some(), "what was tried is forgotten");
        let taken = async || after.take(&acme, value.purpose, &value.hash, t0()).await.unwrap();
        assert_eq!((taken().await, taken().await), (Some(value.clone()), None));
        // What an earlier try left there is not gone on with: what has ended since would live.
        if by_redis {
            let elsewhere = Dir::new();
            let (to, path) = (elsewhere.database().await.unwrap(), dir.path().join("cardea.db"));
            let again = copy(&path, &to, redis, t0(), |_, _| ()).await.unwrap_err();
            assert!(matches!(again, StoreFault::Held { .. }), "{again}");
            assert!(Store::holds_nothing(&to).await.unwrap());
        }
        // Another is given out in the place of the one that was never shown.
        let third = hers.successor(&lives, t0().plus(std::time::Duration::from_secs(60)), &Fixed::new(6)).1;
        let (stands, _) = after.session_by_handle(&acme, &hers.hash).await.unwrap().unwrap();
        assert!(after.handle_offer(&stands, &third, &lives).await.unwrap());
        assert_eq!(after.session_by_handle(&acme, &next.hash).await.unwrap(), None);
        assert_eq!(after.sessions_of_user(&acme, ada.id, t0()).await.unwrap().len(), 1);
        // What is numbered goes on from where it was.
        let last = store.last_change().await.unwrap();
        store.announce(None, &crate::Change::Resources, t0()).await.unwrap();
        assert_eq!(store.last_change().await.unwrap(), last + 1);
    }
}
