//! The commands, one a file: each has `Arguments` (its reference is the doc comments) and `run`.
//!
//! A command ends with [`Ended`]: `Ok(Outcome)` says whether the answer was yes, `Err(Failure)` why there is none.

pub mod agent;
pub mod apply;
pub mod audit;
pub mod cert;
pub mod check;
pub mod client;
#[cfg(feature = "demo")]
pub mod demo;
pub mod export;
pub mod keys;
pub mod policy;
pub mod serve;
mod span;
pub mod store;
pub mod user;

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use cardea_core::{Clock, Diagnostic, Diagnostics, Entropy, TenantId};
use cardea_storage::{Store, StoreFault};
use tokio::signal::unix::{SignalKind, signal};

use crate::{cli::Format, config::Config, house::OperatorKey};

/// What every command is given.
pub struct Context {
    /// `--config` or `CARDEA_CONFIG`.
    pub config_file: Option<PathBuf>,
    /// `--format`.
    pub format: Format,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// How a command ends when it could do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done, or the answer is yes: exit status 0.
    Done,
    /// The answer is no, or a check failed, and the command has said so: exit status 1.
    No,
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something that a person wrote is wrong: exit status 1.
    #[error("{0}")]
    Mistakes(#[from] Diagnostics),
    /// The command was used wrongly: exit status 2.
    #[error("{0}")]
    Misused(String),
    /// Anything else: exit status 1.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

impl From<Diagnostic> for Failure {
    fn from(one: Diagnostic) -> Self {
        Self::Mistakes(one.into())
    }
}

/// How a command ended.
pub type Ended = Result<Outcome, Failure>;

/// Where the configuration is looked for when nothing names it.
const CONFIG_FILE: &str = "cardea.toml";

impl Context {
    /// Reads the configuration that this command is to use.
    pub fn config(&self) -> Result<Config, Failure> {
        let path = self.config_path();
        if self.config_file.is_none() && !path.exists() {
            return Err(Failure::Misused(format!(
                "there is no `{CONFIG_FILE}` here\n  help: name one with `--config FILE` or `CARDEA_CONFIG`, or try `cardea demo`"
            )));
        }
        Ok(Config::read(&path, self.clock.now())?)
    }

    /// The configuration file of this command.
    pub fn config_path(&self) -> PathBuf {
        self.config_file.clone().unwrap_or_else(|| PathBuf::from(CONFIG_FILE))
    }

    /// Whether answers are for a script.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }
}

/// Writes one line of a command's answer to standard output; a reader that went away is no failure of ours.
pub fn say(line: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// Writes a value as one line of JSON.
pub fn say_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    say(serde_json::to_string(value).map_err(anyhow::Error::from)?);
    Ok(())
}

/// Writes one line beside the answer, for people: progress, prompts and complaints.
pub fn remark(line: impl std::fmt::Display) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{line}");
}

/// Asks a person for a yes on a terminal; without one the answer is no.
pub fn agrees(question: &str) -> bool {
    answer(&format!("{question} [y/N]")).is_some_and(|answer| matches!(&*answer, "y" | "Y" | "yes"))
}

/// Asks a person on a terminal; without one there is no answer.
pub fn answer(question: &str) -> Option<String> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    let mut err = std::io::stderr().lock();
    let _ = write!(err, "{question} ");
    let _ = err.flush();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).ok()?;
    Some(answer.trim().to_owned())
}

/// Whether somebody wants what does not come back: on a terminal they type its `name`, and a script says `--yes`. Else nothing
/// is to be done.
pub fn wanted(yes: bool, what: &str, name: &str) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    match answer(&format!("{what}; type `{name}` to go on:")) {
        Some(typed) if typed == name => Ok(true),
        Some(_) => {
            remark("nothing was changed: something else was typed");
            Ok(false)
        }
        None => Err(Failure::Misused(format!(
            "nothing was changed: {what}\n  help: say `--yes`, since there is no terminal to ask at"
        ))),
    }
}

/// A number of things, by the words for one and for several: `1 entry`, `2 entries`.
pub fn counted(count: impl std::fmt::Display, [one, several]: [&str; 2]) -> String {
    let count = count.to_string();
    format!("{count} {}", if count == "1" { one } else { several })
}

/// The tenant meant: the one named, or the only one that there is.
pub fn only<'a>(
    named: Option<&'a TenantId>,
    mut all: impl Iterator<Item = &'a TenantId>,
) -> Result<&'a TenantId, Failure> {
    if let Some(named) = named {
        return Ok(named);
    }
    let Some(first) = all.next() else {
        return Err(Failure::Misused("there is no tenant yet: `cardea apply DIR` makes one".to_owned()));
    };
    let others: Vec<_> = all.map(TenantId::as_str).collect();
    if others.is_empty() {
        return Ok(first);
    }
    let all = [&[first.as_str()], &others[..]].concat().join(", ");
    Err(Failure::Misused(format!("which tenant? say `--tenant` with one of {all}")))
}

