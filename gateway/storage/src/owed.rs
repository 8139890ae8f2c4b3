//! What is owed to the file beside its rows: a change that leaves in pages that are free, or in the log of writes, what lay
//! open notes so in its own transaction, and the file is written anew, or the log cut off, on opening, until that was done
//! once from end to end.

use sqlx::{Connection as _, Executor as _, Row as _, SqliteConnection};

use crate::{StoreFault, writing::Writing};

/// Where it is noted. Made beside the table of migrations, which stands outside the migrations itself.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS owed (what TEXT PRIMARY KEY)";

/// Owed: that the file is written anew.
pub(crate) const ANEW: &str = "vacuum";

/// Owed: that the log of writes is cut off.
pub(crate) const CUT_OFF: &str = "cut-off";

/// Notes, in the transaction that leaves something behind, what is to be done about it.
pub(crate) async fn note(tx: &mut Writing, what: &str) -> Result<(), StoreFault> {
    sqlx::query("INSERT INTO owed (what) VALUES ($1) ON CONFLICT (what) DO NOTHING")
        .bind(what)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Pays what is owed over a connection of its own. What hinders it, as a full disk or another process, is told and does not
/// keep the file from being opened: it stays noted, and the next opening tries again.
pub(crate) async fn settle(mut own: SqliteConnection) -> Result<(), StoreFault> {
    let rows = sqlx::query("SELECT what FROM owed").fetch_all(&mut own).await?;
    if !rows.is_empty() {
        let anew = rows.iter().any(|row| row.try_get::<String, _>("what").is_ok_and(|what| what == ANEW));
        match pay(&mut own, anew).await {
            Ok(true) => tracing::info!(anew, "the database was cleaned: nothing is left of what lay open"),
            Ok(false) => tracing::warn!("the database is in use, and older pages stay until it is opened again"),
            Err(error) => tracing::error!(%error, "the database cannot be cleaned; tried again when it is opened"),
        }
    }
    Ok(own.close().await?)
}

/// Cuts off the log of writes, having written the file `anew` where that is owed; tells whether nothing is owed any more.
/// The copy lies in a file, and not in memory: a log may be larger than that.
async fn pay(own: &mut SqliteConnection, anew: bool) -> Result<bool, StoreFault> {
    if anew {
        own.execute(sqlx::raw_sql("PRAGMA temp_store = FILE")).await?;
        own.execute(sqlx::raw_sql("VACUUM")).await?;
    }
    if !cut_off(own).await? {
        return Ok(false);
    }
    // If we crash before this, it is done once more.
    sqlx::query("DELETE FROM owed").execute(&mut *own).await?;
    Ok(true)
}

/// Brings the file up to date and cuts off the log of writes, in which older pages lie; tells whether it could. Readers that
/// stay longer than any writer waits hinder it, which SQLite tells in a row, and not as an error.
pub(crate) async fn cut_off(own: &mut SqliteConnection) -> Result<bool, StoreFault> {
    let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(own).await?;
    Ok(row.try_get::<i64, _>("busy")? == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Dir;

    /// A file in whose free pages something lies open, as a crash right after the migration leaves it.
    async fn left(dir: &Dir, noted: bool) {
        dir.store().await.close().await;
        let url = format!("sqlite://{}", dir.path().join("cardea.db").display());
        let mut file = SqliteConnection::connect(&url).await.unwrap();
        let sql = "PRAGMA secure_delete = OFF; CREATE TABLE open (name TEXT); \
                   INSERT INTO open VALUES ('Ada Fictional'); DROP TABLE open;";
        file.execute(sqlx::raw_sql(sql)).await.unwrap();
        if noted {
            file.execute(sqlx::raw_sql("INSERT INTO owed VALUES ('vacuum')")).await.unwrap();
        }
        file.close().await.unwrap();
    }

    fn holds(dir: &Dir) -> bool {
        let bytes = std::fs::read(dir.path().join("cardea.db")).unwrap();
        bytes.windows(13).any(|part| part == b"Ada Fictional")
    }

    #[tokio::test]
    async fn what_a_crash_left_open_is_gone_after_the_next_opening() {
        for (noted, stays) in [(true, false), (false, true)] {
            let dir = Dir::in_file();
            left(&dir, noted).await;
            assert!(holds(&dir));
            let store = dir.store().await;
            let owed = sqlx::query("SELECT what FROM owed").fetch_all(store.reader()).await.unwrap();
            assert!(owed.is_empty(), "{noted}");
            store.close().await;
            assert_eq!(holds(&dir), stays, "{noted}");
        }
    }

    #[tokio::test]
    async fn a_reader_that_stays_is_told_and_what_is_owed_stays_noted() {
        let dir = Dir::in_file();
        left(&dir, true).await;
        let url = format!("sqlite://{}", dir.path().join("cardea.db").display());
        let mut reader = SqliteConnection::connect(&url).await.unwrap();
        reader.execute(sqlx::raw_sql("BEGIN; SELECT * FROM owed")).await.unwrap();
        let mut own = SqliteConnection::connect(&url).await.unwrap();
        own.execute(sqlx::raw_sql("PRAGMA busy_timeout = 10")).await.unwrap();
        assert!(!pay(&mut own, true).await.unwrap());
        reader.execute(sqlx::raw_sql("COMMIT")).await.unwrap();
        assert!(sqlx::query("SELECT what FROM owed").fetch_optional(&mut own).await.unwrap().is_some());
        assert!(pay(&mut own, true).await.unwrap());
        assert!(sqlx::query("SELECT what FROM owed").fetch_optional(&mut own).await.unwrap().is_none());
    }
}
