//! The loop: what is due is sent, what is answered is noted.

use std::collections::VecDeque;

use anyhow::{Result, bail};
use mio::event::Event;
use mio::{Events, Poll, Token};

use crate::arrivals::Arrivals;
use crate::clock::{ALARM, Alarm, now};
use crate::connection::{Connection, Seen, Service};
use crate::tally::Tally;

/// Nanoseconds from the last handshake to the first request.
const SETTLE: u64 = 50_000_000;
/// Nanoseconds for the handshakes at the beginning, and for the last answers at the end.
const PATIENCE: u64 = 10_000_000_000;

pub(crate) struct Sender {
    service: Service,
    poll: Poll,
    events: Events,
    alarm: Alarm,
    /// None where one has ended: it is opened anew by the next request, which pays for it.
    connections: Vec<Option<Connection>>,
    /// Those on which nothing is asked. They take turns.
    idle: VecDeque<usize>,
    /// Requests that are due and have no connection yet: since when, and their numbers.
    waiting: VecDeque<(u64, u64)>,
    tally: Tally,
}

impl Sender {
    /// Opens that many connections; `tally` takes what comes of the requests.
    pub(crate) fn open(service: Service, count: usize, tally: Tally) -> Result<Self> {
        let poll = Poll::new()?;
        let alarm = Alarm::new(&poll)?;
        let connections = (0..count)
            .map(|nth| Connection::open(&service, poll.registry(), Token(nth)).map(Some))
            .collect::<Result<_>>()?;
        let (events, idle, waiting) =
            (Events::with_capacity(count + 1), (0..count).collect(), VecDeque::with_capacity(count));
        let mut sender = Self { service, poll, events, alarm, connections, idle, waiting, tally };
        let end = now() + PATIENCE;
        while !sender.connections.iter().flatten().all(Connection::is_ready) {
            sender.alarm.wait(&mut sender.poll, &mut sender.events, end)?;
            sender.hear();
            if now() >= end || sender.connections.iter().any(Option::is_none) {
                bail!("`{}` does not take {count} connections", sender.service.address);
            }
        }
        Ok(sender)
    }

    /// Sends all, and returns once each was answered or cannot be any more.
    pub(crate) fn send(mut self, arrivals: Arrivals) -> Result<Tally> {
        let begin = now() + SETTLE;
        let mut due = arrivals.zip(0..).map(|(after, nth)| (begin + after, nth)).peekable();
        let mut last = begin;
        while due.peek().is_some() || self.idle.len() < self.connections.len() {
            let next = due.peek().map_or(last + PATIENCE, |next| next.0);
            self.alarm.wait(&mut self.poll, &mut self.events, next)?;
            self.hear();
            let time = now();
            if due.peek().is_none() && time >= next {
                break;
            }
            while let Some((moment, nth)) = due.next_if(|next| next.0 <= time) {
                self.tally.due(nth, time - moment);
                self.waiting.push_back((moment, nth));
                last = moment;
            }
            self.ask()?;
        }
        Ok(self.tally)
    }

    /// Sends what waits on the connections that are free.
    fn ask(&mut self) -> Result<()> {
        while !self.waiting.is_empty()
            && let Some(free) = self.idle.pop_front()
            && let Some((moment, nth)) = self.waiting.pop_front()
        {
            let at = &mut self.connections[free];
            let connection = match at {
                Some(open) => open,
                None => at.insert(Connection::open(&self.service, self.poll.registry(), Token(free))?),
            };
            if connection.ask(&self.service.request, moment, nth).is_err() {
                end(at, free, &mut self.idle, &mut self.tally);
            }
        }
        Ok(())
    }

    /// Takes the answers that came, and notices who has ended.
    fn hear(&mut self) {
        for Token(nth) in self.events.iter().map(Event::token).filter(|&token| token != ALARM) {
            let Some(connection) = &mut self.connections[nth] else { continue };
            let Seen { status, ended } = connection.go_on();
            if let Some(status) = status
                && let Some((moment, number)) = connection.asked.take()
            {
                self.tally.answered(number, status, now() - moment);
                self.idle.push_back(nth);
            }
            if ended {
                end(&mut self.connections[nth], nth, &mut self.idle, &mut self.tally);
            }
        }
    }
}

/// Lets go of a connection, and of what was asked on it.
fn end(connection: &mut Option<Connection>, nth: usize, idle: &mut VecDeque<usize>, tally: &mut Tally) {
    if connection.take().is_some_and(|ended| ended.asked.is_some()) {
        tally.failed("ended");
        idle.push_back(nth);
    }
}
