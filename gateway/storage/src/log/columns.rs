//! The open columns of a row, by which the log is listed and filtered, held against the sealed entry that they are drawn from.

use std::collections::HashSet;

use cardea_audit::Entry;
use cardea_core::AppId;
use sqlx::any::AnyRow;

use crate::row::Read;

/// A comparison under way: takes the entries in their order.
#[derive(Default)]
pub(super) struct Columns {
    /// Events of which an entry has named its person.
    named: HashSet<&'static str>,
}

impl Columns {
    /// The first column that does not say what its entry says. One that cannot be read does not, either.
    pub(super) fn differing(&mut self, entry: &Entry, row: &AnyRow) -> Option<&'static str> {
        let facets = entry.facets();
        let text = |column, drawn: Option<&str>| row.opt_text(column).is_ok_and(|stands| stands.as_deref() == drawn);
        let number = |column, drawn: i64| row.int(column).is_ok_and(|stands| stands == drawn);
        let person = facets.person.map(|person| person.to_string());
        let names = text("person", person.as_deref());
        // Written before there was the column, or before this event was among those that name a person.
        let unnamed = text("person", None) && !self.named.contains(facets.event);
        if names && person.is_some() {
            self.named.insert(facets.event);
        }
        let fits = [
            ("id", text("id", Some(&entry.id.to_string()))),
            ("at", number("at", entry.at.as_micros())),
            ("event", text("event", Some(facets.event))),
            ("app", text("app", facets.app.map(AppId::as_str))),
            ("caller", text("caller", Some(&facets.caller))),
            ("person", names || unnamed),
            ("reason", text("reason", facets.reason)),
            ("verdict", text("verdict", facets.verdict)),
            ("admission", number("admission", i64::from(entry.is_admission()))),
        ];
        fits.into_iter().find(|(_, fits)| !fits).map(|(column, _)| column)
    }
}
