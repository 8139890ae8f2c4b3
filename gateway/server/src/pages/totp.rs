//! One-time codes: typing one, and setting up the app that makes them.

use askama::Template;

use super::{Carried, Look, Person, Problem, page};

/// `GET /sign-in/totp`; its form posts `code` to `/sign-in/totp`.
#[derive(Debug, Template)]
#[template(path = "code.html")]
pub struct Code<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who signs in.
    pub email: &'a str,
    /// Why the form is shown again.
    pub problem: Option<Problem>,
    /// Hidden fields that the form sends along.
    pub carried: Carried<'a>,
    /// Whether a passkey may be used instead.
    pub passkey: bool,
    /// Whether the person has recovery codes.
    pub recovery: bool,
    /// For how many days the person may have this browser remembered; none where they may not.
    pub remember: Option<u16>,
    /// Whether they ticked the box for that already.
    pub remembered: bool,
    /// Where "start again" leads.
    pub back: &'a str,
}
page!(Code, problem);

/// `GET /factors/totp`; its form posts `code` (and the carried fields) to `/factors/totp`.
#[derive(Debug, Template)]
#[template(path = "enrol-totp.html")]
pub struct EnrolTotp<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who is signed in.
    pub person: Person<'a>,
    /// The QR code as an SVG that we made ([`qr_svg`]); the one thing that a template takes as markup.
    pub qr: &'a Svg,
    /// The key for typing, in groups of four.
    pub key: &'a str,
    /// Why the form is shown again.
    pub problem: Option<Problem>,
    /// Hidden fields that the form sends along.
    pub carried: Carried<'a>,
    /// Where "not now" leads.
    pub back: &'a str,
}
page!(EnrolTotp, problem);

/// Markup that this module drew itself; nothing else can make one.
#[derive(Debug, Clone)]
pub struct Svg(String);

impl Svg {
    /// The markup.
    pub fn markup(&self) -> &str {
        &self.0
    }
}

/// Draws `uri` as a QR code: black on white in either colour scheme, since cameras read no other.
/// None if the text is longer than a QR code holds.
pub fn qr_svg(uri: &str) -> Option<Svg> {
    let code = qrcode::QrCode::with_error_correction_level(uri, qrcode::EcLevel::M).ok()?;
    let (width, quiet) = (code.width(), 4);
    let side = width + 2 * quiet;
    let mut path = String::new();
    for (at, colour) in code.to_colors().into_iter().enumerate() {
        if colour == qrcode::Color::Dark {
            path.push_str(&format!("M{} {}h1v1h-1z", at % width + quiet, at / width + quiet));
        }
    }
    Some(Svg(format!(
        "<svg class=\"qr\" viewBox=\"0 0 {side} {side}\" aria-hidden=\"true\" focusable=\"false\">\
         <path fill=\"#fff\" d=\"M0 0h{side}v{side}h-{side}z\"/><path fill=\"#000\" d=\"{path}\" shape-rendering=\"crispEdges\"/></svg>"
    )))
}

/// A base32 key in groups of four, as people read it aloud.
pub fn grouped_key(base32: &str) -> String {
    let letters: Vec<char> = base32.chars().filter(|letter| *letter != '=').collect();
    letters.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_in_groups_of_four() {
        assert_eq!(grouped_key("ABCDEFGHIJ=="), "ABCD EFGH IJ");
    }

    #[test]
    fn a_qr_code_holds_nothing_but_its_squares() {
        let svg = qr_svg("otpauth://totp/A%3Ca%3E?secret=ABCD&issuer=<script>").unwrap();
        assert!(!svg.markup().contains("script"));
        assert!(svg.markup().starts_with("<svg class=\"qr\""));
        assert!(qr_svg(&"x".repeat(5000)).is_none());
    }
}
