//! Letters that wait: a line for each tenant, and one letter of each in turn. So whoever fills one tenant's line, with
//! codes for its people say, keeps no other tenant's letters out, and keeps them waiting for one letter at the most.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use cardea_core::TenantId;
use tokio::sync::Notify;

use super::Wanted;

/// The lines, with room for so many letters in all.
pub(super) struct Queue {
    lines: Mutex<Lines>,
    room: usize,
    more: Notify,
}

#[derive(Default)]
struct Lines {
    /// None is empty.
    of: HashMap<TenantId, VecDeque<Wanted>>,
    /// Whose turn it is: each tenant that has a line, once.
    turn: VecDeque<TenantId>,
    waiting: usize,
}

impl Queue {
    pub(super) fn new(room: usize) -> Self {
        Self { lines: Mutex::default(), room, more: Notify::new() }
    }

    /// Puts a letter at the end of its tenant's line. Where there is no room, the longest line gives up its youngest code, or
    /// where it has none its youngest letter, which is returned: this one, where no line is longer than its own. A code that
    /// does not come is asked for again; what happened to an account is told once, and a stranger can ask for codes at will.
    pub(super) fn put(&self, wanted: Wanted) -> Option<Wanted> {
        let mut lines = self.lines();
        let tenant = wanted.tenant().clone();
        lines.put(wanted);
        let dropped = if lines.waiting > self.room { lines.give_up(&tenant) } else { None };
        drop(lines);
        self.more.notify_one();
        dropped
    }

    /// The next letter, as soon as there is one. Who is stopped while waiting has taken none.
    pub(super) async fn next(&self) -> Wanted {
        loop {
            if let Some(wanted) = self.next_now() {
                return wanted;
            }
            self.more.notified().await;
        }
    }

    /// The next letter, if one waits.
    pub(super) fn next_now(&self) -> Option<Wanted> {
        self.lines().next()
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn put(&mut self, wanted: Wanted) {
        let tenant = wanted.tenant();
        if !self.of.contains_key(tenant) {
            self.turn.push_back(tenant.clone());
        }
        self.of.entry(tenant.clone()).or_default().push_back(wanted);
        self.waiting += 1;
    }

    fn next(&mut self) -> Option<Wanted> {
        let tenant = self.turn.pop_front()?;
        let wanted = self.of.get_mut(&tenant)?.pop_front()?;
        self.waiting -= 1;
        if self.of.get(&tenant).is_some_and(VecDeque::is_empty) {
            self.of.remove(&tenant);
        } else {
            self.turn.push_back(tenant);
        }
        Some(wanted)
    }

    /// The youngest code of the longest line, else its youngest letter; of two lines, that of whoever came last.
    fn give_up(&mut self, came_last: &TenantId) -> Option<Wanted> {
        let longest = self.of.iter().max_by_key(|(tenant, line)| (line.len(), *tenant == came_last))?.0.clone();
        let line = self.of.get_mut(&longest)?;
        let code = line.iter().rposition(|wanted| matches!(wanted, Wanted::Code(_)));
        let wanted = line.remove(code.unwrap_or(line.len() - 1))?;
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

    use super::{
        super::{Addressed, CodeWanted, Letter, Notice},
        *,
    };
    use crate::house::Doer;
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
}
