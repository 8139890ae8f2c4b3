//! Room for connections to services: how many there may be at once for an app, and for a tenant. Whoever finds none has one
//! closed that nobody uses, of the app's where the app's room is full, else of any of the tenant's; and waits a moment for
//! its place, or for a connection to be given back.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, TryAcquireError};

use super::fleet::Fleet;

/// How long a request waits for room. A second: what is full for longer is overloaded, and saying so helps more.
pub(super) const WAIT: Duration = Duration::from_secs(1);

/// Connections that a tenant's services may have at once, all apps together.
#[derive(Clone)]
pub struct TenantRoom(Arc<Shared>);

struct Shared {
    places: Arc<Semaphore>,
    /// Requests that wait for a place although their own app has one.
    waiting: AtomicUsize,
    given_back: Notify,
    /// The addresses of the services that share it; whoever is next to close a connection first.
    fleets: Mutex<Vec<Weak<Fleet>>>,
}

impl TenantRoom {
    /// Room for `most` connections.
    pub fn new(most: u32) -> Self {
        let (waiting, given_back, fleets) = (AtomicUsize::new(0), Notify::new(), Mutex::default());
        Self(Arc::new(Shared { places: semaphore(most), waiting, given_back, fleets }))
    }

    /// Whether both are the same room.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Lets the others close what this service keeps unused, for as long as it is there.
    pub(super) fn join(&self, fleet: &Arc<Fleet>) {
        let mut fleets = self.0.fleets.lock().unwrap_or_else(PoisonError::into_inner);
        fleets.retain(|one| one.strong_count() > 0);
        fleets.push(Arc::downgrade(fleet));
    }

    /// Closes a connection that nobody uses, of each service in turn.
    pub(super) fn shed(&self) -> bool {
        let mut fleets = self.0.fleets.lock().unwrap_or_else(PoisonError::into_inner);
        let shed = fleets.iter().position(|one| one.upgrade().is_some_and(|fleet| shed(&fleet)));
        if let Some(at) = shed {
            fleets.rotate_left(at + 1);
        }
        shed.is_some()
    }
}

impl fmt::Debug for TenantRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantRoom").field("left", &self.0.places.available_permits()).finish_non_exhaustive()
    }
}

/// Closes a connection of a service that nobody uses.
pub(super) fn shed(fleet: &Fleet) -> bool {
    fleet.load().iter().any(|endpoint| endpoint.pool.shed())
}

fn semaphore(most: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)))
}

/// Connections that one app's service may have at once.
pub(crate) struct Room {
    app: Arc<Semaphore>,
    tenant: TenantRoom,
    waiting: AtomicUsize,
    given_back: Notify,
}

/// A connection's place, given up when the connection is closed.
#[allow(dead_code, reason = "held for what their drop does")]
pub(super) struct Slot(OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Room {
    pub(super) fn new(most: u32, tenant: TenantRoom) -> Self {
        Self { app: semaphore(most), tenant, waiting: AtomicUsize::new(0), given_back: Notify::new() }
    }

    pub(super) fn tenant(&self) -> &TenantRoom {
        &self.tenant
    }

    /// A place for one connection more, if there is one now.
    pub(super) fn try_enter(&self) -> Result<Slot, TryAcquireError> {
        let app = Arc::clone(&self.app).try_acquire_owned()?;
        Ok(Slot(app, Arc::clone(&self.tenant.0.places).try_acquire_owned()?))
    }

    /// Stands in line for a place.
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let mut waiting = Waiting { room: self, app: None, at_tenants: false };
        if let Ok(app) = Arc::clone(&self.app).try_acquire_owned() {
            waiting.go_on(app);
        }
        waiting
    }

    /// Whether a connection that is free had better be closed: another of the tenant's apps waits for its place, and
    /// nobody here for the connection.
    pub(super) fn is_wanted_elsewhere(&self) -> bool {
        self.tenant.0.waiting.load(Ordering::Acquire) > 0 && self.waiting.load(Ordering::Acquire) == 0
    }

    /// A connection has room for many requests.
    pub(super) fn tell_all(&self) {
        self.given_back.notify_waiters();
    }

    /// A connection, or a stream of one, is free: for another request, or to be closed.
    pub(super) fn give_back(&self) {
        if self.waiting.load(Ordering::Acquire) > 0 {
            self.given_back.notify_one();
        }
        if self.tenant.0.waiting.load(Ordering::Acquire) > 0 {
            self.tenant.0.given_back.notify_one();
        }
    }
}

/// One who waits, until dropped: first for a place in the app's room, and with that for one in the tenant's.
pub(super) struct Waiting<'a> {
    room: &'a Room,
    app: Option<OwnedSemaphorePermit>,
    at_tenants: bool,
}

impl Waiting<'_> {
    /// Whether it is the tenant's room that is full.
    pub(super) fn is_at_tenants(&self) -> bool {
        self.at_tenants
    }

    fn go_on(&mut self, app: OwnedSemaphorePermit) {
        self.app = Some(app);
        self.at_tenants = true;
        self.room.tenant.0.waiting.fetch_add(1, Ordering::AcqRel);
    }

    /// A place, or nothing where only something has changed that may help to one.
    pub(super) async fn step(&mut self) -> Option<Slot> {
        let Room { app, tenant: TenantRoom(tenant), given_back, .. } = self.room;
        if !self.at_tenants {
            tokio::select! {
                Ok(app) = Arc::clone(app).acquire_owned() => self.go_on(app),
                () = given_back.notified() => {}
            }
            return None;
        }
        tokio::select! {
            Ok(place) = Arc::clone(&tenant.places).acquire_owned() => Some(Slot(self.app.take()?, place)),
            () = given_back.notified() => None,
            () = tenant.given_back.notified() => None,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.room.waiting.fetch_sub(1, Ordering::AcqRel);
        self.room.tenant.0.waiting.fetch_sub(self.at_tenants.into(), Ordering::AcqRel);
    }
}
