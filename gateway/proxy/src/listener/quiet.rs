//! When a connection on which nothing is asked rests, and when it ends: after its idle time, or before it where others have
//! no place. Looked at now and then, so that requests set no timer.
//!
//! INVARIANT: busy is where a request is open, and nothing else: whatever a client sends beside, it is asked to leave.

use std::{ops::ControlFlow, pin::pin, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    Connection, Proxy,
    room::{Leaving, Room},
};

/// How many looks at a connection without a request its idle time is made of: it ends at most a fourth late.
const LOOKS: u32 = 4;

/// Looks that find a connection quiet before it leaves for others: a stranger's one, a known one's three, so that it is asked
/// late, as well as last.
const SPARED: (u32, u32) = (1, 3);

/// How often it is looked whether a connection can rest. Five seconds: soon enough that those who only read a page are not
/// paid for long, seldom enough to be nothing beside their requests.
const AWAKE: Duration = Duration::from_secs(5);

/// Waits until a connection that has said nothing at all is to leave for others.
pub(super) async fn from_the_start(room: &Room, connection: &Connection, idle: Duration) -> Leaving {
    sleep(idle / LOOKS * spared(connection)).await;
    room.to_leave(connection.is_known()).await
}

fn spared(connection: &Connection) -> u32 {
    if connection.is_known() { SPARED.1 } else { SPARED.0 }
}

/// Whether a connection has gone quiet.
pub(super) struct Quiet<'a> {
    connection: &'a Arc<Connection>,
    room: &'a Room,
    /// Those who hold the connection while nothing is under way on it.
    holders: usize,
    stirs: u32,
    /// The last look that found it busy.
    since: Instant,
    look: Duration,
    /// It may be let rest, and was not since then.
    awake: bool,
    can_rest: bool,
}

/// What a quiet connection is to do.
pub(super) enum Turn {
    /// Let go of what requests need. Told once, until there was another one.
    Rest,
    /// End; with its part in leaving, where it leaves for others.
    Over(Option<Leaving>),
}

impl<'a> Quiet<'a> {
    /// Of a connection that `can_rest`, or cannot.
    pub(super) fn of(connection: &'a Arc<Connection>, room: &'a Room, idle: Duration, can_rest: bool) -> Self {
        let (holders, since) = (Arc::strong_count(connection), Instant::now());
        Self { connection, room, holders, stirs: 0, since, look: idle / LOOKS, awake: can_rest, can_rest }
    }

    /// Waits until the connection has lasted long enough, or can rest.
    pub(super) async fn turn(&mut self, proxy: &Proxy) -> Turn {
        let connection = self.connection;
        tokio::select! {
            turn = self.next() => turn,
            () = connection.ending(proxy) => Turn::Over(None),
        }
    }

    /// Whether a request or a stream is under way, or one was since the last look. What is left of an answer when its
    /// body is over holds nothing of the connection, but is owed, or moves.
    pub(super) fn is_busy(&mut self) -> bool {
        let watch = &self.connection.watch;
        let stirs = watch.stirs();
        let stirred = std::mem::replace(&mut self.stirs, stirs) != stirs;
        stirred || watch.owes() || Arc::strong_count(self.connection) > self.holders
    }

    /// A look: whether it is busy, and so begins anew.
    fn finds_busy(&mut self) -> bool {
        let busy = self.is_busy();
        if busy {
            (self.since, self.awake) = (Instant::now(), self.can_rest);
        }
        busy
    }

    /// What is left of so many quiet looks.
    fn left(&self, looks: u32) -> Duration {
        (self.look * looks).saturating_sub(self.since.elapsed())
    }

    async fn next(&mut self) -> Turn {
        loop {
            let left = self.left(spared(self.connection));
            if left > Duration::ZERO {
                let look = if self.awake { self.look.min(AWAKE) } else { self.look };
                sleep(look.min(left)).await;
                if !self.finds_busy() && std::mem::take(&mut self.awake) {
                    return Turn::Rest;
                }
            } else if let ControlFlow::Break(leaving) = self.sit().await {
                return Turn::Over(leaving);
            }
        }
    }

    /// Idle for the rest of its time, ready to leave for others. Goes on where something is asked again.
    async fn sit(&mut self) -> ControlFlow<Option<Leaving>> {
        let (room, known) = (self.room, self.connection.is_known());
        let mut to_leave = pin!(room.to_leave(known));
        loop {
            let leaving = tokio::select! {
                () = sleep(self.look.min(self.left(LOOKS))) => None,
                leaving = &mut to_leave => Some(leaving),
            };
            match (leaving, self.finds_busy()) {
                (None, false) if self.left(LOOKS) > Duration::ZERO => {}
                (leaving, false) => return ControlFlow::Break(leaving),
                (leaving, true) => {
                    if let Some(leaving) = leaving {
                        room.stays(leaving);
                    }
                    return ControlFlow::Continue(());
                }
            }
        }
    }
}
