//! The house: every part of one gateway, built once and shared by all handlers. What more than one of API, portal, pages
//! and command line does is done here, in one place each.

mod accounts;
mod assertions;
mod doer;
mod doors;
mod doubled;
mod ending;
mod factor_link;
mod freshness;
mod importing;
mod in_force;
mod keys;
mod open_fault;
mod operator_key;
mod parting;
mod people;
mod programs;
mod raising;
mod reading;
mod remembering;
mod rotation;
mod saying;
mod session_cache;
mod sessions;
mod signalled;
mod to_the_end;
mod transport;
mod turns;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use cardea_audit::{Entry, Event};
use cardea_core::{Clock, Entropy, EntryId, TenantId, Timestamp};
use cardea_identity::Sealer;
use cardea_proxy::{Proxy, Rates, upstream::StickyKey};
use cardea_storage::{FaultHook, Log, LogLimits, MemoryShared, RedisShared, SharedState, SqlShared, Store, StoreFault};

use crate::{
    ca::Ca,
    config::{Config, Kept, SessionsIn},
    figures::Reloads,
    logout::{self, Logouts},
    mail::{self, Mail},
    observing::Observing,
    outgoing::OutgoingClient,
    state::{State, TenantState},
};

pub(crate) use accounts::{best_of, opens_by};
use assertions::Minted;
pub use doer::{Doer, NoPermit};
pub use doors::Own;
pub(crate) use doubled::in_pairs as stands_twice;
use ending::Cause;
pub use factor_link::FactorLink;
pub(crate) use factor_link::{FACTOR_LINK, Following};
pub use importing::{Added, Imported, Importing};
use keys::KeyRing;
pub use keys::KeysFault;
pub use open_fault::OpenFault;
pub(crate) use operator_key::OperatorKey;
pub use parting::Reset;
pub(crate) use people::subject;
pub use people::{ChangeFault, Invited};
use programs::TokenCache;
pub(crate) use raising::{BELOW_MINIMUM, Raising};
pub use reading::{Reading, store_to_read};
pub(crate) use remembering::{DeviceKey, InBrowser, Recalled};
pub use rotation::{OperatorTurned, RotationFault, TenantTurned};
use session_cache::SessionCache;
pub(crate) use signalled::{Meant, Signalled};
use to_the_end::Begun;
pub use to_the_end::BrokeOff;
pub(crate) use transport::{to_nobody, tried};
pub(crate) use turns::{Busy, Turns};

/// Every part of one gateway. Handlers take it as `State<Arc<House>>`.
pub struct House {
    /// The configuration that the process started with: addresses, stores and names.
    pub config: Config,
    /// The same with what was changed since.
    in_force: ArcSwap<Config>,
    /// Durable state.
    pub store: Store,
    /// Sessions, one-time values and tries, shared by all gateways of the house.
    pub shared: Arc<dyn SharedState>,
    /// The tenants' logs. Handlers that change something use [`House::record`].
    pub log: Log,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub entropy: Arc<dyn Entropy>,
    /// All tenants, prepared; swapped whole.
    pub state: ArcSwap<State>,
    /// What seals all that seals.
    operator: Arc<OperatorKey>,
    /// Under which sticky cookies name addresses; derived from the operator's key.
    sticky: StickyKey,
    /// Requests counted by time, under names that follow from the operator's key.
    pub(crate) rates: Arc<Rates>,
    /// How often other gateways heard of them.
    pub(crate) rate_rounds: crate::rates::Rounds,
    /// Calls to others: providers' discovery, keys and tokens.
    pub http: OutgoingClient,
    /// Letters to people.
    pub(crate) mail: Mail,
    /// What apps are to be told of sessions that are over.
    pub(crate) logouts: Logouts,
    /// What is known of the tenants' identity providers.
    pub providers: crate::sign_in::Providers,
    /// What is known of those who send security events in providers' place.
    pub(crate) transmitters: crate::signals::Transmitters,
    /// How fast sign-ins follow each other.
    pub(crate) pace: crate::sign_in::Pace,
    /// The internal CA.
    pub ca: Ca,
    /// Assertion keys.
    pub(crate) keys: KeyRing,
    minted: Minted,
    cache: SessionCache,
    tokens: TokenCache,
    /// The last change that the state in force was read after.
    seen: AtomicI64,
    /// When the state in force was last known to be the newest.
    confirmed: AtomicI64,
    /// Held while the state is prepared, so that an older one never replaces a newer.
    loading: tokio::sync::Mutex<()>,
    /// Held from reading the configuration in force until what was made of it is in its place, so that of two that make
    /// another of it neither undoes the other.
    pub(crate) reloading: tokio::sync::Mutex<()>,
    /// Held while it is said in the state folder what is in force.
    pub(crate) saying: tokio::sync::Mutex<()>,
    /// The data plane, once it runs: told of changes. Weak, since it holds us.
    proxy: OnceLock<Weak<Proxy>>,
    /// The access log and the traces.
    pub(crate) observing: Observing,
    /// Changes taken over, and refused.
    pub(crate) reloads: Reloads,
    /// Turns for reading policies.
    pub(crate) judging: Turns,
    /// Turns for reading files of people.
    importing: Turns,
    /// Turns for searching logs.
    pub(crate) searching: Turns,
    /// Changes under way.
    begun: Begun,
    /// Ourselves, for work that outlives whoever asked for it.
    me: Weak<House>,
}

