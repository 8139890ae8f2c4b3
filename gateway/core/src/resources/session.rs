//! How long a tenant's sessions last.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Assurance, Diagnostic, Diagnostics};

/// Time limits of a session (NIST SP 800-63B-4 section 2.2.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionRules {
    /// Minutes without a request after which a session ends. An hour: what AAL2 recommends at most.
    pub idle_minutes: u32,
    /// Hours after sign-in at which a session ends, used or not. Twelve: one long shift, and AAL3's limit.
    pub absolute_hours: u32,
    /// Minutes after which a handle is replaced by a new one. Fifteen: a stolen cookie is soon noticed.
    pub rotate_minutes: u32,
    /// What is otherwise for sessions of assurance 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assurance_1: Option<SessionLimits>,
    /// What is otherwise for sessions of assurance 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assurance_2: Option<SessionLimits>,
    /// What is otherwise for sessions of assurance 3. Where nothing is said of it, they last twelve hours at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assurance_3: Option<SessionLimits>,
}

/// The limits of sessions of one assurance; what is not given is as for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionLimits {
    /// Minutes without a request after which a session ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_minutes: Option<u32>,
    /// Hours after which it ends, used or not. They count from its beginning; where they are fewer than those of the assurance
    /// that it has risen from, from then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absolute_hours: Option<u32>,
}

/// The most hours that a session of an assurance may last (SP 800-63B-4 sections 2.2.3 and 2.3.3). Section 2.1.3 would let it be
/// thirty days at 1; but a session of 1 rises to 2 by one more proof, and the proof before must then be no older than one of 2 may be.
const fn most_hours(at: Assurance) -> u32 {
    match at {
        Assurance::One | Assurance::Two => 24,
        Assurance::Three => 12,
    }
}

impl Default for SessionRules {
    fn default() -> Self {
        Self {
            idle_minutes: 60,
            absolute_hours: 12,
            rotate_minutes: 15,
            assurance_1: None,
            assurance_2: None,
            assurance_3: None,
        }
    }
}

impl SessionRules {
    /// The idle limit of sessions of that assurance.
    pub fn idle(&self, at: Assurance) -> Duration {
        let minutes = self.of(at).idle_minutes.unwrap_or(self.idle_minutes);
        Duration::from_secs(u64::from(minutes) * 60)
    }

    /// The absolute limit of sessions of that assurance.
    pub fn absolute(&self, at: Assurance) -> Duration {
        let for_all = self.absolute_hours.min(most_hours(at));
        let hours = self.of(at).absolute_hours.unwrap_or(for_all);
        Duration::from_secs(u64::from(hours) * 3600)
    }

    fn of(&self, at: Assurance) -> SessionLimits {
        let own = match at {
            Assurance::One => self.assurance_1,
            Assurance::Two => self.assurance_2,
            Assurance::Three => self.assurance_3,
        };
        own.unwrap_or_default()
    }

    /// The age at which a handle is replaced.
    pub fn rotate(&self) -> Duration {
        Duration::from_secs(u64::from(self.rotate_minutes) * 60)
    }
}

impl SessionRules {
    pub(super) fn check(&self, source: &str, found: &mut Diagnostics) {
        if self.idle_minutes == 0 || self.absolute_hours == 0 || self.rotate_minutes == 0 {
            found.push(Diagnostic::new(source, "a session limit is 0").help("every limit is at least 1"));
        }
        if self.absolute_hours > 24 {
            found.push(
                Diagnostic::new(source, format!("absolute_hours is {}, more than a day", self.absolute_hours))
                    .help("NIST SP 800-63B-4 asks for at most 24 hours"),
            );
        }
        for (at, own) in [
            (Assurance::One, self.assurance_1),
            (Assurance::Two, self.assurance_2),
            (Assurance::Three, self.assurance_3),
        ] {
            if let Some((amiss, help)) = own.and_then(|own| self.amiss(at, own)) {
                found.push(Diagnostic::new(source, format!("session.assurance_{at}{amiss}")).help(help));
            }
        }
    }

