//! What letters say: plain text, in one language, with the tenant's name. No secret stands in one but the code, or the link,
//! that it is about, and neither in its subject, which telephones show while they are locked.

use std::{fmt, net::IpAddr};

use cardea_audit::{Event, Subject};
use cardea_core::{ClientId, Language, ProviderId, Timestamp};
use cardea_identity::factors::email::Code;

use crate::pages::{Words, words::Text};

/// A letter, before it is written.
pub(crate) enum Letter {
    /// A code to sign in with.
    Code {
        /// The code.
        code: Code,
    },
    /// The link of an invitation.
    Invitation {
        /// The link.
        url: String,
        /// Until when it may be used.
        expires: Timestamp,
    },
    /// The link by which a factor is added.
    FactorLink {
        /// The link.
        url: String,
        /// Until when it may be used.
        expires: Timestamp,
    },
    /// Something that changed about the person's account.
    Notice {
        /// What.
        notice: Notice,
        /// When.
        at: Timestamp,
    },
}

/// What a person is told of their account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A factor of this kind was added.
    Added(String),
    /// An account at the provider of this name was linked.
    Linked(String),
    /// One is linked no more.
    Unlinked(String),
    /// One was removed.
    Removed(String),
    /// One was replaced by another of its kind.
    Changed(String),
    /// Recovery codes were made; those before are good no more.
    RecoveryMade,
    /// A recovery code was used; so many are left.
    RecoveryUsed(u64),
    /// A browser stands in for the second factor from now on.
    Remembered {
        /// Which, as `cardea_identity::cookie::agent_label` calls it.
        browser: String,
        /// Until when.
        until: Timestamp,
    },
    /// Two hold a device that was remembered, and one of them has typed the password.
    Copied,
    /// An administrator made a link by which a factor is added, and hands it over.
    LinkMade,
    /// The client of this name was let act for the person.
    ProgramAllowed(String),
    /// A used refresh token of it was shown again: what it may do was ended.
    ProgramReused(String),
    /// An access key of this name was made.
    KeyMade(String),
    /// A replaced handle of a session was shown again: it was ended.
    SessionReused,
    /// Somebody signed in from a browser that was not known to the account.
    NewBrowser {
        /// Which, as `cardea_identity::cookie::agent_label` calls it.
        browser: String,
        /// From where.
        client: Option<IpAddr>,
    },
}

/// What stands around every letter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    /// The tenant's name.
    pub tenant: &'a str,
    /// The origin of its sign-in host.
    pub origin: &'a str,
    /// The language.
    pub language: Language,
}

/// A letter as it is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub text: String,
}

/// Its kind alone: links and codes open something.
impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl Letter {
    /// A code.
    pub(super) const CODE: &'static str = "code";
    /// Every kind, for figures.
    pub(super) const KINDS: [&'static str; 4] = [Self::CODE, "invitation", "factor-link", "notice"];

    /// What kind it is, for entries and figures.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Code { .. } => Self::CODE,
            Self::Invitation { .. } => "invitation",
            Self::FactorLink { .. } => "factor-link",
            Self::Notice { .. } => "notice",
        }
    }

    /// The letter in words.
    pub(super) fn written(&self, frame: &Frame<'_>) -> Written {
        let w = Words::of(frame.language);
        let (m, tenant) = (&w.mail, &*one_line(frame.tenant));
        let (subject, mut parts) = match self {
            Self::Code { code } => (
                m.code_subject.with(tenant),
                vec![m.code_lead.to_string(), format!("    {}", code.expose_grouped()), m.code_hint.to_string()],
            ),
            Self::Invitation { url, expires } => (
                m.invitation_subject.with(tenant),
                vec![m.invitation_lead.with(tenant), url.clone(), m.invitation_hint.with(moment(*expires))],
            ),
            Self::FactorLink { url, expires } => (
                m.factor_link_subject.with(tenant),
                vec![m.factor_link_lead.with(tenant), url.clone(), m.factor_link_hint.with(moment(*expires))],
            ),
            Self::Notice { notice, at } => {
                let facts = [notice.facts(w), vec![m.when.with(moment(*at))]].concat().join("\n");
                let review = m.review.with(format_args!("{}/sessions", frame.origin));
                (format!("{tenant}: {}", notice.title(w)), vec![notice.title(w) + ".", facts, review])
            }
        };
        parts.push(format!("{tenant}\n{}/", frame.origin));
        Written { subject, text: parts.join("\n\n") + "\n" }
    }
}

