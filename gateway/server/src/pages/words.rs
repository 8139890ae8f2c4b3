//! Every text of the pages, in one place, so that a language is one more value of [`Words`].
//!
//! Which one a reader is given is decided in `cardea_core::language`. Where one of them lacks a text, nothing compiles.
//! Say what happened, why, and what to do next; in the reader's words, never ours.

use std::{fmt, time::Duration};

use cardea_core::{Language, Reason};

mod english;
mod failures;
mod german;

pub use english::ENGLISH;
pub use failures::FailureWords;
pub use german::GERMAN;

/// A text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text(pub &'static str);

impl Text {
    /// The text with `{}` replaced.
    pub fn with(&self, value: impl fmt::Display) -> String {
        self.0.replacen("{}", &value.to_string(), 1)
    }

    /// Whether something is to be put into it.
    pub fn has_gap(&self) -> bool {
        self.0.contains("{}")
    }

    /// The text with its first `{}` and its second replaced.
    pub fn with_both(&self, first: impl fmt::Display, second: impl fmt::Display) -> String {
        let (before, rest) = self.0.split_once("{}").unwrap_or((self.0, ""));
        format!("{before}{first}{}", Text(rest).with(second))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl askama::FastWritable for Text {
    fn write_into(&self, dest: &mut dyn fmt::Write, _: &dyn askama::Values) -> askama::Result<()> {
        dest.write_str(self.0)?;
        Ok(())
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $group:ident: $name:ident { $($field:ident),* $(,)? })*) => {
        /// All texts of one language.
        #[derive(Debug, Clone, Copy)]
        pub struct Words {
            /// Which it is.
            pub language: Language,
            /// `ltr` or `rtl`, for `dir`.
            pub dir: &'static str,
            $($(#[$doc])* pub $group: $name,)*
            /// What is said of each failure.
            pub failures: fn(Reason) -> FailureWords,
        }

        impl Words {
            /// Every text but those of failures, with its name, for checks of a translation.
            pub fn all(&self) -> Vec<(String, Text)> {
                let mut all = Vec::new();
                $($(all.push((format!("{}.{}", stringify!($group), stringify!($field)), self.$group.$field));)*)*
                all
            }
        }

        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            #[allow(missing_docs, reason = "the English text says what each is")]
            pub struct $name { $(pub $field: Text),* }
        )*
    };
}

words! {
    /// Words that many pages share.
    common: Common {
        skip, continue_, cancel, or, later, email, password, by_cardea, request_id, request_id_hint, sign_out,
        apps, factors, sessions, programs, activity, console, navigation, not_you, signed_in_as, assurance_1,
        assurance_2, assurance_3, assurance_1_hint, assurance_2_hint, assurance_3_hint, one_moment, onward,
    }
    /// The sign-in page.
    sign_in: SignInWords { title, title_app, over, continue_with, use_passkey, new_here }
    /// The password page.
    password: PasswordWords { title, submit, forgotten, forgotten_answer }
    /// The page for a one-time code.
    code: CodeWords { title, lead, label, submit, hint, remember, remember_hint, lost, lost_answer, use_passkey }
    /// The page for a code by e-mail, and what leads there.
    mail_code: MailCodeWords { use_one, title, lead, label, submit, hint, none, again, other }
    /// Letters.
    mail: MailWords {
        code_subject, code_lead, code_hint, invitation_subject, invitation_lead, invitation_hint, added, removed, changed,
        recovery_made, recovery_used, recovery_left, program_allowed, program_reused, program_reused_hint, session_reused, session_reused_hint, key_made,
        programs_hint, factor_link_subject, factor_link_lead, factor_link_hint, link_made, linked, unlinked, remembered, until, copied, copied_hint, new_browser, browser, client, when, review,
    }
    /// Setting up an app for codes.
    totp: TotpWords { title, lead, scan, qr_label, type_key, then_code, submit }
    /// Recovery codes: using one, and making a set.
    recovery: RecoveryWords {
        use_one, title, lead, label, hint, submit, other, make_title, make_lead, make_replaces, download, once, kept,
        make_submit,
    }
    /// Passkeys, wherever they appear.
    passkey: PasskeyWords {
        title, lead, name, name_hint, submit, needs_script, unsupported, cancelled, failed, waiting, already, retry,
    }
    /// The step-up page.
    step_up: StepUpWords {
        title, why_two, why_three, why_fresh, why_unavailable, unavailable_title, needs_link, use_passkey, set_up, not_now,
        nothing_lost,
    }
    /// The invitation and what follows it.
    invitation: InvitationWords {
        title, signed_as, passkey_title, passkey_lead, passkey_submit, password_title, password_lead,
        password, again, submit, mail_title, mail_lead, mail_submit, second_title, second_title_must, second_lead, second_must, second_passkey, second_passkey_lead, second_totp,
        second_totp_lead, second_later,
    }
    /// The list of factors.
    factors: FactorsWords {
        title, lead, password, totp, passkey, provider, added, last_used, never_used, remove, remove_label, rename,
        rename_label, last, add, add_passkey, add_totp, empty, remove_title, remove_lead, remove_weakens,
        remove_submit, name_title, name, name_hint, name_submit, done_added, done_removed, done_named, passkey_hint,
        totp_hint, email, recovery, recovery_left, done_recovery, recovering, owed, offer_recovery_title, offer_recovery,
        offer_recovery_submit, renew_recovery, renew_recovery_hint, needs_link, linked, add_linked, linked_hint,
        done_linked,
    }
    /// Linking an account at a provider.
    link_account: LinkAccountWords { title, lead, note, submit }
    /// A link by which a factor is added.
    factor_link: FactorLinkWords { title, lead }
    /// The list of sessions.
    sessions: SessionsWords {
        title, lead, current, since, seen, address, end, end_label, end_all, end_all_lead, end_others, end_others_lead, end_others_and_forget, done_ended, done_others, browser_at,
        some_browser, some_program, unknown_browser, devices_title, devices_lead, remembered, forget, forget_label, done_forgotten,
    }
    /// What programs may do in a person's name.
    programs: ProgramWords {
        title, lead, empty, since, used, end, end_label, keys_title, keys_lead, over, good_until, never, remove, remove_label, make,
        make_lead, name, name_hint, good_for, days, read, write, act, may, there, ask_title, ask_lead, allow, deny, until,
        device_warning, code_title, code_lead, code_label, code_hint, no_code, done_title, done_lead, denied_title, denied_lead,
        made_title, made_lead, made_hint, made_done, nothing_chosen, too_many_keys, done_ended, done_removed,
    }
    /// What lately happened to the account.
    activity: ActivityWords {
        title, lead, empty, signed_in, confirmed, refused, refused_with, recovery_used, reused, signed_out,
        signed_out_everywhere, session_ended, joined, linked, unlinked, suspended, activated, reset, invited, attributes, program_allowed, program_ended, programs_ended, program_reused, key_made, key_removed, link_made, link_used, device, remembered, forgotten, groups, added, removed, changed,
        times, by_administrator, pages, newer, older,
    }
    /// The portal.
    portal: PortalWords {
        title, greeting, signed_in, empty_title, empty, asks_more, offer_title, offer, offer_submit, offer_needs_link, empty_must,
        recovery_used, recovery_used_hint, copied, copied_hint,
    }
    /// After signing out.
    signed_out: SignedOutWords { title, lead, title_everywhere, lead_everywhere, again, close }
    /// What the buttons of failures say.
    failure_steps: FailureSteps { sign_in, confirm, start_again, another_account, add_factor, factor_may_help, link_may_help, not_linked, link_again, to_factors, asked_and_said, apps }
    /// What is wrong with a form.
    problem: ProblemWords {
        bad_email, wrong_password, wrong_code, wrong_mail_code, spent_mail_code, wrong_recovery, wrong_passkey, too_many, password_short, password_long, password_common, password_personal,
        passwords_differ, bad_name, last_factor, already_there, expired, try_again,
    }
    /// How long and how long ago.
    time: TimeWords { now, minute_ago, minutes_ago, hour_ago, hours_ago, day_ago, days_ago, second, seconds, minute, minutes, hour, hours }
}

impl Words {
    /// The texts in a language.
    pub fn of(language: Language) -> &'static Self {
        match language {
            Language::English => &ENGLISH,
            Language::German => &GERMAN,
        }
    }

    /// What the page of a failure says. `{}` in the title or the why is the app's name.
    pub fn failure(&self, reason: Reason) -> FailureWords {
        (self.failures)(reason)
    }

    /// A browser as `cardea_identity::cookie::agent_label` called it, as people of this language call it.
    pub fn browser(&self, label: &str) -> String {
        let s = &self.sessions;
        let named = |label: &str| match label {
            "" => s.unknown_browser.to_string(),
            "A browser" => s.some_browser.to_string(),
            "A program" => s.some_program.to_string(),
            other => other.to_owned(),
        };
        match label.split_once(" on ") {
            Some((browser, system)) => s.browser_at.with_both(named(browser), system),
            None => named(label),
        }
    }

    /// A span as people say it: rounded up, in its largest unit.
    pub fn duration(&self, span: Duration) -> String {
        let t = &self.time;
        let seconds = (span.as_secs() + u64::from(span.subsec_nanos() > 0)).max(1);
        match seconds {
            1 => t.second.to_string(),
            2..90 => t.seconds.with(seconds),
            90..5400 => count(seconds.div_ceil(60), &t.minute, &t.minutes),
            _ => count(seconds.div_ceil(3600), &t.hour, &t.hours),
        }
    }

    /// How long ago something was.
    pub fn ago(&self, when: &super::when::When) -> String {
        let t = &self.time;
        let minutes = when.ago().as_secs() / 60;
        match minutes {
            0 => t.now.to_string(),
            1..60 => count(minutes, &t.minute_ago, &t.minutes_ago),
            60..1440 => count(minutes / 60, &t.hour_ago, &t.hours_ago),
            _ => count(minutes / 1440, &t.day_ago, &t.days_ago),
        }
    }

    /// How strongly signed in, in two or three words.
    pub fn assurance(&self, level: &u8) -> Text {
        match level {
            3 => self.common.assurance_3,
            2 => self.common.assurance_2,
            _ => self.common.assurance_1,
        }
    }

    /// What that strength means.
    pub fn assurance_hint(&self, level: &u8) -> Text {
        match level {
            3 => self.common.assurance_3_hint,
            2 => self.common.assurance_2_hint,
            _ => self.common.assurance_1_hint,
        }
    }
}

fn count(number: u64, one: &Text, many: &Text) -> String {
    if number == 1 { one.to_string() } else { many.with(number) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::when::When;
    use cardea_core::Timestamp;

    /// Texts that German has from English as they are.
    const SHARED: [&str; 3] = ["Apps", "Name", "Passkey"];

    #[test]
    fn every_language_says_all_that_english_says_in_words_of_its_own() {
        for language in Language::ALL {
            let words = Words::of(language);
            assert_eq!(words.language, language);
            for ((name, english), (_, text)) in ENGLISH.all().into_iter().zip(words.all()) {
                is_said(&format!("{language:?} {name}"), english, text, language);
            }
            for reason in Reason::ALL {
                let (english, words) = (ENGLISH.failure(*reason), words.failure(*reason));
                for (english, text) in
                    [(english.title, words.title), (english.why, words.why), (english.next, words.next)]
                {
                    is_said(&format!("{language:?} {reason}"), english, text, language);
                }
            }
        }
    }

    fn is_said(what: &str, english: Text, text: Text, language: Language) {
        assert!(!text.0.trim().is_empty() && text.0 == text.0.trim(), "{what} is empty or has spaces around it");
        assert_eq!(text.0.matches("{}").count(), english.0.matches("{}").count(), "{what}: `{text}`");
        let own = language == Language::English || text != english || SHARED.contains(&text.0);
        assert!(own, "{what} is still English: `{text}`");
        // Twice as long is another design; a word or two more is not.
        assert!(text.0.chars().count() <= english.0.chars().count() * 2 + 12, "{what} is too long: `{text}`");
    }

    #[test]
    fn a_browser_is_called_as_people_call_it() {
        for (label, english, german) in [
            ("Firefox on Linux", "Firefox on Linux", "Firefox (Linux)"),
            ("A browser on macOS", "A browser on macOS", "Ein Browser (macOS)"),
            ("curl", "curl", "curl"),
            ("A program", "A program", "Ein Programm"),
            ("", "Unknown browser", "Unbekannter Browser"),
        ] {
            assert_eq!((ENGLISH.browser(label), GERMAN.browser(label)), (english.to_owned(), german.to_owned()));
        }
    }

    #[test]
    fn spans_are_said_as_people_say_them() {
        for (seconds, said, german) in [
            (0, "1 second", "1 Sekunde"),
            (30, "30 seconds", "30 Sekunden"),
            (90, "2 minutes", "2 Minuten"),
            (900, "15 minutes", "15 Minuten"),
            (7200, "2 hours", "2 Stunden"),
        ] {
            assert_eq!(ENGLISH.duration(Duration::from_secs(seconds)), said);
            assert_eq!(GERMAN.duration(Duration::from_secs(seconds)), german);
        }
        assert_eq!(ENGLISH.duration(Duration::from_millis(29_300)), "30 seconds");
    }

    #[test]
    fn the_past_is_said_as_people_say_it() {
        let at = Timestamp::from_secs(1_000_000);
        for (seconds, said, german) in [
            (5, "just now", "gerade eben"),
            (60, "1 minute ago", "vor 1 Minute"),
            (3599, "59 minutes ago", "vor 59 Minuten"),
            (7200, "2 hours ago", "vor 2 Stunden"),
            (100_000, "1 day ago", "vor 1 Tag"),
            (200_000, "2 days ago", "vor 2 Tagen"),
        ] {
            let when = When::new(at, at.plus(Duration::from_secs(seconds)));
            assert_eq!((ENGLISH.ago(&when), GERMAN.ago(&when)), (said.to_owned(), german.to_owned()));
        }
    }
}
