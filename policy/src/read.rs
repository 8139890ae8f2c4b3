//! Reads policy texts into rules, and finds everything that is wrong with them.

use std::{collections::HashSet, sync::Arc};

use cardea_core::{Diagnostic, Diagnostics, resources::PolicyText};
use cedar_policy_core::{
    ast::{AnyId, Effect, PolicyID, PolicySet, StaticPolicy, Template},
    parser::parse_policyset,
    validator::{ValidationMode, Validator},
};

use crate::{
    diagnose::{self, Known},
    rule::{Layer, Rule},
    schema::Schema,
};

/// Reads one layer after the other.
pub(crate) struct Reader<'a> {
    schema: &'a Schema,
    validator: Validator,
    known: Known<'a>,
    ids: HashSet<Arc<str>>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) found: Diagnostics,
    pub(crate) warnings: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(schema: &'a Schema, known: Known<'a>) -> Self {
        Self {
            validator: Validator::new(schema.compiled.clone()),
            schema,
            known,
            ids: HashSet::new(),
            rules: Vec::new(),
            found: Diagnostics::default(),
            warnings: Vec::new(),
        }
    }

    /// Reads a layer's texts; mistakes gather in `found`.
    pub(crate) fn read(&mut self, layer: Layer, texts: &[PolicyText]) {
        for text in texts {
            self.read_text(layer, text);
        }
    }

    fn read_text(&mut self, layer: Layer, file: &PolicyText) {
        let source = source_name(layer, &file.name);
        let set = match parse_policyset(&file.text) {
            Ok(set) => set,
            Err(errors) => {
                self.found.0.extend(diagnose::unreadable(&source, &file.text, &errors));
                return;
            }
        };
        self.validate(&source, &file.text, &set);
        for template in in_order(&set) {
            self.read_policy(layer, file, &source, template);
        }
    }

    fn validate(&mut self, source: &str, text: &str, set: &PolicySet) {
        let result = self.validator.validate(set, ValidationMode::Strict);
        for error in result.validation_errors() {
            let one = diagnose::invalid(source, text, error, self.schema);
            // The validator tries each kind of caller and resource, and finds the same mistake in each: one is told.
            if !self.found.0.iter().any(|told| told.source == one.source && told.span == one.span) {
                self.found.push(one);
            }
        }
        for warning in result.validation_warnings() {
            let one = diagnose::odd(source, text, warning);
            if !self.warnings.contains(&one) {
                self.warnings.push(one);
            }
        }
    }

    fn read_policy(&mut self, layer: Layer, file: &PolicyText, source: &str, template: &Template) {
        let (start, end) = template.loc().map_or((0, file.text.len()), |loc| (loc.start(), loc.end()));
        let at = |found: Diagnostic| found.at(&file.text, start, end);
        if template.slots().next().is_some() {
            let one = Diagnostic::new(source, "a policy with `?principal` or `?resource` is a template");
            self.found.push(at(one).help("name the principal and the resource themselves"));
            return;
        }
        if layer == Layer::GuardRail && template.effect() == Effect::Permit {
            let one = Diagnostic::new(source, "a guard-rail may only forbid, but this is a `permit`");
            self.found.push(at(one).help("turn it round: `forbid(…) unless { … }`"));
        }
        if let Some(one) = diagnose::group_taken_for_action(source, template) {
            self.found.push(at(one));
        }
        if layer == Layer::Tenant {
            self.found.0.extend(diagnose::unknown_names(source, &file.text, template, &self.known));
        }
        let id = match own_id(layer, &file.name, template) {
            Ok(id) => id,
            Err(message) => {
                self.found
                    .push(at(Diagnostic::new(source, message)).help("start with a letter or digit; no `/`, no `#`"));
                return;
            }
        };
        if !self.ids.insert(Arc::clone(&id)) {
            let one = Diagnostic::new(source, format!("another policy is named `{id}` already"));
            self.found.push(at(one).help("every `@id` is used once"));
            return;
        }
        let Ok(policy) = StaticPolicy::try_from(template.new_id(PolicyID::from_string(&id))) else { return };
        let text = file.text.get(start..end).unwrap_or(&file.text);
        self.rules.push(Rule::new(id, layer, text, policy));
    }
}

/// The name under which mistakes in a file are told: its place in a tenant's folder.
fn source_name(layer: Layer, name: &str) -> String {
    match layer {
        Layer::BuiltIn => "built-in".to_owned(),
        Layer::GuardRail => format!("guard-rails/{name}.cedar"),
        Layer::Tenant => format!("policies/{name}.cedar"),
    }
}

/// The policies in the order in which they are written; Cedar numbers them so.
fn in_order(set: &PolicySet) -> Vec<&Template> {
    let mut all: Vec<_> = set.all_templates().collect();
    all.sort_by_key(|one| one.loc().map_or(0, cedar_policy_core::parser::Loc::start));
    all
}

fn own_id(layer: Layer, file: &str, template: &Template) -> Result<Arc<str>, String> {
    let prefix = layer.prefix();
    let annotation = "id".parse::<AnyId>().ok().and_then(|key| template.annotation(&key));
    let Some(annotation) = annotation else {
        return Ok(format!("{prefix}{file}#{}", number(template)).into());
    };
    let id = annotation.val.as_str();
    if id.starts_with(|c: char| c.is_ascii_alphanumeric()) && !id.contains(['/', '#']) && !id.contains(char::is_control)
    {
        Ok(format!("{prefix}{id}").into())
    } else {
        Err(format!("`{id}` is no name for a policy"))
    }
}

/// Counted from 1, as people count.
fn number(template: &Template) -> usize {
    let nth = template.id().to_string();
    nth.trim_start_matches("policy").parse::<usize>().map_or(1, |nth| nth + 1)
}
