//! The end of a request as an entry keeps it: enough to put the same question to the same policies again.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use cardea_core::{AccessKeyId, AppId, ClientId, GrantId, Reason, Timestamp, TokenId};
use serde::{Deserialize, Serialize};

/// The end of a request, with what is needed to explain its decision again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The app that it was routed to, if any.
    pub app: Option<AppId>,
    /// The method.
    pub method: Arc<str>,
    /// The host, canonical.
    pub host: Arc<str>,
    /// The path, canonical; never the query's values.
    pub path: Arc<str>,
    /// The status sent.
    pub status: u16,
    /// Why it ended otherwise than asked.
    pub reason: Option<Reason>,
    /// Microseconds from the request's arrival to the answer's first byte.
    pub micros: u64,
    /// The question and its answer; absent where it ended before one was put.
    pub decision: Option<Decision>,
    /// Who asked about it and carries it: the dialect of another proxy, or the SPIFFE ID of a service. Absent where the
    /// client's request came here itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<Arc<str>>,
    /// The program that sent it with a token: in a person's name, or in its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<Program>>,
    /// What else an auditor must know: the check that failed, the upstream's fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The program behind a request, by what it showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The client; absent for a personal access key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientId>,
    /// What a person let it do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
    /// Its access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenId>,
    /// The personal access key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<AccessKeyId>,
}

/// A question that was put to the policies, and the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// The policies that determined it.
    pub determined_by: Vec<Arc<str>>,
    /// Policies that failed to evaluate; any makes a deny.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Arc<str>>,
    /// The policy set that answered.
    pub policy: PolicyRef,
    /// The action's name.
    pub action: Arc<str>,
    /// The resource asked for.
    pub resource: ResourceFacts,
    /// The circumstances.
    pub context: ContextFacts,
}

/// The answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Allowed.
    Allow,
    /// Denied, and no stronger sign-in would help.
    Deny,
    /// Denied now; a stronger sign-in would be allowed.
    Challenge,
}

/// Names a policy set for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRef {
    /// The tenant's version number.
    pub version: u64,
    /// The hash over the texts.
    pub hash: Arc<str>,
}

/// A resource as the policies saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceFacts {
    /// Its type: `Record`, or `App` where no pattern fits.
    #[serde(rename = "type")]
    pub kind: Arc<str>,
    /// Its id within the type.
    pub id: Arc<str>,
    /// What the pattern gave.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<Arc<str>, Arc<str>>,
}

/// The circumstances as the policies saw them; method, host and path stand in the request itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextFacts {
    /// Assurance, 0 for visitors.
    pub assurance: u8,
    /// The time that the policies were told.
    pub time: Timestamp,
    /// Seconds since sign-in; `i64::MAX` where nobody is signed in.
    pub signed_in: i64,
    /// The client's address.
    pub client: IpAddr,
    /// Factors shown, sorted.
    pub factors: Vec<Arc<str>>,
    /// What the token that it came with is good for.
    #[serde(default, skip_serializing_if = "no_scope")]
    pub scope: Arc<[Arc<str>]>,
}

fn no_scope(scope: &Arc<[Arc<str>]>) -> bool {
    scope.is_empty()
}

impl Verdict {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Challenge => "challenge",
        }
    }
}
