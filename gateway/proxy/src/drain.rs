//! Closing down: nothing new is taken, what is under way may finish within a limit.

use tokio_util::sync::CancellationToken;

/// The word to close down, shared by every listener and connection. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Drain(CancellationToken);

impl Drain {
    /// A gateway that is open.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells everybody to finish. Cannot be taken back.
    pub fn begin(&self) {
        self.0.cancel();
    }

    /// Whether the word has been given.
    pub fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits for the word.
    pub async fn begun(&self) {
        self.0.cancelled().await;
    }
}
