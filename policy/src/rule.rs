//! One policy, read and prepared: its id, layer, scope, and what it asks beyond that as one expression.

use std::sync::Arc;

use cedar_policy_core::ast::{
    ActionConstraint, Effect, Entity, EntityReference, EntityType, EntityUID, Expr, ExprKind,
    PrincipalOrResourceConstraint, StaticPolicy, Var,
};

use crate::{Question, schema::CONTEXT};

/// Whose policy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Layer {
    BuiltIn,
    /// What is built in of a tenant's own settings: the least assurance for its apps and its console, and preflights of the
    /// apps that declare `[cors]`.
    Setting,
    GuardRail,
    Tenant,
}

/// A policy, ready to be evaluated and indexed.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) id: Arc<str>,
    pub(crate) layer: Layer,
    pub(crate) effect: Effect,
    /// Its Cedar source.
    pub(crate) text: Arc<str>,
    pub(crate) policy: StaticPolicy,
    /// What it asks beyond its scope, `when` and `unless` together; none where the scope is all.
    pub(crate) condition: Option<Expr>,
    pub(crate) principal: Scope,
    pub(crate) action: Option<Vec<EntityUID>>,
    /// Whether an action within one of these fits too (`in`), and not only these themselves (`==`).
    action_within: bool,
    pub(crate) resource: Scope,
    pub(crate) needs: Needs,
    pub(crate) reads: Reads,
}

/// What a scope asks of the principal or the resource, as far as an index can use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    /// It is this entity, or within it.
    pub(crate) anchor: Option<EntityUID>,
    /// Whether being within it is enough (`in`), or it must be the entity itself (`==`).
    within: bool,
    /// It is of this type.
    pub(crate) kind: Option<EntityType>,
}

/// Which attributes of the context a policy mentions, one bit each; building the others would be for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Needs(u16);

/// What a policy's condition reads of the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reads {
    /// These attributes, and nothing else of it.
    Attributes(Vec<Arc<str>>),
    /// It itself: what it is or is within, or more than its attributes.
    Whole,
}

impl Layer {
    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::BuiltIn | Self::Setting => "built-in",
            Self::GuardRail => "guard-rail",
            Self::Tenant => "tenant",
        }
    }

    /// What stands before the ids of its policies, so that no layer can speak in another's name.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::BuiltIn | Self::Setting => "built-in/",
            Self::GuardRail => "guard-rail/",
            Self::Tenant => "",
        }
    }
}

impl Rule {
    pub(crate) fn new(id: Arc<str>, layer: Layer, text: &str, policy: StaticPolicy) -> Self {
        let whole = policy.condition();
        // A slot cannot stand in a static policy. Were one to appear, evaluating the whole would fail, and so deny.
        let slotted = whole.slots().next().is_some();
        let condition = if slotted { Some(whole) } else { policy.non_scope_constraints().cloned() };
        Self {
            id,
            layer,
            effect: policy.effect(),
            text: text.into(),
            principal: Scope::of(policy.principal_constraint().as_inner()),
            action: actions(policy.action_constraint()),
            action_within: matches!(policy.action_constraint(), ActionConstraint::In(_)),
            resource: Scope::of(policy.resource_constraint().as_inner()),
            needs: condition.as_ref().map_or_else(Needs::default, Needs::of),
            reads: condition.as_ref().map_or_else(Reads::nothing, Reads::of),
            condition,
            policy,
        }
    }

    /// Whether its scope holds. It is looked up and compared here, which says the same as Cedar's evaluator does of the
    /// scope's expression, only sooner: all that an entity is within stands in the entity itself.
    pub(crate) fn fits(&self, question: &Question<'_>) -> bool {
        let action = question.target.action_entity();
        let acts = |uid: &EntityUID| uid == action.uid() || self.action_within && action.is_descendant_of(uid);
        self.action.as_ref().is_none_or(|uids| uids.iter().any(acts))
            && self.principal.holds(&question.principal.entity)
            && self.resource.holds(question.target.resource_entity())
    }

    /// Whether its scope names neither a principal nor a resource, so that no slice can leave it out.
    pub(crate) fn is_open(&self) -> bool {
        self.principal.anchor.is_none() && self.resource.anchor.is_none()
    }
}

