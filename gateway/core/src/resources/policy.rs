//! Policies as texts, and the tests that must pass before they take effect.

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
    /// How strongly the caller is signed in; 1 where absent.
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

/// A made-up user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestCaller {
    /// E-mail address; the policy sees it as `principal.email`.
    pub user: String,
    /// Groups, ancestors included.
    #[serde(default)]
    pub groups: Vec<GroupId>,
    /// Attributes, as the tenant declares them.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
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
