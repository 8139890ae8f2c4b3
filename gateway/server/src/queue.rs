//! What waits to be handed over beside all requests, letters say: a line for each tenant, and one of each in turn. So whoever fills one
//! tenant's line, with codes for its people say, keeps nothing of another tenant out, and keeps it waiting for one at the most.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cardea_core::TenantId;
use tokio::sync::Notify;

/// What may wait in a line.
pub(crate) trait Waits {
    /// Whose line it waits in.
    fn tenant(&self) -> &TenantId;

    /// Whether it gives way to others of its line, where that has to give something up.
    fn gives_way(&self) -> bool {
        false
    }
}

/// The lines, with room for so much in all.
pub(crate) struct Queue<W> {
    lines: Mutex<Lines<W>>,
    room: usize,
    more: Arc<Notify>,
}

struct Lines<W> {
    /// None is empty.
    of: HashMap<TenantId, VecDeque<W>>,
    /// Whose turn it is: each tenant that has a line, once.
    turn: VecDeque<TenantId>,
    waiting: usize,
}

impl<W> Default for Lines<W> {
    fn default() -> Self {
        Self { of: HashMap::new(), turn: VecDeque::new(), waiting: 0 }
    }
}

impl<W: Waits> Queue<W> {
    pub(crate) fn new(room: usize) -> Self {
        Self { lines: Mutex::default(), room, more: Arc::default() }
    }

    /// Puts something at the end of its tenant's line. Where there is no room, the longest line gives up its youngest that gives way, or
    /// where it has none its youngest, which is returned: this one, where no line is longer than its own.
    pub(crate) fn put(&self, wanted: W) -> Option<W> {
        let mut lines = self.lines();
        let tenant = wanted.tenant().clone();
        lines.put(wanted);
        let dropped = if lines.waiting > self.room { lines.give_up(&tenant) } else { None };
        drop(lines);
        self.more.notify_one();
        dropped
    }

    /// The next, as soon as there is one. Who is stopped while waiting has taken none.
    pub(crate) async fn next(&self) -> W {
        self.next_for(|_| Some(())).await.0
    }

    /// The next, if one waits.
    pub(crate) fn next_now(&self) -> Option<W> {
        self.next_now_for(|_| Some(())).map(|(wanted, ())| wanted)
    }

    /// The next for which `hand` gives one, as soon as there is one. Those that it has no hand for keep their places, and are looked at
    /// again when it is told by [`Queue::bell`].
    pub(crate) async fn next_for<H>(&self, hand: impl Fn(&W) -> Option<H>) -> (W, H) {
        loop {
            if let Some(found) = self.next_now_for(&hand) {
                return found;
            }
            self.more.notified().await;
        }
    }

    /// The same, if one waits.
    pub(crate) fn next_now_for<H>(&self, hand: impl Fn(&W) -> Option<H>) -> Option<(W, H)> {
        self.lines().next(hand)
    }

