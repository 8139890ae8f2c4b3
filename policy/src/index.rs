//! Finds the policies that can match a question, so that those which cannot cost nothing.
//!
//! INVARIANT: a policy that is left out has a scope that does not hold, and a scope cannot fail to evaluate: leaving it
//! out changes neither the verdict nor its errors. A property test holds the index against the whole set.

use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_policy_core::ast::{Entity, EntityType, EntityUID};

use crate::rule::Rule;

/// Rules by resource, then action, then principal.
#[derive(Debug, Default)]
pub(crate) struct Index {
    resources: Fan<Fan<Bucket>>,
    /// Principals and groups that some scope names, numbered: a question looks each of its own up once.
    principals: HashMap<EntityUID, u32>,
    /// The types of which some scope names a single entity, or what is within one.
    singled_out: HashSet<EntityType>,
    open: usize,
}

/// What is asked of any entity, and what of a certain one.
#[derive(Debug, Default)]
struct Fan<T> {
    any: T,
    one: HashMap<EntityUID, T>,
}

#[derive(Debug, Default)]
struct Bucket {
    /// Rules for whichever principal.
    open: Vec<u32>,
    /// Rules for one principal or group, by its number.
    by_principal: BTreeMap<u32, Vec<u32>>,
}

/// The parts of a question that scopes speak of.
pub(crate) struct Asked<'a> {
    /// The resource and all that it is within.
    pub(crate) resources: [&'a EntityUID; 2],
    /// The action and the group that it is in.
    pub(crate) actions: [&'a EntityUID; 2],
    /// The principal, within its groups.
    pub(crate) principal: &'a Entity,
    pub(crate) resource_kind: &'a EntityType,
}

impl Index {
    /// Indexes those of `rules` that `wanted` takes; their places in `rules` are their numbers.
    pub(crate) fn build(rules: &[Rule], wanted: impl Fn(&Rule) -> bool) -> Self {
        let mut index = Self::default();
        for (nth, rule) in (0..).zip(rules) {
            if wanted(rule) {
                index.insert(nth, rule);
            }
        }
        index
    }

    fn insert(&mut self, nth: u32, rule: &Rule) {
        self.open += usize::from(rule.is_open());
        self.singled_out.extend(rule.resource.anchor.as_ref().map(|uid| uid.entity_type().clone()));
        let next = u32::try_from(self.principals.len()).unwrap_or(u32::MAX);
        let principal = rule.principal.anchor.clone().map(|uid| *self.principals.entry(uid).or_insert(next));
        let by_action = self.resources.of(rule.resource.anchor.as_ref());
        match &rule.action {
            None => by_action.any.insert(nth, principal),
            Some(uids) => uids.iter().for_each(|uid| by_action.of(Some(uid)).insert(nth, principal)),
        }
    }

    /// How many rules are in every slice.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Whether some scope tells entities of that type from each other.
    pub(crate) fn singles_out(&self, kind: &EntityType) -> bool {
        self.singled_out.contains(kind)
    }

    /// The rules whose scope can hold, in the order of their numbers.
    pub(crate) fn candidates(&self, rules: &[Rule], asked: &Asked<'_>) -> Vec<u32> {
        let uids = std::iter::once(asked.principal.uid()).chain(asked.principal.ancestors());
        let principals: Vec<u32> = uids.filter_map(|uid| self.principals.get(uid).copied()).collect();
        let kind = asked.principal.uid().entity_type();
        let mut found = self.collect(&asked.resources, &asked.actions, Some(&principals));
        found.retain(|nth| {
            rules
                .get(*nth as usize)
                .is_some_and(|rule| rule.principal.admits(kind) && rule.resource.admits(asked.resource_kind))
        });
        found
    }

    /// The rules whose resource and action can hold, whoever asks: what an administrator wants to see after a deny.
    pub(crate) fn near(&self, rules: &[Rule], asked: &Asked<'_>) -> Vec<u32> {
        let mut found = self.collect(&asked.resources, &asked.actions, None);
        found.retain(|nth| rules.get(*nth as usize).is_some_and(|rule| rule.resource.admits(asked.resource_kind)));
        found
    }

    fn collect(&self, resources: &[&EntityUID; 2], actions: &[&EntityUID; 2], principals: Option<&[u32]>) -> Vec<u32> {
        let mut found = Vec::with_capacity(8);
        for by_action in self.resources.fitting(resources) {
            for bucket in by_action.fitting(actions) {
                bucket.collect(principals, &mut found);
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

impl<T: Default> Fan<T> {
    fn of(&mut self, uid: Option<&EntityUID>) -> &mut T {
        match uid {
            None => &mut self.any,
            Some(uid) => self.one.entry(uid.clone()).or_default(),
        }
    }

    fn fitting<'a>(&'a self, uids: &[&EntityUID; 2]) -> impl Iterator<Item = &'a T> {
        // An app asked as itself is both the resource and what it is within: met once is enough, twice does no harm.
        std::iter::once(&self.any).chain(self.one.get(uids[0])).chain(self.one.get(uids[1]))
    }
}

impl Bucket {
    fn insert(&mut self, nth: u32, principal: Option<u32>) {
        match principal {
            None => self.open.push(nth),
            Some(principal) => self.by_principal.entry(principal).or_default().push(nth),
        }
    }

    fn collect(&self, principals: Option<&[u32]>, into: &mut Vec<u32>) {
        into.extend(&self.open);
        match principals {
            None => into.extend(self.by_principal.values().flatten()),
            Some(principals) => into.extend(principals.iter().filter_map(|one| self.by_principal.get(one)).flatten()),
        }
    }
}
