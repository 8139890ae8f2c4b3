//! What waits to be handed over beside all requests, letters say: a line for each tenant, and one of each in turn. So whoever fills one
//! tenant's line, with codes for its people say, keeps nothing of another tenant out, and keeps it waiting for one at the most. Within a
//! line it is the same for whoever has a share of it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cardea_core::TenantId;
use tokio::{sync::Notify, time::Instant};

mod lines;

use lines::Lines;

/// What may wait in a line.
pub(crate) trait Waits {
    /// Who has a share of a line of its own.
    type Share: Clone + Eq + std::hash::Hash;

    /// Whose line it waits in.
    fn tenant(&self) -> &TenantId;

    /// Whose share of it.
    fn share(&self) -> Self::Share;

    /// Whether it gives way to others of its line, where that has to give something up.
    fn gives_way(&self) -> bool {
        false
    }

    /// When it is its turn again, where it rests.
    fn due(&self) -> Option<Instant> {
        None
    }
}

/// The lines, with room for so much in all.
pub(crate) struct Queue<W: Waits> {
    lines: Mutex<Lines<W>>,
    room: usize,
    more: Arc<Notify>,
}

impl<W: Waits> Queue<W> {
    pub(crate) fn new(room: usize) -> Self {
        Self { lines: Mutex::default(), room, more: Arc::default() }
    }

    /// Puts something behind all that waits in its share. Where there is no room, the longest line gives up the youngest of its longest
    /// share, of what gives way if there is any, which is returned: this one, where none is longer than its own.
    pub(crate) fn put(&self, wanted: W) -> Option<W> {
        self.put_at(wanted, VecDeque::push_back)
    }

    /// The same before all that waits in its share: for what had its turn, and rests.
    pub(crate) fn put_first(&self, wanted: W) -> Option<W> {
        self.put_at(wanted, VecDeque::push_front)
    }

    fn put_at(&self, wanted: W, place: fn(&mut VecDeque<W>, W)) -> Option<W> {
        let mut lines = self.lines();
        let (tenant, share) = (wanted.tenant().clone(), wanted.share());
        lines.put(wanted, place);
        let dropped = if lines.waiting > self.room { lines.give_up(&tenant, &share) } else { None };
        drop(lines);
        self.more.notify_one();
        dropped
    }

    /// The next, as soon as there is one. Who is stopped while waiting has taken none.
    pub(crate) async fn next(&self) -> W {
        loop {
            if let Some(wanted) = self.next_now() {
                return wanted;
            }
            self.more.notified().await;
        }
    }

    /// The next that waits, though it rests.
    pub(crate) fn next_now(&self) -> Option<W> {
        self.lines().next(&|_| Some(())).map(|(wanted, ())| wanted)
    }

    /// The next that does not rest and for which `hand` gives one; else when the first that rests is due. A share of which the oldest
    /// gets no hand is passed over, and looked at again when it is told by [`Queue::bell`].
    pub(crate) fn next_for<H>(&self, hand: impl Fn(&W) -> Option<H>, now: Instant) -> Result<(W, H), Option<Instant>> {
        let mut lines = self.lines();
        lines.next_due(&hand, now).ok_or_else(|| lines.due_after(now))
    }

    /// Waits until it is worth looking again: something came or was told by [`Queue::bell`], or it is `due`.
    pub(crate) async fn changed(&self, due: Option<Instant>) {
        match due {
            Some(due) => drop(tokio::time::timeout_at(due, self.more.notified()).await),
            None => self.more.notified().await,
        }
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
        self.lines().tenants()
    }

