//! Tries and rates in memory.

use std::{sync::Arc, time::Duration};

use cardea_core::{TenantId, Timestamp};
use cardea_identity::{
    Sealer,
    guard::{Limit, Tries},
};

use super::{
    Forgiven, RateLevel, RateUse,
    memory::{Held, MemoryShared},
    names_of_tries, sql_once,
};
use crate::StoreFault;

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
        names.iter().find_map(|name| self.tries.get(name.as_str())).copied().unwrap_or_default()
    }

    /// Keeps tries under the first of their names, and tells what stood there.
    fn count(&mut self, names: &[String], tries: Tries, forget: Duration) -> Option<(Timestamp, Tries)> {
        self.tries.insert(Arc::from(names.first()?.as_str()), tries.last.plus(forget), tries)
    }

    /// Where `most` are held, lets go of those that are forgotten first for one that is new: who guesses anew for that has caused as
    /// many.
    fn make_room(&mut self, names: &[String], most: usize) {
        if names.first().is_some_and(|newest| self.tries.holds(newest.as_str())) {
            return;
        }
        while self.tries.len() >= most && self.tries.pop().is_some() {}
    }

    /// Counts a try under each, or under none.
    pub(super) fn attempt(
        &mut self,
        limits: &[(&Limit, Vec<String>)],
        most: usize,
        now: Timestamp,
    ) -> Option<Duration> {
        let mut stood = Vec::with_capacity(limits.len());
        for (limit, names) in limits {
            match self.tries(names).admit(&limit.rule, now) {
                Ok(tries) => {
                    self.make_room(names, most);
                    stood.push((names, self.count(names, tries, limit.rule.forget)));
                }
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

    fn restore(&mut self, names: &[String], before: Option<(Timestamp, Tries)>) {
        let Some(newest) = names.first() else { return };
        match before {
            Some((forget, tries)) => drop(self.tries.insert(Arc::from(newest.as_str()), forget, tries)),
            None => drop(self.tries.remove(newest.as_str())),
        }
    }

    /// Makes tries undone; nothing below none.
    pub(super) fn undo(&mut self, undone: &Undone) {
        for name in &undone.forgotten {
            self.tries.remove(name.as_str());
        }
        for (names, forget) in &undone.back {
            self.take_back(names, *forget);
        }
    }

    /// Gives back one try under each.
    fn give_back(&mut self, limits: &[(&Limit, Vec<String>)]) {
        for (limit, names) in limits {
            self.take_back(names, limit.rule.forget);
        }
    }

    fn take_back(&mut self, names: &[String], forget: Duration) {
        let stood = self.tries(names);
        if stood.given_back() != stood {
            self.count(names, stood.given_back(), forget);
        }
    }

    /// Adds to a rate.
    pub(super) fn add(&mut self, used: &RateUse, now: Timestamp) -> RateLevel {
        let stood = self.rates.until(&used.name).filter(|(forget, _)| *forget > now).map(|(_, level)| *level);
        let level = used.added_to(stood, now);
        self.rates.insert(used.name, level.at.plus(used.kept()), level);
        level
    }
}

impl MemoryShared {
    pub(super) async fn undo(&self, tenant: &TenantId, forgiven: &Forgiven) -> Result<(), StoreFault> {
        let undone = Undone::of(&self.store.sealer(Some(tenant)).await?, forgiven);
        self.of(tenant, |held| held.undo(&undone));
        Ok(())
    }

    /// Counts a try under each, or under none, and writes what counts once in the durable store, so that no restart makes it good again.
    /// The wait where one refuses it.
    pub(super) async fn count(
        &self,
        tenant: &TenantId,
        limits: &[(&Limit, Vec<String>)],
        now: Timestamp,
    ) -> Result<Option<Duration>, StoreFault> {
        if let Some(wait) = self.of(tenant, |held| held.attempt(limits, self.bounds.tries, now)) {
            return Ok(Some(wait));
        }
        let spent = self.spend(tenant, limits, now).await;
        if !matches!(spent, Ok(None)) {
            // No try came of it. What was written before the fault stays so: it is lost to whoever showed it.
            self.of(tenant, |held| held.give_back(limits));
        }
        spent
    }

    async fn spend(
        &self,
        tenant: &TenantId,
        limits: &[(&Limit, Vec<String>)],
        now: Timestamp,
    ) -> Result<Option<Duration>, StoreFault> {
        for (limit, names) in limits.iter().filter(|(limit, _)| limit.rule.is_once()) {
            let wait = sql_once::spend(&self.store, tenant, (names, limit.rule.forget), now).await?;
            if wait.is_some() {
                return Ok(wait);
            }
        }
        Ok(None)
    }

    /// Under which names tries are held, with their tenants'.
    #[cfg(test)]
    pub(super) fn names_of_tries(&self) -> Vec<String> {
        let names = |tenant: TenantId| {
            let names: Vec<_> = self.of(&tenant, |held| held.tries.names().map(|name| name.to_string()).collect());
            names.into_iter().map(move |name| format!("{{{tenant}}}:{name}"))
        };
        self.tenants().into_iter().flat_map(names).collect()
    }
}
