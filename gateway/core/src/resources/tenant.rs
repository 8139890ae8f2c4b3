//! The tenant: its name, its sign-in host, and how its people may sign in.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Logo, Resource, SessionRules, TenantRates};
use crate::{Assurance, AttributeKinds, Diagnostic, Diagnostics, Language, TenantId, attributes};

/// A tenant as an administrator writes it (`tenants/<id>/tenant.toml`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantSpec {
    /// Its name in paths, hosts and SPIFFE trust domains.
    pub id: TenantId,
    /// Its name as people read it.
    pub name: String,
    /// The host of its sign-in pages, portal and console: lower case, no port.
    pub sign_in_host: String,
    /// Accent colour of its pages, `#rrggbb`; Cardea's own where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accent: Option<String>,
    /// Its logo, which stands beside its name on its pages: a PNG, JPEG or WebP as a `data:` address; the first letter of its
    /// name where absent. See [`Logo`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo: Option<String>,
    /// The language of its pages for readers whose browsers ask for none that the pages speak.
    #[serde(default, skip_serializing_if = "is_default")]
    pub language: Language,
    /// What it says of its people beside name, address and groups, for policies: `clearance = "long"`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attributes: AttributeKinds,
    /// Ways of signing in from its own pool.
    #[serde(default)]
    pub factors: FactorRules,
    /// How long sessions last.
    #[serde(default)]
    pub session: SessionRules,
    /// For how many days personal access keys may last at the most: 1 to 366. Off, since whoever holds such a key acts as its
    /// person until it ends; a program that can do OAuth needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_days: Option<u16>,
    /// What all of its apps' services together may take up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub upstreams: UpstreamRules,
    /// How many requests may come in how much time, all apps together.
    #[serde(default, skip_serializing_if = "TenantRates::is_none")]
    pub rates: TenantRates,
}

/// What the services of a tenant may take up of the gateway, all apps together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamRules {
    /// Connections to services at once. 16,384: as many clients as the gateway takes; less keeps room for other tenants.
    pub connections: u32,
}

impl Default for UpstreamRules {
    fn default() -> Self {
        Self { connections: 16_384 }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Which factors the tenant's own pool accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FactorRules {
    /// Passwords, as a first factor. On, since a pool without any first factor is a locked door.
    pub password: bool,
    /// One-time codes from an authenticator app, as a second factor.
    pub totp: bool,
    /// Passkeys, alone or as a second factor.
    pub passkey: bool,
    /// One-time codes by e-mail, in place of a password. Off, since a code is worth as little as the mailbox that it comes
    /// to: whoever reads it is in.
    pub email: bool,
    /// Recovery codes, which open nothing but the page where a lost second factor is replaced. On, since they raise no
    /// assurance, and the other way back is an administrator's time.
    pub recovery: bool,
    /// The least assurance at which a sign-in from the pool completes, and at which its sessions open apps and the console.
    pub minimum: Assurance,
    /// What must stand behind the first factor that lifts an account beyond what its only proof gives.
    pub enrol: Enrol,
    /// Whether people with one factor add a second one by the sign-in after that in which they joined: until they have, that
    /// session opens nothing but the pages where it is done. Off, since under [`Enrol::Link`] it makes work for
    /// administrators. It is not asked of whoever signs in by a provider, whose people are the provider's to check.
    #[serde(skip_serializing_if = "is_default")]
    pub must_enrol: bool,
    /// For how many days a browser in which a second factor was shown, and whose person wants it remembered, stands in for that
    /// factor beside the password where a sign-in asks for two: 1 to 90. Off, since SP 800-63B-4 section 2.2 asks for two
    /// authenticators at each sign-in of AAL2, and what a browser keeps is none: whoever copies it has it. Policies see
    /// `remembered` among `context.factors`, and the time at which the factor was really shown as that of the sign-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remember_days: Option<u16>,
    /// The makes of passkey that may be enrolled, each proven by its maker's word; any passkey where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attested: Vec<AttestedMake>,
}

/// The most days for which a device may be remembered. Ninety: as long as a browser is known, and a quarter in which whoever copied
/// one is let in by the password alone.
const MOST_DAYS: u16 = 90;

/// What must stand behind the first factor that lifts an account above assurance 1. Where there is none yet, whoever stole the
/// password, or reads the mailbox, shows as much as the person does; so a sign-in alone cannot say whose app or passkey it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enrol {
    /// A link of an administrator's, who made sure whom they give it to: an invitation, or `cardea user enrol`; or a session of
    /// assurance 2, by a provider's word. The default, after NIST SP 800-63B-4 section 4.1: an authenticator is bound by who has
    /// proven as much as it will be worth.
    #[default]
    Link,
    /// A sign-in. This is trust on first use, and what it costs is this: until a person has enrolled a second factor, whoever
    /// holds the one that they have may enroll theirs, and is then the only one who can show two.
    SignIn,
}

