//! Word of changes by Redis.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::{connection::Connection, redis::RedisShared};
use crate::{
    StoreFault,
    push::{BEAT, BEATS, Push},
};

/// How long a change waits for its word to be told. Redis takes it in a tenth of a millisecond; without, it is found by looking.
const TELLS: Duration = Duration::from_millis(100);

/// Pause before listening is tried again.
const AGAIN: Duration = Duration::from_millis(250);

/// Tells the others by publishing.
pub(super) struct ByRedis {
    pub(super) connection: Connection,
    pub(super) channel: String,
}

impl std::fmt::Debug for ByRedis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByRedis").field("channel", &self.channel).finish_non_exhaustive()
    }
}

#[async_trait]
impl Push for ByRedis {
    async fn tell(&self, seq: i64) {
        let mut connection = self.connection.clone();
        // In a task: whoever gives up waiting, it is told.
        let (channel, text) = (self.channel.clone(), seq.to_string());
        let told = tokio::spawn(async move { connection.publish(&channel, &text).await });
        let _ = tokio::time::timeout(TELLS, told).await;
    }
}

impl RedisShared {
    /// Passes on what is published; never returns.
    pub(super) async fn hear_published(&self) {
        loop {
            if let Err(fault) = self.listen().await {
                tracing::debug!(error = fault.with_causes(), "no word of changes for now");
            }
            self.store.news().set_reliable(false);
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Until it fails.
    async fn listen(&self) -> Result<(), StoreFault> {
        let channel = self.keys.channel();
        let mut listener = self.connection.listener(&channel).await?;
        let mut told = listener.on_message();
        let (mut last, mut connection) = (Instant::now(), self.connection.clone());
        while last.elapsed() <= 2 * BEAT {
            match tokio::time::timeout(BEAT, told.next()).await {
                Ok(Some(message)) => {
                    self.store.news().heard(&message.get_payload::<String>().unwrap_or_default());
                    last = Instant::now();
                }
                Ok(None) => break,
                Err(_) => connection.publish(&channel, BEATS).await?,
            }
        }
        Err(StoreFault::Cluster("nothing that was published is heard".to_owned()))
    }
}
