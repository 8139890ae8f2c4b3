//! What somebody writes into the open columns, to hide an entry from whoever lists the log or to show another one.

use super::*;
use crate::testing::user;

/// Ten requests, then three ends of sessions.
async fn kept(dir: Dir) -> Desk {
    let desk = desk_in(dir, LogLimits::default()).await;
    let ada = user("acme", "ada@x.example");
    for nth in 0..13 {
        let user = cardea_audit::Subject { id: ada.id, email: ada.email.to_string() };
        let event = Event::SignedOut { user, everywhere: false, sessions: nth };
        desk.log.record(if nth < 10 { entry(nth) } else { Entry { event, ..entry(nth) } });
    }
    desk.log.flush().await.unwrap();
    desk
}

async fn after(sql: &'static str) -> Result<u64, Break> {
    // A column that takes anything is a file's alone.
    let dir = if sql.contains("'never'") { Dir::in_file() } else { Dir::new() };
    let desk = kept(dir).await;
    let mut tx = desk.store.write().await.unwrap();
    sqlx::query(sql).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    desk.store.verify_log(Some(&tenant("acme")), &[]).await.unwrap().map(|head| head.size)
}

#[tokio::test]
async fn an_edited_column_is_named_with_its_place() {
    for (sql, seq, column) in [
        ("UPDATE log SET id = (SELECT o.id FROM log o WHERE o.seq = 4) WHERE seq = 3", 3, "id"),
        ("UPDATE log SET at = at + 1 WHERE seq = 3", 3, "at"),
        ("UPDATE log SET at = 'never' WHERE seq = 3", 3, "at"),
        ("UPDATE log SET event = 'sign-in' WHERE seq = 3", 3, "event"),
        ("UPDATE log SET app = 'wiki' WHERE seq = 3", 3, "app"),
        ("UPDATE log SET app = NULL WHERE seq = 3", 3, "app"),
        ("UPDATE log SET caller = 'operator' WHERE seq = 3", 3, "caller"),
        ("UPDATE log SET person = 'eve' WHERE seq = 3", 3, "person"),
        ("UPDATE log SET person = 'eve' WHERE seq = 10", 10, "person"),
        ("UPDATE log SET person = NULL WHERE seq = 11", 11, "person"),
        ("UPDATE log SET reason = NULL WHERE seq = 5", 5, "reason"),
        ("UPDATE log SET reason = 'denied' WHERE seq = 3", 3, "reason"),
        ("UPDATE log SET verdict = 'allow' WHERE seq = 3", 3, "verdict"),
        ("UPDATE log SET admission = 1 WHERE seq = 3", 3, "admission"),
        ("UPDATE log SET app = 'wiki', caller = 'operator' WHERE seq IN (7, 9)", 7, "app"),
    ] {
        assert_eq!(after(sql).await, Err(Break::Mislisted { seq, column }), "{sql}");
    }
}

#[tokio::test]
async fn columns_that_nobody_edited_are_whole() {
    for sql in [
        "UPDATE log SET app = app",
        // As they were written before there was a person's column: none has it, or those before the first that does.
        "UPDATE log SET person = NULL",
        "UPDATE log SET person = NULL WHERE seq < 12",
    ] {
        assert_eq!(after(sql).await, Ok(13), "{sql}");
    }
}
