//! Numbers for an overview: cheap enough to be asked for whenever somebody looks.

use cardea_core::{AppId, Reason, TenantId, Timestamp, reason::Whose};

use crate::{Store, StoreFault, row::Read};

/// How requests ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VerdictCounts {
    /// Allowed and answered.
    pub allowed: u64,
    /// Denied.
    pub denied: u64,
    /// Sent to a stronger sign-in, or to one at all.
    pub challenged: u64,
    /// Ended by a fault of ours or of a service.
    pub faulted: u64,
}

/// A hundred thousand entries are counted at most: some tens of milliseconds, however long the log is.
const NEWEST: i64 = 100_000;

impl Store {
    /// How the tenant's requests since `from` ended, among its newest 100,000 entries. Those to `ours` are left out: who
    /// looks at the figures would count themselves. A request that was written down before it was forwarded counts by
    /// its end.
    pub async fn verdict_counts(
        &self,
        tenant: &TenantId,
        from: Timestamp,
        ours: &[AppId; 5],
    ) -> Result<VerdictCounts, StoreFault> {
        let sql = "SELECT verdict, reason, COUNT(*) AS entries FROM log \
                   WHERE tenant = $1 AND seq >= (SELECT COALESCE(MAX(seq), 0) - $2 FROM log WHERE tenant = $1) \
                   AND at >= $3 AND event = 'request' AND app NOT IN ($4, $5, $6, $7, $8) AND admission = 0 GROUP BY verdict, reason";
        let mut query = sqlx::query(sql).bind(tenant.as_str()).bind(NEWEST).bind(from.as_micros());
        for app in ours {
            query = query.bind(app.as_str());
        }
        let rows = query.fetch_all(self.reader()).await?;
        let mut counts = VerdictCounts::default();
        for row in &rows {
            let entries = row.count("entries")?;
            let reason = row.opt_text("reason")?;
            let reason = Reason::ALL.iter().find(|one| Some(one.code()) == reason.as_deref());
            match (reason.map(|one| one.whose()), row.opt_text("verdict")?.as_deref()) {
                (Some(Whose::Faulted), _) => counts.faulted += entries,
                (_, Some("allow")) => counts.allowed += entries,
                (_, Some("deny")) => counts.denied += entries,
                (_, Some("challenge")) => counts.challenged += entries,
                _ => {}
            }
        }
        Ok(counts)
    }

    /// How many active users have a password and nothing else, but for accounts that they linked, which may be worth no more.
    pub async fn users_with_password_only(&self, tenant: &TenantId) -> Result<u64, StoreFault> {
        let sql = "SELECT COUNT(*) AS users FROM users WHERE tenant = $1 AND status = 'active' \
                   AND EXISTS (SELECT 1 FROM factors f WHERE f.user_id = users.id AND f.kind = 'password') \
                   AND NOT EXISTS (SELECT 1 FROM factors f WHERE f.user_id = users.id AND f.kind <> 'password') \
                   AND NOT EXISTS (SELECT 1 FROM identities i WHERE i.user_id = users.id AND i.own = 0)";
        let row = sqlx::query(sql).bind(tenant.as_str()).fetch_one(self.reader()).await?;
        row.count("users")
    }
}
