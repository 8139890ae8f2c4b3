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
pub(crate) struct Needs(u8);

impl Layer {
    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in",
            Self::GuardRail => "guard-rail",
            Self::Tenant => "tenant",
        }
    }

    /// What stands before the ids of its policies, so that no layer can speak in another's name.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::BuiltIn => "built-in/",
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
    pub(crate) const ALL: Self = Self(u8::MAX);

    /// What `expr` mentions. Where it uses the context otherwise than by a named attribute, that is everything.
    fn of(expr: &Expr) -> Self {
        let mut needs = Self::default();
        let (mut named, mut seen) = (0_usize, 0_usize);
        for part in expr.subexpressions() {
            let attr = match part.expr_kind() {
                ExprKind::Var(Var::Context) => {
                    seen += 1;
                    continue;
                }
                ExprKind::GetAttr { expr, attr } | ExprKind::HasAttr { expr, attr } if is_context(expr) => {
                    attr.as_str()
                }
                ExprKind::ExtHasAttr { expr, attrs } if is_context(expr) => attrs.first().as_str(),
                _ => continue,
            };
            named += 1;
            if let Some(nth) = CONTEXT.iter().position(|(name, _)| *name == attr) {
                needs.0 |= 1 << nth;
            }
        }
        if seen == named { needs } else { Self::ALL }
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

fn is_context(expr: &Expr) -> bool {
    matches!(expr.expr_kind(), ExprKind::Var(Var::Context))
}
