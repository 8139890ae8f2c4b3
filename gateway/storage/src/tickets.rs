//! Tickets: one-time tokens that live for days, as invitations and enrolment tokens. Taken by exactly one of any number of racing
//! takers; kept after that, so that a second use can be told from an unknown token. The keys of remembered devices are kept as
//! tickets too, and are not taken: the next one takes the place of each (see [`Store::keep_device`]).

use cardea_core::{Entropy, TenantId, Timestamp, UserId};
use cardea_identity::{Sealer, TicketHash};
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use crate::{
    Store, StoreFault,
    row::Read,
    sealed::{self, Place},
    writing::Writing,
};

/// What a ticket is for. A ticket of one kind is never found for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TicketKind {
    /// Lets a person into the pool.
    Invitation,
    /// Lets a person add a first factor beyond the only one.
    Factor,
    /// Lets a service enrol for its certificate.
    Enrolment,
    /// Lets a remembered device stand in for a second factor (see [`Store::keep_device`]).
    Device,
}

/// A ticket as it is kept: the token itself is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketRecord {
    /// What it is found by.
    pub hash: TicketHash,
    /// The tenant that it belongs to.
    pub tenant: TenantId,
    /// What it is for.
    pub kind: TicketKind,
    /// For whom: a user's id, or a service's name.
    pub subject: String,
    /// What else its use needs.
    pub payload: serde_json::Value,
    /// Who made it.
    pub author: String,
    /// When it was made.
    pub created: Timestamp,
    /// From when it is as good as gone.
    pub expires: Timestamp,
    /// When it was used, if it has been.
    pub used: Option<Timestamp>,
}

impl TicketKind {
    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::Factor => "factor",
            Self::Enrolment => "enrolment",
            Self::Device => "device",
        }
    }
}

impl Store {
    /// Keeps a new ticket.
    pub async fn insert_ticket(&self, ticket: &TicketRecord) -> Result<(), StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(&ticket.tenant)).await?;
        insert(&mut tx, (&sealer, self.entropy()?), ticket).await?;
        tx.commit().await
    }

    /// Keeps a new ticket in the place of all unused ones of its kind and subject, in one step: of two that are made at once,
    /// one is good afterwards.
    pub async fn renew_ticket(&self, ticket: &TicketRecord) -> Result<(), StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(&ticket.tenant)).await?;
        // INVARIANT: in the same step. Whoever was suspended a moment ago gets no link that would be good afterwards.
        if matches!(ticket.kind, TicketKind::Invitation | TicketKind::Factor) {
            let sql = "SELECT 1 FROM users WHERE tenant = $1 AND id = $2 AND status IN ('invited', 'active')";
            let stands = sqlx::query(sql).bind(ticket.tenant.as_str()).bind(ticket.subject.as_str());
            if stands.fetch_optional(&mut *tx).await?.is_none() {
                return Err(StoreFault::Contended { what: "the user's status" });
            }
        }
        sqlx::query("DELETE FROM tickets WHERE tenant = $1 AND kind = $2 AND subject = $3 AND used_at IS NULL")
            .bind(ticket.tenant.as_str())
            .bind(ticket.kind.as_str())
            .bind(ticket.subject.as_str())
            .execute(&mut *tx)
            .await?;
        insert(&mut tx, (&sealer, self.entropy()?), ticket).await?;
        // If we crash before this, the older ones are as good as before.
        tx.commit().await
    }

    /// A ticket that could be taken now.
    pub async fn peek_ticket(
        &self,
        tenant: &TenantId,
        kind: TicketKind,
        hash: &TicketHash,
        now: Timestamp,
    ) -> Result<Option<TicketRecord>, StoreFault> {
        let row = sqlx::query(
            "SELECT * FROM tickets WHERE hash = $1 AND tenant = $2 AND kind = $3 AND used_at IS NULL AND expires_at > $4",
        )
        .bind(hash.to_string())
        .bind(tenant.as_str())
        .bind(kind.as_str())
        .bind(now.as_micros())
        .fetch_optional(self.reader())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let sealer = self.opener(Some(tenant), std::slice::from_ref(&row), "sealed").await?;
        ticket(&sealer, &row).map(Some)
    }

    /// Takes a ticket: given to exactly one taker.
    pub async fn take_ticket(
        &self,
        tenant: &TenantId,
        kind: TicketKind,
        hash: &TicketHash,
        now: Timestamp,
    ) -> Result<Option<TicketRecord>, StoreFault> {
        let (mut tx, sealer) = self.write_sealed(Some(tenant)).await?;
        let taken = take(&mut tx, &sealer, tenant, kind, hash, now).await?;
        // If we crash before this, nobody has taken it.
        tx.commit().await?;
        Ok(taken)
    }

    /// Tickets of a kind that can still be taken, newest first, at most 200; of one subject if given.
    pub async fn tickets(
        &self,
        tenant: &TenantId,
        kind: TicketKind,
        subject: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<TicketRecord>, StoreFault> {
        let rows = sqlx::query(
            "SELECT * FROM tickets WHERE tenant = $1 AND kind = $2 AND ($3 = '' OR subject = $3) \
             AND used_at IS NULL AND expires_at > $4 ORDER BY created_at DESC, hash LIMIT 200",
        )
        .bind(tenant.as_str())
        .bind(kind.as_str())
        .bind(subject.unwrap_or_default())
        .bind(now.as_micros())
        .fetch_all(self.reader())
        .await?;
        let sealer = self.opener(Some(tenant), &rows, "sealed").await?;
        rows.iter().map(|row| ticket(&sealer, row)).collect()
    }
}

