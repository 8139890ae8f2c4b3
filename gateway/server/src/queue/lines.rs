//! The lines of a queue: tenants in turn, and within a tenant's line its shares in turn. Each in its order, but for what rests.

use std::collections::{HashMap, VecDeque};

use cardea_core::TenantId;
use tokio::time::Instant;

use super::Waits;

/// All lines.
pub(super) struct Lines<W: Waits> {
    /// None is empty.
    of: HashMap<TenantId, Line<W>>,
    /// Whose turn it is: each tenant that has a line, once.
    turn: VecDeque<TenantId>,
    /// How much waits in all.
    pub(super) waiting: usize,
}

/// The line of one tenant.
struct Line<W: Waits> {
    /// None is empty.
    of: HashMap<W::Share, VecDeque<W>>,
    /// Whose turn it is: each that has a share, once.
    turn: VecDeque<W::Share>,
    waiting: usize,
}

/// Where something stands in a line: in whose turn, and behind how many.
type Place = (usize, usize);

impl<W: Waits> Default for Lines<W> {
    fn default() -> Self {
        Self { of: HashMap::new(), turn: VecDeque::new(), waiting: 0 }
    }
}

impl<W: Waits> Default for Line<W> {
    fn default() -> Self {
        Self { of: HashMap::new(), turn: VecDeque::new(), waiting: 0 }
    }
}

impl<W: Waits> Lines<W> {
    /// Puts something where `place` puts it among its share.
    pub(super) fn put(&mut self, wanted: W, place: fn(&mut VecDeque<W>, W)) {
        let tenant = wanted.tenant();
        if !self.of.contains_key(tenant) {
            self.turn.push_back(tenant.clone());
        }
        self.of.entry(tenant.clone()).or_default().put(wanted, place);
        self.waiting += 1;
    }

    /// The next for which `hand` gives one, whether it rests or not.
    pub(super) fn next<H>(&mut self, hand: &impl Fn(&W) -> Option<H>) -> Option<(W, H)> {
        self.take(|line| line.find(hand, |_| true))
    }

    /// The next of those that do not rest.
    pub(super) fn next_due<H>(&mut self, hand: &impl Fn(&W) -> Option<H>, now: Instant) -> Option<(W, H)> {
        self.take(|line| line.find(hand, |wanted| wanted.due().is_none_or(|due| due <= now)))
    }

    /// When the first is due of those that rest.
    pub(super) fn due_after(&self, now: Instant) -> Option<Instant> {
        let all = self.of.values().flat_map(|line| line.of.values()).flatten();
        all.filter_map(Waits::due).filter(|due| *due > now).min()
    }

    /// The tenants that have a line.
    pub(super) fn tenants(&self) -> Vec<TenantId> {
        self.turn.iter().cloned().collect()
    }

    fn take<H>(&mut self, find: impl Fn(&Line<W>) -> Option<(Place, H)>) -> Option<(W, H)> {
        let found = self.turn.iter().enumerate().find_map(|(turn, tenant)| Some((turn, find(self.of.get(tenant)?)?)));
        let (turn, (place, hand)) = found?;
        let tenant = self.turn.remove(turn)?;
        let wanted = self.of.get_mut(&tenant)?.take(place)?;
        self.turn.push_back(tenant.clone());
        self.is_less_by_one(&tenant);
        Some((wanted, hand))
    }

    /// What the longest line gives up; of two lines, that of whoever came last.
    pub(super) fn give_up(&mut self, tenant: &TenantId, share: &W::Share) -> Option<W> {
        let longest = self.of.iter().max_by_key(|(of, line)| (line.waiting, *of == tenant))?.0.clone();
        let wanted = self.of.get_mut(&longest)?.give_up(share)?;
        self.is_less_by_one(&longest);
        Some(wanted)
    }

    fn is_less_by_one(&mut self, tenant: &TenantId) {
        self.waiting -= 1;
        if self.of.get(tenant).is_some_and(|line| line.waiting == 0) {
            self.of.remove(tenant);
            self.turn.retain(|of| of != tenant);
        }
    }
}

impl<W: Waits> Line<W> {
    fn put(&mut self, wanted: W, place: fn(&mut VecDeque<W>, W)) {
        let share = wanted.share();
        if !self.of.contains_key(&share) {
            self.turn.push_back(share.clone());
        }
        place(self.of.entry(share).or_default(), wanted);
        self.waiting += 1;
    }

    /// The first `fit` of each share in turn, until `hand` gives one.
    fn find<H>(&self, hand: &impl Fn(&W) -> Option<H>, fit: impl Fn(&W) -> bool) -> Option<(Place, H)> {
        self.turn.iter().enumerate().find_map(|(turn, share)| {
            let (behind, wanted) = self.of.get(share)?.iter().enumerate().find(|(_, wanted)| fit(wanted))?;
            Some(((turn, behind), hand(wanted)?))
        })
    }

    fn take(&mut self, (turn, behind): Place) -> Option<W> {
        let share = self.turn.remove(turn)?;
        let wanted = self.of.get_mut(&share)?.remove(behind)?;
        self.turn.push_back(share.clone());
        self.is_less_by_one(&share);
        Some(wanted)
    }

    /// The youngest of the longest share, counted by what gives way if there is any, else by all; of two shares, that of whoever came
    /// last.
    fn give_up(&mut self, came_last: &W::Share) -> Option<W> {
        let any_gives = self.of.values().flatten().any(Waits::gives_way);
        let goes = |wanted: &W| !any_gives || wanted.gives_way();
        let count = |waits: &VecDeque<W>| waits.iter().filter(|wanted| goes(wanted)).count();
        let longest = self.of.iter().max_by_key(|(share, waits)| (count(waits), *share == came_last))?.0.clone();
        let waits = self.of.get_mut(&longest)?;
        let wanted = waits.remove(waits.iter().rposition(goes)?)?;
        self.is_less_by_one(&longest);
        Some(wanted)
    }

    fn is_less_by_one(&mut self, share: &W::Share) {
        self.waiting -= 1;
        if self.of.get(share).is_some_and(VecDeque::is_empty) {
            self.of.remove(share);
            self.turn.retain(|of| of != share);
        }
    }
}
