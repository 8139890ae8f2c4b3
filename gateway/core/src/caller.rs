//! Who asks.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Attributes, GroupId, UserId};

/// Whoever makes a request, as policies and entries see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Caller {
    /// Nobody we know: no session, no credential.
    Visitor,
    /// A person of the tenant's pool.
    User(Arc<UserFacts>),
    /// A service account of the tenant.
    Service {
        /// Its name.
        id: Arc<str>,
        /// Groups that it is in, ancestors included.
        groups: Vec<GroupId>,
    },
    /// A service that showed a certificate which we issued.
    Workload {
        /// Its SPIFFE ID.
        spiffe_id: Arc<str>,
    },
}

/// What a decision may know of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserFacts {
    /// The user.
    pub id: UserId,
    /// Canonical e-mail address.
    pub email: String,
    /// Name as shown.
    pub name: String,
    /// Every group that the user is in, ancestors included, sorted.
    pub groups: Vec<GroupId>,
    /// What the tenant says of the user beside, as it declares it.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
}

impl Caller {
    /// A short, stable text that names the caller in entries and metrics: `user:<id>`, `visitor`, ….
    pub fn label(&self) -> String {
        match self {
            Self::Visitor => "visitor".to_owned(),
            Self::User(user) => {
                let mut text = uuid::Uuid::encode_buffer();
                ["user:", user.id.as_uuid().hyphenated().encode_lower(&mut text)].concat()
            }
            Self::Service { id, .. } => format!("service:{id}"),
            Self::Workload { spiffe_id } => format!("workload:{spiffe_id}"),
        }
    }
}
