//! Rates in the durable store's own database: one statement, which is a transaction by itself.

use std::collections::HashMap;

use cardea_core::{TenantId, Timestamp};

use super::{RateLevel, RateUse};
use crate::{Store, StoreFault, row::Read as _};

/// What was added though nobody heard of it is added again: nobody owes more than ten times their rate for that (`-max(-x, -y)` is the less
/// of two). In the order of their names, so that of two gateways neither waits for a row of the other's while that waits for one of its.
const ADD: &str = "INSERT INTO rates (tenant, name, requests, seconds, used, ever, as_of, forget_at) \
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), CAST(json_extract(value, '$[2]') AS BIGINT), \
    CAST(json_extract(value, '$[3]') AS BIGINT), CAST(json_extract(value, '$[4]') AS BIGINT), \
    CAST(json_extract(value, '$[4]') AS BIGINT), $2, \
    CAST(json_extract(value, '$[5]') AS BIGINT) FROM json_each($1) WHERE TRUE ORDER BY 1, 2 \
    ON CONFLICT (tenant, name) DO UPDATE SET requests = excluded.requests, seconds = excluded.seconds, \
    used = -max(-(excluded.used + CASE WHEN rates.forget_at <= excluded.as_of THEN 0 ELSE \
    max(rates.used - max(excluded.as_of - rates.as_of, CAST(0 AS BIGINT)) * excluded.requests / excluded.seconds, CAST(0 AS BIGINT)) END), \
    -max(excluded.used, 10 * excluded.requests * 1000000)), \
    ever = rates.ever + excluded.ever, as_of = max(rates.as_of, excluded.as_of), forget_at = max(rates.forget_at, excluded.forget_at) \
    RETURNING tenant, name, used, ever, as_of";

pub(super) async fn add(store: &Store, uses: &[RateUse], now: Timestamp) -> Result<Vec<RateLevel>, StoreFault> {
    let marks: Vec<_> = uses.iter().map(RateUse::mark).collect();
    let row = |(one, mark): (&RateUse, &String)| {
        let forget = now.plus(one.kept()).as_micros();
        serde_json::json!([one.tenant, mark, one.requests, one.seconds, one.used, forget])
    };
    let rows: Vec<_> = uses.iter().zip(&marks).map(row).collect();
    let told = sqlx::query(ADD)
        .bind(serde_json::to_string(&rows)?)
        .bind(now.as_micros())
        .fetch_all(&mut *store.turn().await?)
        .await?;
    let mut levels = HashMap::with_capacity(told.len());
    for row in &told {
        let level = RateLevel { used: row.int("used")?, at: row.time("as_of")?, ever: row.int("ever")? };
        levels.insert((row.parsed("tenant", TenantId::parse)?, row.text("name")?), level);
    }
    let level_of = |(one, mark): (&RateUse, String)| levels.get(&(one.tenant.clone(), mark)).copied();
    let found = uses.iter().zip(marks).map(level_of);
    found.map(|level| level.ok_or_else(|| StoreFault::corrupt("rates", "a row is missing"))).collect()
}
