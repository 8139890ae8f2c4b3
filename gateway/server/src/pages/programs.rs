//! What programs may do in a person's name: asked, listed, and taken back.

use askama::Template;

use super::{Look, Person, Problem, page, when::When};

/// `/oauth2/authorize`, and the second step of `/oauth2/device`: may this client do that?
#[derive(Debug, Template)]
#[template(path = "consent.html")]
pub struct Consent<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who is asked.
    pub person: Person<'a>,
    /// The client's name.
    pub client: &'a str,
    /// The names of the apps that it wants to use.
    pub apps: Vec<String>,
    /// What it wants to do there, in words.
    pub scope: Vec<String>,
    /// For how many days at the most.
    pub days: u16,
    /// Whether a device asks: one that somebody else may hold.
    pub device: bool,
    /// Where the answer goes.
    pub action: &'static str,
    /// What goes with it: names and values.
    pub carried: Vec<(String, String)>,
}
page!(Consent);

/// `GET /oauth2/device`: the code that a device shows.
#[derive(Debug, Template)]
#[template(path = "device-code.html")]
pub struct DeviceCode<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who is signed in.
    pub person: Person<'a>,
    /// What stands in the field.
    pub code: String,
    /// What is wrong with it.
    pub problem: Option<Problem>,
}
page!(DeviceCode, problem);

/// The device has its answer.
#[derive(Debug, Template)]
#[template(path = "device-done.html")]
pub struct DeviceDone<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who is signed in.
    pub person: Person<'a>,
    /// The client's name.
    pub client: &'a str,
    /// Whether the answer was yes.
    pub allowed: bool,
}
page!(DeviceDone);

/// `GET /programs`.
#[derive(Debug, Template)]
#[template(path = "programs.html")]
pub struct Programs<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who is signed in.
    pub person: Person<'a>,
    /// The programs, newest first.
    pub programs: Vec<ProgramRow>,
    /// The access keys, newest first.
    pub keys: Vec<AccessKeyRow>,
    /// Whether the tenant lets keys be made.
    pub makes_keys: bool,
    /// What has just been done, said in one sentence.
    pub done: Option<String>,
}
page!(Programs);

/// One program of the list.
#[derive(Debug, Clone)]
pub struct ProgramRow {
    /// Its grant's id, for addresses.
    pub id: String,
    /// The client's name.
    pub name: String,
    /// What it may do, as programs say it.
    pub scope: String,
    /// The apps, with commas.
    pub apps: String,
    /// The browser in which the person said yes.
    pub from: String,
    /// When.
    pub since: When,
    /// When it last asked for a token.
    pub used: When,
}

/// One access key of the list.
#[derive(Debug, Clone)]
pub struct AccessKeyRow {
    /// Its id, for addresses.
    pub id: String,
    /// What the person calls it.
    pub name: String,
    /// What it is good for, as programs say it.
    pub scope: String,
    /// The apps, with commas.
    pub apps: String,
    /// Whether its time is over.
    pub is_over: bool,
    /// When that is, or was.
    pub expires: When,
    /// When it was last used.
    pub used: Option<When>,
}

/// `GET /programs/keys`: what a new access key is to be good for.
#[derive(Debug, Template)]
#[template(path = "new-access-key.html")]
pub struct NewAccessKey<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Who is signed in.
    pub person: Person<'a>,
    /// The apps to choose from.
    pub apps: Vec<AppChoice>,
    /// For how many days it may be made.
    pub days: Vec<u16>,
    /// What is wrong with what was sent.
    pub problem: Option<Problem>,
}
page!(NewAccessKey, problem);

/// An app to choose.
#[derive(Debug, Clone)]
pub struct AppChoice {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A new key, shown this once.
#[derive(Debug, Template)]
#[template(path = "access-key-made.html")]
pub struct AccessKeyMade<'a> {
    /// The tenant's look.
    pub look: &'a Look,
    /// Whose it is.
    pub person: Person<'a>,
    /// What they call it.
    pub name: &'a str,
    /// The key.
    pub key: &'a str,
}
page!(AccessKeyMade);
