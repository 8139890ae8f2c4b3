//! What an app's addresses mean: method and canonical path become an action and a resource.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use cardea_core::{
    AppId, Diagnostic, Diagnostics,
    resources::{ActionRule, AppSpec, ResourceRule, Unmatched},
};
use cedar_policy_core::ast::{Entity, EntityUID, PartialValue, Value};
use matchit::Router;

use crate::{
    built_in::PREFLIGHT,
    words::{Kind, Words, bare},
};

/// The methods that have an action, and the group of each.
pub(crate) const METHODS: [(&str, Group); 7] = [
    ("GET", Group::Read),
    ("HEAD", Group::Read),
    ("OPTIONS", Group::Read),
    ("POST", Group::Write),
    ("PUT", Group::Write),
    ("PATCH", Group::Write),
    ("DELETE", Group::Write),
];

/// The two groups of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Group {
    Read,
    Write,
}

/// An app, compiled: types, ids and patterns are prepared once and looked up per request.
#[derive(Debug, Clone)]
pub struct AppModel {
    id: AppId,
    name: Arc<str>,
    entity: Arc<Entity>,
    methods: HashMap<&'static str, Method>,
    resources: Router<usize>,
    types: Vec<Type>,
    /// What a browser asks for a page of another origin, where the app declares `[cors]`.
    preflight: Option<Action>,
    unmatched: Unmatched,
}

/// A pattern's type of resource, and the names of the attributes that the pattern gives to it.
#[derive(Debug, Clone)]
struct Type {
    name: Arc<str>,
    kind: Kind,
    attributes: Vec<Arc<str>>,
}

#[derive(Debug, Clone)]
struct Method {
    action: Action,
    named: Router<Action>,
}

#[derive(Debug, Clone)]
struct Action {
    name: Arc<str>,
    group: Group,
    entity: Arc<Entity>,
}

/// What a request asks for, in the words of policies.
#[derive(Debug, Clone)]
pub struct Target {
    app: AppId,
    action: Action,
    kind: Arc<str>,
    id: Arc<str>,
    attributes: Vec<(Arc<str>, Arc<str>)>,
    of: Kind,
    app_entity: Arc<Entity>,
    /// Made once somebody asks: an answer that is kept needs none.
    resource: OnceLock<Arc<Entity>>,
}

impl AppModel {
    /// Compiles an app. Patterns that contradict each other are named.
    pub fn compile(spec: &AppSpec) -> Result<Self, Diagnostics> {
        let mut found = Diagnostics::default();
        let source = format!("apps/{}", spec.id);
        let mut types = Vec::new();
        let mut resources = Router::new();
        for rule in &spec.resources {
            insert(&mut resources, &source, &rule.pattern, types.len(), &mut found);
            match Kind::parse(&rule.kind) {
                Some(kind) => types.push(Type {
                    name: rule.kind.as_str().into(),
                    kind,
                    attributes: attributes_of(rule).map(Arc::from).collect(),
                }),
                None => found.push(Diagnostic::new(&source, format!("`{}` is not a type name", rule.kind))),
            }
        }
        let methods = METHODS
            .iter()
            .map(|&(name, group)| (name, Method::compile(name, group, &spec.actions, &source, &mut found)))
            .collect();
        let entity = bare(Words::shared().app.uid(spec.id.as_str()), []);
        let (id, name) = (spec.id.clone(), spec.id.as_str().into());
        let preflight = spec.cors.as_ref().map(|_| Action::new(PREFLIGHT, Group::Read));
        let unmatched = spec.unmatched;
        found.or_ok(Self { id, name, entity, methods, resources, types, preflight, unmatched })
    }

    /// An app of ours: no resource types, no named actions.
    pub(crate) fn plain(id: AppId) -> Self {
        let methods = METHODS.iter().map(|&(name, group)| (name, Method::plain(name, group))).collect();
        let entity = bare(Words::shared().app.uid(id.as_str()), []);
        let (name, resources, types) = (id.as_str().into(), Router::new(), Vec::new());
        Self { id, name, entity, methods, resources, types, preflight: None, unmatched: Unmatched::App }
    }

    /// The app's name.
    pub fn id(&self) -> &AppId {
        &self.id
    }

    /// Whether the method has an action; one that has none nobody may use.
    pub fn knows(&self, method: &str) -> bool {
        self.methods.contains_key(method)
    }

    /// What `method` at the canonical `path` asks for; `None` for a method that has no action, which nobody may use, and
    /// for an address that the app does not have.
    /// The most specific pattern that fits gives the resource; where none does, it is the app itself, or no address at all
    /// where the app says so.
    ///
    /// A slash at the end gives an address no other meaning: most services answer `/records/R-1/` as they do
    /// `/records/R-1`, so both are one resource and one action. Upper and lower case are different addresses.
    pub fn locate(&self, method: &str, path: &str) -> Option<Target> {
        let path = without_end_slash(path);
        let method = self.methods.get(method)?;
        let action = method.named.at(path).map_or(&method.action, |found| found.value);
        self.target(action, path)
    }

    /// What a preflight for the canonical `path` asks for; `None` where the app declares no `[cors]`, or has no such address.
    pub fn preflight(&self, path: &str) -> Option<Target> {
        self.target(self.preflight.as_ref()?, without_end_slash(path))
    }

