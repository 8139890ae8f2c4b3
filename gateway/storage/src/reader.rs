//! Where to read, within a time.

use futures_util::{future::BoxFuture, stream::BoxStream};
use sqlx::{
    Any, AnyPool, Error, Execute, Executor, SqlStr,
    any::{AnyRow, AnyStatement, AnyTypeInfo},
};

use crate::{
    engine::{Engine, PROMPTLY},
    limited::{Limited, Step, each_heard},
};

/// Connections that read. Each answer, and each row, is waited for as [`limited`](crate::limited) does.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pool: AnyPool,
    engine: Engine,
}

impl Reader {
    pub(crate) fn new(pool: AnyPool, engine: Engine) -> Self {
        Self { pool, engine }
    }

    /// A connection, which is limited likewise.
    pub(crate) async fn acquire(&self) -> Result<Limited, Error> {
        Ok(Limited::pooled(self.pool.acquire().await?, self.engine))
    }

    pub(crate) const fn pool(&self) -> &AnyPool {
        &self.pool
    }
}

impl<'c> Executor<'c> for &'c Reader {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        each_heard(self.engine, PROMPTLY, None, self.pool.fetch_many(query))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let (answer, engine) = (self.pool.fetch_optional(query), self.engine);
        Box::pin(engine.promptly(answer))
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [AnyTypeInfo]) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'c: 'e,
    {
        self.pool.prepare_with(sql, parameters)
    }
}
