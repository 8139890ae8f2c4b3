//! Where it is counted: a table of fixed size, made when the first rate is asked about. A name has a place among eight; where all
//! are taken, whoever has used least gives way, and begins anew when they come again. So a flood of addresses takes no memory, and
//! takes from nobody who is near an end what is known of them.

use std::{
    array,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use cardea_core::{TenantId, resources::Rate};

use super::{
    Heard, Level, Use,
    level::{WHOLE, part},
};

/// Rows of eight. With 131,072 places, thirteen megabytes: as many as ask within a minute of the busiest houses.
const ROWS: usize = 16_384;
const PLACES: usize = 8;

/// Names of which the others are told in one round, and those of the rows in which the last ones are.
const MOST_TOLD: usize = 1_000;

/// What is counted under one name.
#[derive(Debug, Default)]
struct Cell {
    /// Whose, and what rate; none where the place is free.
    of: Option<(TenantId, Rate)>,
    name: u128,
    level: Level,
    /// Millionths that the others have not been told.
    unsaid: i64,
    /// What all had ever used when that was heard last; nothing where it never was.
    ever: i64,
    /// How much of what is used is used here, in 255ths.
    share: u8,
}

type Row = [Cell; PLACES];

#[derive(Debug)]
pub(super) struct Table {
    rows: OnceLock<Box<[Mutex<Row>]>>,
    /// Rows in which something is unsaid, a bit each.
    unsaid: Box<[AtomicU64]>,
    /// Where the next round begins.
    turn: AtomicU64,
    /// The share that this gateway has of all names together, for those of which nothing is known.
    share: AtomicU8,
}

impl Default for Table {
    fn default() -> Self {
        let unsaid = (0..ROWS / 64).map(|_| AtomicU64::new(0)).collect();
        Self { rows: OnceLock::new(), unsaid, turn: AtomicU64::new(0), share: AtomicU8::new(u8::MAX) }
    }
}

/// How it stands after a request, how many more may come, and how long until it may where it may not.
pub(super) type Taken = (Level, u32, Option<Duration>);

impl Table {
    /// Counts a request. Whoever hears nothing of the others keeps to the share that it had.
    pub(super) fn take(&self, (name, tenant): (u128, &TenantId), rate: Rate, now: i64, alone: bool) -> Taken {
        let (place, mut row) = self.row(name);
        let share = self.share.load(Ordering::Relaxed);
        let cell = row.cell(name, now, || Cell { name, of: Some((tenant.clone(), rate)), share, ..Cell::default() });
        if let Some((_, known)) = &mut cell.of {
            *known = rate;
        }
        let rate = if alone { part(rate, cell.share) } else { rate };
        match cell.level.one_more(now, rate) {
            Ok(level) => {
                cell.level = level;
                cell.unsaid = cell.unsaid.saturating_add(WHOLE);
                drop(row);
                self.unsaid[place / 64].fetch_or(1 << (place % 64), Ordering::Release);
                (level, level.left(rate), None)
            }
            Err(wait) => (cell.level.as_of(now, rate), 0, Some(wait)),
        }
    }

    /// One request less.
    pub(super) fn give_back(&self, name: u128) {
        let (_, mut row) = self.row(name);
        if let Some(cell) = row.known(name) {
            cell.level.used = (cell.level.used - WHOLE).max(0);
            cell.unsaid -= WHOLE;
        }
    }

    /// What the others have not been told, which is said with this.
    pub(super) fn unsaid(&self, now: i64) -> Vec<Use> {
        let (mut said, words) = (Vec::new(), self.unsaid.len());
        let first = usize::try_from(self.turn.load(Ordering::Relaxed)).unwrap_or_default();
        for step in 0..words {
            let word = (first + step) % words;
            if said.len() >= MOST_TOLD {
                self.turn.store(word as u64, Ordering::Relaxed);
                break;
            }
            let mut rows = self.unsaid[word].swap(0, Ordering::AcqRel);
            while rows != 0 {
                let place = word * 64 + usize::try_from(rows.trailing_zeros()).unwrap_or_default();
                rows &= rows - 1;
                self.at(place).iter_mut().for_each(|cell| said.extend(cell.say(now)));
            }
        }
        said
    }

    /// Takes over what all have used together.
    pub(super) fn learn(&self, uses: &[Use], heard: &[Heard], now: i64) {
        let (mut ours, mut all) = (0_i64, 0_i64);
        for (said, Heard { level, ever }) in uses.iter().zip(heard) {
            let (_, mut row) = self.row(said.name);
            let Some(cell) = row.known(said.name) else { continue };
            let since = Some(ever - cell.ever).filter(|since| cell.ever > 0 && *since >= said.used);
            cell.ever = *ever;
            // What was admitted since it was said comes on top. Less than is known here is what the store has lost.
            let told = Level { used: level.used.saturating_add(cell.unsaid).max(0), at: level.at };
            let (told, known) = (told.as_of(now, said.rate), cell.level.as_of(now, said.rate));
            cell.level = if told.used > known.used { told } else { known };
            if let Some(since) = since {
                cell.share = moved(cell.share, said.used, since);
                (ours, all) = (ours.saturating_add(said.used), all.saturating_add(since));
            }
        }
        let share = self.share.load(Ordering::Relaxed);
        self.share.store(moved(share, ours, all), Ordering::Relaxed);
    }

    /// Nobody heard it.
    pub(super) fn keep_unsaid(&self, uses: &[Use]) {
        for said in uses {
            let (place, mut row) = self.row(said.name);
            if let Some(cell) = row.known(said.name) {
                cell.unsaid = cell.unsaid.saturating_add(said.used);
                drop(row);
                self.unsaid[place / 64].fetch_or(1 << (place % 64), Ordering::Release);
            }
        }
    }

    fn row(&self, name: u128) -> (usize, MutexGuard<'_, Row>) {
        let place = usize::try_from(name % ROWS as u128).unwrap_or_default();
        (place, self.at(place))
    }

    /// Held for some comparisons, and never over anything that waits.
    fn at(&self, place: usize) -> MutexGuard<'_, Row> {
        let empty = || (0..ROWS).map(|_| Mutex::new(array::from_fn(|_| Cell::default()))).collect();
        self.rows.get_or_init(empty)[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finding a place in a row.
trait Places {
    fn known(&mut self, name: u128) -> Option<&mut Cell>;
    fn cell(&mut self, name: u128, now: i64, new: impl FnOnce() -> Cell) -> &mut Cell;
}

impl Places for Row {
    fn known(&mut self, name: u128) -> Option<&mut Cell> {
        self.iter_mut().find(|cell| cell.of.is_some() && cell.name == name)
    }

    /// The name's place, or that of whoever is farthest from its end.
    fn cell(&mut self, name: u128, now: i64, new: impl FnOnce() -> Cell) -> &mut Cell {
        let known = self.iter().position(|cell| cell.of.is_some() && cell.name == name);
        let place = known.unwrap_or_else(|| {
            let least = (0..PLACES).min_by_key(|&place| self[place].nearness(now)).unwrap_or_default();
            self[least] = new();
            least
        });
        &mut self[place]
    }
}

impl Cell {
    /// How much of its room is used now, whatever its rate; less than nothing where the place is free.
    fn nearness(&self, now: i64) -> i64 {
        let room = |rate: Rate| i64::from(rate.at_once().max(1));
        self.of.as_ref().map_or(-1, |(_, rate)| self.level.as_of(now, *rate).used / room(*rate))
    }

    /// What is unsaid of it. Of what was admitted long ago, while nobody could be told, that has come back which nobody need know.
    fn say(&mut self, now: i64) -> Option<Use> {
        let (tenant, rate) = self.of.as_ref()?;
        let known = self.level.as_of(now, *rate).used;
        let used = self.unsaid.min(known);
        // Less than nothing where something was given back that had been said: that comes off what is said next.
        self.unsaid = self.unsaid.min(0);
        (used > 0).then(|| Use { tenant: tenant.clone(), name: self.name, rate: *rate, used })
    }
}

/// A share that goes a quarter of the way to what it was this time.
fn moved(share: u8, ours: i64, all: i64) -> u8 {
    if all <= 0 {
        return share;
    }
    let now = (i128::from(ours) * 255 / i128::from(all)).clamp(1, 255);
    u8::try_from((i128::from(share) * 3 + now) / 4).unwrap_or(u8::MAX).max(1)
}