impl Notice {
    /// What an event is told to the person as, if it is told to them.
    /// `named` tells what people call a provider.
    pub(super) fn of(
        event: &Event,
        named: impl Fn(&ProviderId) -> String,
        program: impl Fn(&ClientId) -> String,
    ) -> Option<(&Subject, Self)> {
        Some(match event {
            // By whom the provider brought, it is no news to them.
            Event::IdentityLinked { user, provider, own: true, .. } => (user, Self::Linked(named(provider))),
            Event::IdentityUnlinked { user, provider, .. } => (user, Self::Unlinked(named(provider))),
            Event::FactorAdded { user, factor_kind, .. } if &**factor_kind == "recovery" => (user, Self::RecoveryMade),
            Event::FactorAdded { user, factor_kind, .. } => (user, Self::Added(factor_kind.to_string())),
            Event::FactorRemoved { user, factor_kind, .. } => (user, Self::Removed(factor_kind.to_string())),
            Event::FactorChanged { user, factor_kind, what, .. } if &**what == "value" => {
                (user, Self::Changed(factor_kind.to_string()))
            }
            Event::DeviceRemembered { user, browser, until, .. } => {
                (user, Self::Remembered { browser: browser.clone(), until: *until })
            }
            Event::DeviceForgotten { user, cause, .. } if &**cause == "copied" => (user, Self::Copied),
            Event::RecoveryUsed { user, left, .. } => (user, Self::RecoveryUsed(*left)),
            Event::GrantMade { user, client, .. } => (user, Self::ProgramAllowed(program(client))),
            Event::RefreshReuse { user, client, .. } => (user, Self::ProgramReused(program(client))),
            Event::AccessKeyMade { user, name, .. } => (user, Self::KeyMade(name.clone())),
            _ => return None,
        })
    }

    fn title(&self, w: &Words) -> String {
        let m = &w.mail;
        match self {
            Self::Linked(provider) => m.linked.with(one_line(provider)),
            Self::Unlinked(provider) => m.unlinked.with(one_line(provider)),
            Self::Added(kind) => m.added.with(factor(w, kind)),
            Self::Removed(kind) => m.removed.with(factor(w, kind)),
            Self::Changed(kind) => m.changed.with(factor(w, kind)),
            Self::RecoveryMade => m.recovery_made.to_string(),
            Self::RecoveryUsed(_) => m.recovery_used.to_string(),
            Self::Remembered { .. } => m.remembered.to_string(),
            Self::Copied => m.copied.to_string(),
            Self::LinkMade => m.link_made.to_string(),
            Self::ProgramAllowed(name) => m.program_allowed.with(one_line(name)),
            Self::ProgramReused(name) => m.program_reused.with(one_line(name)),
            Self::KeyMade(name) => m.key_made.with(one_line(name)),
            Self::SessionReused => m.session_reused.to_string(),
            Self::NewBrowser { .. } => m.new_browser.to_string(),
        }
    }

