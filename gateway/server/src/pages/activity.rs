//! What lately happened to a person's account.

use askama::Template;

use super::{Look, Person, page, when::When};

/// `GET /activity`.
#[derive(Debug, Template)]
#[template(path = "activity.html")]
pub struct Activity<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who is signed in.
    pub person: Person<'a>,
    /// What happened, newest first.
    pub rows: Vec<ActivityRow>,
    /// The page with what is newer.
    pub newer: Option<u32>,
    /// The page with what is older.
    pub older: Option<u32>,
}
page!(Activity);

/// One thing that happened.
#[derive(Debug, Clone)]
pub struct ActivityRow {
    /// What, in a few words.
    pub what: String,
    /// How it is meant.
    pub tone: Tone,
    /// When; of several alike, the last time.
    pub at: When,
    /// How often in a row.
    pub times: u32,
    /// Whether an administrator did it.
    pub by_administrator: bool,
    /// The browser and system, as far as they said; empty where none is known.
    pub browser: String,
    /// The address that it came from; empty where none is known.
    pub address: String,
}

/// How something that happened is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// The person, as they proved.
    Good,
    /// To be looked at twice.
    Mind,
    /// Neither.
    Plain,
}

impl ActivityRow {
    /// Whether another row tells the same of the same place.
    pub fn is_like(&self, other: &Self) -> bool {
        let told = |row: &Self| (row.tone, row.by_administrator);
        let place = |row: &'_ Self| (row.what.clone(), row.browser.clone(), row.address.clone());
        told(self) == told(other) && place(self) == place(other)
    }
}
