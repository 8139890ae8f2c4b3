//! Tries in Redis.

use ::redis::AsyncCommands as _;
use cardea_core::{TenantId, Timestamp};
use cardea_identity::guard::{Limit, Tries};

use super::{
    keys::Key,
    names_of_tries,
    redis::{RedisShared, px},
};
use crate::StoreFault;

/// Tries at a compare-and-set among racing gateways: each round somebody wins.
const ROUNDS: usize = 200;

impl RedisShared {
    /// Applies `to` to the tries under a key in one step; what it refuses is left as it was. One arithmetic for every
    /// store: Redis only compares and sets.
    pub(super) async fn change_tries<No>(
        &self,
        tenant: &TenantId,
        limit: &Limit,
        now: Timestamp,
        to: impl Fn(Tries) -> Result<Tries, No> + Send + Sync,
    ) -> Result<Result<(), No>, StoreFault> {
        let keys = self.keys_of_tries(tenant, &limit.key).await?;
        let (key, before) = keys.split_first().ok_or(StoreFault::NoKey)?;
        for _ in 0..ROUNDS {
            let stands = self.kept_tries(key).await?;
            let mut stood = stands.clone();
            for key in before {
                if stood.is_empty() {
                    stood = self.kept_tries(key).await?;
                }
            }
            let tries = match to(parse(&stood)?) {
                Ok(tries) => tries,
                Err(no) => return Ok(Err(no)),
            };
            let next = format!("{} {}", tries.count, tries.last.as_micros());
            let px = px(tries.last.plus(limit.rule.forget), now);
            let done: u32 = self.run(&self.scripts.swap, std::slice::from_ref(key), &[&stands, &next, &px]).await?;
            if done == 1 {
                return Ok(Ok(()));
            }
        }
        Err(StoreFault::Contended { what: "tries" })
    }

    /// Where tries of a limit's key are kept, or were under a key of the tenant that was replaced.
    pub(super) async fn keys_of_tries(&self, tenant: &TenantId, key: &str) -> Result<Vec<Key>, StoreFault> {
        let names = names_of_tries(&self.store.sealer(Some(tenant)).await?, key);
        Ok(names.iter().map(|name| self.keys.tries(tenant, name)).collect())
    }

    async fn kept_tries(&self, key: &Key) -> Result<String, StoreFault> {
        let text: Option<String> = self.connection.clone().get(key).await?;
        Ok(text.unwrap_or_default())
    }
}

/// What stands under a key of tries; nothing is none.
fn parse(text: &str) -> Result<Tries, StoreFault> {
    if text.is_empty() {
        return Ok(Tries::default());
    }
    let parsed = text.split_once(' ').and_then(|(count, last)| Some((count.parse().ok()?, last.parse().ok()?)));
    let (count, last) = parsed.ok_or_else(|| StoreFault::corrupt("tries", format!("`{text}`")))?;
    Ok(Tries { count, last: Timestamp::from_micros(last) })
}
