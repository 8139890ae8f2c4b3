//! Takes a policy apart and evaluates each piece by itself, with the values that it saw.

use cedar_policy_core::{
    ast::{EntityUID, Expr, ExprKind, Literal, Request, SlotEnv, UnaryOp, Value, ValueKind, Var},
    entities::{Dereference, Entities},
    evaluator::Evaluator,
    extensions::Extensions,
};

use crate::{
    ConditionView, Question, Saw, context,
    rule::{Needs, Rule},
};

/// A question, ready to have pieces of policies put to it.
pub(crate) struct Witness {
    request: Request,
    entities: Entities,
    principal: EntityUID,
}

impl Witness {
    /// With the whole context, or why there is none.
    pub(crate) fn of(question: &Question<'_>) -> Result<Self, String> {
        Ok(Self {
            request: context::request(question, Needs::ALL)?,
            entities: context::entities(question)?,
            principal: question.principal.uid().clone(),
        })
    }

    /// The parts of the scope that do not fit, told as conditions.
    pub(crate) fn scope_misfits(&self, rule: &Rule) -> Vec<ConditionView> {
        let policy = &rule.policy;
        [
            (policy.principal_constraint_expr(), policy.principal_constraint().to_string()),
            (policy.action_constraint_expr(), policy.action_constraint().to_string()),
            (policy.resource_constraint_expr(), policy.resource_constraint().to_string()),
        ]
        .into_iter()
        .filter(|(expr, _)| self.holds(expr) != Some(true))
        .map(|(expr, text)| ConditionView { text, holds: Some(false), saw: self.saw(&expr) })
        .collect()
    }

    /// Each conjunct of each `when`, and each `unless` as a whole: half of an `unless` would tell nothing.
    pub(crate) fn conditions(&self, rule: &Rule) -> Vec<ConditionView> {
        let mut leaves = Vec::new();
        if let Some(expr) = rule.policy.non_scope_constraints() {
            conjuncts(expr, &mut leaves);
        }
        leaves.into_iter().map(|expr| self.condition(expr)).collect()
    }

    fn condition(&self, expr: &Expr) -> ConditionView {
        ConditionView { text: written(expr), holds: self.holds(expr), saw: self.saw(expr) }
    }

    fn holds(&self, expr: &Expr) -> Option<bool> {
        match self.value(expr)?.value {
            ValueKind::Lit(Literal::Bool(holds)) => Some(holds),
            _ => None,
        }
    }

    fn value(&self, expr: &Expr) -> Option<Value> {
        let evaluator = Evaluator::new(self.request.clone(), &self.entities, Extensions::all_available());
        evaluator.interpret(expr, &SlotEnv::new()).ok()
    }

    fn saw(&self, expr: &Expr) -> Vec<Saw> {
        let mut paths = Vec::new();
        let mut seen = Vec::new();
        self.gather(expr, &mut paths);
        for (path, value) in paths {
            if !seen.iter().any(|saw: &Saw| saw.path == path) {
                seen.push(Saw { path, value });
            }
        }
        seen
    }

    fn gather(&self, expr: &Expr, into: &mut Vec<(String, serde_json::Value)>) {
        if let Some(path) = path_of(expr) {
            let value = match expr.expr_kind() {
                ExprKind::Var(Var::Principal) => self.principal_and_groups(),
                _ => self.value(expr).as_ref().map_or(serde_json::Value::Null, json),
            };
            into.push((path, value));
            return;
        }
        for child in children(expr) {
            self.gather(child, into);
        }
    }

    /// A bare `principal` is asked for what it is or where it belongs.
    fn principal_and_groups(&self) -> serde_json::Value {
        let mut shown = vec![self.principal.to_string()];
        if let Dereference::Data(entity) = self.entities.entity(&self.principal) {
            shown.extend(entity.ancestors().map(ToString::to_string));
        }
        shown[1..].sort_unstable();
        shown.into()
    }
}

/// A value as JSON; an extension's value in its Cedar form.
pub(crate) fn json(value: &Value) -> serde_json::Value {
    match &value.value {
        ValueKind::Lit(Literal::Bool(value)) => (*value).into(),
        ValueKind::Lit(Literal::Long(value)) => (*value).into(),
        ValueKind::Lit(Literal::String(value)) => value.as_str().into(),
        ValueKind::Lit(Literal::EntityUID(uid)) => uid.to_string().into(),
        ValueKind::Set(set) => set.iter().map(json).collect(),
        ValueKind::Record(record) => record.iter().map(|(name, value)| (name.to_string(), json(value))).collect(),
        ValueKind::ExtensionValue(_) => value.to_string().into(),
    }
}

fn conjuncts<'a>(expr: &'a Expr, into: &mut Vec<&'a Expr>) {
    match expr.expr_kind() {
        ExprKind::And { left, right } => {
            conjuncts(left, into);
            conjuncts(right, into);
        }
        // A policy without conditions is one whose condition is `true`.
        ExprKind::Lit(Literal::Bool(true)) if expr.source_loc().is_none() => {}
        _ => into.push(expr),
    }
}

/// As the author wrote it, on one line.
fn written(expr: &Expr) -> String {
    let snippet = expr.source_loc().and_then(cedar_policy_core::parser::Loc::snippet);
    match (snippet, expr.expr_kind()) {
        (Some(text), ExprKind::UnaryApp { op: UnaryOp::Not, .. }) if text.starts_with("unless") => {
            let body = text.trim_start_matches("unless").trim().trim_start_matches('{').trim_end_matches('}');
            format!("unless {}", one_line(body))
        }
        (Some(text), _) => one_line(text),
        (None, ExprKind::UnaryApp { op: UnaryOp::Not, arg }) => format!("unless {}", written(arg)),
        (None, _) => expr.to_string(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `resource.study` for an attribute of a variable, `principal` for the variable itself.
fn path_of(expr: &Expr) -> Option<String> {
    match expr.expr_kind() {
        ExprKind::Var(var) => Some(var.to_string()),
        ExprKind::GetAttr { expr, attr } => path_of(expr).map(|path| format!("{path}.{attr}")),
        _ => None,
    }
}

fn children(expr: &Expr) -> Vec<&Expr> {
    match expr.expr_kind() {
        ExprKind::If { test_expr, then_expr, else_expr } => vec![test_expr, then_expr, else_expr],
        ExprKind::And { left, right } | ExprKind::Or { left, right } => vec![left, right],
        ExprKind::UnaryApp { arg, .. } => vec![arg],
        ExprKind::BinaryApp { arg1, arg2, .. } => vec![arg1, arg2],
        ExprKind::ExtensionFunctionApp { args, .. } => args.iter().collect(),
        ExprKind::GetAttr { expr, .. }
        | ExprKind::HasAttr { expr, .. }
        | ExprKind::ExtHasAttr { expr, .. }
        | ExprKind::Like { expr, .. }
        | ExprKind::Is { expr, .. } => vec![expr],
        ExprKind::Set(items) => items.iter().collect(),
        ExprKind::Record(fields) => fields.values().collect(),
        _ => Vec::new(),
    }
}
