//! Tries and rates in memory.

use std::time::Duration;

use cardea_core::{TenantId, Timestamp};
use cardea_identity::{
    Sealer,
    guard::{Limit, Tries},
};

use super::{
    Forgiven, RateLevel, RateUse,
    ended::What,
    memory::{Held, MemoryShared},
    names_of_tries,
};
use crate::StoreFault;

/// Tries under one key.
#[derive(Clone, Copy)]
pub(super) struct Counted {
    tries: Tries,
    /// When they are forgotten.
    pub(super) forget: Timestamp,
}

/// What is made undone, by marks.
pub(super) struct Undone {
    forgotten: Vec<String>,
    /// Each with what its rule says of forgetting.
    back: Vec<(Vec<String>, Duration)>,
}

impl Undone {
    pub(super) fn of(sealer: &Sealer, Forgiven { keys, back }: &Forgiven) -> Self {
        Self {
            forgotten: keys.iter().flat_map(|key| names_of_tries(sealer, key)).collect(),
            back: back.iter().map(|limit| (names_of_tries(sealer, &limit.key), limit.rule.forget)).collect(),
        }
    }
}

impl Held {
    fn tries(&self, names: &[String]) -> Tries {
        names.iter().find_map(|name| self.tries.get(name)).map(|kept| kept.tries).unwrap_or_default()
    }

    /// Keeps tries under the first of their names, and tells what stood there.
    fn count(&mut self, names: &[String], tries: Tries, forget: Duration) -> Option<Counted> {
        let newest = names.first()?.clone();
        self.tries.insert(newest, Counted { tries, forget: tries.last.plus(forget) })
    }

    /// Where there are `most` keys, lets go of the tenth of them that is forgotten first: who guesses anew for that has caused as many.
    pub(super) fn make_room(&mut self, most: usize) {
        if self.tries.len() < most {
            return;
        }
        let mut times: Vec<_> = self.tries.values().map(|kept| kept.forget).collect();
        let (_, by, _) = times.select_nth_unstable(most / 10);
        let by = *by;
        self.tries.retain(|_, kept| kept.forget > by);
    }

    /// Counts a try under each, or under none.
    pub(super) fn attempt(&mut self, limits: &[(&Limit, Vec<String>)], now: Timestamp) -> Option<Duration> {
        let mut stood = Vec::with_capacity(limits.len());
        for (limit, names) in limits {
            match self.tries(names).admit(&limit.rule, now) {
                Ok(tries) => stood.push((names, self.count(names, tries, limit.rule.forget))),
                Err(wait) => {
                    // Backwards: one key may have been counted twice.
                    for (names, before) in stood.into_iter().rev() {
                        self.restore(names, before);
                    }
                    return Some(wait);
                }
            }
        }
        None
    }

    fn restore(&mut self, names: &[String], before: Option<Counted>) {
        let Some(newest) = names.first() else { return };
        match before {
            Some(before) => self.tries.insert(newest.clone(), before),
            None => self.tries.remove(newest),
        };
    }

    /// Makes tries undone; nothing below none.
    pub(super) fn undo(&mut self, undone: &Undone) {
        for name in &undone.forgotten {
            self.tries.remove(name);
        }
        for (names, forget) in &undone.back {
            let stood = self.tries(names);
            if stood.given_back() != stood {
                self.count(names, stood.given_back(), *forget);
            }
        }
    }

    /// Adds to a rate.
    pub(super) fn add(&mut self, used: &RateUse, now: Timestamp) -> RateLevel {
        let stood = self.rates.get(&used.name).filter(|(_, forget)| *forget > now).map(|(level, _)| *level);
        let level = used.added_to(stood, now);
        self.rates.insert(used.name, (level, level.at.plus(used.kept())));
        level
    }
}

impl MemoryShared {
    pub(super) async fn undo(&self, tenant: &TenantId, forgiven: &Forgiven) -> Result<(), StoreFault> {
        let undone = Undone::of(&self.store.sealer(Some(tenant)).await?, forgiven);
        self.of(tenant, |held| held.undo(&undone));
        Ok(())
    }

    /// Writes what counts once in the durable store, so that no restart makes it good again. The wait where it has counted already.
    pub(super) async fn spend(
        &self,
        tenant: &TenantId,
        limits: &[(&Limit, Vec<String>)],
        now: Timestamp,
    ) -> Result<Option<Duration>, StoreFault> {
        for (limit, names) in limits.iter().filter(|(limit, _)| limit.rule.is_once()) {
            let (mark, life) = (names.first().ok_or(StoreFault::NoKey)?, limit.rule.forget);
            if !self.store.over(tenant, &What::Spent(mark), now, now.plus(life)).await? {
                return Ok(Some(life));
            }
        }
        Ok(None)
    }

    /// Under which names tries are held, with their tenants'.
    #[cfg(test)]
    pub(super) fn names_of_tries(&self) -> Vec<String> {
        let names = |tenant: TenantId| {
            let names: Vec<_> = self.of(&tenant, |held| held.tries.keys().cloned().collect());
            names.into_iter().map(move |name| format!("{{{tenant}}}:{name}"))
        };
        self.tenants().into_iter().flat_map(names).collect()
    }
}