/// The same of the tenants in a store.
pub async fn only_in(store: &Store, named: Option<TenantId>) -> Result<TenantId, Failure> {
    let there: Vec<_> = match named {
        Some(named) => return Ok(named),
        None => store.tenants().await.map_err(anyhow::Error::from)?,
    };
    only(None, there.iter()).cloned()
}

/// A text that others wrote, for a terminal: what would move its cursor, turn the line around, or worse, is shown as what it
/// is not.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || turns(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Whether a character says in which direction others are read (Unicode Standard Annex 9, section 2), or ends a line.
const fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// From here on neither Ctrl-C nor SIGTERM nor a closed terminal ends the process before the command has ended: it is
/// about to change something, and a change must not be left without its entry. What it does takes milliseconds, but for sealing all again (`keys rotate`).
pub fn to_the_end() -> Result<(), Failure> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        // Heard by nobody: that somebody could is what keeps the process alive.
        drop(signal(kind).map_err(anyhow::Error::from)?);
    }
    Ok(())
}

/// Tells how a command ended, and gives the exit status.
pub fn tell(context: &Context, ended: Ended) -> ExitCode {
    match ended {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::No) => ExitCode::from(1),
        Err(Failure::Mistakes(found)) => {
            if context.is_json() {
                let _ = say_json(&serde_json::json!({ "ok": false, "diagnostics": found }));
            } else {
                draw(&found);
            }
            ExitCode::from(1)
        }
        Err(failure @ Failure::Misused(_)) => {
            remark(format_args!("error: {failure}"));
            ExitCode::from(2)
        }
        Err(failure @ Failure::Failed(_)) => {
            remark(format_args!("error: {failure}"));
            if let Some(why) = why_sealed(context, &failure) {
                remark(format_args!("  help: {why}"));
            }
            ExitCode::from(1)
        }
    }
}

/// Why what a command wanted stays sealed: what is wrong with the operator's key.
fn why_sealed(context: &Context, failure: &Failure) -> Option<String> {
    if !failure.to_string().contains(&StoreFault::Keyless.to_string()) {
        return None;
    }
    let config = context.config().ok()?;
    OperatorKey::of(&config).amiss(&config.kept()).map(|fault| fault.to_string())
}

/// Shows mistakes: drawn with their lines on a terminal, one line each elsewhere.
pub fn draw(found: &Diagnostics) {
    if !std::io::stderr().is_terminal() {
        remark(found);
        return;
    }
    let mut texts: BTreeMap<&str, Option<String>> = BTreeMap::new();
    for one in &found.0 {
        let text = texts.entry(&one.source).or_insert_with(|| std::fs::read_to_string(Path::new(&one.source)).ok());
        match (text, one.span) {
            (Some(text), Some((start, end))) if end <= text.len() => remark(drawn(one, text, start, end)),
            _ => remark(one),
        }
    }
}

fn drawn(one: &Diagnostic, text: &str, start: usize, end: usize) -> String {
    let mut shown =
        miette::MietteDiagnostic::new(one.message.clone()).with_label(miette::LabeledSpan::underline(start..end));
    if let Some(help) = &one.help {
        shown = shown.with_help(help);
    }
    let source = miette::NamedSource::new(&one.source, text.to_owned());
    format!("{:?}", miette::Report::new(shown).with_source_code(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_thing_is_counted_as_one() {
        for (count, says) in [(0, "0 entries"), (1, "1 entry"), (2, "2 entries"), (11, "11 entries")] {
            assert_eq!(counted(count, ["entry", "entries"]), says);
        }
    }

    #[test]
    fn what_others_wrote_moves_no_cursor_and_turns_no_line() {
        for (text, shown) in [
            ("Ada Byron", "Ada Byron"),
            ("עדה \u{5d1}\u{5df}", "עדה \u{5d1}\u{5df}"),
            ("Ada\u{1b}[2J", "Ada\u{fffd}[2J"),
            ("Ada\u{0}\n", "Ada\u{fffd}\u{fffd}"),
            ("Ada \u{202e}nimda", "Ada \u{fffd}nimda"),
            ("\u{2066}a\u{2069}\u{200f}\u{61c}\u{2028}", "\u{fffd}a\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn the_only_tenant_is_meant_and_of_several_each_is_named() {
        let all: Vec<_> = ["acme", "north"].iter().map(|id| TenantId::parse(id).unwrap()).collect();
        assert_eq!(only(None, all[..1].iter()).unwrap().as_str(), "acme");
        assert_eq!(only(Some(&all[1]), all.iter()).unwrap().as_str(), "north");
        let asked = only(None, all.iter()).unwrap_err().to_string();
        assert!(asked.contains("one of acme, north"), "{asked}");
        assert!(only(None, [].iter()).unwrap_err().to_string().contains("cardea apply DIR"));
    }

    #[tokio::test]
    async fn a_command_that_changes_something_is_not_stopped_in_the_midst_of_it() {
        to_the_end().unwrap();
        let me = std::process::id().to_string();
        for signal in ["INT", "TERM", "HUP"] {
            // Whoever is not prepared for it ends here.
            assert!(std::process::Command::new("kill").args(["-s", signal, &me]).status().unwrap().success());
        }
    }
}
