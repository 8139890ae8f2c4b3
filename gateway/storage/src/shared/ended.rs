//! What is over, in SQL, of what is held elsewhere. A Redis that restarts from an older snapshot, or fails over to a replica that had
//! not heard, brings back what was over, and the memory of one process does not hear what another ends: whoever reads it there asks
//! here.
//!
//! INVARIANT: it is written here before anybody is told that it is over. Where the one is written and the other is not, it is over.

use std::{collections::HashMap, time::Duration};

use cardea_core::{SessionId, TenantId, Timestamp, UserId};
use cardea_identity::{
    HandleHash, HandleRecord, Session, TicketHash,
    one_time::{OneTime, Purpose},
    session::End,
};

use crate::{
    LINGER_IN_REDIS, Store, StoreFault,
    changes::{Change, announce},
    row::Read,
};

/// What may be over.
pub(super) enum What<'a> {
    Session(SessionId),
    /// A handle whose successor was shown.
    Handle(&'a HandleHash),
    /// A one-time value that was taken.
    Value(Purpose, &'a TicketHash),
    /// What counts once, by its mark.
    Spent(&'a str),
}

impl std::fmt::Display for What<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Session(id) => write!(f, "{id}"),
            Self::Handle(hash) => write!(f, "handle:{hash}"),
            Self::Value(purpose, hash) => write!(f, "once:{}:{hash}", purpose.as_str()),
            Self::Spent(mark) => write!(f, "spent:{mark}"),
        }
    }
}

/// What is known to be over of what was asked about.
#[derive(Debug, Default)]
pub(super) struct Ends {
    at: HashMap<String, (Timestamp, String)>,
    /// Of whole users: when, why, and which session was spared.
    of_users: Vec<(UserId, Timestamp, String, String)>,
}

impl Ends {
    /// When something was over.
    fn at(&self, what: &What<'_>) -> Option<Timestamp> {
        self.at.get(&what.to_string()).map(|(at, _)| *at)
    }

    /// How a session ended, if it has.
    pub(super) fn of(&self, session: &Session) -> Result<Option<End>, StoreFault> {
        let own = self.at.get(&session.id.to_string()).map(|(at, why)| (*at, why));
        let users = self.of_users.iter().filter(|(user, at, _, spared)| {
            *user == session.user && *spared != session.id.to_string() && minted(session.id) < at.as_millis()
        });
        let first = own.into_iter().chain(users.map(|(_, at, why, _)| (*at, why))).min_by_key(|(at, _)| *at);
        let Some((at, why)) = first else { return Ok(None) };
        let why = super::end_reason(why).map_err(|why| StoreFault::corrupt("why", why))?;
        Ok(Some(End { at, why }))
    }

    /// Whether a session that nobody knew of as all of its user's ended has ended with them: it was there before, or has taken the
    /// place of one that was.
    pub(super) fn of_late(&self, session: &Session, known: &[SessionId]) -> Result<bool, StoreFault> {
        Ok(session.before.iter().any(|id| known.contains(id)) || self.of(session)?.is_some())
    }

    /// The handle as it is: superseded, where whoever holds it does not know it.
    pub(super) fn applied_to(&self, mut handle: HandleRecord) -> HandleRecord {
        if let Some(at) = self.at(&What::Handle(&handle.hash)) {
            (handle.superseded_at, handle.replaces) = (Some(at), None);
        }
        handle
    }

    /// The session as it is: ended, where whoever holds it does not know it.
    pub(super) fn applied(&self, mut session: Session) -> Result<Session, StoreFault> {
        if let Some(end) = self.of(&session)? {
            session.version += u64::from(session.ended.is_none());
            session.ended = Some(end);
        }
        Ok(session)
    }
}

/// When a session was begun, or took another's place, in milliseconds: its id tells it.
fn minted(id: SessionId) -> i64 {
    let time = id.as_uuid().get_timestamp().map(|time| time.to_unix());
    time.map_or(0, |(secs, nanos)| i64::try_from(secs * 1_000 + u64::from(nanos / 1_000_000)).unwrap_or(i64::MAX))
}

