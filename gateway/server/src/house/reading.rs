//! What commands read that change nothing, and what they read of a tenant before they change something: the store as it
//! stands. No key or certificate is made, since nothing is served.

use cardea_core::{TenantId, Timestamp};
use cardea_proxy::upstream::StickyKey;
use cardea_storage::{Legible, Store, StoreFault};

use super::{Arc, BTreeMap, Clock, Entropy, House, OpenFault, OperatorKey, transport, with_causes};
use crate::{
    config::{Config, InForce},
    state::{Sheet, State},
};

/// The store opened only to be read, and the tenants in it, compiled to answer questions.
#[derive(Debug)]
pub struct Reading {
    /// The store; whatever would write to it fails.
    pub store: Store,
    /// The tenants.
    pub state: State,
}

impl Reading {
    /// Opens what is there; makes nothing that is not.
    pub async fn open(config: &Config, now: Timestamp) -> Result<Self, OpenFault> {
        let store = store_to_read(config).await?;
        let state = state(&store, config, now).await.map_err(fault(config))?;
        Ok(Self { store, state })
    }
}

/// Opens the store only to read it: with the operator's key where it may be read, else without what is sealed. Who may read it
/// has to know its passphrase, if there is one.
pub async fn store_to_read(config: &Config) -> Result<Store, OpenFault> {
    let kept = config.kept();
    let operator = if kept.is_there() { OperatorKey::of(config).to_read()? } else { None };
    kept.open_to_read(operator).await.map_err(fault(config))
}

impl House {
    /// Opens everything below the state folder to change something from the command line: the tenants are known, and
    /// nothing is made ready to serve them. [`House::close_changed`] lets go of it.
    pub async fn open_to_change(
        config: Config,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Arc<Self>, OpenFault> {
        // INVARIANT: what is changed, and which sessions end, is where the gateway that runs has it, not where one that starts would:
        // another store waits for a restart, and no command does.
        let said = InForce::read(&config.state_dir);
        if let Some(table) = said.as_ref().and_then(|said| said.keeps_elsewhere(&config)) {
            return Err(OpenFault::Elsewhere { table, dir: config.state_dir.display().to_string() });
        }
        let sessions = said.map_or(config.sessions, |said| said.sessions());
        let house = Self::unprepared(Config { machines: None, sessions, ..config }, clock, entropy).await?;
        let state = state(&house.store, &house.config, house.now()).await.map_err(fault(&house.config))?;
        house.state.store(Arc::new(state));
        Ok(house)
    }

    /// Lets go of a house that was opened to change something, once apps were told of the sessions that are over by it, in the time
    /// that there is for that. Tells how many words to apps were given up; an entry names each.
    pub async fn close_changed(self: &Arc<Self>) -> u64 {
        let waiting = self.logouts.waiting();
        if !waiting.is_empty()
            && let Err(error) = self.reach(&waiting).await
        {
            tracing::warn!(error = %with_causes(&error), "apps cannot be reached");
            self.tell_nobody("what reaches its service could not be made ready");
        }
        self.close().await;
        self.logouts.untold()
    }

    /// Makes ready what reaches the services of these tenants: their keys, and our certificate where they ask for one.
    async fn reach(self: &Arc<Self>, tenants: &[TenantId]) -> Result<(), OpenFault> {
        let fault = fault(&self.config);
        let mut read = self.store.legible().await.map_err(&fault)?;
        read.bundle.tenants.retain(|id, _| tenants.contains(id));
        let versions = self.store.active_versions().await.map_err(&fault)?;
        let mut amiss = self.ca.prepare(self, &read).await?;
        for (id, why) in self.prepare_keys(tenants.iter()).await? {
            amiss.entry(id).or_default().extend(why);
        }
        let transports = |tenant: &_, upstream: &_| self.transport(tenant, upstream);
        // As if there were nothing before: what was compiled to be read reaches nobody.
        let before = State::default();
        let state = State::compile(&self.sheet(&self.config, read, &versions, amiss, &before, &transports));
        self.state.store(Arc::new(state));
        Ok(())
    }
}

fn fault(config: &Config) -> impl Fn(StoreFault) -> OpenFault + use<> {
    let dir = config.state_dir.display().to_string();
    move |source| OpenFault::Store { dir: dir.clone(), source }
}

async fn state(store: &Store, config: &Config, now: Timestamp) -> Result<State, StoreFault> {
    let (Legible { bundle, illegible }, versions) = (store.legible().await?, store.active_versions().await?);
    Ok(State::compile(&Sheet {
        config,
        bundle,
        illegible,
        versions: &versions,
        before: &State::default(),
        transports: &|_, upstream| transport::to_nobody(upstream),
        // Nothing is sent, so no cookie is made.
        sticky: StickyKey::new(&[0; 32]),
        amiss: BTreeMap::new(),
        now,
    }))
}
