//! How changes reach a running gateway: those of other processes through the store's feed, those of the configuration on
//! SIGHUP. What cannot be read changes nothing.

mod configuration;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cardea_audit::Event;
use cardea_core::{Diagnostics, TenantId};
use cardea_proxy::{Changed, live_token::Ended};
use cardea_storage::{Announced, Change, Word};

use crate::{
    House,
    figures::What,
    house::{Doer, OpenFault, with_causes},
};

#[cfg(test)]
pub(crate) use configuration::look;
pub(crate) use configuration::say;
pub use configuration::{configuration, watch};

/// A quarter of a second: what another process changes bites well within one.
const POLL: Duration = Duration::from_millis(250);
/// The same where word of each change comes at once, and looking only makes up for one that was lost: still within a second.
const POLL_BESIDE_WORD: Duration = Duration::from_millis(3 * 250);
/// Quarters of a second between two tries of tenants that are behind though nothing was changed, as by a file that came back: ten
/// seconds. A round that word brought about counts as one.
const TRY_AGAIN: u32 = 40;
/// Half a minute: memory that is no longer of use does not stay much longer.
const SWEEP: Duration = Duration::from_secs(30);
/// Sweeps between two looks at keys and old changes: an hour.
const SWEEPS_AN_HOUR: u32 = 120;

/// Reads the feed of changes until the process ends.
pub async fn follow(house: Arc<House>) {
    let (mut feed, mut word) = (Feed::of(&house), house.store.word());
    loop {
        feed.quarters += looks_after(&mut word).await;
        feed.round(&house).await;
    }
}

/// Waits for word of a change, or until it is time to look without; gives the quarters of a second beyond the first.
pub(crate) async fn looks_after(word: &mut Word) -> u32 {
    let wait = if word.is_reliable() { POLL_BESIDE_WORD } else { POLL };
    tokio::select! {
        () = word.comes() => 0,
        () = tokio::time::sleep(wait) => u32::from(wait > POLL) * 2,
    }
}

/// Passes on word of what other processes change until the process ends.
pub async fn hear(house: Arc<House>) {
    house.shared.hear().await;
}

/// What has been heard of changes, and what has come of it.
#[derive(Debug)]
pub(crate) struct Feed {
    /// The last change that was read.
    seq: i64,
    /// Whether a change that was read is not in force yet. INVARIANT: cleared by nothing but a state taken over.
    pending: bool,
    /// Whether the last round failed: told once.
    failing: bool,
    /// Since tenants that are behind were last tried.
    quarters: u32,
    /// What was told of tenants that are behind, and whether that they are paused.
    told: BTreeMap<TenantId, (Diagnostics, bool)>,
}

impl Feed {
    /// From where the state in force was read.
    pub(crate) fn of(house: &House) -> Self {
        Self { seq: house.seen(), pending: false, failing: false, quarters: 0, told: BTreeMap::new() }
    }

    /// One look. What cannot be taken over now is tried again at the next.
    pub(crate) async fn round(&mut self, house: &Arc<House>) {
        self.quarters += 1;
        let heard = self.hear(house).await;
        if let Err(error) = &heard
            && !self.failing
        {
            tracing::error!(error = %with_causes(error), "changes cannot be taken over; the state before stays in force until it is too old");
        } else if self.failing && heard.is_ok() {
            tracing::info!("changes are taken over again");
        }
        self.failing = heard.is_err();
        self.tell(house);
    }

    async fn hear(&mut self, house: &Arc<House>) -> Result<(), OpenFault> {
        let dir = || house.config.state_dir.display().to_string();
        let changes = house.store.changes_since(self.seq).await;
        let changes = changes.map_err(|source| OpenFault::Store { dir: dir(), source })?;
        for keys in changes.iter().filter(|announced| matches!(announced.change, Change::Keys)) {
            // What is looked for by a mark is found only by who has the key that marks now.
            let read = house.store.refresh_keys(keys.tenant.as_ref()).await;
            read.map_err(|source| OpenFault::Store { dir: dir(), source })?;
        }
        self.seq = changes.last().map_or(self.seq, |last| last.seq);
        self.pending |= take(house, &changes);
        let again = self.quarters >= TRY_AGAIN && !house.state.load().behind.is_empty();
        if self.quarters >= TRY_AGAIN {
            self.quarters = 0;
        }
        if self.pending || again {
            let before = house.state.load_full();
            house.load_state().await?;
            say(house).await;
            let all_well = house.state.load().behind.iter().all(|(id, why)| before.behind.get(id) == Some(why));
            if self.pending && all_well {
                house.reloads.count(What::Resources, true);
            }
            self.pending = false;
        }
        house.confirm();
        Ok(())
    }

