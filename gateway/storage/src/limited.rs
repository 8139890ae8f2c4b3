//! Asking a database within a time: a server that has stopped in the middle, or a host that is gone, says nothing more, and no clock
//! of its own ends that. A file answers.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use futures_util::{
    StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Any, AnyConnection, AssertSqlSafe, Connection as _, Either, Error, Execute, Executor, SqlStr,
    any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo},
    pool::PoolConnection,
    raw_sql,
};

use crate::engine::{Engine, PROMPTLY, STATEMENT};

/// A connection on which each answer, and each row, is waited for no longer than its limit.
#[derive(Debug)]
pub(crate) struct Limited {
    own: Own,
    engine: Engine,
    limit: Duration,
    /// It was asked something, and has not answered in time: whatever comes yet is of that.
    silent: bool,
}

#[derive(Debug)]
enum Own {
    Alone(AnyConnection),
    Pooled(PoolConnection<Any>),
}

pub(crate) type Step = Result<Either<AnyQueryResult, AnyRow>, Error>;

impl Limited {
    /// A connection by itself, for whoever writes.
    pub(crate) fn alone(own: AnyConnection, engine: Engine) -> Self {
        Self { own: Own::Alone(own), engine, limit: STATEMENT, silent: false }
    }

    /// One of a pool's, for whoever reads.
    pub(crate) fn pooled(own: PoolConnection<Any>, engine: Engine) -> Self {
        Self { own: Own::Pooled(own), engine, limit: PROMPTLY, silent: false }
    }

    /// How long an answer is waited for.
    pub(crate) const fn limit(&self) -> Duration {
        self.limit
    }

    /// Whether an answer did not come in time: nothing is to be asked on it any more.
    pub(crate) const fn is_silent(&self) -> bool {
        self.silent
    }

    /// Does what is said in so many words, and is to be over within `limit`.
    pub(crate) async fn tell(&mut self, sql: String, limit: Duration) -> Result<(), Error> {
        let told = self.own.execute(raw_sql(AssertSqlSafe(sql)));
        heard(self.engine, limit, Some(&mut self.silent), told).await.map(|_| ())
    }

    /// Whether it answers at all.
    pub(crate) async fn ping(&mut self) -> Result<(), Error> {
        heard(self.engine, self.engine.patience(), Some(&mut self.silent), self.own.ping()).await
    }

    /// Is not given back to its pool.
    pub(crate) fn close_on_drop(&mut self) {
        if let Own::Pooled(own) = &mut self.own {
            own.close_on_drop();
        }
    }

    /// Ends it in order.
    pub(crate) async fn close(self) -> Result<(), Error> {
        match self.own {
            Own::Alone(own) => own.close().await,
            Own::Pooled(own) => own.close().await,
        }
    }

    /// Ends it without a word.
    pub(crate) async fn let_go(self) -> Result<(), Error> {
        match self.own {
            Own::Alone(own) => own.close_hard().await,
            Own::Pooled(own) => own.detach().close_hard().await,
        }
    }
}

impl Deref for Own {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        match self {
            Self::Alone(own) => own,
            Self::Pooled(own) => own,
        }
    }
}

impl DerefMut for Own {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        match self {
            Self::Alone(own) => own,
            Self::Pooled(own) => own,
        }
    }
}

/// An answer, if it comes within `limit`; else it is noted at `silent`.
pub(crate) async fn heard<T>(
    engine: Engine,
    limit: Duration,
    silent: Option<&mut bool>,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    if engine == Engine::Sqlite {
        return answer.await;
    }
    let answer = tokio::time::timeout(limit, answer).await;
    answer.unwrap_or_else(|_| {
        if let Some(silent) = silent {
            *silent = true;
        }
        Err(Error::PoolTimedOut)
    })
}

/// The steps of an answer, each of which is waited for no longer than `limit`. After a fault there is nothing more.
pub(crate) fn each_heard<'e>(
    engine: Engine,
    limit: Duration,
    silent: Option<&'e mut bool>,
    steps: BoxStream<'e, Step>,
) -> BoxStream<'e, Step> {
    if engine == Engine::Sqlite {
        return steps;
    }
    Box::pin(stream::unfold(Some((steps, silent)), move |under_way| async move {
        let (mut steps, mut silent) = under_way?;
        let next = async { Ok(steps.next().await) };
        match heard(engine, limit, silent.as_deref_mut(), next).await {
            Ok(step) => step.map(|step| (step, Some((steps, silent)))),
            Err(error) => Some((Err(error), None)),
        }
    }))
}

impl<'c> Executor<'c> for &'c mut Limited {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let steps = self.own.fetch_many(query);
        each_heard(self.engine, self.limit, Some(&mut self.silent), steps)
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let answer = self.own.fetch_optional(query);
        if self.engine == Engine::Sqlite {
            return answer;
        }
        Box::pin(heard(self.engine, self.limit, Some(&mut self.silent), answer))
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [AnyTypeInfo]) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'c: 'e,
    {
        self.own.prepare_with(sql, parameters)
    }
}

#[cfg(test)]
impl Limited {
    /// With another limit.
    pub(crate) fn within(&mut self, limit: Duration) -> &mut Self {
        self.limit = limit;
        self
    }
}

#[cfg(test)]
#[path = "limited_tests.rs"]
mod tests;
