//! Lays a Cedar text out as its own formatter does, for the editor.

use cardea_core::{Diagnostic, Diagnostics, resources::PolicyText};
use cedar_policy_core::parser::parse_policyset;
use cedar_policy_formatter::{Config, policies_str_to_pretty};

use crate::{budget::Spent, diagnose, stack};

/// The text, laid out; what keeps it from being read otherwise. Comments stay where they are.
pub fn format(name: &str, text: &str) -> Result<String, Diagnostics> {
    Spent::default().text(name, &PolicyText { name: name.to_owned(), text: text.to_owned() })?;
    stack::with_room(|| {
        if let Err(errors) = parse_policyset(text) {
            return Err(Diagnostics(diagnose::unreadable(name, text, &errors)));
        }
        let config = Config { line_width: 100, indent_width: 2 };
        policies_str_to_pretty(text, &config)
            .map_err(|error| Diagnostic::new(name, format!("cannot be laid out: {error}")).into())
    })
}
