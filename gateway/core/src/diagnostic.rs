//! What is wrong with something that a person wrote: where, and what would be right.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One mistake in a configuration, resource or policy text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The file, resource or policy that holds it.
    pub source: String,
    /// Line, counted from 1; absent where the mistake has no place (something missing altogether).
    pub line: Option<u32>,
    /// Column in characters, counted from 1.
    pub column: Option<u32>,
    /// Where it starts and ends, in bytes of the text.
    pub span: Option<(usize, usize)>,
    /// What is wrong: lower case, no full stop, values in backticks.
    pub message: String,
    /// The way out.
    pub help: Option<String>,
}

/// Every mistake found in one reading; a reader is told all of them at once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, thiserror::Error)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostic {
    /// A mistake without a place.
    pub fn new(source: impl Into<String>, message: impl Into<String>) -> Self {
        Self { source: source.into(), line: None, column: None, span: None, message: message.into(), help: None }
    }

    /// Places the mistake at bytes `start..end` of `text`.
    #[must_use]
    pub fn at(mut self, text: &str, start: usize, end: usize) -> Self {
        let start = floor_char(text, start);
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        self.line = u32::try_from(before.matches('\n').count() + 1).ok();
        self.column = u32::try_from(before[line_start..].chars().count() + 1).ok();
        self.span = Some((start, end.max(start)));
        self
    }

    /// Adds the way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

fn floor_char(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl Diagnostics {
    /// `Ok` with `value` if nothing was found.
    pub fn or_ok<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }

    /// Adds one.
    pub fn push(&mut self, found: Diagnostic) {
        self.0.push(found);
    }

    /// Adds all of another reading.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(one: Diagnostic) -> Self {
        Self(vec![one])
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        write!(f, ": {}", self.message)?;
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, one) in self.0.iter().enumerate() {
            if nth > 0 {
                f.write_str("\n")?;
            }
            fmt::Display::fmt(one, f)?;
        }
        Ok(())
    }
}

/// The candidate that a misspelt word most likely meant, if any is near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters() {
        let text = "ä = 1\nbö = 2\n";
        let at = text.find('2').unwrap();
        let found = Diagnostic::new("x.toml", "wrong").at(text, at, at + 1);
        assert_eq!((found.line, found.column), (Some(2), Some(6)));
        assert_eq!(found.to_string(), "x.toml:2:6: wrong");
    }

    #[test]
    fn a_slip_finds_its_word_and_nonsense_none() {
        assert_eq!(nearest("upstrem", ["upstream", "hosts"]), Some("upstream"));
        assert_eq!(nearest("zebra", ["upstream", "hosts"]), None);
    }
}
