//! What is in force, and how something else takes its place: resources and configuration are prepared off the threads that
//! answer requests, and swapped as one value. Whatever cannot be prepared changes nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use cardea_core::{Diagnostics, TenantId};
use cardea_proxy::{Settings, Snapshot};
use cardea_storage::Legible;
use tokio::runtime::Handle;

use super::{House, OpenFault};
use crate::{
    config::{Config, Limits},
    observing::Prepared,
    state::{Sheet, State, Transports},
};

/// How long what is no longer in force is kept: by then the requests that began under it are answered, so that none of
/// them is left to take it apart.
const LINGER: Duration = Duration::from_secs(1);

impl House {
    /// The configuration in force.
    pub fn in_force(&self) -> Arc<Config> {
        self.in_force.load_full()
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        self.in_force.load().limits.clone()
    }

    /// Reads what the store holds and prepares it; tenants that did not change are kept as they are. One that cannot be
    /// prepared stays as it was and is named in [`State::behind`]. `Err`: nothing was taken over.
    pub async fn load_state(self: &Arc<Self>) -> Result<(), OpenFault> {
        let _one_at_a_time = self.loading.lock().await;
        let (house, runtime) = (Arc::clone(self), Handle::current());
        // A thousand policies take a tenth of a second, and a thousand apps nearly as long to be read: not on a thread that
        // answers requests.
        let prepared = tokio::task::spawn_blocking(move || runtime.block_on(house.prepared()));
        let (seq, state, snapshot) = prepared.await.map_err(|error| OpenFault::Key(error.to_string()))??;
        self.swap(state, snapshot);
        self.seen.fetch_max(seq, Ordering::AcqRel);
        let sessions = self.cache.clear();
        later(move || drop(sessions));
        Ok(())
    }

    /// What the store holds now, ready to answer, and the last change that is in it.
    async fn prepared(self: Arc<Self>) -> Result<(i64, State, Snapshot), OpenFault> {
        let fault = |source| OpenFault::Store { dir: self.config.state_dir.display().to_string(), source };
        let seq = self.store.last_change().await.map_err(fault)?;
        let read = self.store.legible().await.map_err(fault)?;
        let versions = self.store.active_versions().await.map_err(fault)?;
        let mut amiss = self.ca.prepare(&self, &read).await?;
        for (id, why) in self.prepare_keys(read.bundle.tenants.keys().chain(read.illegible.keys())).await? {
            amiss.entry(id).or_default().extend(why);
        }
        let (config, before) = (self.in_force(), self.state.load_full());
        let transports = |tenant: &_, upstream: &_| self.transport(tenant, upstream);
        let state = State::compile(&self.sheet(&config, read, &versions, amiss, &before, &transports));
        let snapshot = state.snapshot();
        Ok((seq, state, snapshot))
    }

    pub(super) fn sheet<'a>(
        &'a self,
        config: &'a Config,
        read: Legible,
        versions: &'a BTreeMap<TenantId, u64>,
        amiss: BTreeMap<TenantId, Diagnostics>,
        before: &'a State,
        transports: Transports<'a>,
    ) -> Sheet<'a> {
        let sticky = self.sticky.clone();
        let Legible { bundle, illegible } = read;
        Sheet { config, bundle, illegible, versions, before, transports, sticky, amiss, now: self.now() }
    }

    /// Puts another configuration in force, with the resources as they are. What of it waits for a restart is the caller's
    /// to leave out.
    pub(crate) async fn configure(self: &Arc<Self>, config: Config, prepared: Prepared) {
        let _one_at_a_time = self.loading.lock().await;
        self.cache.resize(config.limits.sessions_cached);
        self.tokens.resize(config.limits.sessions_cached);
        self.begun.resize(config.limits.edge.concurrency);
        let settings = Settings { observers: prepared.observers(), ..config.settings() };
        self.observing.settle(prepared);
        let state = State { settings: Arc::new(settings), ..(*self.state.load_full()).clone() };
        self.in_force.store(Arc::new(config));
        let prepared = tokio::task::spawn_blocking(move || (state.snapshot(), state));
        // It panics never; if it did, the next change would try again.
        if let Ok((snapshot, state)) = prepared.await {
            self.swap(state, snapshot);
        }
    }

    /// The one moment at which something else is in force: from here on requests begin under it.
    fn swap(&self, state: State, snapshot: Snapshot) {
        let before = self.state.swap(Arc::new(state));
        let Some(proxy) = self.proxy() else { return };
        let routes = proxy.swap(snapshot);
        later(move || {
            proxy.tidy();
            drop((before, routes));
        });
    }
}

/// Does what a swap leaves to be done, once nothing that began before it is likely to be under way, and where it holds up
/// nobody: there may be thousands of apps and sessions to let go of.
fn later(what: impl FnOnce() + Send + 'static) {
    tokio::spawn(async move {
        tokio::time::sleep(LINGER).await;
        tokio::task::spawn_blocking(what);
    });
}
