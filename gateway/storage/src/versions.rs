//! Which programs may go on with a database that a newer one has changed: the database says so itself.

use sqlx::{PgConnection, Row as _};

use crate::{StoreFault, limited::Limited, writing::Writing};

/// Migrations that only add, each with the oldest version that a program may know to go on beside it: it neither reads nor misses
/// what was added. What is not named here wants a program that knows it.
///
/// INVARIANT: what a program of that version reads or writes is still there, and means what it meant. What is to go is first no
/// longer used by one release, and taken away by the next.
const GOES_ON_FROM: &[(i64, i64)] = &[(12, 9), (14, 13)];

/// From this version on each row says which programs may go on beside it.
const SAYS_WHO_GOES_ON: i64 = 12;

/// Notes that the tables are of a version, and who may go on beside it.
pub(crate) async fn note(tx: &mut Writing, version: i64) -> Result<(), StoreFault> {
    match from(version) {
        None => sqlx::query("INSERT INTO migrations (version) VALUES ($1)").bind(version).execute(&mut **tx).await?,
        Some(from) => sqlx::query(SAYING).bind(version).bind(from).execute(&mut **tx).await?,
    };
    Ok(())
}

/// The same in a database that is made.
pub(crate) async fn note_there(own: &mut PgConnection, version: i64) -> Result<(), StoreFault> {
    match from(version) {
        None => sqlx::query("INSERT INTO migrations (version) VALUES ($1)").bind(version).execute(own).await?,
        Some(from) => sqlx::query(SAYING).bind(version).bind(from).execute(own).await?,
    };
    Ok(())
}

const SAYING: &str = "INSERT INTO migrations (version, goes_on_from) VALUES ($1, $2)";

/// Which programs may go on beside a version; none where that is too old to say it.
fn from(version: i64) -> Option<i64> {
    let from = GOES_ON_FROM.iter().find(|(of, _)| *of == version).map_or(version, |(_, from)| *from);
    (version >= SAYS_WHO_GOES_ON).then_some(from)
}

/// Whether a program that knows versions up to `knows` may go on with a database of a newer one: none of those that it does not
/// know wants a newer program.
pub(crate) async fn goes_on_with(own: &mut Limited, knows: i64) -> Result<bool, StoreFault> {
    let sql = "SELECT COALESCE(MAX(COALESCE(goes_on_from, version)), 0) AS wants FROM migrations WHERE version > $1";
    let wants: i64 = sqlx::query(sql).bind(knows).fetch_one(own).await?.try_get("wants")?;
    Ok(wants <= knows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{store::newest, testing::Dir};

    /// Each row: which programs two newer versions say may go on, and whether this one does.
    #[tokio::test]
    async fn a_program_goes_on_beside_newer_ones_that_only_added_to_the_database() {
        let knows = newest();
        for (said, goes_on) in [
            ([knows, knows], true),
            ([knows - 3, knows], true),
            ([knows, knows + 1], false),
            ([knows + 1, knows], false),
            ([knows + 2, knows + 2], false),
        ] {
            let dir = Dir::new();
            let store = dir.store().await;
            let mut tx = store.write().await.unwrap();
            for (nth, from) in said.into_iter().enumerate() {
                let sql = "INSERT INTO migrations (version, goes_on_from) VALUES ($1, $2)";
                let version = knows + 1 + i64::try_from(nth).unwrap();
                sqlx::query(sql).bind(version).bind(from).execute(&mut *tx).await.unwrap();
            }
            tx.commit().await.unwrap();
            store.close().await;
            match dir.opened(crate::testing::operator()).await {
                Ok(store) => {
                    assert!(goes_on, "{said:?}");
                    store.announce(None, &crate::Change::Resources, crate::testing::t0()).await.unwrap();
                    dir.read().await.unwrap().ping().await.unwrap();
                    // Nothing is taken back: the newer program finds what it left.
                    assert!(goes_on_with(&mut store.turn().await.unwrap(), knows).await.unwrap());
                }
                Err(fault) => {
                    assert!(!goes_on && matches!(fault, StoreFault::Newer { .. }), "{said:?}: {fault}");
                    let told = dir.read().await.unwrap_err();
                    assert!(matches!(told, StoreFault::Newer { .. }), "{said:?}: {told}");
                }
            }
        }
    }
}