/// Authenticators of one maker that prove what they are when they are enrolled (WebAuthn attestation). Their keys cannot
/// leave them, so they reach assurance 3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestedMake {
    /// What people call it; for those who read the file.
    pub name: String,
    /// Its models, by the AAGUID that each carries.
    pub aaguids: Vec<Uuid>,
    /// The maker's root certificates, in PEM.
    pub roots: String,
}

impl Default for FactorRules {
    fn default() -> Self {
        Self {
            password: true,
            totp: true,
            passkey: true,
            email: false,
            recovery: true,
            minimum: Assurance::One,
            enrol: Enrol::Link,
            must_enrol: false,
            remember_days: None,
            attested: Vec::new(),
        }
    }
}

impl FactorRules {
    /// Whether people of the pool are to have a second factor.
    pub fn want_second(&self) -> bool {
        self.must_enrol || self.minimum >= Assurance::Two
    }
}

impl Resource for TenantSpec {
    const KIND: &'static str = "tenant";

    fn check(&self, source: &str) -> Diagnostics {
        let mut found = Diagnostics::default();
        if self.name.trim().is_empty() {
            found.push(
                Diagnostic::new(source, "the tenant has an empty `name`").help("give the name that its people know"),
            );
        }
        check_host(source, &self.sign_in_host, &mut found);
        if let Some(accent) = &self.accent
            && !(accent.len() == 7 && accent.starts_with('#') && accent[1..].bytes().all(|b| b.is_ascii_hexdigit()))
        {
            found.push(
                Diagnostic::new(source, format!("accent `{accent}` is not a colour")).help("write it as `#rrggbb`"),
            );
        }
        if let Some(Err(amiss)) = self.logo.as_deref().map(Logo::parse) {
            found.push(
                Diagnostic::new(source, format!("the logo cannot be shown: {amiss}"))
                    .help("write `data:image/png;base64,` and what `base64 -w0 logo.png` prints; PNG, JPEG or WebP, at most 64 KiB"),
            );
        }
        if !self.factors.password && !self.factors.passkey && self.factors.totp {
            found.push(
                Diagnostic::new(source, "a one-time code is a second factor, but no first factor is allowed")
                    .help("allow `password` or `passkey` too"),
            );
        }
        match self.factors.minimum {
            Assurance::Three => found.push(
                Diagnostic::new(
                    source,
                    "a minimum of 3 would lock everybody out: what is enrolled first never proves as much",
                )
                .help("write 2; policies may ask for 3 where a provider, or an attested passkey, proves it"),
            ),
            Assurance::Two if !self.factors.totp && !self.factors.passkey => found.push(
                Diagnostic::new(source, "the minimum is 2, but no second factor is allowed")
                    .help("allow `totp` or `passkey`, or write 1"),
            ),
            Assurance::Two if self.factors.email => found.push(
                Diagnostic::new(
                    source,
                    "the minimum is 2, and a code by e-mail is worth 1, whatever is shown beside it",
                )
                .help("write `email = false`, or a minimum of 1; policies may ask for 2"),
            ),
            _ => {}
        }
        if self.factors.must_enrol && !self.factors.passkey && !(self.factors.totp && self.factors.password) {
            found.push(
                Diagnostic::new(source, "factors.must_enrol is set, but nobody could add a second factor")
                    .help("allow `passkey`, or `totp` beside `password`; or leave `must_enrol` away"),
            );
        }
        self.factors.check_makes(source, &mut found);
        self.factors.check_remembering(source, &mut found);
        for name in self.attributes.keys().filter(|name| !attributes::is_name(name)) {
            found.push(Diagnostic::new(source, format!("`{name}` cannot be the name of an attribute")).help(
                "write a word of lower-case letters, digits and `_`; `id`, `email`, `name` and `groups` are taken, and so are Cedar's own words",
            ));
        }
        if self.attributes.len() > attributes::MOST_ATTRIBUTES {
            found.push(
                Diagnostic::new(source, format!("{} attributes are declared", self.attributes.len()))
                    .help(format!("declare at most {}", attributes::MOST_ATTRIBUTES)),
            );
        }
        if self.access_key_days.is_some_and(|days| !(1..=366).contains(&days)) {
            found.push(
                Diagnostic::new(source, "access_key_days is not within 1 and 366")
                    .help("give a number of days, or leave it away: then nobody makes access keys"),
            );
        }
        if self.upstreams.connections == 0 {
            found.push(
                Diagnostic::new(source, "upstreams.connections is 0, so no service could be reached")
                    .help("give a number from 1, or leave it away"),
            );
        }
        self.session.check(source, &mut found);
        self.rates.check(source, &mut found);
        found
    }
}

impl FactorRules {
    fn check_remembering(&self, source: &str, found: &mut Diagnostics) {
        let Some(days) = self.remember_days else { return };
        if !(1..=MOST_DAYS).contains(&days) {
            found.push(
                Diagnostic::new(source, format!("factors.remember_days is {days}"))
                    .help(format!("give 1 to {MOST_DAYS} days, or leave it away")),
            );
        }
        if self.minimum < Assurance::Two || !self.password {
            found.push(
                Diagnostic::new(source, "factors.remember_days is set, but no sign-in asks for a second factor")
                    .help("allow `password` and write `minimum = 2`, or leave `remember_days` away"),
            );
        }
    }

