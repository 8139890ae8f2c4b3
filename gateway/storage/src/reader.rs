//! Where to read, within a time: a server that has stopped in the middle says nothing more, and no clock of its own ends that.

use futures_util::{
    StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Any, AnyPool, Either, Error, Execute, Executor, SqlStr,
    any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo},
    pool::PoolConnection,
};

use crate::engine::Engine;

/// Connections that read. Each answer, and each row, is waited for no longer than [`Engine::promptly`] does.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pool: AnyPool,
    engine: Engine,
}

impl Reader {
    pub(crate) fn new(pool: AnyPool, engine: Engine) -> Self {
        Self { pool, engine }
    }

    /// A connection; what is asked with it is limited by whoever asks.
    pub(crate) async fn acquire(&self) -> Result<PoolConnection<Any>, Error> {
        self.pool.acquire().await
    }

    pub(crate) const fn pool(&self) -> &AnyPool {
        &self.pool
    }
}

type Step = Result<Either<AnyQueryResult, AnyRow>, Error>;

impl<'c> Executor<'c> for &'c Reader {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let (steps, engine) = (self.pool.fetch_many(query), self.engine);
        if engine == Engine::Sqlite {
            return steps;
        }
        // After a fault there is nothing more: the connection is closed where it is in the middle of an answer.
        let next = move |steps: Option<BoxStream<'e, Step>>| async move {
            let mut steps = steps?;
            match engine.promptly(async { Ok(steps.next().await) }).await {
                Ok(Some(step)) => Some((step, Some(steps))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        };
        Box::pin(stream::unfold(Some(steps), next))
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