    fn lines(&self) -> MutexGuard<'_, Lines<W>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        assert!(queue.is_empty() && queue.tenants().is_empty());
        // Who waits is told.
        let (waited, ()) = tokio::join!(queue.next(), async { drop(queue.put(letter("acme", 7))) });
        assert_eq!(to(waited), "p7@acme.example");
    }

    /// Something of one of a tenant's apps.
    #[derive(Debug, PartialEq, Eq)]
    struct Word(TenantId, &'static str, u32, Option<Instant>);

    impl Word {
        fn due_at(self, due: Instant) -> Self {
            Self(self.0, self.1, self.2, Some(due))
        }
    }

    impl Waits for Word {
        type Share = &'static str;

        fn tenant(&self) -> &TenantId {
            &self.0
        }

        fn share(&self) -> &'static str {
            self.1
        }

        fn due(&self) -> Option<Instant> {
            self.3
        }
    }

    fn word(tenant: &str, app: &'static str, nth: u32) -> Word {
        Word(TenantId::parse(tenant).unwrap(), app, nth, None)
    }

    #[tokio::test]
    async fn what_no_hand_is_free_for_keeps_its_place_and_holds_nothing_up() {
        let (queue, now) = (Queue::new(10), Instant::now());
        for (tenant, app, nth) in [("acme", "dead", 0), ("acme", "dead", 1), ("acme", "well", 0), ("north", "well", 0)]
        {
            assert!(queue.put(word(tenant, app, nth)).is_none());
        }
        let asked = std::cell::RefCell::new(Vec::new());
        let but_dead = |wanted: &Word| {
            asked.borrow_mut().push(wanted.2);
            (wanted.1 != "dead").then_some("a hand")
        };
        assert_eq!(
            queue.next_for(but_dead, now),
            Ok((word("acme", "well", 0), "a hand")),
            "its neighbour, with a hand"
        );
        assert_eq!(asked.take(), [0, 0], "the second of those that get none was looked at");
        assert_eq!(queue.next_for(but_dead, now).map(|(wanted, _)| wanted), Ok(word("north", "well", 0)));
        assert_eq!(queue.next_for(but_dead, now), Err(None), "nothing rests");
        let bell = queue.bell();
        tokio::join!(queue.changed(None), async { bell.notify_one() });
        assert!((0..2).all(|nth| queue.next_now() == Some(word("acme", "dead", nth))) && queue.is_empty());
    }

    #[tokio::test]
    async fn what_rests_waits_until_it_is_due_and_before_those_that_came_later() {
        let (queue, now) = (Queue::new(10), Instant::now());
        let (soon, later) = (now + Duration::from_secs(1), now + Duration::from_secs(5));
        let hand = |_: &Word| Some(());
        let next = |now| queue.next_for(hand, now).map(|(Word(_, _, nth, _), ())| nth);
        for nth in 1..3 {
            assert!(queue.put(word("acme", "dead", nth)).is_none());
        }
        for (nth, due) in [(0, soon), (9, later)] {
            assert!(queue.put_first(word("acme", "dead", nth).due_at(due)).is_none());
        }
        assert_eq!((next(now), next(soon), next(soon)), (Ok(1), Ok(0), Ok(2)), "of those that are due the oldest");
        assert_eq!(next(soon), Err(Some(later)));
        assert_eq!(next(later), Ok(9));
        assert!(queue.put_first(word("acme", "dead", 3).due_at(later)).is_none());
        assert_eq!(queue.next_now().map(|one| one.2), Some(3), "at the end nothing rests");
        // Time passes, and nobody rings.
        queue.changed(Some(now)).await;
        queue.changed(Some(now)).await;
    }

    #[test]
    fn whoever_fills_a_line_keeps_nothing_of_its_neighbours_out() {
        let queue = Queue::new(10);
        for nth in 0..20 {
            let dropped = queue.put(word("acme", "dead", nth));
            assert_eq!(dropped, (nth >= 10).then(|| word("acme", "dead", nth)), "whoever floods loses their own");
        }
        for (nth, app) in (0..).zip(["well", "well", "third"]) {
            assert_eq!(queue.put(word("acme", app, nth)), Some(word("acme", "dead", 9 - nth)), "and makes room");
        }
        // A rest is no way round: what comes back finds room as what comes does.
        let rests = word("acme", "dead", 30);
        assert_eq!(queue.put_first(rests), Some(word("acme", "dead", 6)));
        let came: Vec<_> = std::iter::from_fn(|| queue.next_now()).map(|one| (one.1, one.2)).collect();
        let first = [("dead", 30), ("well", 0), ("third", 2), ("dead", 0), ("well", 1), ("dead", 1)];
        assert_eq!(came[..6], first, "each in turn, and in its order");
        assert_eq!(came.len(), 10);
    }
}