    /// Tells whoever waits for the next to look again.
    pub(crate) fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.more)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.lines().waiting == 0
    }

    /// The tenants for which something waits.
    pub(crate) fn tenants(&self) -> Vec<TenantId> {
        self.lines().turn.iter().cloned().collect()
    }

    fn lines(&self) -> MutexGuard<'_, Lines<W>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Waits> Lines<W> {
    fn put(&mut self, wanted: W) {
        let tenant = wanted.tenant();
        if !self.of.contains_key(tenant) {
            self.turn.push_back(tenant.clone());
        }
        self.of.entry(tenant.clone()).or_default().push_back(wanted);
        self.waiting += 1;
    }

    fn next<H>(&mut self, hand: impl Fn(&W) -> Option<H>) -> Option<(W, H)> {
        let found = self.turn.iter().enumerate().find_map(|(turn, tenant)| {
            let mut line = self.of.get(tenant)?.iter().enumerate();
            line.find_map(|(place, wanted)| Some((turn, place, hand(wanted)?)))
        });
        let (turn, place, hand) = found?;
        let tenant = self.turn.remove(turn)?;
        let wanted = self.of.get_mut(&tenant)?.remove(place)?;
        self.waiting -= 1;
        if self.of.get(&tenant).is_some_and(VecDeque::is_empty) {
            self.of.remove(&tenant);
        } else {
            self.turn.push_back(tenant);
        }
        Some((wanted, hand))
    }

    /// The youngest of the longest line that gives way, else its youngest; of two lines, that of whoever came last.
    fn give_up(&mut self, came_last: &TenantId) -> Option<W> {
        let longest = self.of.iter().max_by_key(|(tenant, line)| (line.len(), *tenant == came_last))?.0.clone();
        let line = self.of.get_mut(&longest)?;
        let gives_way = line.iter().rposition(Waits::gives_way);
        let wanted = line.remove(gives_way.unwrap_or(line.len() - 1))?;
        self.waiting -= 1;
        if self.of.get(&longest).is_some_and(VecDeque::is_empty) {
            self.of.remove(&longest);
            self.turn.retain(|tenant| *tenant != longest);
        }
        Some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use cardea_audit::Subject;
    use cardea_core::{Language, Timestamp, UserId, entropy::Fixed};

    use super::*;
    use crate::{
        house::Doer,
        mail::{Addressed, CodeWanted, Letter, Notice, Wanted},
    };
    use cardea_identity::{Email, factors::email};

    fn letter(tenant: &str, nth: u32) -> Wanted {
        let at = Timestamp::from_micros(0);
        Wanted::Letter(Box::new(Addressed {
            tenant: TenantId::parse(tenant).unwrap(),
            user: Subject { id: UserId::mint(at, &Fixed::new(1)), email: format!("p{nth}@{tenant}.example") },
            letter: Letter::Notice { notice: Notice::RecoveryMade, at },
            language: Language::English,
            by: Doer::gateway(),
        }))
    }

    fn to(wanted: Wanted) -> String {
        match wanted {
            Wanted::Letter(one) => one.user.email,
            Wanted::Code(_) => unreachable!("none was put there"),
        }
    }

    #[tokio::test]
    async fn a_tenant_that_floods_keeps_no_other_tenants_letters_out_and_none_waiting() {
        let queue = Queue::new(100);
        for nth in 0..1_000 {
            let dropped = queue.put(letter("flood", nth)).map(to);
            assert_eq!(
                dropped,
                (nth >= 100).then(|| format!("p{nth}@flood.example")),
                "whoever floods loses their own"
            );
        }
        for nth in 0..3 {
            let dropped = queue.put(letter("acme", nth)).map(to).unwrap();
            assert_eq!(dropped, format!("p{}@flood.example", 99 - nth), "and makes room for others");
        }
        let mut came = Vec::new();
        for _ in 0..6 {
            came.push(to(queue.next().await));
        }
        let hers: Vec<_> = came.iter().filter(|to| to.ends_with("@acme.example")).cloned().collect();
        assert_eq!(hers, ["p0@acme.example", "p1@acme.example", "p2@acme.example"], "in their order: {came:?}");
    }

    #[tokio::test]
    async fn codes_that_a_stranger_asks_for_keep_no_notice_out() {
        let queue = Queue::new(10);
        let code = |nth: u64| {
            let (code, _) = email::draw(Timestamp::from_micros(0), &Fixed::new(nth + 1));
            Wanted::Code(Box::new(CodeWanted {
                tenant: TenantId::parse("acme").unwrap(),
                email: Email::parse(&format!("p{nth}@acme.example")).unwrap(),
                code,
                language: Language::English,
                invited: false,
                by: Doer::gateway(),
            }))
        };
        for nth in 0..20 {
            assert_eq!(queue.put(code(nth)).is_some(), nth >= 10);
        }
        for nth in 0..10 {
            let dropped = queue.put(letter("acme", nth)).unwrap();
            assert!(matches!(dropped, Wanted::Code(_)), "a notice made room for codes");
            assert!(matches!(queue.put(code(30)), Some(Wanted::Code(_))));
        }
        assert_eq!(
            queue.put(letter("acme", 99)).map(to).as_deref(),
            Some("p99@acme.example"),
            "notices alone: the youngest"
        );
        let came: Vec<_> = std::iter::from_fn(|| queue.next_now()).map(to).collect();
        assert_eq!(came, (0..10).map(|nth| format!("p{nth}@acme.example")).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn there_is_no_more_than_its_room_and_each_goes_once() {
        let queue = Queue::new(4);
        let tenants: Vec<_> = (0..9).map(|nth| format!("t{nth}")).collect();
        let dropped = tenants.iter().filter(|tenant| queue.put(letter(tenant, 0)).is_some()).count();
        assert_eq!(dropped, 5, "of equal lines none makes room");
        let mut came: Vec<_> = std::iter::from_fn(|| queue.next_now()).map(to).collect();
        came.dedup();
        assert_eq!(came, ["p0@t0.example", "p0@t1.example", "p0@t2.example", "p0@t3.example"]);
        assert!(queue.lines().of.is_empty() && queue.lines().turn.is_empty() && queue.lines().waiting == 0);
        // Who waits is told.
        let (waited, ()) = tokio::join!(queue.next(), async { drop(queue.put(letter("acme", 7))) });
        assert_eq!(to(waited), "p7@acme.example");
    }

    #[tokio::test]
    async fn what_no_hand_is_free_for_keeps_its_place_and_holds_nothing_up() {
        let queue = Queue::new(10);
        for (tenant, nth) in [("acme", 0), ("acme", 1), ("north", 0)] {
            assert!(queue.put(letter(tenant, nth)).is_none());
        }
        let but = |no: &'static str| {
            let hand = move |wanted: &Wanted| match wanted {
                Wanted::Letter(one) => (!one.user.email.starts_with(no)).then_some(no),
                Wanted::Code(_) => None,
            };
            queue.next_now_for(hand).map(|(wanted, hand)| (to(wanted), hand))
        };
        assert_eq!(but("p0"), Some(("p1@acme.example".to_owned(), "p0")), "the second of the line, with its hand");
        assert_eq!(but("p0"), None);
        let bell = queue.bell();
        let (waited, ()) = tokio::join!(queue.next(), async { bell.notify_one() });
        assert_eq!(to(waited), "p0@north.example", "whoever was passed over is next, after whoever has had a turn");
        assert!(
            !queue.is_empty() && queue.next_now().map(to).as_deref() == Some("p0@acme.example") && queue.is_empty()
        );
    }
}
