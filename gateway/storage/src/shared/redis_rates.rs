//! Rates in Redis: one script for each tenant, all of them on their way at once.

use cardea_core::{TenantId, Timestamp};
use futures_util::future::try_join_all;

use super::{RateLevel, RateUse, redis::RedisShared};
use crate::StoreFault;

impl RedisShared {
    /// In the order of `uses`, whatever tenants they are of.
    pub(super) async fn add_to_rates(&self, uses: &[RateUse], now: Timestamp) -> Result<Vec<RateLevel>, StoreFault> {
        let mut tenants: Vec<&TenantId> = uses.iter().map(|one| &one.tenant).collect();
        tenants.sort_unstable();
        tenants.dedup();
        let each = try_join_all(tenants.iter().map(|tenant| self.add_of_tenant(tenant, uses, now))).await?;
        let mut each: Vec<_> = each.into_iter().map(Vec::into_iter).collect();
        let mut level_of = |one: &RateUse| each.get_mut(tenants.binary_search(&&one.tenant).ok()?)?.next();
        let levels = uses.iter().map(|one| level_of(one).ok_or_else(|| StoreFault::corrupt("rates", "too few levels")));
        levels.collect()
    }

    async fn add_of_tenant(
        &self,
        tenant: &TenantId,
        uses: &[RateUse],
        now: Timestamp,
    ) -> Result<Vec<RateLevel>, StoreFault> {
        let (mut keys, mut args) = (Vec::new(), vec![now.as_micros().to_string()]);
        for one in uses.iter().filter(|one| one.tenant == *tenant) {
            keys.push(self.keys.rate(tenant, &one.mark()));
            args.extend([one.requests.to_string(), one.seconds.to_string(), one.used.to_string()]);
            args.push(one.kept().as_millis().to_string());
        }
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let told: Vec<String> = self.run(&self.scripts.rates_add, &keys, &args).await?;
        told.iter().map(|text| parse(text).ok_or_else(|| StoreFault::corrupt("rates", format!("`{text}`")))).collect()
    }
}

/// What is kept of a rate.
fn parse(text: &str) -> Option<RateLevel> {
    let mut parts = text.split(' ').map(str::parse);
    let mut next = || parts.next()?.ok();
    Some(RateLevel { used: next()?, at: Timestamp::from_micros(next()?), ever: next()? })
}
