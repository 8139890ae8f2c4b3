//! What was wrong with a form that is shown again: the sentence beside the field, and the status.

use std::time::Duration;

use axum::http::StatusCode;
use cardea_core::Reason;

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
    /// The step took too long; it can be begun again from this page.
    Expired,
    /// Something of ours failed; the same form may be tried again.
    TryAgain,
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
            _ => Self::TryAgain,
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
            Self::LastFactor | Self::AlreadyThere => Reason::Conflict,
            Self::Expired => Reason::SignInExpired,
            Self::TryAgain => Reason::Internal,
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
            Self::Expired => p.expired.to_string(),
            Self::TryAgain => p.try_again.to_string(),
        }
    }
}
