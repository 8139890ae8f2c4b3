//! Every text of the pages, in one place, so that a language is one more value of [`Words`].
//!
//! Say what happened, why, and what to do next; in the reader's words, never ours.

use std::{fmt, time::Duration};

mod english;
mod failures;

pub use english::ENGLISH;
pub use failures::FailureWords;

/// A text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text(pub &'static str);

impl Text {
    /// The text with `{}` replaced.
    pub fn with(&self, value: impl fmt::Display) -> String {
        self.0.replacen("{}", &value.to_string(), 1)
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
    ($($(#[$doc:meta])* $name:ident { $($field:ident),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            #[allow(missing_docs, reason = "the English text says what each is")]
            pub struct $name { $(pub $field: Text),* }

            impl $name {
                /// Every text with its name, for checks of a translation.
                pub fn all(&self) -> Vec<(&'static str, Text)> {
                    vec![$((stringify!($field), self.$field)),*]
                }
            }
        )*
    };
}

/// All texts of one language.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    /// The language's tag, for `lang`.
    pub lang: &'static str,
    /// `ltr` or `rtl`, for `dir`.
    pub dir: &'static str,
    /// Words that many pages share.
    pub common: Common,
    /// The sign-in page.
    pub sign_in: SignInWords,
    /// The password page.
    pub password: PasswordWords,
    /// The page for a one-time code.
    pub code: CodeWords,
    /// Setting up an app for codes.
    pub totp: TotpWords,
    /// Recovery codes: using one, and making a set.
    pub recovery: RecoveryWords,
    /// Passkeys, wherever they appear.
    pub passkey: PasskeyWords,
    /// The step-up page.
    pub step_up: StepUpWords,
    /// The invitation and what follows it.
    pub invitation: InvitationWords,
    /// The list of factors.
    pub factors: FactorsWords,
    /// The list of sessions.
    pub sessions: SessionsWords,
    /// The portal.
    pub portal: PortalWords,
    /// After signing out.
    pub signed_out: SignedOutWords,
    /// What the buttons of failures say.
    pub failure_steps: FailureSteps,
    /// What is wrong with a form.
    pub problem: ProblemWords,
    /// How long and how long ago.
    pub time: TimeWords,
}

words! {
    /// Words that many pages share.
    Common {
        skip, continue_, cancel, or, later, email, password, by_cardea, request_id, request_id_hint, sign_out,
        apps, factors, sessions, console, navigation, not_you, signed_in_as, assurance_1,
        assurance_2, assurance_3, assurance_1_hint, assurance_2_hint, assurance_3_hint, one_moment, onward,
    }
    /// The sign-in page.
    SignInWords { title, title_app, continue_with, use_passkey, new_here }
    /// The password page.
    PasswordWords { title, submit, forgotten, forgotten_answer }
    /// The page for a one-time code.
    CodeWords { title, lead, label, submit, hint, lost, lost_answer, use_passkey }
    /// Setting up an app for codes.
    TotpWords { title, lead, scan, qr_label, type_key, then_code, submit }
    /// Recovery codes: using one, and making a set.
    RecoveryWords {
        use_one, title, lead, label, hint, submit, other, make_title, make_lead, make_replaces, download, once, kept,
        make_submit,
    }
    /// Passkeys, wherever they appear.
    PasskeyWords {
        title, lead, name, name_hint, submit, needs_script, unsupported, cancelled, failed, waiting, already, retry,
    }
    /// The step-up page.
    StepUpWords {
        title, why_two, why_three, why_fresh, why_unavailable, unavailable_title, use_passkey, set_up, not_now,
        nothing_lost,
    }
    /// The invitation and what follows it.
    InvitationWords {
        title, signed_as, passkey_title, passkey_lead, passkey_submit, password_title, password_lead,
        password, again, submit, second_title, second_lead, second_passkey, second_passkey_lead, second_totp,
        second_totp_lead, second_later,
    }
    /// The list of factors.
    FactorsWords {
        title, lead, password, totp, passkey, provider, added, last_used, never_used, remove, remove_label, rename,
        rename_label, last, add, add_passkey, add_totp, empty, remove_title, remove_lead, remove_weakens,
        remove_submit, name_title, name, name_hint, name_submit, done_added, done_removed, done_named, passkey_hint,
        totp_hint, recovery, recovery_left, done_recovery, recovering, offer_recovery_title, offer_recovery,
        offer_recovery_submit, renew_recovery, renew_recovery_hint,
    }
    /// The list of sessions.
    SessionsWords {
        title, lead, current, since, seen, address, end, end_label, end_all, end_all_lead, done_ended, unknown_browser, }
    /// The portal.
    PortalWords {
        title, greeting, signed_in, empty_title, empty, asks_more, offer_title, offer, offer_submit,
        recovery_used, recovery_used_hint,
    }
    /// After signing out.
    SignedOutWords { title, lead, title_everywhere, lead_everywhere, again, close }
    /// What the buttons of failures say.
    FailureSteps { sign_in, confirm, start_again, another_account, add_factor, factor_may_help, apps }
    /// What is wrong with a form.
    ProblemWords {
        bad_email, wrong_password, wrong_code, wrong_recovery, wrong_passkey, too_many, password_short, password_long, password_common, password_personal,
        passwords_differ, bad_name, last_factor, already_there, expired, try_again,
    }
    /// How long and how long ago.
    TimeWords { now, minute_ago, minutes_ago, hour_ago, hours_ago, day_ago, days_ago, second, seconds, minute, minutes, hour, hours }
}

impl Words {
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

    #[test]
    fn spans_are_said_as_people_say_them() {
        for (seconds, said) in
            [(0, "1 second"), (30, "30 seconds"), (90, "2 minutes"), (900, "15 minutes"), (7200, "2 hours")]
        {
            assert_eq!(ENGLISH.duration(Duration::from_secs(seconds)), said);
        }
        assert_eq!(ENGLISH.duration(Duration::from_millis(29_300)), "30 seconds");
    }

    #[test]
    fn the_past_is_said_as_people_say_it() {
        let at = Timestamp::from_secs(1_000_000);
        for (seconds, said) in [
            (5, "just now"),
            (60, "1 minute ago"),
            (3599, "59 minutes ago"),
            (7200, "2 hours ago"),
            (200_000, "2 days ago"),
        ] {
            assert_eq!(ENGLISH.ago(&When::new(at, at.plus(Duration::from_secs(seconds)))), said);
        }
    }
}
