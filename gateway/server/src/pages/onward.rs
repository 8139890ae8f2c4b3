//! The page between a form and another host.

use askama::Template;

use super::{Look, page};

/// Leads on to an address at another host, by itself and by a button.
///
/// Browsers of the Chromium family hold every redirect that follows a form to `form-action`, those of the app or of a
/// provider included, and then show nothing at all. This page ends the form's navigation and begins another.
#[derive(Debug, Template)]
#[template(path = "onward.html")]
pub struct Onward<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// The address: `https://…`, or `http://…` on a loopback listener.
    pub to: &'a str,
}
page!(Onward);