pub(crate) async fn insert(
    tx: &mut Writing,
    (sealer, entropy): (&Sealer, &dyn Entropy),
    ticket: &TicketRecord,
) -> Result<(), StoreFault> {
    let kept = (&ticket.payload, &ticket.author);
    sqlx::query(
        "INSERT INTO tickets (hash, tenant, kind, subject, sealed, created_at, expires_at, used_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(ticket.hash.to_string())
    .bind(ticket.tenant.as_str())
    .bind(ticket.kind.as_str())
    .bind(ticket.subject.as_str())
    .bind(sealed::seal(sealer, Place::Ticket(&ticket.hash), &kept, entropy)?)
    .bind(ticket.created.as_micros())
    .bind(ticket.expires.as_micros())
    .bind(ticket.used.map(Timestamp::as_micros))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Makes every link of a person worthless, once the transaction ends well.
pub(crate) async fn drop_links(tx: &mut Writing, tenant: &TenantId, user: UserId) -> Result<(), StoreFault> {
    sqlx::query("DELETE FROM tickets WHERE tenant = $1 AND kind IN ($2, $3) AND subject = $4 AND used_at IS NULL")
        .bind(tenant.as_str())
        .bind(TicketKind::Invitation.as_str())
        .bind(TicketKind::Factor.as_str())
        .bind(user.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Takes a ticket, once the transaction ends well.
pub(crate) async fn take(
    tx: &mut Writing,
    sealer: &Sealer,
    tenant: &TenantId,
    kind: TicketKind,
    hash: &TicketHash,
    now: Timestamp,
) -> Result<Option<TicketRecord>, StoreFault> {
    let rows = sqlx::query(
        "UPDATE tickets SET used_at = $4 WHERE hash = $1 AND tenant = $2 AND kind = $3 \
         AND used_at IS NULL AND expires_at > $4 RETURNING *",
    )
    .bind(hash.to_string())
    .bind(tenant.as_str())
    .bind(kind.as_str())
    .bind(now.as_micros())
    .fetch_all(&mut **tx)
    .await?;
    rows.first().map(|row| ticket(sealer, row)).transpose()
}

pub(crate) fn ticket(sealer: &Sealer, row: &AnyRow) -> Result<TicketRecord, StoreFault> {
    let hash = row.parsed("hash", TicketHash::parse)?;
    let (payload, author) = sealed::open(sealer, Place::Ticket(&hash), row.bytes("sealed")?)?;
    Ok(TicketRecord {
        hash,
        tenant: row.parsed("tenant", TenantId::parse)?,
        kind: match row.text("kind")?.as_str() {
            "invitation" => TicketKind::Invitation,
            "factor" => TicketKind::Factor,
            "enrolment" => TicketKind::Enrolment,
            "device" => TicketKind::Device,
            other => return Err(StoreFault::corrupt("kind", format!("unknown kind `{other}`"))),
        },
        subject: row.text("subject")?,
        payload,
        author,
        created: row.time("created_at")?,
        expires: row.time("expires_at")?,
        used: row.opt_time("used_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Dir, t0, tenant};
    use std::time::Duration;

    fn record(byte: u8) -> TicketRecord {
        TicketRecord {
            hash: TicketHash::from_bytes([byte; 32]),
            tenant: tenant("acme"),
            kind: TicketKind::Enrolment,
            subject: "records".to_owned(),
            payload: serde_json::json!({"dns": ["records.internal"]}),
            author: "operator".to_owned(),
            created: t0(),
            expires: t0().plus(Duration::from_secs(60)),
            used: None,
        }
    }

    #[tokio::test]
    async fn of_fifty_who_race_for_a_ticket_one_gets_it() {
        let dir = Dir::new();
        let (ours, theirs) = (dir.store().await, dir.store().await);
        let made = record(1);
        ours.insert_ticket(&made).await.unwrap();
        let now = t0();
        let peeked = ours.peek_ticket(&made.tenant, made.kind, &made.hash, now).await.unwrap();
        assert_eq!(peeked, Some(made.clone()));
        let racing = (0..50).map(|nth| {
            let store = if nth % 2 == 0 { &ours } else { &theirs };
            store.take_ticket(&made.tenant, made.kind, &made.hash, now)
        });
        let taken: Vec<_> =
            futures_util::future::join_all(racing).await.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(taken, [TicketRecord { used: Some(now), ..made.clone() }]);
        assert_eq!(ours.peek_ticket(&made.tenant, made.kind, &made.hash, now).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_ticket_opens_nothing_else() {
        let dir = Dir::new();
        let store = dir.store().await;
        let made = record(1);
        store.insert_ticket(&made).await.unwrap();
        for (what, tenant, kind, hash, now) in [
            ("another tenant", tenant("beta"), made.kind, made.hash, t0()),
            ("another kind", made.tenant.clone(), TicketKind::Invitation, made.hash, t0()),
            ("a third kind", made.tenant.clone(), TicketKind::Factor, made.hash, t0()),
            ("a fourth", made.tenant.clone(), TicketKind::Device, made.hash, t0()),
            ("another token", made.tenant.clone(), made.kind, TicketHash::from_bytes([2; 32]), t0()),
            ("too late", made.tenant.clone(), made.kind, made.hash, made.expires),
        ] {
            assert_eq!(store.take_ticket(&tenant, kind, &hash, now).await.unwrap(), None, "{what}");
            assert_eq!(store.peek_ticket(&tenant, kind, &hash, now).await.unwrap(), None, "{what}");
        }
        store.take_ticket(&made.tenant, made.kind, &made.hash, t0()).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_was_taken_back_is_gone_and_what_was_used_cannot_be_taken_back() {
        let dir = Dir::new();
        let store = dir.store().await;
        let (one, two) = (record(1), record(2));
        store.insert_ticket(&one).await.unwrap();
        store.insert_ticket(&two).await.unwrap();
        assert_eq!(store.tickets(&one.tenant, one.kind, Some("records"), t0()).await.unwrap().len(), 2);
        assert_eq!(store.tickets(&one.tenant, one.kind, Some("other"), t0()).await.unwrap().len(), 0);
        store.take_ticket(&two.tenant, two.kind, &two.hash, t0()).await.unwrap().unwrap();
        let others = TicketRecord { subject: "other".to_owned(), ..record(3) };
        store.renew_ticket(&others).await.unwrap();
        assert_eq!(store.tickets(&one.tenant, one.kind, Some("records"), t0()).await.unwrap().len(), 1, "another's");
        store.renew_ticket(&record(4)).await.unwrap();
        assert_eq!(store.take_ticket(&one.tenant, one.kind, &one.hash, t0()).await.unwrap(), None);
        assert_eq!(store.tickets(&one.tenant, one.kind, None, t0()).await.unwrap().len(), 2);
    }

    /// Two administrators, or one who presses twice: both links were good, since each had ended the older ones before.
    #[tokio::test]
    async fn of_links_that_are_made_at_once_one_is_good() {
        let dir = Dir::new();
        let store = dir.store().await;
        let made: Vec<_> = (1..9).map(record).collect();
        let mut racing = tokio::task::JoinSet::new();
        for ticket in made.clone() {
            let store = store.clone();
            racing.spawn(async move { store.renew_ticket(&ticket).await.unwrap() });
        }
        racing.join_all().await;
        assert_eq!(store.tickets(&made[0].tenant, made[0].kind, None, t0()).await.unwrap().len(), 1);
    }
}