impl Store {
    /// What is over of these, and of all sessions of these users.
    pub(super) async fn ends(
        &self,
        tenant: &TenantId,
        whats: &[What<'_>],
        users: &[UserId],
    ) -> Result<Ends, StoreFault> {
        let whats: Vec<_> = whats.iter().map(What::to_string).collect();
        let users: Vec<_> = users.iter().map(UserId::to_string).collect();
        let rows = sqlx::query(
            "SELECT what, '' AS user_id, at, why, '' AS spared FROM ended \
             WHERE tenant = $1 AND what IN (SELECT value FROM json_each($2)) UNION ALL \
             SELECT '' AS what, user_id, at, why, spared FROM ended_users \
             WHERE tenant = $1 AND user_id IN (SELECT value FROM json_each($3))",
        )
        .bind(tenant.as_str())
        .bind(serde_json::to_string(&whats)?)
        .bind(serde_json::to_string(&users)?)
        .fetch_all(self.reader())
        .await?;
        let mut ends = Ends::default();
        for row in rows {
            let (what, at, why) = (row.text("what")?, row.time("at")?, row.text("why")?);
            if what.is_empty() {
                ends.of_users.push((row.parsed("user_id", UserId::parse)?, at, why, row.text("spared")?));
            } else {
                ends.at.insert(what, (at, why));
            }
        }
        Ok(ends)
    }

    /// Writes that sessions have ended, each until whoever holds it has dropped it, and announces the first of their ends in the same
    /// transaction. True where one of them had not ended here.
    pub(super) async fn sessions_ended(
        &self,
        tenant: &TenantId,
        ended: &[(SessionId, Timestamp)],
        end: End,
    ) -> Result<bool, StoreFault> {
        let mut tx = self.write().await?;
        let mut any = false;
        for (id, until) in ended {
            let done = sqlx::query(INSERT)
                .bind(tenant.as_str())
                .bind(What::Session(*id).to_string())
                .bind(end.at.as_micros())
                .bind(end.why.as_str())
                .bind(until.as_micros())
                .execute(&mut *tx)
                .await?;
            if done.rows_affected() == 1 {
                any = true;
                announce(&mut tx, Some(tenant), &Change::Session(*id), end.at).await?;
            }
        }
        if any {
            tx.commit().await?;
        }
        Ok(any)
    }

    /// Writes that all of a user's sessions have ended that were begun before, but one, and announces it; tells of which of those that are
    /// `known` nobody had written so.
    pub(super) async fn user_ended(
        &self,
        (tenant, user): (&TenantId, UserId),
        known: &[SessionId],
        spared: &str,
        end: End,
    ) -> Result<Vec<SessionId>, StoreFault> {
        let mut tx = self.write().await?;
        let until = end.at.plus(LINGER_IN_REDIS).as_micros();
        let mut ended = Vec::with_capacity(known.len());
        for id in known {
            let done = sqlx::query(INSERT)
                .bind(tenant.as_str())
                .bind(What::Session(*id).to_string())
                .bind(end.at.as_micros())
                .bind(end.why.as_str())
                .bind(until)
                .execute(&mut *tx)
                .await?;
            ended.extend((done.rows_affected() == 1).then_some(*id));
        }
        sqlx::query(
            "INSERT INTO ended_users (tenant, user_id, at, why, spared, until) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT DO NOTHING",
        )
        .bind(tenant.as_str())
        .bind(user.to_string())
        .bind(end.at.as_micros())
        .bind(end.why.as_str())
        .bind(spared)
        .bind(until)
        .execute(&mut *tx)
        .await?;
        announce(&mut tx, Some(tenant), &Change::SessionsOf(user), end.at).await?;
        tx.commit().await?;
        Ok(ended)
    }

    /// Writes that a handle, a value or what counts once is over; true where it was not.
    pub(super) async fn over(
        &self,
        tenant: &TenantId,
        what: &What<'_>,
        at: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreFault> {
        let done = sqlx::query(INSERT)
            .bind(tenant.as_str())
            .bind(what.to_string())
            .bind(at.as_micros())
            .bind("")
            .bind(until.as_micros())
            .execute(&mut *self.turn().await?)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Writes that a value was taken, and gives it to whoever is the first to say so: one that was taken before is one that its holder has
    /// forgotten to be gone. Whoever opens it then knows the key.
    pub(super) async fn taken(&self, value: OneTime, at: Timestamp) -> Result<Option<OneTime>, StoreFault> {
        let (what, until) = (What::Value(value.purpose, &value.hash), dropped(value.expires));
        let first = self.over(&value.tenant, &what, at, until).await?;
        self.sealer_with(Some(&value.tenant), value.body.key_id().filter(|_| first)).await?;
        Ok(Some(value).filter(|_| first))
    }

    /// Forgets what its holder has dropped by itself, and values on disk that are past their time.
    pub(super) async fn sweep_ended(&self, now: Timestamp) -> Result<(), StoreFault> {
        let mut tx = self.write().await?;
        for sql in [
            "DELETE FROM ended WHERE until <= $1",
            "DELETE FROM ended_users WHERE until <= $1",
            "DELETE FROM one_time WHERE expires_at <= $1",
        ] {
            sqlx::query(sql).bind(now.as_micros()).execute(&mut *tx).await?;
        }
        tx.commit().await
    }

    /// Drops what lives shortly from the tables that hold it where nothing else does, but values of this purpose; handles go with their
    /// sessions.
    pub(super) async fn clear_shared(&self, but: Purpose) -> Result<(), StoreFault> {
        let mut tx = self.write().await?;
        for sql in ["DELETE FROM sessions", "DELETE FROM tries", "DELETE FROM rates"] {
            sqlx::query(sql).execute(&mut *tx).await?;
        }
        sqlx::query("DELETE FROM one_time WHERE purpose <> $1").bind(but.as_str()).execute(&mut *tx).await?;
        tx.commit().await
    }
}

/// The first end stands.
const INSERT: &str =
    "INSERT INTO ended (tenant, what, at, why, until) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";

/// What is kept elsewhere beyond its own time: clocks may differ, and what ended must be told from what never was.
pub(super) const BEYOND: Duration = Duration::from_secs(600);

/// When whoever holds what ends at `expires` has dropped it, whatever the clocks say.
pub(super) fn dropped(expires: Timestamp) -> Timestamp {
    expires.plus(Duration::from_secs(24 * 3_600))
}
