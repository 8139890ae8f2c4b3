//! Answers kept with a caller. Most policies ask little: a group, an action, at most an attribute or the assurance. While
//! all that they read stays the same, so does their answer, and asking them again would be for nothing.
//!
//! INVARIANT: an answer rests on the engine, the caller, the action, and of resource and context on what the policies at
//! hand read. The first three choose the shelf, the rest is the answer's key, value by value; whatever moves by itself
//! (the time, the age of a sign-in) is never kept. A property test holds what is kept against asking again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, TryLockError},
};

use cardea_core::Assurance;
use cedar_policy_core::ast::Entity;

use crate::{
    Question, Target, Verdict,
    rule::{Needs, Reads, Rule},
    schema::CONTEXT,
};

/// A caller's answers. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<Shelf>>>);

/// Names an engine for good: two are never the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mark(Arc<()>);

/// The answers to one action on one type of resource.
#[derive(Debug)]
struct Shelf {
    engine: Mark,
    action: Arc<Entity>,
    kind: Arc<str>,
    /// What is read; `None` where answers cannot be kept.
    read: Option<Read>,
    answers: HashMap<Box<[u8]>, Verdict>,
}

/// What the policies at hand read of resource and context.
#[derive(Debug, Clone)]
struct Read {
    context: Needs,
    resource: Reads,
}

/// The most shelves of one caller, the most answers on each, the longest key, the most policies of an answer: with all that is around them at most
/// some hundred kilobytes, and usually one. What is full is emptied, since a caller who asks for so much that differs
/// gains nothing by it.
const SHELVES: usize = 16;
const ANSWERS: usize = 32;
const LONGEST: usize = 256;
const MOST: usize = 8;

impl Kept {
    /// The answer that is kept, or else that of `decide`, which also tells the rules that it asked; `single` says
    /// whether a scope tells resources of this type from each other.
    pub(crate) fn answer<'r>(
        &self,
        engine: &Mark,
        question: &Question<'_>,
        single: impl FnOnce() -> bool,
        decide: impl FnOnce() -> (Verdict, Vec<&'r Rule>),
    ) -> Verdict {
        let mut shelves = match self.0.try_lock() {
            Ok(shelves) => shelves,
            Err(TryLockError::Poisoned(broken)) => broken.into_inner(),
            // Another request of this caller is at it: asking costs less than waiting.
            Err(TryLockError::WouldBlock) => return decide().0,
        };
        let found = shelves.iter_mut().find(|shelf| shelf.is_for(engine, question.target));
        let key = found.as_ref().and_then(|shelf| shelf.read.as_ref()?.key(question));
        if let Some((shelf, key)) = found.as_ref().zip(key.as_ref())
            && let Some(verdict) = shelf.answers.get(&**key)
        {
            return verdict.clone();
        }
        if found.as_ref().is_some_and(|shelf| shelf.read.is_none()) {
            drop(shelves);
            return decide().0;
        }
        let (verdict, rules) = decide();
        match found {
            Some(shelf) => shelf.keep(key, &verdict),
            None => {
                let read = if single() { None } else { Read::of(&rules) };
                let mut shelf = Shelf::new(engine, question.target, read);
                let key = shelf.read.as_ref().and_then(|read| read.key(question));
                shelf.keep(key, &verdict);
                if shelves.len() >= SHELVES {
                    shelves.clear();
                }
                shelves.push(shelf);
            }
        }
        verdict
    }

    /// How many answers are kept.
    #[cfg(test)]
    pub(crate) fn answers(&self) -> usize {
        self.0.lock().unwrap().iter().map(|shelf| shelf.answers.len()).sum()
    }
}

impl Shelf {
    fn new(engine: &Mark, target: &Target, read: Option<Read>) -> Self {
        let (action, kind) = (Arc::clone(target.action_entity()), Arc::clone(target.resource_type()));
        Self { engine: engine.clone(), action, kind, read, answers: HashMap::new() }
    }

    /// By address: an app's actions and types are made once per engine, and stay while they are held here.
    fn is_for(&self, engine: &Mark, target: &Target) -> bool {
        Arc::ptr_eq(&self.engine.0, &engine.0)
            && Arc::ptr_eq(&self.action, target.action_entity())
            && Arc::ptr_eq(&self.kind, target.resource_type())
    }

    fn keep(&mut self, key: Option<Box<[u8]>>, verdict: &Verdict) {
        let Some(key) = key.filter(|_| verdict.errors.is_empty() && verdict.determined_by.len() <= MOST) else {
            return;
        };
        if self.answers.len() >= ANSWERS {
            self.answers.clear();
        }
        self.answers.insert(key, verdict.clone());
    }
}

impl Read {
    /// What these rules read together; `None` where one of them reads what moves by itself.
    fn of(rules: &[&Rule]) -> Option<Self> {
        let context = rules.iter().fold(Needs::default(), |needs, rule| needs.with(rule.needs));
        let resource = rules.iter().fold(Reads::nothing(), |reads, rule| reads.with(&rule.reads));
        let moves = CONTEXT.iter().enumerate().any(|(nth, (name, _))| MOVING.contains(name) && context.has(nth));
        (!moves).then_some(Self { context, resource })
    }

    /// Every value read, each with its length before it, so that no two questions have one key by running together.
    fn key(&self, question: &Question<'_>) -> Option<Box<[u8]>> {
        let mut key = Vec::with_capacity(64);
        match &self.resource {
            Reads::Whole => put(&mut key, Some(question.target.resource_id().as_bytes())),
            Reads::Attributes(names) => {
                for name in names {
                    put(&mut key, question.target.attribute(name).map(str::as_bytes));
                }
            }
        }
        let facts = &question.facts;
        for (_, (name, _)) in CONTEXT.iter().enumerate().filter(|(nth, _)| self.context.has(*nth)) {
            match *name {
                "assurance" => key.push(facts.assurance.map_or(0, Assurance::level)),
                "factors" => {
                    key.extend(facts.factors.len().to_le_bytes());
                    facts.factors.iter().for_each(|factor| put(&mut key, Some(factor.as_bytes())));
                }
                "client" => put(&mut key, Some(facts.client.to_canonical().to_string().as_bytes())),
                "method" => put(&mut key, Some(facts.method.as_bytes())),
                "host" => put(&mut key, Some(facts.host.as_bytes())),
                "path" => put(&mut key, Some(facts.path.as_bytes())),
                "client_id" => put(&mut key, Some(facts.client_id.as_bytes())),
                "scope" => {
                    key.extend(facts.scope.len().to_le_bytes());
                    facts.scope.iter().for_each(|name| put(&mut key, Some(name.as_bytes())));
                }
                _ => return None,
            }
        }
        (key.len() <= LONGEST).then(|| key.into())
    }
}

/// What is another at each request.
const MOVING: [&str; 2] = ["signed_in", "time"];

fn put(key: &mut Vec<u8>, value: Option<&[u8]>) {
    let length = value.map_or(u64::MAX, |value| value.len() as u64);
    key.extend(length.to_le_bytes());
    key.extend(value.unwrap_or_default());
}
