//! Time in nanoseconds, and waiting for a moment more exactly than a timeout in milliseconds can.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
    timerfd_settime,
};

/// How long before a moment the sender wakes, and then looks again and again: this is more than it takes to wake a core that sleeps.
/// It yields between the looks, so that the service, which has the same core, goes first.
const AWAKE: u64 = 100_000;

/// The timer's own token, which no connection has.
pub(crate) const ALARM: Token = Token(usize::MAX);

/// Nanoseconds of the monotonic clock, which the timer goes by, too.
#[must_use]
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// A timer of the kernel that is exact to the microsecond.
pub(crate) struct Alarm {
    timer: OwnedFd,
    set: u64,
}

impl Alarm {
    pub(crate) fn new(poll: &Poll) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), ALARM, Interest::READABLE)?;
        Ok(Self { timer, set: 0 })
    }

    /// Returns once something happens on a connection, and at `moment` at the latest.
    pub(crate) fn wait(&mut self, poll: &mut Poll, events: &mut Events, moment: u64) -> io::Result<()> {
        if now() + AWAKE < moment {
            self.set(moment - AWAKE)?;
            return poll.poll(events, None);
        }
        loop {
            poll.poll(events, Some(Duration::ZERO))?;
            if !events.is_empty() || now() >= moment {
                return Ok(());
            }
            std::thread::yield_now();
        }
    }

    fn set(&mut self, moment: u64) -> io::Result<()> {
        if self.set != moment {
            self.set = moment;
            let at = Timespec {
                tv_sec: (moment / 1_000_000_000).cast_signed(),
                tv_nsec: (moment % 1_000_000_000).cast_signed(),
            };
            let never = Timespec { tv_sec: 0, tv_nsec: 0 };
            timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &Itimerspec { it_interval: never, it_value: at })?;
        }
        Ok(())
    }
}
