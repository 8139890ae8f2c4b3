//! What is held until a time, found by its name and by that time: letting go of what is over costs what is let go of, however much is
//! held.

use std::{
    borrow::Borrow,
    collections::{BTreeSet, HashMap},
    hash::Hash,
};

use cardea_core::Timestamp;

/// Values by their names, each until a time of its own. INVARIANT: each name that is held stands once in the order of time, with its own.
pub(super) struct Timed<K, V> {
    held: HashMap<K, (Timestamp, V)>,
    by_time: BTreeSet<(Timestamp, K)>,
}

// By hand: names and values need no default.
impl<K, V> Default for Timed<K, V> {
    fn default() -> Self {
        Self { held: HashMap::new(), by_time: BTreeSet::new() }
    }
}

impl<K: Clone + Eq + Hash + Ord, V> Timed<K, V> {
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn holds<Q: Eq + Hash + ?Sized>(&self, name: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.held.contains_key(name)
    }

    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, name: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.held.get(name).map(|(_, value)| value)
    }

    pub(super) fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, name: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.held.get_mut(name).map(|(_, value)| value)
    }

    /// A value with the time until which it is held.
    pub(super) fn until<Q: Eq + Hash + ?Sized>(&self, name: &Q) -> Option<(Timestamp, &V)>
    where
        K: Borrow<Q>,
    {
        self.held.get(name).map(|(until, value)| (*until, value))
    }

    /// Holds a value until then, and gives back what was held under that name, with its time.
    pub(super) fn insert(&mut self, name: K, until: Timestamp, value: V) -> Option<(Timestamp, V)> {
        let before = self.held.insert(name.clone(), (until, value));
        if let Some((stood, _)) = &before {
            self.by_time.remove(&(*stood, name.clone()));
        }
        self.by_time.insert((until, name));
        before
    }

    pub(super) fn remove<Q: Eq + Hash + ?Sized>(&mut self, name: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let (name, (until, value)) = self.held.remove_entry(name)?;
        self.by_time.remove(&(until, name));
        Some(value)
    }

    /// Lets go of the one that is over first.
    pub(super) fn pop(&mut self) -> Option<(K, V)> {
        let (_, name) = self.by_time.pop_first()?;
        let (_, value) = self.held.remove(&name)?;
        Some((name, value))
    }

    /// Lets go of the one that is over first, if it is over by then.
    pub(super) fn pop_over(&mut self, by: Timestamp) -> Option<(K, V)> {
        self.by_time.first().filter(|(until, _)| *until <= by)?;
        self.pop()
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &K> {
        self.held.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn what_is_over_goes_in_the_order_of_time_and_what_was_put_off_stays() {
        let mut held = Timed::default();
        for (name, until) in [("c", 3), ("a", 1), ("b", 2), ("d", 4)] {
            assert_eq!(held.insert(name, at(until), until), None);
        }
        assert_eq!(held.insert("a", at(9), 9), Some((at(1), 1)), "put off");
        assert_eq!(held.remove("b"), Some(2));
        assert_eq!(held.remove("b"), None);
        assert_eq!(held.pop_over(at(2)), None, "nothing stands there any more");
        assert_eq!(held.pop_over(at(4)), Some(("c", 3)));
        assert_eq!(held.pop_over(at(4)), Some(("d", 4)));
        assert_eq!(held.pop_over(at(8)), None);
        assert_eq!((held.len(), held.until("a")), (1, Some((at(9), &9))));
        assert_eq!(held.pop(), Some(("a", 9)));
        assert!(held.is_empty() && held.pop().is_none() && !held.holds("a"));
    }
}
