//! Policies as texts, and the tests that must pass before they take effect.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{AppId, Assurance, Attributes, GroupId};

/// One Cedar file of a tenant (`tenants/<tenant>/policies/<name>.cedar`) or of the operator (`guard-rails/<name>.cedar`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyText {
    /// The file's name without its ending; policies in it are named `<name>#<n>` unless they carry `@id`.
    pub name: String,
    /// The Cedar source, comments included.
    pub text: String,
}

/// Everything that decides for one tenant, changed and activated as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySet {
    /// The policy files, sorted by name.
    pub policies: Vec<PolicyText>,
    /// Their tests.
    #[serde(default)]
    pub tests: Vec<TestSpec>,
}

/// One expected decision (`[[test]]` in `tenants/<tenant>/policies/tests.toml`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestSpec {
    /// What it shows, as a sentence.
    pub name: String,
    /// The app that is asked.
    pub app: AppId,
    /// Method and path: `GET /studies/S-12`.
    pub request: String,
    /// Who asks; a visitor where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<TestCaller>,
    /// What the caller's token is good for. Where absent: of a service, all of it; a person asks without a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Vec<Arc<str>>>,
    /// The client by which a person's token was obtained; where absent, it is a personal access key. A service is its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<Arc<str>>,
    /// How strongly a person is signed in; 1 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assurance: Option<Assurance>,
    /// Minutes since the sign-in; 0 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_in_minutes_ago: Option<u32>,
    /// The client's address; `127.0.0.1` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<std::net::IpAddr>,
    /// What must come out.
    pub expect: Expectation,
}

/// Who asks in a test: made up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenCaller", into = "WrittenCaller")]
pub enum TestCaller {
    /// A person.
    User {
        /// E-mail address; the policy sees it as `principal.email`.
        email: String,
        /// Groups, ancestors included.
        groups: Vec<GroupId>,
        /// Attributes, as the tenant declares them.
        attributes: Attributes,
    },
    /// A service account.
    Service {
        /// Its name.
        id: Arc<str>,
        /// Groups, ancestors included.
        groups: Vec<GroupId>,
    },
}

impl TestCaller {
    /// The groups that it is in.
    pub fn groups(&self) -> &[GroupId] {
        match self {
            Self::User { groups, .. } | Self::Service { groups, .. } => groups,
        }
    }
}

/// A caller as it is written: `{ user = "mira@acme.example" }` or `{ service = "nightly-export" }`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCaller {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<Arc<str>>,
    #[serde(default)]
    groups: Vec<GroupId>,
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    attributes: Attributes,
}

/// A caller in a test is neither a person nor a service account, or both.
#[derive(Debug, thiserror::Error)]
enum NotACaller {
    #[error("who asks is one `user` or one `service`: write `caller = {{ user = \"mira@acme.example\" }}`")]
    NotOne,
    #[error("a service account has no attributes: leave out `attributes`")]
    Attributes,
}

impl TryFrom<WrittenCaller> for TestCaller {
    type Error = NotACaller;

    fn try_from(written: WrittenCaller) -> Result<Self, NotACaller> {
        let WrittenCaller { user, service, groups, attributes } = written;
        match (user, service) {
            (Some(email), None) => Ok(Self::User { email, groups, attributes }),
            (None, Some(id)) if attributes.is_empty() => Ok(Self::Service { id, groups }),
            (None, Some(_)) => Err(NotACaller::Attributes),
            (Some(_), Some(_)) | (None, None) => Err(NotACaller::NotOne),
        }
    }
}

impl From<TestCaller> for WrittenCaller {
    fn from(caller: TestCaller) -> Self {
        match caller {
            TestCaller::User { email, groups, attributes } => {
                Self { user: Some(email), service: None, groups, attributes }
            }
            TestCaller::Service { id, groups } => {
                Self { user: None, service: Some(id), groups, attributes: Attributes::default() }
            }
        }
    }
}

/// The outcome of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// Allowed.
    Allow,
    /// Denied, and no stronger sign-in would change that.
    Deny,
    /// Denied now, allowed after a stronger sign-in.
    Challenge,
}
