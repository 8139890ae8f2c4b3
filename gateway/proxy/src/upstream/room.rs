//! Room for connections to services: how many there may be at once for an app, and for a tenant. Whoever finds none waits
//! a moment for a connection to be given back or closed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, TryAcquireError, futures::Notified};

/// How long a request waits for room. A second: what is full for longer is overloaded, and saying so helps more.
pub(super) const WAIT: Duration = Duration::from_secs(1);

/// Connections that a tenant's services may have at once, all apps together.
#[derive(Debug, Clone)]
pub struct TenantRoom {
    places: Arc<Semaphore>,
    /// Requests that wait for a place although their own app has one.
    waiting: Arc<AtomicUsize>,
}

impl TenantRoom {
    /// Room for `most` connections.
    pub fn new(most: u32) -> Self {
        Self { places: semaphore(most), waiting: Arc::default() }
    }

    /// Whether both are the same room.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.places, &other.places)
    }
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
        Ok(Slot(app, Arc::clone(&self.tenant.places).try_acquire_owned()?))
    }

    /// A place for one connection more, once there is one.
    pub(super) async fn enter(&self) -> Option<Slot> {
        let app = Arc::clone(&self.app).acquire_owned().await.ok()?;
        Some(Slot(app, Arc::clone(&self.tenant.places).acquire_owned().await.ok()?))
    }

    /// Stands in the line of those whom [`Room::give_back`] wakes.
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let tenant = self.app.available_permits() > 0;
        self.tenant.waiting.fetch_add(tenant.into(), Ordering::AcqRel);
        Waiting { room: self, tenant }
    }

    /// Whether a connection that is free had better be closed: another of the tenant's apps waits for its place, and
    /// nobody here for the connection.
    pub(super) fn is_wanted_elsewhere(&self) -> bool {
        self.tenant.waiting.load(Ordering::Acquire) > 0 && self.waiting.load(Ordering::Acquire) == 0
    }

    /// A connection, or a stream of one, is free for another request.
    pub(super) fn give_back(&self) {
        if self.waiting.load(Ordering::Acquire) > 0 {
            self.given_back.notify_one();
        }
    }
}

/// One who waits, until dropped.
pub(super) struct Waiting<'a> {
    room: &'a Room,
    /// It is the tenant's room that is full.
    tenant: bool,
}

impl Waiting<'_> {
    /// The next time that something is given back.
    pub(super) fn given_back(&self) -> Notified<'_> {
        self.room.given_back.notified()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.room.waiting.fetch_sub(1, Ordering::AcqRel);
        self.room.tenant.waiting.fetch_sub(self.tenant.into(), Ordering::AcqRel);
    }
}
