//! What commands read that change nothing, and what they read of a tenant before they change something: the store as it
//! stands. No key or certificate is made, since nothing is served.

use cardea_core::Timestamp;
use cardea_proxy::upstream::StickyKey;
use cardea_storage::{Legible, Store, StoreFault};

use super::{Arc, BTreeMap, Clock, Entropy, House, OpenFault, OperatorKey, transport};
use crate::{
    config::Config,
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
    /// nothing is made ready to serve them.
    pub async fn open_to_change(
        config: Config,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Arc<Self>, OpenFault> {
        let house = Self::unprepared(config, clock, entropy).await?;
        let state = state(&house.store, &house.config, house.now()).await.map_err(fault(&house.config))?;
        house.state.store(Arc::new(state));
        Ok(house)
    }
}

fn fault(config: &Config) -> impl Fn(StoreFault) -> OpenFault {
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