    fn amiss(&self, at: Assurance, own: SessionLimits) -> Option<(String, String)> {
        let SessionLimits { idle_minutes, absolute_hours } = own;
        let most = most_hours(at);
        let (idle, lasts) = (self.idle(at), self.absolute(at));
        Some(match (idle_minutes, absolute_hours) {
            (None, None) => (
                " says nothing".to_owned(),
                "give `idle_minutes`, `absolute_hours` or both, or leave it away".to_owned(),
            ),
            (Some(0), _) | (_, Some(0)) => (" has a limit of 0".to_owned(), "every limit is at least 1".to_owned()),
            (_, Some(hours)) if hours > most => (
                format!(".absolute_hours is {hours}, more than {most}"),
                format!("write at most {most}: NIST SP 800-63B-4, and what a session of assurance {at} may rise from"),
            ),
            (Some(minutes), _) if idle > lasts => (
                format!(".idle_minutes is {minutes}, longer than such a session lasts"),
                format!("write at most {}, or another `absolute_hours` beside it", lasts.as_secs() / 60),
            ),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::{TenantSpec, read::read_resource};

    fn amiss(lines: &str) -> Option<String> {
        let text = format!("id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n{lines}\n");
        read_resource::<TenantSpec>("tenant.toml", &text).err().map(|found| found.to_string())
    }

    #[test]
    fn what_an_assurance_has_of_its_own_stands_before_what_is_for_all() {
        let hours = |count: u64| Duration::from_secs(count * 3600);
        let text = "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n[session]\nabsolute_hours = 24\n\
                    [session.assurance_1]\nabsolute_hours = 20\n[session.assurance_2]\nidle_minutes = 30\n";
        let tenant = read_resource::<TenantSpec>("tenant.toml", text).unwrap();
        let rules = &tenant.session;
        assert_eq!((rules.idle(Assurance::One), rules.absolute(Assurance::One)), (hours(1), hours(20)));
        assert_eq!((rules.idle(Assurance::Two), rules.absolute(Assurance::Two)), (hours(1) / 2, hours(24)));
        // A day for all is more than a session of 3 may last.
        assert_eq!((rules.idle(Assurance::Three), rules.absolute(Assurance::Three)), (hours(1), hours(12)));
        let again = toml::to_string(&tenant).unwrap();
        assert_eq!(read_resource::<TenantSpec>("tenant.toml", &again).unwrap(), tenant, "{again}");
    }

    #[test]
    fn limits_that_cannot_be_are_named_with_their_place() {
        for (lines, told) in [
            ("[session.assurance_1]\nabsolute_hours = 24", None),
            ("[session.assurance_3]\nidle_minutes = 15", None),
            ("[session.assurance_2]", Some("session.assurance_2 says nothing")),
            ("[session.assurance_2]\nidle_minutes = 0", Some("session.assurance_2 has a limit of 0")),
            (
                "[session.assurance_1]\nabsolute_hours = 25",
                Some("session.assurance_1.absolute_hours is 25, more than 24"),
            ),
            (
                "[session.assurance_2]\nabsolute_hours = 25",
                Some("session.assurance_2.absolute_hours is 25, more than 24"),
            ),
            (
                "[session.assurance_3]\nabsolute_hours = 13",
                Some("session.assurance_3.absolute_hours is 13, more than 12"),
            ),
            (
                "[session.assurance_2]\nidle_minutes = 721",
                Some("session.assurance_2.idle_minutes is 721, longer than such a session lasts"),
            ),
            ("[session.assurance_4]\nidle_minutes = 5", Some("assurance_4")),
            ("[session.assurance_2]\nidle = 5", Some("idle")),
        ] {
            let found = amiss(lines);
            match told {
                None => assert_eq!(found, None, "{lines}"),
                Some(told) => assert!(found.as_ref().is_some_and(|found| found.contains(told)), "{lines}: {found:?}"),
            }
        }
    }
}
