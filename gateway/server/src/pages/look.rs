//! How a tenant's pages look: its name, its accent, where its style sheets are and where its forms may end.

use std::sync::Arc;

use axum::http::HeaderValue;
use cardea_core::{Language, Languages, resources::TenantSpec};

use super::{Words, assets, headers};

/// A tenant's look for one reader. Made for each request, borrowed by its page.
#[derive(Debug, Clone)]
pub struct Look {
    /// The tenant's name as people read it.
    pub name: String,
    /// The texts, in the language that the page is shown in.
    pub w: &'static Words,
    /// Where the portal is: `/` on the sign-in host, its whole address elsewhere; none where no tenant is known.
    pub home: Option<String>,
    accent: Option<String>,
    logo: Option<Arc<str>>,
    prefix: &'static str,
    policy: HeaderValue,
    bare: bool,
}

impl Look {
    /// The look at a tenant's sign-in host. `form_targets` are the origins that a sign-in may lead to: the tenant's app
    /// hosts and the origins of its providers. In English, until [`Look::speaking`] says otherwise.
    pub fn new(name: &str, accent: Option<&str>, form_targets: &[String]) -> Self {
        Self {
            name: name.to_owned(),
            w: Words::of(Language::English),
            home: Some("/".to_owned()),
            accent: accent.map(str::to_owned),
            logo: None,
            prefix: assets::AT_SIGN_IN_HOST,
            policy: headers::content_security_policy(form_targets),
            bare: false,
        }
    }

    /// The same, of the tenant as administrators wrote it, for a reader.
    pub fn of(tenant: &TenantSpec, form_targets: &[String], reader: Languages) -> Self {
        let look = Self::new(&tenant.name, tenant.accent.as_deref(), form_targets);
        look.speaking(reader.choose(tenant.language))
    }

    /// The same look for a page whose forms may end at these origins, and at its own host.
    #[must_use]
    pub fn leading_to(&self, form_targets: &[String]) -> Self {
        Self { policy: headers::content_security_policy(form_targets), ..self.clone() }
    }

    /// The same look with the logo that is served by this name.
    #[must_use]
    pub fn with_logo(self, logo: Option<&Arc<str>>) -> Self {
        Self { logo: logo.cloned(), ..self }
    }

    /// The same look in a language.
    #[must_use]
    pub fn speaking(self, language: Language) -> Self {
        Self { w: Words::of(language), ..self }
    }

    /// The same look at one of the tenant's app hosts, where only `/.cardea/` is ours. `origin` is the sign-in host's.
    #[must_use]
    pub fn at_app_host(self, origin: &str) -> Self {
        let policy = headers::content_security_policy(&[origin.to_owned()]);
        Self { home: Some(format!("{origin}/")), prefix: assets::AT_APP_HOST, policy, ..self }
    }

    /// The look at whichever host of a tenant: for failures.
    pub fn anywhere(name: &str, accent: Option<&str>, origin: &str) -> Self {
        Self::new(name, accent, &[]).at_app_host(origin)
    }

    /// The look of a page at a host of which we know no tenant: no address there is ours, so it loads nothing.
    pub fn bare() -> Self {
        Self {
            name: "Cardea".to_owned(),
            w: Words::of(Language::English),
            home: None,
            accent: None,
            logo: None,
            prefix: assets::AT_APP_HOST,
            policy: headers::bare_policy(assets::bare_style_sha256()),
            bare: true,
        }
    }

    /// The `Content-Security-Policy` of pages in this look.
    pub fn content_security_policy(&self) -> &HeaderValue {
        &self.policy
    }

    /// Whether the page must carry its style in itself.
    pub fn is_bare(&self) -> bool {
        self.bare
    }

    /// The style of a page that can load none.
    pub fn bare_style(&self) -> &'static str {
        assets::BARE_STYLE
    }

    /// The address of one of our assets, named without its hash: `pages.css`.
    pub fn asset(&self, name: &str) -> String {
        format!("{}/{}", self.prefix, assets::hashed_name(name))
    }

    /// The address of the style sheet that holds the tenant's accent, where it has one.
    pub fn accent_sheet(&self) -> Option<String> {
        let digits = self.accent.as_deref()?.strip_prefix('#')?;
        Some(format!("{}/accent-{}.css", self.prefix, digits.to_ascii_lowercase()))
    }

    /// The address of the tenant's logo, where it has one.
    pub fn logo(&self) -> Option<String> {
        self.logo.as_ref().map(|name| format!("{}/logo/{name}", self.prefix))
    }

    /// The first letter of the tenant's name, for its mark.
    pub fn initial(&self) -> String {
        self.name.trim().chars().next().map_or_else(|| "·".to_owned(), |first| first.to_uppercase().collect())
    }
}

/// Who is signed in, as the head of a page shows it.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// Name as shown.
    pub name: &'a str,
    /// E-mail address.
    pub email: &'a str,
}