    fn facts(&self, w: &Words) -> Vec<String> {
        let m = &w.mail;
        match self {
            Self::RecoveryUsed(left) => vec![m.recovery_left.with(left)],
            Self::Remembered { browser, until } => {
                vec![m.browser.with(w.browser(browser)), m.until.with(moment(*until))]
            }
            Self::Copied => vec![m.copied_hint.to_string()],
            Self::ProgramAllowed(_) | Self::KeyMade(_) => vec![m.programs_hint.to_string()],
            Self::ProgramReused(_) => vec![m.program_reused_hint.to_string()],
            Self::SessionReused => vec![m.session_reused_hint.to_string()],
            Self::NewBrowser { browser, client } => {
                let from = client.map(|client| m.client.with(client.to_canonical()));
                std::iter::once(m.browser.with(w.browser(browser))).chain(from).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn factor(w: &Words, kind: &str) -> Text {
    let f = &w.factors;
    match kind {
        "password" => f.password,
        "totp" => f.totp,
        "passkey" => f.passkey,
        "recovery" => f.recovery,
        _ => f.provider,
    }
}

/// A text without what could end a line: no header takes that, and lettre panics at it in a name.
pub(super) fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// A moment to the minute. In UTC, and said so: where the reader is, we do not know.
fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{} UTC", text.get(..16).unwrap_or(&text).replace('T', " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::{UserId, entropy::Fixed};
    use cardea_identity::factors::email;

    const AT: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn frame(language: Language) -> Frame<'static> {
        Frame { tenant: "North & Söhne", origin: "https://id.north.example", language }
    }

    #[test]
    fn a_code_stands_in_the_letter_and_not_in_its_subject() {
        let (code, _) = email::draw(AT, &Fixed::new(1));
        let shown = code.expose_grouped();
        let letter = Letter::Code { code };
        for language in Language::ALL {
            let Written { subject, text } = letter.written(&frame(language));
            assert!(
                text.contains(&format!("\n    {shown}\n")) && text.ends_with("https://id.north.example/\n"),
                "{text}"
            );
            assert!(subject.contains("North & Söhne") && !subject.contains(char::is_numeric), "{subject}");
        }
        assert!(!format!("{letter:?}").contains(&shown.replace(' ', "")));
    }

    #[test]
    fn a_notice_says_what_when_and_what_to_do() {
        let notice =
            Notice::NewBrowser { browser: "Firefox on Linux".to_owned(), client: "::ffff:192.0.2.7".parse().ok() };
        let Written { subject, text } = Letter::Notice { notice, at: AT }.written(&frame(Language::English));
        assert_eq!(subject, "North & Söhne: Sign-in from a new browser");
        assert_eq!(
            text,
            "Sign-in from a new browser.\n\nBrowser: Firefox on Linux\nNetwork address: 192.0.2.7\nWhen: 2027-01-15 08:00 UTC\n\n\
             If that wasn’t you, sign out everywhere at https://id.north.example/sessions and tell your administrator.\n\n\
             North & Söhne\nhttps://id.north.example/\n"
        );
        for kind in ["password", "totp", "passkey", "recovery"] {
            for notice in [Notice::Added(kind.into()), Notice::Removed(kind.into()), Notice::Changed(kind.into())] {
                let text = Letter::Notice { notice, at: AT }.written(&frame(Language::German)).text;
                assert!(text.contains("/sessions") && !text.contains("{}"), "{text}");
            }
        }
    }

    #[test]
    fn a_person_is_told_of_a_copied_device_and_of_no_other_that_is_forgotten() {
        let user = Subject { id: UserId::mint(AT, &Fixed::new(1)), email: "ada@north.example".to_owned() };
        let named = |_: &ProviderId| String::new();
        let forgotten =
            |cause: &str| Event::DeviceForgotten { user: user.clone(), devices: vec![], cause: cause.into() };
        for cause in ["portal", "signed-out", "administrator", "remembered-again"] {
            assert_eq!(Notice::of(&forgotten(cause), named, ClientId::to_string), None, "{cause}");
        }
        for (language, advice) in [(Language::English, "change it"), (Language::German, "Ändern Sie es")] {
            let (_, notice) = Notice::of(&forgotten("copied"), named, ClientId::to_string).unwrap();
            let text = Letter::Notice { notice, at: AT }.written(&frame(language)).text;
            assert!(text.contains(advice) && text.contains("/sessions") && !text.contains("{}"), "{text}");
        }
    }

    #[test]
    fn a_person_is_told_of_an_account_that_was_linked_by_whoever_was_signed_in() {
        let user = Subject { id: UserId::mint(AT, &Fixed::new(1)), email: "ada@north.example".to_owned() };
        let (provider, named) = (ProviderId::parse("work").unwrap(), |_: &ProviderId| "Work\naccount".to_owned());
        let linked = |own| Event::IdentityLinked {
            user: user.clone(),
            provider: provider.clone(),
            subject: "a-sub".to_owned(),
            own,
        };
        assert_eq!(Notice::of(&linked(false), named, ClientId::to_string), None, "they came by the provider");
        let gone =
            Event::IdentityUnlinked { user: user.clone(), provider: provider.clone(), subject: "a-sub".to_owned() };
        for event in [linked(true), gone] {
            for language in Language::ALL {
                let (_, notice) = Notice::of(&event, named, ClientId::to_string).unwrap();
                let Written { subject, text } = Letter::Notice { notice, at: AT }.written(&frame(language));
                assert!(subject.contains("Work account") && !text.contains("a-sub") && !text.contains("{}"), "{text}");
            }
        }
    }
}
