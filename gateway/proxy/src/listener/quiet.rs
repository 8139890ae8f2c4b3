//! When a connection on which nothing is asked ends: after its idle time, or before it where others have no place. Looked at
//! now and then, so that requests set no timer.
//!
//! INVARIANT: busy is where a request is open, and nothing else: whatever a client sends beside, it is asked to leave.

use std::{ops::ControlFlow, pin::pin, sync::Arc, time::Duration};

use crate::{
    Connection, Proxy,
    room::{Leaving, Room},
};

/// How many looks at a connection without a request its idle time is made of: it ends at most a fourth late.
const LOOKS: u32 = 4;

/// Looks that find a connection quiet before it leaves for others: a stranger's one, a known one's three, so that it is asked
/// late, as well as last.
const SPARED: (u32, u32) = (1, 3);

/// Whether a connection has gone quiet.
pub(super) struct Quiet<'a> {
    connection: &'a Arc<Connection>,
    room: &'a Room,
    /// Those who hold the connection while nothing is under way on it.
    holders: usize,
    stirs: u32,
    look: Duration,
}

/// Waits until a connection that has said nothing at all is to leave for others.
pub(super) async fn from_the_start(room: &Room, connection: &Connection, idle: Duration) -> Leaving {
    tokio::time::sleep(idle / LOOKS * spared(connection)).await;
    room.to_leave(connection.is_known()).await
}

fn spared(connection: &Connection) -> u32 {
    if connection.is_known() { SPARED.1 } else { SPARED.0 }
}

impl<'a> Quiet<'a> {
    pub(super) fn of(connection: &'a Arc<Connection>, room: &'a Room, idle: Duration) -> Self {
        let holders = Arc::strong_count(connection);
        Self { connection, room, holders, stirs: 0, look: idle / LOOKS }
    }

    /// Waits until the connection has lasted long enough; with its part in leaving, where it leaves for others.
    pub(super) async fn over(&mut self, proxy: &Proxy) -> Option<Leaving> {
        let connection = self.connection;
        tokio::select! {
            leaving = self.long_enough() => leaving,
            () = connection.ending(proxy) => None,
        }
    }

    /// Whether a request or a stream is under way, or one was since the last look. What is left of an answer when its
    /// body is over holds nothing of the connection, but moves.
    pub(super) fn is_busy(&mut self) -> bool {
        let stirs = self.connection.watch.stirs();
        let stirred = std::mem::replace(&mut self.stirs, stirs) != stirs;
        stirred || Arc::strong_count(self.connection) > self.holders
    }

    async fn long_enough(&mut self) -> Option<Leaving> {
        loop {
            let mut quiet = 0;
            while quiet < spared(self.connection) {
                tokio::time::sleep(self.look).await;
                quiet = if self.is_busy() { 0 } else { quiet + 1 };
            }
            if let ControlFlow::Break(leaving) = self.idle(LOOKS - quiet).await {
                return leaving;
            }
        }
    }

    /// Idle for so many more looks, ready to leave for others. Goes on where something is asked again.
    async fn idle(&mut self, looks: u32) -> ControlFlow<Option<Leaving>> {
        let (room, known) = (self.room, self.connection.is_known());
        let mut to_leave = pin!(room.to_leave(known));
        for _ in 0..looks {
            let leaving = tokio::select! {
                () = tokio::time::sleep(self.look) => None,
                leaving = &mut to_leave => Some(leaving),
            };
            match (leaving, self.is_busy()) {
                (None, false) => {}
                (None, true) => return ControlFlow::Continue(()),
                (Some(leaving), false) => return ControlFlow::Break(Some(leaving)),
                (Some(leaving), true) => {
                    room.stays(leaving);
                    return ControlFlow::Continue(());
                }
            }
        }
        ControlFlow::Break(None)
    }
}
