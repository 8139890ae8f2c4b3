//! Reading several things as of one moment.

use std::ops::{Deref, DerefMut};

use crate::{Store, StoreFault, limited::Limited};

/// A transaction that reads. INVARIANT: a connection on which one was begun and not ended reads nothing for anybody else: it would
/// show what was, and is closed. Whoever asked may have gone in the middle.
#[derive(Debug)]
pub(crate) struct Reading {
    own: Limited,
    ended: bool,
}

impl Store {
    /// Begins to read.
    pub(crate) async fn moment(&self) -> Result<Reading, StoreFault> {
        let mut reading = Reading { own: self.reader().acquire().await?, ended: false };
        sqlx::query(self.engine().reads_one_moment()).execute(&mut reading.own).await?;
        Ok(reading)
    }
}

impl Reading {
    /// Ends it.
    pub(crate) async fn end(mut self) -> Result<(), StoreFault> {
        sqlx::query("COMMIT").execute(&mut self.own).await?;
        self.ended = true;
        Ok(())
    }
}

impl Deref for Reading {
    type Target = Limited;

    fn deref(&self) -> &Limited {
        &self.own
    }
}

impl DerefMut for Reading {
    fn deref_mut(&mut self) -> &mut Limited {
        &mut self.own
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if !self.ended {
            self.own.close_on_drop();
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::*;
    use crate::testing::Dir;

    async fn rails(from: &mut Limited) -> i64 {
        sqlx::query("SELECT COUNT(*) AS n FROM guard_rails").fetch_one(from).await.unwrap().try_get("n").unwrap()
    }

    async fn another(store: &Store, name: &str) {
        let mut tx = store.write().await.unwrap();
        let sql = "INSERT INTO guard_rails (name, text) VALUES ($1, '')";
        sqlx::query(sql).bind(name).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Statements that each saw their own moment gave a load the policies of one and the apps of another.
    #[tokio::test]
    async fn all_that_is_read_is_of_one_moment_whoever_writes_between() {
        let dir = Dir::new();
        let (ours, theirs) = (dir.store().await, dir.store().await);
        another(&theirs, "one").await;
        let mut moment = ours.moment().await.unwrap();
        assert_eq!(rails(&mut moment).await, 1);
        another(&theirs, "two").await;
        assert_eq!(rails(&mut moment).await, 1);
        moment.end().await.unwrap();
        assert_eq!(rails(&mut ours.moment().await.unwrap()).await, 2);
    }

    /// More of them than there are connections: what is left begun would be somebody else's past.
    #[tokio::test]
    async fn what_nobody_ends_is_nobodys_view_afterwards() {
        let dir = Dir::new();
        let store = dir.store().await;
        for nth in 0..6 {
            let mut left = store.moment().await.unwrap();
            assert_eq!(rails(&mut left).await, nth);
            drop(left);
            another(&store, &nth.to_string()).await;
        }
        let row = sqlx::query("SELECT COUNT(*) AS n FROM guard_rails").fetch_one(store.reader()).await.unwrap();
        assert_eq!(row.try_get::<i64, _>("n").unwrap(), 6);
    }
}
