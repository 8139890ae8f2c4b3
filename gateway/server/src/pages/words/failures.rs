//! The texts of failures: for each reason what happened, why, and what to do next.

use super::Text;

/// What a failure's page says.
#[derive(Debug, Clone, Copy)]
pub struct FailureWords {
    /// What happened.
    pub title: Text,
    /// Why.
    pub why: Text,
    /// What to do next.
    pub next: Text,
}

/// The three texts of a failure.
pub(super) const fn say(title: &'static str, why: &'static str, next: &'static str) -> FailureWords {
    FailureWords { title: Text(title), why: Text(why), next: Text(next) }
}

#[cfg(test)]
mod tests {
    use cardea_core::{Language, Reason};

    use super::super::Words;

    /// What is said of each reason, in every language.
    fn said() -> impl Iterator<Item = (Reason, super::FailureWords)> {
        let all = Language::ALL.into_iter().map(Words::of);
        all.flat_map(|words| Reason::ALL.iter().map(move |reason| (*reason, words.failure(*reason))))
    }

    #[test]
    fn every_reason_says_what_why_and_what_next() {
        for (reason, words) in said() {
            for text in [words.title, words.why, words.next] {
                assert!(text.0.len() > 8, "{reason}");
                assert!(text.0.matches("{}").count() <= 1, "{reason}");
            }
            assert!(!words.title.0.ends_with('.'), "{reason}: a title is no sentence");
            assert!(words.why.0.ends_with('.') && words.next.0.ends_with('.'), "{reason}");
        }
    }

    #[test]
    fn no_refusal_tells_why_a_policy_said_no() {
        for (reason, words) in said() {
            for text in [words.title, words.why, words.next] {
                let lower = text.0.to_lowercase();
                for ours in [
                    "evaluation",
                    "cedar",
                    "forbid",
                    "upstream",
                    "csrf",
                    "principal",
                    "exception",
                    "auswertung",
                    "ausnahme",
                ] {
                    assert!(!lower.contains(ours), "{reason} says `{ours}`");
                }
            }
        }
    }
}
