//! Studies and records: kept in memory and in one JSON file that is replaced whole, so that a second start finds
//! everything as it was, whenever the first one ended.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use cardea_core::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

/// All that the service keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    /// The studies, in the order of their names.
    pub studies: Vec<Study>,
}

/// A study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Study {
    /// Its name in addresses: `S-12`.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What it is about.
    pub about: String,
    /// Its records, oldest first.
    pub records: Vec<Record>,
}

/// A record of a study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name in addresses: `R-1`.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What was found.
    pub text: String,
    /// Who wrote it.
    pub author: String,
    /// When.
    pub created_at: Timestamp,
    /// Who approved it; nobody yet where absent.
    #[serde(default)]
    pub approval: Option<Approval>,
}

/// The approval of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who approved.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// How strongly they were signed in.
    pub assurance: u8,
}

/// What a caller may change, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// `created` or `approved`.
    pub what: &'static str,
    /// The study.
    pub study: String,
    /// The record.
    pub record: String,
    /// Who did it.
    pub by: String,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// There is no such study or record.
    #[error("there is no such study or record")]
    NotFound,
    /// The record was approved before; an approval is not given twice.
    #[error("the record has been approved already")]
    Approved,
    /// Nobody approves what they wrote themselves.
    #[error("a record is approved by somebody else than its author")]
    OwnRecord,
    /// The file could not be written; nothing changed.
    #[error("the change could not be kept: {0:#}")]
    Fault(#[from] anyhow::Error),
}

/// Changes that a slow reader may lag behind before it misses some.
const LAG: usize = 64;

/// Keeps the state.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    state: Mutex<Arc<State>>,
    changes: broadcast::Sender<Change>,
}

impl Store {
    /// Opens the file, or makes it with a few studies to look at.
    pub fn open(path: &Path, now: Timestamp) -> anyhow::Result<Self> {
        let (state, new) = match std::fs::read(path) {
            Ok(bytes) => (
                serde_json::from_slice(&bytes)
                    .with_context(|| format!("`{}` is no file of records", path.display()))?,
                false,
            ),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (State::first(now), true),
            Err(error) => return Err(error).with_context(|| format!("`{}` cannot be read", path.display())),
        };
        if new {
            write(path, &state)?;
        }
        Ok(Self { path: path.to_owned(), state: Mutex::new(Arc::new(state)), changes: broadcast::channel(LAG).0 })
    }

    /// Everything as it is now.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes from now on.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Adds a record; gives its name.
    pub async fn create(
        self: &Arc<Self>,
        study: String,
        title: String,
        text: String,
        author: String,
        now: Timestamp,
    ) -> Result<String, Failed> {
        self.change(move |state| {
            let found = state.studies.iter_mut().find(|one| one.id == study).ok_or(Failed::NotFound)?;
            let id = format!("R-{}", found.records.len() + 1);
            let record =
                Record { id: id.clone(), title, text, author: author.clone(), created_at: now, approval: None };
            found.records.push(record);
            Ok(Change { what: "created", study, record: id, by: author })
        })
        .await
        .map(|change| change.record)
    }

    /// Approves a record. Whoever approves again what they have approved changes nothing and is told that it is done.
    pub async fn approve(self: &Arc<Self>, study: String, record: String, approval: Approval) -> Result<(), Failed> {
        let state = self.state();
        let known = state.study(&study).and_then(|study| study.records.iter().find(|one| one.id == record));
        if known.and_then(|record| record.approval.as_ref()).is_some_and(|given| given.by == approval.by) {
            return Ok(());
        }
        self.change(move |state| {
            let found = state
                .studies
                .iter_mut()
                .find(|one| one.id == study)
                .and_then(|study| study.records.iter_mut().find(|one| one.id == record))
                .ok_or(Failed::NotFound)?;
            if found.approval.is_some() {
                return Err(Failed::Approved);
            }
            if found.author == approval.by {
                return Err(Failed::OwnRecord);
            }
            let by = approval.by.clone();
            found.approval = Some(approval);
            Ok(Change { what: "approved", study, record, by })
        })
        .await
        .map(|_| ())
    }

    /// Changes a copy, writes it, and only then shows it: what anybody has seen survives a crash.
    async fn change(
        self: &Arc<Self>,
        act: impl FnOnce(&mut State) -> Result<Change, Failed> + Send + 'static,
    ) -> Result<Change, Failed> {
        let store = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let mut held = store.state.lock().unwrap_or_else(PoisonError::into_inner);
            let mut next = State::clone(&held);
            let change = act(&mut next)?;
            write(&store.path, &next)?;
            *held = Arc::new(next);
            // Nobody listening is no failure.
            let _ = store.changes.send(change.clone());
            Ok(change)
        });
        done.await.map_err(anyhow::Error::from)?
    }
}

