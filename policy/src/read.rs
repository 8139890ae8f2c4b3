//! Reads policy texts into rules, and finds everything that is wrong with them.

use std::{collections::HashSet, sync::Arc};

use cardea_core::{Diagnostic, Diagnostics, resources::PolicyText};
use cedar_policy_core::{
    ast::{AnyId, Effect, PolicyID, PolicySet, StaticPolicy, Template},
    parser::parse_policyset,
    validator::{ValidationMode, Validator, typecheck::Typechecker},
};

use crate::{
    budget::{MISTAKES, Spent},
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
    /// Whether what a policy says is of no interest.
    only_syntax: bool,
    pub(crate) rules: Vec<Rule>,
    pub(crate) found: Diagnostics,
    pub(crate) warnings: Vec<Diagnostic>,
}

/// Some policies of a file, one after the other.
#[derive(Clone, Copy)]
struct Piece<'a> {
    layer: Layer,
    /// The file's name.
    file: &'a str,
    /// The first one's number in the file, from 1, as people count.
    nth: usize,
    /// The name under which its mistakes are told.
    source: &'a str,
    text: &'a str,
}

/// Where a piece stands in its file.
#[derive(Default)]
struct Offset {
    bytes: usize,
    /// Lines before it.
    lines: u32,
    /// Characters before it in its first line.
    columns: u32,
}

impl Offset {
    /// On to `bytes`, which is not before where it is.
    fn move_to(&mut self, text: &str, bytes: usize) {
        for char in text[self.bytes..bytes].chars() {
            (self.lines, self.columns) = if char == '\n' {
                (self.lines.saturating_add(1), 0)
            } else {
                (self.lines, self.columns.saturating_add(1))
            };
        }
        self.bytes = bytes;
    }

