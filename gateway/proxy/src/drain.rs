//! Closing down, in two steps. First the gateway leaves: it serves as before, and lets go of each connection with its next answer,
//! while whoever sends it work notices that it is to get no more. Then nothing new is taken, and what is under way may finish within
//! a limit.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

/// The word to close down, shared by every listener and connection. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    leaving: CancellationToken,
    begun: CancellationToken,
    grace: Arc<OnceLock<Duration>>,
}

impl Drain {
    /// A gateway that is open.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells everybody that the gateway leaves. Cannot be taken back.
    pub fn leave(&self) {
        self.leaving.cancel();
    }

    /// Whether it leaves, or has been told to finish.
    pub fn is_leaving(&self) -> bool {
        self.leaving.is_cancelled()
    }

    /// Waits until it leaves.
    pub async fn leaving(&self) {
        self.leaving.cancelled().await;
    }

    /// Tells everybody to finish. Cannot be taken back.
    pub fn begin(&self) {
        self.leave();
        self.begun.cancel();
    }

    /// The same with the time that what is under way has, whatever was said of it before.
    pub fn begin_within(&self, grace: Duration) {
        // The first word holds.
        let _ = self.grace.set(grace);
        self.begin();
    }

    /// The time that was given with the word.
    pub fn grace(&self) -> Option<Duration> {
        self.grace.get().copied()
    }

    /// Whether the word has been given.
    pub fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Waits for the word.
    pub async fn begun(&self) {
        self.begun.cancelled().await;
    }
}