/// Writes beside the file, makes it durable, then puts it in its place. A crash at any point leaves the old or the new.
fn write(path: &Path, state: &State) -> anyhow::Result<()> {
    let beside = path.with_extension("new");
    let mut file = std::fs::File::create(&beside).with_context(|| format!("`{}` cannot be made", beside.display()))?;
    file.write_all(&serde_json::to_vec_pretty(state)?)?;
    file.sync_all()?;
    std::fs::rename(&beside, path).with_context(|| format!("`{}` cannot be replaced", path.display()))?;
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

impl State {
    /// The study of that name.
    pub fn study(&self, id: &str) -> Option<&Study> {
        self.studies.iter().find(|one| one.id == id)
    }

    /// What a new service shows.
    fn first(now: Timestamp) -> Self {
        let study = |id: &str, title: &str, about: &str, records: &[(&str, &str)]| Study {
            id: id.to_owned(),
            title: title.to_owned(),
            about: about.to_owned(),
            records: records
                .iter()
                .enumerate()
                .map(|(nth, (title, text))| Record {
                    id: format!("R-{}", nth + 1),
                    title: (*title).to_owned(),
                    text: (*text).to_owned(),
                    author: "Laboratory system".to_owned(),
                    created_at: now,
                    approval: None,
                })
                .collect(),
        };
        Self {
            studies: vec![
                study(
                    "S-7",
                    "Blinded comparison of two coatings",
                    "Who looks at single records could break the blinding, so they open with two factors only.",
                    &[
                        ("Dissolution, arm A", "84 % after 30 minutes (n = 6)."),
                        ("Dissolution, arm B", "91 % after 30 minutes (n = 6)."),
                    ],
                ),
                study(
                    "S-12",
                    "Stability at 25 °C and 60 % humidity",
                    "Assay, impurities and appearance at 0, 3, 6, 9 and 12 months.",
                    &[
                        ("Assay at 3 months", "99.2 % of the label claim; limit 95.0 to 105.0 %."),
                        ("Assay at 6 months", "98.7 % of the label claim; limit 95.0 to 105.0 %."),
                        ("Impurity B at 6 months", "0.08 %; limit 0.20 %."),
                    ],
                ),
                study("S-15", "Cleaning of vessel 3", "Rinse and swab samples after each change of product.", &[]),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("cardea-demo-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn approval(by: &str) -> Approval {
        Approval { by: by.to_owned(), at: Timestamp::from_secs(5), assurance: 2 }
    }

    #[tokio::test]
    async fn a_second_start_finds_everything_as_it_was() {
        let folder = folder("second-start");
        let (path, now) = (folder.join("records.json"), Timestamp::from_secs(1));
        let store = Arc::new(Store::open(&path, now).unwrap());
        let id = store.create("S-15".into(), "Swab 1".into(), "clean".into(), "Rui".into(), now).await.unwrap();
        store.approve("S-15".into(), id, approval("Ada")).await.unwrap();
        assert_eq!(Store::open(&path, now).unwrap().state(), store.state());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn a_record_is_approved_once_and_by_somebody_else() {
        let folder = folder("approve");
        let now = Timestamp::from_secs(1);
        let store = Arc::new(Store::open(&folder.join("records.json"), now).unwrap());
        let mut changes = store.changes();
        let id = store.create("S-12".into(), "Assay".into(), "98 %".into(), "Rui".into(), now).await.unwrap();
        let approve = |by: &str| store.approve("S-12".into(), id.clone(), approval(by));
        assert!(matches!(approve("Rui").await, Err(Failed::OwnRecord)));
        approve("Ada").await.unwrap();
        approve("Ada").await.unwrap();
        assert!(matches!(approve("Eve").await, Err(Failed::Approved)));
        assert!(matches!(store.approve("S-0".into(), "R-1".into(), approval("Ada")).await, Err(Failed::NotFound)));
        assert_eq!(changes.recv().await.unwrap().what, "created");
        assert_eq!(changes.recv().await.unwrap().what, "approved");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_is_none_of_ours_is_named_not_replaced() {
        let folder = folder("foreign");
        let path = folder.join("records.json");
        std::fs::write(&path, "not json").unwrap();
        let error = Store::open(&path, Timestamp::from_secs(1)).unwrap_err().to_string();
        assert!(error.contains("is no file of records"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "not json");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
