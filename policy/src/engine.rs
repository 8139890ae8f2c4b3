//! All that decides for one tenant, compiled once and never changed: a new set is a new engine.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use cardea_core::{
    AppId, Assurance, AttributeKinds, Diagnostic, Diagnostics, GroupId,
    resources::{AppSpec, PolicyText, TenantBundle},
};
use cedar_policy_core::{
    ast::{Effect, Literal, SlotEnv, ValueKind},
    evaluator::Evaluator,
    extensions::Extensions,
};

use crate::{
    AppModel, Challenge, Explanation, PolicyError, Question, Verdict, built_in, context,
    diagnose::Known,
    hash,
    index::{Asked, Index},
    kept::Mark,
    read::Reader,
    rule::{Layer, Needs, Rule},
    schema::Schema,
    stack,
};

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
    /// The least assurance at which people reach the tenant's apps and its console, a provider's people apart; one factor
    /// where absent.
    pub minimum: Option<Assurance>,
    /// What the tenant says of its people beside name, address and groups; nothing where absent.
    pub attributes: Option<&'a AttributeKinds>,
}

/// The policies of a tenant, ready to answer.
#[derive(Debug)]
pub struct Engine {
    apps: HashMap<AppId, Arc<AppModel>>,
    rules: Vec<Rule>,
    slices: Slices,
    schema: String,
    hash: String,
    warnings: Vec<Diagnostic>,
    groups: HashSet<GroupId>,
    attributes: AttributeKinds,
    mark: Mark,
}

/// Which layers decide for which apps.
#[derive(Debug)]
struct Slices {
    /// The tenant's apps: its policies and what its settings make, under the operator's guard-rails.
    tenant: Index,
    /// The console: what is built in, and what the tenant's settings make, under the operator's guard-rails.
    console: Index,
    /// The portal: what is built in under the operator's guard-rails. INVARIANT: no minimum stands here: whoever is below it
    /// adds a factor here.
    portal: Index,
    /// Sign-in pages and machines: what is built in alone. INVARIANT: no text that anybody writes can lock these.
    fixed: Index,
}

impl<'a> Sources<'a> {
    /// Those of a tenant as it is written.
    pub fn of(tenant: &'a TenantBundle, guard_rails: &'a [PolicyText]) -> Self {
        Self {
            apps: tenant.apps.values().collect(),
            groups: tenant.groups.keys().collect(),
            policies: &tenant.policies.policies,
            guard_rails,
            minimum: Some(tenant.tenant.factors.minimum),
            attributes: Some(&tenant.tenant.attributes),
        }
    }

    /// The hash over all texts, built-in ones included: what [`Engine::hash`] will be.
    pub fn hash(&self) -> String {
        hash::of(&self.layers(&built_in::texts(self.minimum, &self.apps)))
    }

    fn layers<'b>(&'b self, [built_in, settings]: &'b [Vec<PolicyText>; 2]) -> [(Layer, &'b [PolicyText]); 4] {
        [
            (Layer::BuiltIn, built_in),
            (Layer::Setting, settings),
            (Layer::GuardRail, self.guard_rails),
            (Layer::Tenant, self.policies),
        ]
    }

    fn known(&self) -> Known<'_> {
        Known {
            // Tenants may have a file for the administrators, too: each is told of once.
            groups: BTreeSet::from_iter(
                self.groups.iter().map(|group| group.as_str()).chain([built_in::ADMINISTRATORS]),
            )
            .into_iter()
            .collect(),
            apps: self.apps.iter().map(|app| app.id.as_str()).collect(),
        }
    }
}

impl Engine {
    /// Compiles and strictly validates; every mistake of every text comes back together.
    ///
    /// Runs on a thread of its own with a large stack, and waits for it: not for a thread that answers requests.
    pub fn compile(sources: &Sources<'_>) -> Result<Self, Diagnostics> {
        stack::with_room(|| Self::compile_here(sources))
    }

    fn compile_here(sources: &Sources<'_>) -> Result<Self, Diagnostics> {
        let (apps, mut found) = compile_apps(&sources.apps);
        let attributes = sources.attributes.cloned().unwrap_or_default();
        let schema = match Schema::generate(&sources.apps, &attributes) {
            Ok(schema) => schema,
            Err(errors) => {
                found.extend(errors);
                return Err(found);
            }
        };
        let built_in = built_in::texts(sources.minimum, &sources.apps);
        let layers = sources.layers(&built_in);
        let mut reader = Reader::new(&schema, sources.known());
        layers.iter().for_each(|(layer, texts)| reader.read(*layer, texts));
        found.extend(reader.found);
        let (rules, warnings, hash) = (reader.rules, reader.warnings, hash::of(&layers));
        let groups = sources.groups.iter().map(|group| (*group).clone()).chain(built_in::administrators()).collect();
        found.or_ok(Self {
            apps,
            slices: Slices::of(&rules),
            rules,
            schema: schema.text,
            hash,
            warnings,
            groups,
            attributes,
            mark: Mark::default(),
        })
    }

