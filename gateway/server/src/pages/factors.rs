//! A person's ways of signing in: the list, and the two pages that change one of them.

use askama::Template;

use super::{Look, Person, Problem, ProviderButton, page, when::When};

/// `GET /factors`.
#[derive(Debug, Template)]
#[template(path = "factors.html")]
pub struct Factors<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who is signed in.
    pub person: Person<'a>,
    /// The factors, oldest first.
    pub factors: Vec<FactorRow>,
    /// Whether a code app may be set up: allowed by the tenant and none there yet.
    pub may_add_totp: bool,
    /// Whether a passkey may be added.
    pub may_add_passkey: bool,
    /// The providers at which an account may be linked, each with the page for it.
    pub may_link: Vec<ProviderButton<'a>>,
    /// Whether recovery codes are missing that would be of use.
    pub offer_recovery: bool,
    /// Whether there are recovery codes, which new ones may replace.
    pub may_renew_recovery: bool,
    /// Whether nothing is added but by an administrator's link, so that the page says how to get one.
    pub needs_link: bool,
    /// Whether the person is in by a recovery code, and has not replaced what is lost yet.
    pub recovering: bool,
    /// Whether the tenant wants a second factor before anything else.
    pub owed: bool,
    /// What has just been done, said in one sentence.
    pub done: Option<String>,
    /// What could not be done.
    pub problem: Option<Problem>,
}
page!(Factors, problem);

/// `GET /factors/link/{token}`: what an administrator's link is for, and the button that spends it.
#[derive(Debug, Template)]
#[template(path = "factor-link.html")]
pub struct FactorLink<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who is signed in.
    pub person: Person<'a>,
    /// The link's own path.
    pub action: &'a str,
}
page!(FactorLink);

/// `GET /factors/with/{provider}`: what linking an account means, and the button that leads to the provider.
#[derive(Debug, Template)]
#[template(path = "link-account.html")]
pub struct LinkAccount<'a> {
    /// The tenant's look, by which the form may end at the provider.
    pub look: &'a Look,
    /// Who is signed in.
    pub person: Person<'a>,
    /// The provider's name.
    pub provider: &'a str,
    /// The page's own path.
    pub action: &'a str,
}
page!(LinkAccount);

/// One factor of the list.
#[derive(Debug, Clone)]
pub struct FactorRow {
    /// Its id, for addresses.
    pub id: String,
    /// What it is.
    pub kind: FactorKind,
    /// The name that the person gave it; empty where it has none.
    pub name: String,
    /// When it was added; not known of the mailbox.
    pub added: Option<When>,
    /// When it was last used.
    pub used: Option<When>,
    /// How many recovery codes are left; none for what is not used up.
    pub left: Option<u64>,
    /// Whether the person may remove it: never the last way of signing in, nor what a provider says.
    pub removable: bool,
}

/// What kind of factor a row shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactorKind {
    /// A password.
    Password,
    /// An app that makes one-time codes.
    Totp,
    /// A passkey.
    Passkey,
    /// Recovery codes.
    Recovery,
    /// Codes by e-mail.
    Email,
    /// A provider's word.
    Provider,
    /// An account at a provider that the person linked.
    Linked,
}

impl FactorRow {
    /// What the row is called: its name, else its kind.
    fn title(&self, look: &Look) -> String {
        let kind = self.kind.word(look);
        if self.name.is_empty() { kind.to_owned() } else { self.name.clone() }
    }

    /// What it is, where the name does not say just that.
    fn kind_beside(&self, look: &Look) -> Option<&'static str> {
        let kind = self.kind.word(look);
        (!self.name.is_empty() && self.name.to_lowercase() != kind.to_lowercase()).then_some(kind)
    }
}

impl FactorKind {
    /// Whether a person may give it a name: of these one can have several.
    fn has_name(self) -> bool {
        matches!(self, Self::Passkey | Self::Totp)
    }

    /// Whether the person enrolled it: what the tenant gives, or a provider says, is not theirs to change.
    fn is_own(self) -> bool {
        !matches!(self, Self::Email | Self::Provider)
    }

    /// The kind's name.
    pub fn word(self, look: &Look) -> &'static str {
        let f = &look.w.factors;
        match self {
            Self::Password => f.password.0,
            Self::Totp => f.totp.0,
            Self::Passkey => f.passkey.0,
            Self::Recovery => f.recovery.0,
            Self::Email => f.email.0,
            Self::Provider => f.provider.0,
            Self::Linked => f.linked.0,
        }
    }
}

/// `GET /factors/{id}/remove`: asks before it is done.
#[derive(Debug, Template)]
#[template(path = "remove-factor.html")]
pub struct RemoveFactor<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who is signed in.
    pub person: Person<'a>,
    /// What is to go.
    pub factor: FactorRow,
    /// Whether no second factor will be left.
    pub weakens: bool,
}
page!(RemoveFactor);

/// `GET /factors/{id}/name`: gives it another name.
#[derive(Debug, Template)]
#[template(path = "name-factor.html")]
pub struct NameFactor<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who is signed in.
    pub person: Person<'a>,
    /// What is to be named.
    pub factor: FactorRow,
    /// Why the form is shown again.
    pub problem: Option<Problem>,
}
page!(NameFactor, problem);
