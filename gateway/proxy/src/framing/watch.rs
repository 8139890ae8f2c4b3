//! What the guard of a connection and the pipeline tell each other.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use cardea_core::Reason;

/// Something that a client does over and over and that asks for nothing: its connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flood {
    /// Requests are made and given up at once.
    Resets,
    /// Pings, settings, priorities, window updates, empty data.
    IdleFrames,
    /// A header block does not end.
    SlowHead,
    /// What h2 itself found too much: header blocks in pieces, lists of fields that unfold, small data, errors.
    Frames,
}

impl Flood {
    /// All of them, for metrics.
    pub(crate) const ALL: [Self; 4] = [Self::Resets, Self::IdleFrames, Self::SlowHead, Self::Frames];

    /// The word in metrics and log lines.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Resets => "resets",
            Self::IdleFrames => "idle-frames",
            Self::SlowHead => "slow-head",
            Self::Frames => "frames",
        }
    }
}

/// Written below HTTP and read above it, or the other way round.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    tunnel: AtomicBool,
    refused: OnceLock<Reason>,
    flood: OnceLock<Flood>,
    stirs: AtomicU32,
    owes: AtomicBool,
    rests: AtomicBool,
    awake: AtomicBool,
    known: AtomicBool,
}

impl Watch {
    /// The connection has become a tunnel: its bytes are no longer read as HTTP.
    pub(crate) fn let_through(&self) {
        self.tunnel.store(true, Ordering::Release);
    }

    pub(super) fn is_tunnel(&self) -> bool {
        self.tunnel.load(Ordering::Acquire)
    }

    /// A head, or the framing of a body, was refused. Nothing is heard after the first, so there is no second to note.
    pub(super) fn refuse(&self, reason: Reason) {
        let _ = self.refused.set(reason);
    }

    /// Why the guard refused a head, or a body under way, if it has.
    pub(crate) fn refused(&self) -> Option<Reason> {
        self.refused.get().copied()
    }

    /// The client floods. Nothing is heard after the first.
    pub(super) fn note(&self, flood: Flood) {
        let _ = self.flood.set(flood);
    }

    /// What the client flooded with, if it did.
    pub(crate) fn flood(&self) -> Option<Flood> {
        self.flood.get().copied()
    }

    /// Something is under way: a request was made, or a piece of an answer was taken.
    pub(crate) fn stir(&self) {
        self.stirs.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was so; it may go round.
    pub(crate) fn stirs(&self) -> u32 {
        self.stirs.load(Ordering::Relaxed)
    }

    /// The client has yet to take what an answer left over HTTP/1, or no longer.
    pub(super) fn owe(&self, owes: bool) {
        self.owes.store(owes, Ordering::Relaxed);
    }

    /// Whether that is so.
    pub(crate) fn owes(&self) -> bool {
        self.owes.load(Ordering::Relaxed)
    }

    /// Whoever speaks HTTP is let go of, or no longer: its end is not the connection's. Says how it was before.
    pub(crate) fn rest(&self, rests: bool) -> bool {
        self.rests.swap(rests, Ordering::Relaxed)
    }

    /// Whether that is so.
    pub(crate) fn rests(&self) -> bool {
        self.rests.load(Ordering::Relaxed)
    }

    /// A request asked for another protocol. Whether it got it or not, hyper holds the connection for that until its end, and
    /// gives it back to nobody else.
    pub(crate) fn stays_awake(&self) {
        self.awake.store(true, Ordering::Relaxed);
    }

    /// Whether hyper can be let go of.
    pub(crate) fn can_rest(&self) -> bool {
        !self.awake.load(Ordering::Relaxed)
    }

    /// Somebody who is known was let through, or a listed proxy speaks.
    pub(crate) fn becomes_known(&self) {
        // Written once, and only read by all requests after the first.
        if !self.is_known() {
            self.known.store(true, Ordering::Relaxed);
        }
    }

    /// Whether that was so.
    pub(crate) fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }
}