    /// Everything wrong with these texts, as the editor asks while one types.
    pub fn check(sources: &Sources<'_>) -> Diagnostics {
        Self::compile(sources).err().unwrap_or_default()
    }

    /// What of these texts cannot be read as policies at all, whatever apps and groups there are.
    pub fn unreadable(sources: &Sources<'_>) -> Diagnostics {
        let read = stack::with_room(|| {
            let schema = Schema::generate(&[], &AttributeKinds::default())?;
            let mut reader = Reader::new(&schema, sources.known()).for_syntax();
            sources.layers(&[Vec::new(), Vec::new()]).iter().for_each(|(layer, texts)| reader.read(*layer, texts));
            reader.found.or_ok(())
        });
        read.err().unwrap_or_default()
    }

    /// The compiled app of that name, the built-in ones included.
    pub fn app(&self, id: &AppId) -> Option<&Arc<AppModel>> {
        self.apps.get(id)
    }

    /// The names of all apps, the built-in ones included.
    pub fn app_ids(&self) -> impl Iterator<Item = &AppId> {
        self.apps.keys()
    }

    /// The tenant's groups.
    pub(crate) fn groups(&self) -> &HashSet<GroupId> {
        &self.groups
    }

    /// What the tenant says of its people.
    pub(crate) fn attributes(&self) -> &AttributeKinds {
        &self.attributes
    }

    /// Answers a question. Some `permit` must hold, no `forbid` may, and no policy may fail to evaluate.
    pub fn decide(&self, question: &Question<'_>) -> Verdict {
        let index = self.slices.for_app(question.target.app());
        let single = || {
            let resource = question.target.resource_entity().uid();
            resource != question.target.app_uid() && index.singles_out(resource.entity_type())
        };
        question.principal.kept.answer(&self.mark, question, single, || {
            let rules = self.candidates(question);
            (evaluate(question, &rules), rules)
        })
    }

