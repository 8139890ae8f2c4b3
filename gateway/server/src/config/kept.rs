//! Where durable state is kept.

use std::{path::PathBuf, sync::Arc};

use cardea_core::{Entropy, Secret};
use cardea_identity::Sealer;
use cardea_storage::{Store, StoreFault};

use super::{Config, SessionsIn};

/// Where durable state is kept.
#[derive(Debug, Clone)]
pub enum Kept {
    /// In a file of the state folder.
    File(PathBuf),
    /// In the PostgreSQL database at this URL, which several gateways may share.
    Server(Secret<String>),
}

impl Kept {
    /// The file, where it is one.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::File(path) => Some(path),
            Self::Server(_) => None,
        }
    }

    /// Whether something may be kept there already.
    pub fn is_there(&self) -> bool {
        self.file().is_none_or(|path| path.exists())
    }

    /// Whether nothing is kept there yet; a server is asked.
    pub async fn holds_nothing(&self) -> Result<bool, StoreFault> {
        match self {
            Self::File(path) => Ok(!path.exists()),
            Self::Server(url) => Store::holds_nothing(url.expose()).await,
        }
    }

    /// Opens it, making what is not there.
    pub async fn open(&self, operator: Sealer, entropy: Arc<dyn Entropy>) -> Result<Store, StoreFault> {
        match self {
            Self::File(path) => Store::open(path, operator, entropy).await,
            Self::Server(url) => Store::connect(url.expose(), operator, entropy).await,
        }
    }

    /// Opens it to be read.
    pub async fn open_to_read(&self, operator: Option<Sealer>) -> Result<Store, StoreFault> {
        match self {
            Self::File(path) => Store::open_to_read(path, operator).await,
            Self::Server(url) => Store::connect_to_read(url.expose(), operator).await,
        }
    }
}

impl Config {
    /// Where sessions are, in a word.
    pub fn sessions_are_in(&self) -> &'static str {
        match (&self.redis, &self.postgres, self.sessions) {
            (Some(_), ..) => "redis",
            (None, Some(_), _) => "postgres",
            (None, None, SessionsIn::Disk) => "disk",
            (None, None, SessionsIn::Memory) => "memory",
        }
    }

    /// Where durable state is kept.
    pub fn kept(&self) -> Kept {
        match &self.postgres {
            Some(url) => Kept::Server(url.clone()),
            None => Kept::File(self.database()),
        }
    }
}
