//! The portal: the apps that a person can open, and how they are signed in.

use askama::Template;

use super::{Look, Person, page, when::When};

/// `GET /` on the sign-in host.
#[derive(Debug, Template)]
#[template(path = "portal.html")]
pub struct Portal<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who is signed in.
    pub person: Person<'a>,
    /// The apps, by name.
    pub apps: Vec<AppCard>,
    /// How strongly signed in: 1, 2 or 3.
    pub assurance: u8,
    /// When the person signed in.
    pub since: When,
    /// Whether the person administers the tenant, and so sees the way to the console.
    pub administrator: bool,
    /// Whether a second factor is still missing, so that the portal offers one.
    pub offer_second: bool,
    /// Whether it is added by an administrator's link only, so that the portal says how to get one.
    pub needs_link: bool,
    /// Whether nobody signs in here again without a second way, and this person has none.
    pub must: bool,
    /// When a recovery code was used, if that was lately: whoever did not do it learns of it here.
    pub recovery_used: Option<When>,
    /// The name of a passkey of which a copy seems to exist.
    pub copied: Option<String>,
    /// What has just been done, said in one sentence.
    pub done: Option<String>,
}
page!(Portal);

/// One app.
#[derive(Debug, Clone)]
pub struct AppCard {
    /// Its name.
    pub name: String,
    /// One line on what it is for.
    pub description: String,
    /// Its host, as people see it.
    pub host: String,
    /// Where the card leads.
    pub href: String,
    /// Whether it will ask for a stronger sign-in first.
    pub asks_more: bool,
}

impl AppCard {
    /// The first letter of its name, for its mark.
    fn initial(&self) -> String {
        self.name.trim().chars().next().map_or_else(|| "·".to_owned(), |first| first.to_uppercase().collect())
    }
}