    /// Turns a place in the piece into one in the file.
    fn shift(&self, found: &mut Diagnostic) {
        if let (Some(1), Some(column)) = (found.line, &mut found.column) {
            *column = column.saturating_add(self.columns);
        }
        found.line = found.line.map(|line| line.saturating_add(self.lines));
        found.span = found.span.map(|(start, end)| (start + self.bytes, end + self.bytes));
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(schema: &'a Schema, known: Known<'a>) -> Self {
        Self {
            validator: Validator::new(schema.compiled.clone()),
            schema,
            known,
            ids: HashSet::new(),
            only_syntax: false,
            rules: Vec::new(),
            found: Diagnostics::default(),
            warnings: Vec::new(),
        }
    }

    /// The same, for what cannot be read alone: what is read is not looked at.
    pub(crate) fn for_syntax(self) -> Self {
        Self { only_syntax: true, ..self }
    }

    /// Reads a layer's texts; mistakes gather in `found`.
    pub(crate) fn read(&mut self, layer: Layer, texts: &[PolicyText]) {
        let mut spent = Spent::default();
        for text in texts {
            if self.is_full() {
                self.found.0.truncate(MISTAKES);
                self.found.push(Diagnostic::new(source_name(layer, &text.name), "not read yet: mend the others first"));
                return;
            }
            self.read_text(layer, text, &mut spent);
        }
    }

    fn is_full(&self) -> bool {
        self.found.0.len() >= MISTAKES
    }

    /// Reads piece by piece. Cedar keeps the text that was parsed in each of its parts, and hashes it whenever it hashes
    /// a mistake: read at once, ten thousand policies with one mistake each would take minutes.
    fn read_text(&mut self, layer: Layer, file: &PolicyText, spent: &mut Spent) {
        let source = source_name(layer, &file.name);
        // INVARIANT: nothing is parsed that was not measured.
        let places = match spent.text(&source, file) {
            Ok(places) => places,
            Err(too_much) => {
                self.found.push(too_much);
                return;
            }
        };
        let (mut offset, mut nth) = (Offset::default(), 1);
        for places in places.chunk_by(|a, b| a.start / PIECE == b.end / PIECE) {
            let (Some(first), Some(last)) = (places.first(), places.last()) else { continue };
            if self.is_full() {
                return;
            }
            offset.move_to(&file.text, first.start);
            let (found, warnings) = (self.found.0.len(), self.warnings.len());
            let text = &file.text[first.start..last.end];
            self.read_piece(&Piece { layer, file: &file.name, nth, source: &source, text }, spent);
            let new = self.found.0.iter_mut().skip(found).chain(self.warnings.iter_mut().skip(warnings));
            new.for_each(|one| offset.shift(one));
            nth += places.len();
        }
    }

    fn read_piece(&mut self, piece: &Piece<'_>, spent: &mut Spent) {
        let set = match parse_policyset(piece.text) {
            Ok(set) => set,
            Err(errors) => {
                self.found.0.extend(diagnose::unreadable(piece.source, piece.text, &errors));
                return;
            }
        };
        if self.only_syntax {
            return;
        }
        self.validate(piece.source, piece.text, &set);
        for (nth, template) in (piece.nth..).zip(in_order(&set)) {
            self.found.0.extend(spent.patterns(piece.source, piece.text, template));
            self.read_policy(&Piece { nth, ..*piece }, template);
        }
    }

    fn validate(&mut self, source: &str, text: &str, set: &PolicySet) {
        let result = self.validator.validate(set, ValidationMode::Strict);
        if result.validation_passed() {
            self.recheck(source, text, set);
        }
        let before = self.found.0.len();
        for error in result.validation_errors().take(MISTAKES) {
            let one = diagnose::invalid(source, text, error, self.schema);
            // The validator tries each kind of caller and resource, and finds the same mistake in each: one is told.
            if !self.found.0.iter().skip(before).any(|told| told.span == one.span) {
                self.found.push(one);
            }
        }
        let before = self.warnings.len();
        for warning in result.validation_warnings().take(MISTAKES.saturating_sub(before)) {
            let one = diagnose::odd(source, text, warning);
            if !self.warnings.iter().skip(before).any(|told| *told == one) {
                self.warnings.push(one);
            }
        }
    }

    /// Cedar's validator keeps silent about a policy that is too deep for the stack it has. Where it found no mistake, the
    /// larger policies are put to it once more in a way that tells.
    fn recheck(&mut self, source: &str, text: &str, set: &PolicySet) {
        let typechecker = Typechecker::new(self.validator.schema(), ValidationMode::Strict);
        for template in set.all_templates() {
            let parts = template.non_scope_constraints().map_or(0, |expr| expr.subexpressions().take(FEW + 1).count());
            if parts > FEW && !typechecker.typecheck_policy(template, &mut HashSet::new(), &mut HashSet::new()) {
                let (start, end) = template.loc().map_or((0, text.len()), |loc| (loc.start(), loc.end()));
                self.found.push(diagnose::not_validated(source).at(text, start, end));
            }
        }
    }

    fn read_policy(&mut self, piece: &Piece<'_>, template: &Template) {
        let Piece { layer, source, text, .. } = *piece;
        let (start, end) = template.loc().map_or((0, text.len()), |loc| (loc.start(), loc.end()));
        let at = |found: Diagnostic| found.at(text, start, end);
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
            self.found.0.extend(diagnose::unknown_names(source, text, template, &self.known));
        }
        let id = match own_id(piece, template) {
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
        let text = text.get(start..end).unwrap_or(text);
        self.rules.push(Rule::new(id, layer, text, policy));
    }
}

/// Bytes of a piece: enough that parsing it costs more than beginning to.
const PIECE: usize = 8 * 1024;

/// A policy of so few parts is never deep: 64 levels take 2 MiB unoptimised.
const FEW: usize = 64;

/// The name under which mistakes in a file are told: its place in a tenant's folder.
fn source_name(layer: Layer, name: &str) -> String {
    match layer {
        Layer::BuiltIn | Layer::Setting => "built-in".to_owned(),
        Layer::GuardRail => format!("guard-rails/{name}.cedar"),
        Layer::Tenant => format!("policies/{name}.cedar"),
    }
}

/// The policies in the order in which they are written.
fn in_order(set: &PolicySet) -> Vec<&Template> {
    let mut all: Vec<_> = set.all_templates().collect();
    all.sort_by_key(|one| one.loc().map_or(0, cedar_policy_core::parser::Loc::start));
    all
}

fn own_id(piece: &Piece<'_>, template: &Template) -> Result<Arc<str>, String> {
    let prefix = piece.layer.prefix();
    let annotation = "id".parse::<AnyId>().ok().and_then(|key| template.annotation(&key));
    let Some(annotation) = annotation else {
        return Ok(format!("{prefix}{}#{}", piece.file, piece.nth).into());
    };
    let id = annotation.val.as_str();
    if id.starts_with(|c: char| c.is_ascii_alphanumeric()) && !id.contains(['/', '#']) && !id.contains(char::is_control)
    {
        Ok(format!("{prefix}{id}").into())
    } else {
        Err(format!("`{id}` is no name for a policy"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cedar's validator gives up where less than 100 KiB of stack are left, and then reports nothing at all.
    #[test]
    fn a_policy_too_deep_for_the_validator_is_a_mistake() {
        let text =
            format!("permit(principal, action, resource) when {{ true{} }};", " && context.assurance < 9".repeat(95));
        let read = move || {
            let schema = Schema::generate(&[], &cardea_core::AttributeKinds::default()).unwrap();
            let mut reader = Reader::new(&schema, Known { groups: Vec::new(), apps: Vec::new() });
            reader.read(Layer::Tenant, &[PolicyText { name: "one".to_owned(), text }]);
            reader.found.0.into_iter().map(|one| (one.line, one.message)).collect::<Vec<_>>()
        };
        let found = std::thread::Builder::new().stack_size(1024 * 1024).spawn(read).unwrap().join().unwrap();
        assert_eq!(found, [(Some(1), "the policy is too deep to be validated".to_owned())]);
    }
}