    fn check_makes(&self, source: &str, found: &mut Diagnostics) {
        if !self.passkey && !self.attested.is_empty() {
            found.push(
                Diagnostic::new(source, "makes of passkey are listed, but passkeys are not allowed")
                    .help("write `passkey = true`, or leave `attested` away"),
            );
        }
        for make in &self.attested {
            if make.aaguids.is_empty() {
                found.push(
                    Diagnostic::new(source, format!("the make `{}` names no model", make.name))
                        .help("give the `aaguids` that its maker publishes"),
                );
            }
            if !make.roots.contains("-----BEGIN CERTIFICATE-----") {
                found.push(
                    Diagnostic::new(source, format!("the make `{}` has no root certificate", make.name))
                        .help("put its maker's roots, in PEM, between \"\"\""),
                );
            }
        }
    }
}

/// Finds what keeps `host` from being one canonical host name: lower case, no port, no trailing dot.
pub(super) fn check_host(source: &str, host: &str, found: &mut Diagnostics) {
    let labels_fine = host.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    });
    if !labels_fine || host.len() > 253 {
        found.push(Diagnostic::new(source, format!("`{host}` is not a host name")).help(
            "write it in lower case, without scheme, port or trailing dot; international names in their `xn--` form",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::read::read_resource;

    #[test]
    fn a_make_of_passkeys_names_its_models_and_its_roots() {
        for (lines, amiss) in [
            ("aaguids = []\nroots = \"-----BEGIN CERTIFICATE-----\"", "the make `Key` names no model"),
            (
                "aaguids = [\"2fc0579f-8113-47ea-b116-bb5a8db9202a\"]\nroots = \"\"",
                "the make `Key` has no root certificate",
            ),
            ("aaguids = [\"2fc0\"]\nroots = \"\"", "invalid length"),
        ] {
            let text = format!(
                "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n[[factors.attested]]\nname = \"Key\"\n{lines}\n"
            );
            let found = read_resource::<TenantSpec>("tenant.toml", &text).err().map(|found| found.to_string());
            assert!(found.as_ref().is_some_and(|found| found.contains(amiss)), "{lines}: {found:?}");
        }
    }

    fn amiss(lines: &str) -> Option<String> {
        let text = format!("id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n{lines}\n");
        read_resource::<TenantSpec>("tenant.toml", &text).err().map(|found| found.to_string())
    }

    #[test]
    fn a_second_factor_is_asked_for_only_where_one_can_be_added() {
        for (factors, wrong) in [
            ("must_enrol = true", false),
            ("must_enrol = true\npasskey = false", false),
            ("must_enrol = true\ntotp = false", false),
            ("must_enrol = true\ntotp = false\npasskey = false", true),
            ("must_enrol = true\npassword = false\npasskey = false\ntotp = false\nemail = true", true),
        ] {
            let found = amiss(&format!("[factors]\n{factors}"));
            let told = found.as_ref().is_some_and(|found| found.contains("nobody could add a second factor"));
            assert_eq!(told, wrong, "{factors}: {found:?}");
        }
    }

    #[test]
    fn devices_are_remembered_for_a_quarter_at_most_and_where_something_is_asked() {
        for (factors, wrong) in [
            ("minimum = 2\nremember_days = 1", None),
            ("minimum = 2\nremember_days = 90", None),
            ("minimum = 2\nremember_days = 0", Some("factors.remember_days is 0")),
            ("minimum = 2\nremember_days = 91", Some("factors.remember_days is 91")),
            ("remember_days = 30", Some("no sign-in asks for a second factor")),
            ("minimum = 2\npassword = false\ntotp = false\nremember_days = 30", Some("no sign-in asks for a second")),
        ] {
            let found = amiss(&format!("[factors]\n{factors}"));
            match wrong {
                None => assert_eq!(found, None, "{factors}"),
                Some(wrong) => {
                    assert!(found.as_ref().is_some_and(|found| found.contains(wrong)), "{factors}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn a_minimum_that_nobody_could_reach_is_named_before_it_locks_everybody_out() {
        for (factors, amiss) in [
            ("minimum = 1\ntotp = false\npasskey = false", None),
            ("minimum = 2", None),
            ("minimum = 2\ntotp = false", None),
            ("minimum = 2\ntotp = false\npasskey = false", Some("no second factor is allowed")),
            ("minimum = 3", Some("a minimum of 3 would lock everybody out")),
            ("minimum = 2\nemail = true", Some("a code by e-mail is worth 1")),
            ("password = false\npasskey = false\ntotp = false\nemail = true", None),
        ] {
            let text =
                format!("id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n[factors]\n{factors}\n");
            let found = read_resource::<TenantSpec>("tenant.toml", &text).err().map(|found| found.to_string());
            match amiss {
                None => assert_eq!(found, None, "{factors}"),
                Some(amiss) => {
                    assert!(found.as_ref().is_some_and(|found| found.contains(amiss)), "{factors}: {found:?}");
                }
            }
        }
    }
}
