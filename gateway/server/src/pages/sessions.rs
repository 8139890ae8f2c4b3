//! Where a person is signed in.

use askama::Template;

use super::{Look, Person, page, when::When};

/// `GET /sessions`.
#[derive(Debug, Template)]
#[template(path = "sessions.html")]
pub struct Sessions<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who is signed in.
    pub person: Person<'a>,
    /// The sessions: this browser's first.
    pub sessions: Vec<SessionRow>,
    /// The devices that are remembered, the one used last first.
    pub devices: Vec<DeviceRow>,
    /// What has just been done, said in one sentence.
    pub done: Option<String>,
}
page!(Sessions);

impl Sessions<'_> {
    /// Whether there is something for the button that leaves nothing but this session and this device.
    fn has_others(&self) -> bool {
        self.sessions.len() > 1 || self.devices.iter().any(|device| !device.current)
    }
}

/// One session of the list.
#[derive(Debug, Clone)]
pub struct SessionRow {
    /// Its public id, for addresses.
    pub id: String,
    /// Whether it is the one that looks at this page.
    pub current: bool,
    /// The browser and system, as far as they say ("Firefox on Linux").
    pub browser: String,
    /// The address that it was opened from.
    pub address: String,
    /// How strongly signed in: 1, 2 or 3.
    pub assurance: u8,
    /// When it was opened.
    pub since: When,
    /// When it was last used.
    pub seen: Option<When>,
}

/// One remembered device of the list.
#[derive(Debug, Clone)]
pub struct DeviceRow {
    /// Its public id, for addresses.
    pub id: String,
    /// Whether it is the browser that looks at this page.
    pub current: bool,
    /// The browser and system, as far as they say.
    pub browser: String,
    /// The address that it was last seen from.
    pub address: String,
    /// When the second factor was really shown.
    pub since: When,
    /// When it last stood in for that.
    pub used: Option<When>,
}
