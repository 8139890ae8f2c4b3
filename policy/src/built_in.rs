//! Cardea's own apps: their pages and APIs go the same way as everybody's, decided by policies that ship with it.

use cardea_core::AppId;

/// Sign-in pages, `/.cardea/…` on app hosts, sign-out, assets, keys and discovery: open to everybody, always.
pub fn sign_in() -> AppId {
    id("cardea-sign-in")
}

/// The person's portal: any user.
pub fn portal() -> AppId {
    id("cardea-portal")
}

/// The console and the admin API: administrators at assurance 2.
pub fn console() -> AppId {
    id("cardea-console")
}

/// Enrolment and renewal of workload certificates.
pub fn machines() -> AppId {
    id("cardea-machines")
}

/// The group whose members administer their tenant; known in every tenant.
pub const ADMINISTRATORS: &str = "administrators";

#[allow(clippy::expect_used, reason = "the four names are written above; a test parses each")]
fn id(name: &str) -> AppId {
    AppId::parse(name).expect("a slug")
}
