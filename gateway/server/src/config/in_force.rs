//! What a running gateway says of its configuration, in a file of the state folder, so that `cardea check --diff` can tell
//! what another one would change. It holds nothing that `cardea.toml` may not hold, which is no secret.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use cardea_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Certificate, Config, SessionsIn};

/// A configuration in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// The text that the process started with: what waits for a restart is as it says.
    pub started: String,
    /// The text that was taken over last: all else is as this says.
    pub now: String,
    /// The certificates of its listeners.
    pub certificates: Vec<Held>,
    /// The files of roots that services are checked by, each with SHA-256 of what it held, in hex.
    #[serde(default)]
    pub roots: BTreeMap<PathBuf, String>,
}

/// A certificate as it is told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Where it lies.
    pub path: PathBuf,
    /// The names that it speaks for.
    pub names: Vec<String>,
    /// SHA-256 of it, in hex.
    pub fingerprint: String,
    /// When it ends.
    pub expires: Timestamp,
}

impl Held {
    /// As it is shown to people: the beginning of its fingerprint, and its end.
    pub fn short(&self) -> String {
        format!("{} until {}", self.fingerprint.get(..12).unwrap_or(&self.fingerprint), self.expires)
    }
}

impl From<&Certificate> for Held {
    fn from(one: &Certificate) -> Self {
        Self {
            path: one.path.clone(),
            names: one.ready.names.clone(),
            fingerprint: one.fingerprint.clone(),
            expires: one.expires,
        }
    }
}

impl InForce {
    /// Of a process that started with one configuration and has another now, and with those roots of services.
    pub fn of(started: &Config, now: &Config, roots: BTreeMap<PathBuf, String>) -> Self {
        let certificates = now.certificates().map(|one| Held::from(&**one)).collect();
        Self { started: started.text.to_string(), now: now.text.to_string(), certificates, roots }
    }

    /// What the gateway that has this state folder says, if one runs or has died without a word.
    pub fn read(state_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(file(state_dir)).ok()?).ok()
    }

    /// Where its process has sessions: as it started with, whatever the file says by now.
    pub fn sessions(&self) -> SessionsIn {
        let started = self.started.parse::<toml::Table>().unwrap_or_default();
        let said = started.get("state").and_then(|state| state.get("sessions")).cloned();
        said.and_then(|said| said.try_into().ok()).unwrap_or_default()
    }

    /// Where its process keeps something elsewhere than one with that configuration would: `[postgres]` or `[redis]`.
    pub fn keeps_elsewhere(&self, config: &Config) -> Option<&'static str> {
        let tables = |text: &str| text.parse::<toml::Table>().unwrap_or_default();
        let (started, now) = (tables(&self.started), tables(&config.text));
        ["postgres", "redis"].into_iter().find(|name| started.get(*name) != now.get(*name))
    }

    /// Says it. Whoever reads meanwhile reads the old or the new.
    pub fn write(&self, state_dir: &Path) -> std::io::Result<()> {
        let (path, beside) = (file(state_dir), state_dir.join("in-force.json.new"));
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        out.write_all(&serde_json::to_vec(self)?)?;
        fs::rename(beside, path)
    }

    /// The gateway ends in order.
    pub fn withdraw(state_dir: &Path) {
        // Best effort: who finds it compares with what ran last.
        let _ = fs::remove_file(file(state_dir));
    }
}

fn file(state_dir: &Path) -> PathBuf {
    state_dir.join("in-force.json")
}