/// How every key in Redis begins.
pub(crate) const SESSIONS: &str = "cardea";

/// Fifteen seconds to write the last entries: three times what one try waits for another process to let go of the file.
const LAST_WRITES: Duration = Duration::from_secs(15);

impl House {
    /// Opens everything below the state folder and prepares what the store holds: a gateway that could serve.
    pub async fn open(
        config: Config,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Arc<Self>, OpenFault> {
        let house = Self::unprepared(config, clock, entropy).await?;
        house.load_state().await?;
        let state = house.state.load_full();
        // With one tenant that can be served, the others' mistakes are theirs; with none there is nothing to serve.
        if state.tenants.is_empty() && !state.behind.is_empty() {
            house.close().await;
            return Err(state.mistakes().into());
        }
        house.confirm();
        Ok(house)
    }

    /// Opens everything below the state folder, making what is not there, and looks at no resource: for commands that
    /// change them, whatever state they are in.
    pub async fn unprepared(
        config: Config,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Arc<Self>, OpenFault> {
        Self::built(config, clock, entropy, None).await
    }

    /// With faults injected into the writing of entries, for tests.
    async fn built(
        config: Config,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        disk: Option<Arc<dyn FaultHook>>,
    ) -> Result<Arc<Self>, OpenFault> {
        let dir = config.state_dir.display().to_string();
        let store_fault = |source| OpenFault::Store { dir: dir.clone(), source };
        operator_key::make_folder(&config.state_dir).map_err(OpenFault::Key)?;
        let (operator, kept) = (Arc::new(OperatorKey::of(&config)), config.kept());
        if let Kept::Server(url) = &kept
            && !operator.is_there()
            && Store::holds_keys(url.expose()).await.map_err(store_fault)?
        {
            return Err(operator.lost("the PostgreSQL database").into());
        }
        let (made, (sealer, sticky, rates)) = (!operator.is_there(), operator.sealer(kept.file(), &*entropy)?);
        let store = match kept.open(sealer, Arc::clone(&entropy)).await {
            // Another gateway's first start was at the same time, and its key came first.
            Err(StoreFault::OtherKey) if made => return Err(operator.came_second("the PostgreSQL database").into()),
            opened => opened.map_err(store_fault)?,
        };
        let reread = Arc::clone(&operator);
        store.reread_operator_by(move || reread.reread());
        let shared: Arc<dyn SharedState> = match (&config.redis, config.sessions) {
            (Some(at), _) => Arc::new(RedisShared::open(at, SESSIONS, store.clone()).await.map_err(store_fault)?),
            (None, SessionsIn::Disk) => Arc::new(SqlShared::new(store.clone())),
            (None, SessionsIn::Memory) => Arc::new(MemoryShared::new(store.clone())),
        };
        let (limits, time) = (LogLimits::default(), Arc::clone(&clock));
        let log = match disk {
            Some(disk) => Log::start_with_faults(&store, limits, time, disk).await,
            None => Log::start(&store, limits, time).await,
        };
        let log = log.map_err(store_fault)?;
        let http = OutgoingClient::new()?;
        let mail = Mail::open(config.mail.as_ref()).map_err(OpenFault::Mail)?;
        Ok(Arc::new_cyclic(|me| Self {
            observing: Observing::default(),
            reloads: Reloads::default(),
            rate_rounds: crate::rates::Rounds::default(),
            judging: Turns::judging(),
            importing: Turns::importing(),
            searching: Turns::searching(),
            begun: Begun::new(config.limits.edge.concurrency),
            me: Weak::clone(me),
            seen: AtomicI64::new(0),
            confirmed: AtomicI64::new(clock.now().as_micros()),
            loading: tokio::sync::Mutex::default(),
            reloading: tokio::sync::Mutex::default(),
            saying: tokio::sync::Mutex::default(),
            keys: KeyRing::default(),
            minted: Minted::default(),
            cache: SessionCache::new(config.limits.sessions_cached),
            tokens: TokenCache::new(config.limits.sessions_cached),
            http,
            mail,
            logouts: Logouts::default(),
            providers: crate::sign_in::Providers::default(),
            transmitters: crate::signals::Transmitters::default(),
            pace: crate::sign_in::Pace::default(),
            ca: Ca::new(config.certificate_life),
            state: ArcSwap::from_pointee(State { settings: Arc::new(config.settings()), ..State::default() }),
            proxy: OnceLock::new(),
            in_force: ArcSwap::from_pointee(config.clone()),
            config,
            store,
            shared,
            log,
            clock,
            entropy,
            operator,
            sticky,
            rates,
        }))
    }

    /// Lets what was begun end, writes what is still to be written, and lets go of the store.
    pub async fn close(&self) {
        let left = self.begun.all_done(self.limits().drain).await;
        if left > 0 {
            tracing::error!(left, "changes were still under way when the time to drain was over");
        }
        if let Some(me) = self.me.upgrade() {
            tokio::join!(mail::finish(&me), logout::finish(&me));
        }
        if let Err(error) = self.log.finish(LAST_WRITES).await {
            tracing::error!(error = %with_causes(&error), "entries were left unwritten");
        }
        self.store.close().await;
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A tenant as it stands now.
    pub fn tenant(&self, id: &TenantId) -> Option<Arc<TenantState>> {
        self.state.load().tenants.get(id).cloned()
    }

    /// Seals and opens secrets of a tenant at rest.
    pub async fn sealer(&self, tenant: &TenantId) -> Result<Sealer, StoreFault> {
        self.store.sealer(Some(tenant)).await
    }

    /// Whether cookies and URLs are those of TLS.
    pub fn is_secure(&self) -> bool {
        self.config.is_tls()
    }

    /// Writes an entry of something that was done, and returns once it is on disk: only then may it be answered. Whom it
    /// concerns is given notice of it, where it changes how they sign in.
    pub async fn record(&self, tenant: &TenantId, doer: &Doer, event: Event) -> Result<(), StoreFault> {
        let entry = self.entry(Some(tenant), doer, event);
        let told = self.mail.is_on().then(|| entry.event.clone());
        self.log.record_durable(entry).await?;
        if let Some(event) = told {
            self.give_notice(tenant, &event);
        }
        Ok(())
    }

    /// The same in the operator's own log, for what concerns no tenant alone.
    pub async fn record_own(&self, doer: &Doer, event: Event) -> Result<(), StoreFault> {
        self.log.record_durable(self.entry(None, doer, event)).await
    }

    /// Notes something that changed nothing, such as a sign-in that was refused; written within milliseconds.
    pub fn note(&self, tenant: &TenantId, doer: &Doer, event: Event) {
        self.log.record(self.entry(Some(tenant), doer, event));
    }

    /// Notes something of the gateway itself in the operator's own log.
    pub fn note_own(&self, event: Event) {
        self.log.record(self.entry(None, &Doer::gateway(), event));
    }

    fn entry(&self, tenant: Option<&TenantId>, doer: &Doer, event: Event) -> Entry {
        let at = self.now();
        Entry {
            id: EntryId::mint(at, &*self.entropy),
            at,
            tenant: tenant.cloned(),
            actor: doer.actor.clone(),
            session: doer.session,
            client: doer.client.clone(),
            event,
        }
    }

    /// Where the feed of changes is to be read from: what came before is in the state.
    pub(crate) fn seen(&self) -> i64 {
        self.seen.load(Ordering::Acquire)
    }

    /// Lets go of what memory holds beyond its use; to be called now and then.
    pub fn sweep(&self) {
        self.cache.sweep(self.now());
        self.tokens.sweep(self.now());
        self.minted.sweep(self.now());
    }

    /// Tells the house which data plane it serves; once.
    pub fn attach(&self, proxy: &Arc<Proxy>) {
        let _ = self.proxy.set(Arc::downgrade(proxy));
    }

    pub(crate) fn proxy(&self) -> Option<Arc<Proxy>> {
        self.proxy.get().and_then(Weak::upgrade)
    }
}

/// An error with its causes, for log lines: the outermost message alone names only the step.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