impl Scope {
    fn of(constraint: &PrincipalOrResourceConstraint) -> Self {
        use PrincipalOrResourceConstraint as C;
        let anchor = match constraint {
            C::In(EntityReference::EUID(uid))
            | C::Eq(EntityReference::EUID(uid))
            | C::IsIn(_, EntityReference::EUID(uid)) => Some((**uid).clone()),
            // A slot cannot stand in a static policy; were one to appear, the policy would be in every slice.
            _ => None,
        };
        let kind = match constraint {
            C::Is(kind) | C::IsIn(kind, _) => Some((**kind).clone()),
            _ => None,
        };
        let within = !matches!(constraint, C::Eq(_));
        Self { anchor, within, kind }
    }

    fn holds(&self, entity: &Entity) -> bool {
        let fits = |anchor: &EntityUID| anchor == entity.uid() || self.within && entity.is_descendant_of(anchor);
        self.admits(entity.uid().entity_type()) && self.anchor.as_ref().is_none_or(fits)
    }

    /// Whether an entity of type `kind` can fit.
    pub(crate) fn admits(&self, kind: &EntityType) -> bool {
        self.kind.as_ref().is_none_or(|own| own == kind)
    }
}

fn actions(constraint: &ActionConstraint) -> Option<Vec<EntityUID>> {
    match constraint {
        ActionConstraint::Any => None,
        ActionConstraint::Eq(uid) => Some(vec![(**uid).clone()]),
        ActionConstraint::In(uids) => Some(uids.iter().map(|uid| (**uid).clone()).collect()),
        #[allow(unreachable_patterns, reason = "one more variant exists when Cedar's tolerant parser is compiled in")]
        _ => None,
    }
}

impl Needs {
    /// Everything.
    pub(crate) const ALL: Self = Self(u16::MAX);

    /// What `expr` mentions. Where it uses the context otherwise than by a named attribute, that is everything.
    fn of(expr: &Expr) -> Self {
        let Some(named) = attributes_read(expr, Var::Context) else { return Self::ALL };
        let places = named.iter().filter_map(|attr| CONTEXT.iter().position(|(name, _)| **attr == **name));
        places.fold(Self::default(), |needs, nth| Self(needs.0 | 1 << nth))
    }

    /// Both together.
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the attribute at that place of [`CONTEXT`] is needed.
    pub(crate) const fn has(self, nth: usize) -> bool {
        self.0 & (1 << nth) != 0
    }
}

impl Reads {
    pub(crate) const fn nothing() -> Self {
        Self::Attributes(Vec::new())
    }

    fn of(expr: &Expr) -> Self {
        attributes_read(expr, Var::Resource).map_or(Self::Whole, |named| Self::Attributes(named).tidy())
    }

    /// Both together.
    pub(crate) fn with(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Attributes(mut all), Self::Attributes(more)) => {
                all.extend_from_slice(more);
                Self::Attributes(all).tidy()
            }
            _ => Self::Whole,
        }
    }

    fn tidy(mut self) -> Self {
        if let Self::Attributes(all) = &mut self {
            all.sort_unstable();
            all.dedup();
        }
        self
    }
}

/// The attributes of `var` that `expr` reads or asks for; `None` where it uses `var` in any other way.
fn attributes_read(expr: &Expr, var: Var) -> Option<Vec<Arc<str>>> {
    let is_var = |expr: &Expr| matches!(expr.expr_kind(), ExprKind::Var(found) if *found == var);
    let (mut named, mut seen) = (Vec::new(), 0_usize);
    for part in expr.subexpressions() {
        match part.expr_kind() {
            ExprKind::Var(found) if *found == var => seen += 1,
            ExprKind::GetAttr { expr, attr } | ExprKind::HasAttr { expr, attr } if is_var(expr) => {
                named.push(attr.as_str().into());
            }
            ExprKind::ExtHasAttr { expr, attrs } if is_var(expr) => named.push(attrs.first().as_str().into()),
            _ => {}
        }
    }
    (seen == named.len()).then_some(named)
}