    fn target(&self, action: &Action, path: &str) -> Option<Target> {
        let (app, action, app_entity) = (self.id.clone(), action.clone(), Arc::clone(&self.entity));
        let found = match self.resources.at(path) {
            Ok(found) => found,
            Err(_) if self.unmatched == Unmatched::Deny => return None,
            Err(_) => {
                let (kind, id, of) = (app_kind(), Arc::clone(&self.name), Words::shared().app.clone());
                let resource = Arc::clone(&app_entity).into();
                return Some(Target { app, action, kind, id, attributes: Vec::new(), of, app_entity, resource });
            }
        };
        let Type { name, kind, attributes } = self.types.get(*found.value)?;
        let id = [&self.name, path].concat().into();
        let name_of =
            |name: &str| attributes.iter().find(|known| ***known == *name).map_or_else(|| name.into(), Arc::clone);
        let attributes = found.params.iter().map(|(name, value)| (name_of(name), value.into())).collect();
        let (kind, of) = (Arc::clone(name), kind.clone());
        Some(Target { app, action, kind, id, attributes, of, app_entity, resource: OnceLock::new() })
    }
}

impl Method {
    fn plain(name: &'static str, group: Group) -> Self {
        Self { action: Action::new(name, group), named: Router::new() }
    }

    fn compile(name: &'static str, group: Group, rules: &[ActionRule], source: &str, found: &mut Diagnostics) -> Self {
        let mut method = Self::plain(name, group);
        for rule in rules.iter().filter(|rule| rule.method == name) {
            insert(&mut method.named, source, &rule.pattern, Action::new(&rule.action, group), found);
        }
        if name == "HEAD" {
            // It asks for what GET does, so it is the same act, unless the app names it itself. What contradicts
            // among the rules of GET is named there.
            for rule in rules.iter().filter(|rule| rule.method == "GET") {
                let _ = method.named.insert(without_end_slash(&rule.pattern), Action::new(&rule.action, group));
            }
        }
        method
    }
}

impl Action {
    fn new(name: &str, group: Group) -> Self {
        let words = Words::shared();
        let entity = bare(words.action.uid(name), [words.action.uid(group.name())]);
        Self { name: name.into(), group, entity }
    }
}

impl Group {
    /// Its name in policies.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// The group of a method.
    pub(crate) fn of(method: &str) -> Option<Self> {
        METHODS.iter().find(|(name, _)| *name == method).map(|(_, group)| *group)
    }
}

impl Target {
    /// The app asked.
    pub fn app(&self) -> &AppId {
        &self.app
    }

    /// The action's name: a method, or the name that the app gives to it.
    pub fn action(&self) -> &Arc<str> {
        &self.action.name
    }

    /// Whether the action reads or writes: `read` or `write`, the groups of actions that policies know.
    pub fn kind_of_action(&self) -> &'static str {
        self.action.group.name()
    }

    /// Whether a token of this scope is good for the action: it names the action, or all of its kind.
    pub fn is_in_scope(&self, scope: &[Arc<str>]) -> bool {
        scope.iter().any(|name| **name == *self.action.name || **name == *self.action.group.name())
    }

    /// The resource's type: `App` where no pattern fits.
    pub fn resource_type(&self) -> &Arc<str> {
        &self.kind
    }

    /// The resource's id: `records/studies/S-1`, or the app's name.
    pub fn resource_id(&self) -> &Arc<str> {
        &self.id
    }

    /// The attributes that the pattern gave to the resource.
    pub fn attributes(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.attributes.iter().map(|(name, value)| (name, value))
    }

    /// One of them.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().rfind(|(one, _)| **one == *name).map(|(_, value)| &**value)
    }

    pub(crate) fn action_entity(&self) -> &Arc<Entity> {
        &self.action.entity
    }

    pub(crate) fn resource_entity(&self) -> &Arc<Entity> {
        self.resource.get_or_init(|| {
            let given =
                |(name, value): &(Arc<str>, Arc<str>)| ((&**name).into(), PartialValue::Value(Value::from(&**value)));
            Arc::new(Entity::new_with_attr_partial_value(
                self.of.uid(&self.id),
                self.attributes.iter().map(given),
                std::collections::HashSet::new(),
                std::collections::HashSet::from([self.app_uid().clone()]),
                [],
            ))
        })
    }

    pub(crate) fn app_uid(&self) -> &EntityUID {
        self.app_entity.uid()
    }
}

/// The attributes that a pattern gives, in its order.
pub(crate) fn attributes_of(rule: &ResourceRule) -> impl Iterator<Item = &str> {
    rule.pattern
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| name.strip_prefix('*').unwrap_or(name))
}

/// Path patterns outside of the model, read as the model reads its own: an address has one meaning.
#[derive(Debug, Clone)]
pub struct Patterns<T>(Router<T>);

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self(Router::new())
    }
}

impl<T> Patterns<T> {
    /// Adds one; `source` names where it was read. Patterns that contradict each other are named.
    pub fn insert(&mut self, source: &str, pattern: &str, value: T, found: &mut Diagnostics) {
        insert(&mut self.0, source, pattern, value, found);
    }

    /// What the most specific pattern that fits the canonical `path` stands for.
    pub fn at(&self, path: &str) -> Option<&T> {
        self.0.at(without_end_slash(path)).ok().map(|found| found.value)
    }
}

fn insert<T>(router: &mut Router<T>, source: &str, pattern: &str, value: T, found: &mut Diagnostics) {
    if router.insert(without_end_slash(pattern), value).is_err() {
        found.push(
            Diagnostic::new(source, format!("pattern `{pattern}` fits the same addresses as one before it"))
                .help("keep one of the two: an address has one meaning"),
        );
    }
}

/// An address or pattern as it is compared: without the slash at its end, if it is more than that.
fn without_end_slash(path: &str) -> &str {
    path.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(path)
}

fn app_kind() -> Arc<str> {
    static KIND: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| "App".into());
    Arc::clone(&KIND)
}