    /// After a deny: the least that would turn it into a yes, for a caller who can reach assurance `reach`.
    /// `None` where nothing would.
    pub fn challenge(&self, question: &Question<'_>, reach: Assurance) -> Option<Challenge> {
        crate::challenge::least(self, question, reach)
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

    /// What is odd but not wrong, such as a policy that can never match.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// How many policies there are, guard-rails and built-in ones included.
    pub fn policies(&self) -> usize {
        self.rules.len()
    }

    /// How many policies name neither a resource nor a principal in their scope, and so cost about a microsecond on
    /// every request for a tenant's app.
    pub fn open_policies(&self) -> usize {
        self.slices.tenant.open()
    }

    /// The rules whose scope can hold.
    pub(crate) fn candidates(&self, question: &Question<'_>) -> Vec<&Rule> {
        let index = self.slices.for_app(question.target.app());
        let found = with_asked(question, |asked| index.candidates(&self.rules, &asked));
        self.numbered(&found)
    }

    /// The rules whose resource and action can hold, whoever asks.
    pub(crate) fn near(&self, question: &Question<'_>) -> Vec<&Rule> {
        let index = self.slices.for_app(question.target.app());
        let found = with_asked(question, |asked| index.near(&self.rules, &asked));
        self.numbered(&found)
    }

    /// Every rule that has a say in this question's app: what the index is measured against.
    #[cfg(test)]
    pub(crate) fn whole(&self, question: &Question<'_>) -> Vec<&Rule> {
        self.rules.iter().filter(|rule| layer_decides(rule.layer, question.target.app())).collect()
    }

    fn numbered(&self, numbers: &[u32]) -> Vec<&Rule> {
        numbers.iter().filter_map(|nth| self.rules.get(*nth as usize)).collect()
    }
}

/// Evaluates those of `rules` whose scope holds, all of them: every policy that determines the verdict is named.
pub(crate) fn evaluate(question: &Question<'_>, rules: &[&Rule]) -> Verdict {
    let rules: Vec<&Rule> = rules.iter().copied().filter(|rule| rule.fits(question)).collect();
    if rules.is_empty() {
        return Verdict::default();
    }
    let needs = rules.iter().fold(Needs::default(), |needs, rule| needs.with(rule.needs));
    let (request, entities) =
        match context::request(question, needs).and_then(|r| Ok((r, context::entities(question)?))) {
            Ok(both) => both,
            Err(message) => {
                let errors = vec![PolicyError { policy: "context".into(), message }];
                return Verdict { errors, ..Verdict::default() };
            }
        };
    let evaluator = Evaluator::new(request, &entities, Extensions::all_available());
    let (mut permits, mut forbids, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for rule in &rules {
        match holds(&evaluator, rule) {
            Ok(false) => {}
            Ok(true) if rule.effect == Effect::Permit => permits.push(Arc::clone(&rule.id)),
            Ok(true) => forbids.push(Arc::clone(&rule.id)),
            Err(message) => errors.push(PolicyError { policy: Arc::clone(&rule.id), message }),
        }
    }
    let allowed = !permits.is_empty() && forbids.is_empty() && errors.is_empty();
    // A permit determines nothing where a forbid holds or a policy failed.
    let mut determined_by = match (allowed, forbids.is_empty()) {
        (true, _) => permits,
        (false, false) => forbids,
        (false, true) => errors.iter().map(|error| Arc::clone(&error.policy)).collect(),
    };
    determined_by.sort_unstable();
    Verdict { allowed, determined_by, errors }
}

fn holds(evaluator: &Evaluator<'_>, rule: &Rule) -> Result<bool, String> {
    let Some(condition) = &rule.condition else { return Ok(true) };
    match evaluator.interpret(condition, &SlotEnv::new()) {
        Ok(value) => match value.value {
            ValueKind::Lit(Literal::Bool(holds)) => Ok(holds),
            other => Err(format!("`{other}` is neither true nor false")),
        },
        Err(error) => Err(error.to_string()),
    }
}

fn with_asked<T>(question: &Question<'_>, ask: impl FnOnce(Asked<'_>) -> T) -> T {
    let action = question.target.action_entity();
    let resource = question.target.resource_entity();
    let group = action.ancestors().next().unwrap_or_else(|| action.uid());
    ask(Asked {
        resources: [resource.uid(), question.target.app_uid()],
        actions: [action.uid(), group],
        principal: &question.principal.entity,
        resource_kind: resource.uid().entity_type(),
    })
}

fn compile_apps(specs: &[&AppSpec]) -> (HashMap<AppId, Arc<AppModel>>, Diagnostics) {
    let mut found = Diagnostics::default();
    let mut apps: HashMap<_, _> =
        built_in::apps().into_iter().map(|id| (id.clone(), Arc::new(AppModel::plain(id)))).collect();
    for spec in specs {
        match AppModel::compile(spec) {
            Ok(app) => {
                if apps.insert(spec.id.clone(), Arc::new(app)).is_some() {
                    let one = Diagnostic::new(format!("apps/{}", spec.id), format!("app id `{}` is taken", spec.id));
                    found.push(
                        one.help("ids that start with `cardea-` are the gateway's own; every other is used once"),
                    );
                }
            }
            Err(errors) => found.extend(errors),
        }
    }
    (apps, found)
}

#[cfg(test)]
fn layer_decides(layer: Layer, app: &AppId) -> bool {
    match layer {
        Layer::BuiltIn => !built_in::is_the_tenant_s(app),
        Layer::Setting => !built_in::is_fixed(app) && !built_in::is_portal(app),
        Layer::GuardRail => !built_in::is_fixed(app),
        Layer::Tenant => built_in::is_the_tenant_s(app),
    }
}

impl Slices {
    fn of(rules: &[Rule]) -> Self {
        Self {
            tenant: Index::build(rules, |rule| rule.layer != Layer::BuiltIn),
            console: Index::build(rules, |rule| rule.layer != Layer::Tenant),
            portal: Index::build(rules, |rule| matches!(rule.layer, Layer::BuiltIn | Layer::GuardRail)),
            fixed: Index::build(rules, |rule| rule.layer == Layer::BuiltIn),
        }
    }

    fn for_app(&self, app: &AppId) -> &Index {
        if built_in::is_the_tenant_s(app) {
            &self.tenant
        } else if built_in::is_fixed(app) {
            &self.fixed
        } else if built_in::is_portal(app) {
            &self.portal
        } else {
            &self.console
        }
    }
}