    /// Names, once each, the tenants whose changes are not in force, and those of which nothing is admitted any more.
    fn tell(&mut self, house: &House) {
        let state = house.state.load();
        for (tenant, behind) in &state.behind {
            let paused = house.is_paused(tenant) || !state.tenants.contains_key(tenant);
            let now = (behind.why.clone(), paused);
            if self.told.get(tenant) == Some(&now) {
                continue;
            }
            let known = self.told.insert(tenant.clone(), now);
            let was_paused = known.as_ref().is_some_and(|(_, paused)| *paused);
            if known.is_none_or(|(why, _)| why != behind.why) {
                house.reloads.count(What::Resources, false);
                let detail = behind.why.to_string();
                house.note(tenant, &Doer::gateway(), Event::TenantBehind { since: behind.since, detail });
            }
            tracing::error!(%tenant, why = %behind.why, paused, "what was changed cannot be used");
            if paused && !was_paused {
                let detail = behind.why.to_string();
                house.note(tenant, &Doer::gateway(), Event::TenantPaused { since: behind.since, detail });
                if let Some(proxy) = house.proxy() {
                    proxy.changed(Changed::Everything);
                }
            }
        }
        self.told.retain(|tenant, (_, paused)| {
            let stays = state.behind.contains_key(tenant);
            if !stays {
                tracing::info!(%tenant, "what was changed is in force");
            }
            if !stays && *paused {
                house.note(tenant, &Doer::gateway(), Event::TenantResumed {});
            }
            stays
        });
    }
}

/// Forgets what was changed; says whether the state is to be read anew.
fn take(house: &House, changes: &[Announced]) -> bool {
    let mut resources = false;
    for announced in changes {
        match announced.change {
            Change::Resources | Change::Policies | Change::Authority | Change::Keys => resources = true,
            Change::User(user) | Change::SessionsOf(user) => house.forget_user(user),
            Change::Session(session) => house.forget_session(session),
            Change::Grant(id) => house.forget_program(Ended::Grant(id)),
            Change::Token(id) => house.forget_program(Ended::Token(id)),
            Change::AccessKey(id) => house.forget_program(Ended::AccessKey(id)),
            Change::Unknown => {
                house.forget_everybody();
                resources = true;
            }
        }
    }
    resources
}

/// Lets go of what is past its time, and makes keys ahead of theirs, until the process ends.
pub async fn housekeeping(house: Arc<House>) {
    for round in 1_u32.. {
        tokio::time::sleep(SWEEP).await;
        house.sweep();
        if let Err(error) = house.shared.sweep(house.now()).await {
            tracing::warn!(error = %with_causes(&error), "old sessions cannot be dropped now");
        }
        // As of a change: a server that is gone without a word would keep the right to write.
        if round.is_multiple_of(SWEEPS_AN_HOUR) && tokio::time::timeout(HOURLY, hourly(&house)).await.is_err() {
            tracing::warn!("what is to be done each hour took too long, and broke off");
        }
    }
}

/// How long what is done each hour may take.
const HOURLY: Duration = Duration::from_secs(1800);

async fn hourly(house: &Arc<House>) {
    let now = house.now();
    let state = house.state.load_full();
    match house.prepare_keys(state.tenants.keys()).await {
        Ok(amiss) => {
            amiss.iter().for_each(|(tenant, why)| tracing::error!(%tenant, %why, "assertion keys do not open"));
        }
        Err(error) => tracing::error!(error = %with_causes(&error), "assertion keys cannot be made ready"),
    }
    if let Err(error) = house.end_turning().await {
        tracing::warn!(error = %with_causes(&error), "a change of keys cannot go on now");
    }
    let day = Duration::from_secs(24 * 3600);
    let dropped = async {
        house.store.drop_old_keys(now).await?;
        let none = state.tenants.values().filter(|tenant| tenant.bundle.tenant.factors.remember_days.is_none());
        house.store.drop_devices(&none.map(|tenant| tenant.id().clone()).collect::<Vec<_>>(), now).await?;
        house.store.sweep_programs(now).await?;
        house.store.prune_changes(now.minus(day)).await
    };
    if let Err(error) = dropped.await {
        tracing::warn!(error = %with_causes(&error), "old keys, devices, grants and changes cannot be dropped now");
    }
}
