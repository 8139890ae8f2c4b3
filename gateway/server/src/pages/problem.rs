//! What was wrong with a form that is shown again: the sentence beside the field, and the status.

use std::time::Duration;

use axum::http::StatusCode;
use cardea_core::{Reason, reason::Whose};

use super::Words;

/// Why a form is shown again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The text is no e-mail address.
    BadEmail,
    /// E-mail and password do not belong together; never says which.
    WrongPassword,
    /// The one-time code is wrong, old or used.
    WrongCode,
    /// The code by e-mail is wrong.
    WrongMailCode,
    /// The code by e-mail is too old, or was tried too often.
    SpentMailCode,
    /// The recovery code is wrong or used.
    WrongRecovery,
    /// The passkey is unknown here or its answer does not verify.
    WrongPasskey,
    /// Too many tries: the next may be after this time.
    TooMany(Duration),
    /// The new password is shorter than it may be.
    PasswordShort(usize),
    /// The new password is longer than it may be.
    PasswordLong(usize),
    /// The new password is one that everybody tries first.
    PasswordCommon,
    /// The new password is made of the person's own name or address.
    PasswordPersonal,
    /// The two new passwords differ.
    PasswordsDiffer,
    /// The name is empty or too long.
    BadName,
    /// The last way of signing in cannot be removed.
    LastFactor,
    /// This passkey or app is there already.
    AlreadyThere,
    /// No device shows the code that was typed.
    NoDevice,
    /// No app was chosen for an access key, or nothing that it may do.
    NothingChosen,
    /// The person has as many access keys as one may have.
    TooManyKeys,
    /// The step took too long; it can be begun again from this page.
    Expired,
    /// A refusal that is no form's to mend: it has the words and the status of its page.
    Refused(Reason),
    /// Something of ours failed; the same form may be tried again.
    TryAgain(Reason),
}

impl Problem {
    /// The problem that a reason amounts to at a form.
    pub fn of(reason: Reason) -> Self {
        match reason {
            Reason::FactorRejected => Self::WrongPassword,
            Reason::TooManyAttempts => Self::TooMany(Duration::from_secs(60)),
            Reason::SignInExpired | Reason::CodeSpent => Self::Expired,
            Reason::BadInput => Self::BadEmail,
            Reason::Conflict => Self::AlreadyThere,
            other if other.whose() == Whose::Faulted => Self::TryAgain(other),
            other => Self::Refused(other),
        }
    }

    /// The status that the page is answered with.
    pub fn status(&self) -> StatusCode {
        let reason = match self {
            Self::WrongPassword
            | Self::WrongCode
            | Self::WrongMailCode
            | Self::SpentMailCode
            | Self::WrongRecovery
            | Self::WrongPasskey => Reason::FactorRejected,
            Self::TooMany(_) => Reason::TooManyAttempts,
            Self::LastFactor | Self::AlreadyThere | Self::TooManyKeys => Reason::Conflict,
            Self::Expired => Reason::SignInExpired,
            Self::Refused(reason) | Self::TryAgain(reason) => *reason,
            _ => Reason::BadInput,
        };
        StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::BAD_REQUEST)
    }

    /// The sentence that the person reads.
    pub fn text(&self, w: &Words) -> String {
        let p = &w.problem;
        match self {
            Self::BadEmail => p.bad_email.to_string(),
            Self::WrongPassword => p.wrong_password.to_string(),
            Self::WrongCode => p.wrong_code.to_string(),
            Self::WrongMailCode => p.wrong_mail_code.to_string(),
            Self::SpentMailCode => p.spent_mail_code.to_string(),
            Self::WrongRecovery => p.wrong_recovery.to_string(),
            Self::WrongPasskey => p.wrong_passkey.to_string(),
            Self::TooMany(wait) => p.too_many.with(w.duration(*wait)),
            Self::PasswordShort(least) => p.password_short.with(least),
            Self::PasswordLong(most) => p.password_long.with(most),
            Self::PasswordCommon => p.password_common.to_string(),
            Self::PasswordPersonal => p.password_personal.to_string(),
            Self::PasswordsDiffer => p.passwords_differ.to_string(),
            Self::BadName => p.bad_name.to_string(),
            Self::LastFactor => p.last_factor.to_string(),
            Self::AlreadyThere => p.already_there.to_string(),
            Self::NoDevice => w.programs.no_code.to_string(),
            Self::NothingChosen => w.programs.nothing_chosen.to_string(),
            Self::TooManyKeys => w.programs.too_many_keys.to_string(),
            Self::Expired => p.expired.to_string(),
            Self::Refused(reason) => {
                let said = w.failure(*reason);
                // Who is named in the second sentence is not known here.
                if said.why.has_gap() { said.title.to_string() } else { format!("{}. {}", said.title, said.why) }
            }
            Self::TryAgain(_) => p.try_again.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use cardea_core::Language;

    use super::*;

    /// Each of them was told to scripts as a fault of ours, and whoever sent one at will raised the alarm.
    #[test]
    fn an_expected_no_is_no_fault_of_ours_and_a_fault_is() {
        for (reason, status, told) in [
            (Reason::UserSuspended, 403, "Your account is suspended"),
            (Reason::SessionEnded, 401, "Your session has ended"),
            (Reason::FactorNotAllowed, 403, "This way of signing in is not allowed"),
            (Reason::ForeignReturn, 400, "This link leads elsewhere"),
            (Reason::NotAMember, 403, "You are not a member here yet"),
            (Reason::StoreUnavailable, 503, "Something went wrong on our side"),
            (Reason::Internal, 500, "Something went wrong on our side"),
        ] {
            let problem = Problem::of(reason);
            let text = problem.text(Words::of(Language::English));
            assert_eq!(problem.status().as_u16(), status, "{reason}");
            assert!(text.starts_with(told) && !text.contains("{}"), "{reason}: {text}");
        }
        for reason in Reason::ALL {
            let is_fault = Problem::of(*reason).status().is_server_error();
            assert_eq!(is_fault, reason.whose() == Whose::Faulted, "{reason}");
        }
    }
}
