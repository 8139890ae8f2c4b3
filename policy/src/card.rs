//! The decision card: the form in which an explanation is sent, kept and shown.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Challenge, PolicyError};

/// Everything about one decision: the "decision card".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Who asked.
    pub caller: CallerView,
    /// The action's name: `GET`, `approve`, ….
    pub action: String,
    /// The app asked.
    pub app: String,
    /// What it was asked for.
    pub resource: ResourceView,
    /// The context as the policies saw it.
    pub context: BTreeMap<String, serde_json::Value>,
    /// The outcome.
    pub verdict: VerdictWord,
    /// What would turn a no into a yes.
    pub challenge: Option<ChallengeView>,
    /// The outcome in one plain sentence.
    pub reason_text: String,
    /// The policies that could have a say: the determining ones first, then those that came near.
    pub policies: Vec<PolicyView>,
    /// Policies that failed to evaluate.
    pub errors: Vec<PolicyError>,
    /// Where a decision of the past is told: what is no longer as it was then, so that this may not be how it fell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed_since: Vec<String>,
}

/// Who asked, as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerView {
    /// `visitor`, `user`, `service` or `workload`.
    pub kind: String,
    /// A user's name, a service's name, a workload's SPIFFE ID, or `visitor`.
    pub label: String,
    /// A user's e-mail address.
    pub email: Option<String>,
    /// The groups that policies see.
    pub groups: Vec<String>,
}

/// What was asked for, as policies see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceView {
    /// The entity's type, such as `Record`, or `App`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The entity's id.
    pub id: String,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
}

/// The outcome in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictWord {
    /// Allowed.
    Allow,
    /// Denied, and no stronger sign-in would change that.
    Deny,
    /// Denied now; a stronger sign-in would be allowed.
    Challenge,
}

/// What a challenge asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeView {
    /// `sign-in`, `fresh`, `2` or `3`.
    pub need: Challenge,
}

/// One policy and how it met the question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyView {
    /// Its id.
    pub id: Arc<str>,
    /// `permit` or `forbid`.
    pub effect: String,
    /// `built-in`, `guard-rail` or `tenant`.
    pub layer: String,
    /// Its Cedar text.
    pub text: String,
    /// Whether it determined the verdict.
    pub determined: bool,
    /// Whether principal, action and resource fit.
    pub scope_matches: bool,
    /// Each condition, ticked, crossed or unknown.
    pub conditions: Vec<ConditionView>,
}

/// One condition of a policy: a conjunct of a `when` or `unless`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConditionView {
    /// Its Cedar text; those of an `unless` start with that word.
    pub text: String,
    /// Whether it speaks for the policy; absent where it failed to evaluate.
    pub holds: Option<bool>,
    /// The values that it saw.
    pub saw: Vec<Saw>,
}

/// A value that a condition saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saw {
    /// Where it stands: `resource.study`, `context.assurance`, ….
    pub path: String,
    /// The value; null where there was none.
    pub value: serde_json::Value,
}
