//! The pages that a person passes through: sign-in, refusals, portal. Each is a struct with a template; what it shows
//! is what it was given. Reads no clock, no store and no request.
//!
//! A handler fills a struct and calls [`Page::respond`]:
//!
//! ```ignore
//! let page = SignIn { look, email: "", problem: None, carried: &carried, app: None, passkey: true, providers };
//! return page.respond();
//! ```

pub mod activity;
pub mod assets;
pub mod colour;
pub mod email;
pub mod factors;
pub mod failure;
pub mod headers;
pub mod invitation;
pub mod look;
pub mod notice;
pub mod onward;
pub mod passkey;
pub mod password;
pub mod portal;
pub mod problem;
pub mod programs;
pub mod recovery;
pub mod sessions;
pub mod sign_in;
pub mod signed_out;
pub mod step_up;
pub mod totp;
pub mod when;
pub mod words;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

pub use activity::{Activity, ActivityRow};
pub use email::MailCode;
pub use factors::{FactorLink, FactorRow, Factors, LinkAccount, NameFactor, RemoveFactor};
pub use failure::{Failure, Linking};
pub use invitation::{Invitation, SecondFactor};
pub use look::{Look, Person};
pub use notice::{Notice, Step};
pub use onward::Onward;
pub use passkey::EnrolPasskey;
pub use password::Password;
pub use portal::{AppCard, Portal};
pub use problem::Problem;
pub use programs::{
    AccessKeyMade, AccessKeyRow, AppChoice, Consent, DeviceCode, DeviceDone, NewAccessKey, ProgramRow, Programs,
};
pub use recovery::{EnrolRecovery, Recovery};
pub use sessions::{DeviceRow, SessionRow, Sessions};
pub use sign_in::{ProviderButton, SignIn};
pub use signed_out::SignedOut;
pub use step_up::{Need, StepUp};
pub use totp::{Code, EnrolTotp};
pub use words::Words;

/// A hidden field that every form of a page sends along, such as `("to", "https://…")`.
pub type Carried<'a> = &'a [(&'a str, &'a str)];

/// A page of ours: something to render, in a tenant's look, with the headers that all of our pages have.
pub trait Page: askama::Template {
    /// The tenant's look that it is shown in.
    fn look(&self) -> &Look;

    /// The status it is answered with.
    fn status(&self) -> StatusCode {
        StatusCode::OK
    }

    /// The whole response: body, status and security headers.
    fn respond(&self) -> Response {
        let Ok(html) = self.render() else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let mut response = Response::new(Body::from(html));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers::secure(headers, self.look().content_security_policy());
        headers::spoken(headers, self.look().w.language);
        response
    }
}

/// Makes a [`Page`] of a struct with a `look`, and a `problem` that decides the status where it has one.
macro_rules! page {
    ($name:ident) => {
        impl $crate::pages::Page for $name<'_> {
            fn look(&self) -> &$crate::pages::Look {
                self.look
            }
        }
    };
    ($name:ident, problem) => {
        impl $crate::pages::Page for $name<'_> {
            fn look(&self) -> &$crate::pages::Look {
                self.look
            }

            fn status(&self) -> axum::http::StatusCode {
                self.problem.as_ref().map_or(axum::http::StatusCode::OK, $crate::pages::Problem::status)
            }
        }
    };
}
pub(crate) use page;

#[cfg(test)]
mod tests;
