//! Where an app's service is and how it is reached.

use serde::{Deserialize, Serialize};

use crate::{Diagnostic, Diagnostics, resources::WrittenUrl};

mod check;

pub(super) use check::check;

/// Where the service is and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSpec {
    /// `http://host:port` or `https://host:port`; no path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<WrittenUrl>,
    /// Several of these instead, all of one scheme: requests go to the one with the least to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<WrittenUrl>,
    /// The exact SPIFFE ID that the service must prove; with it the connection is mTLS under the tenant's own CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<String>,
    /// PEM file of roots for an `https` service with a certificate that is not ours; the system's roots where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// What is spoken with the service.
    #[serde(default, skip_serializing_if = "is_default")]
    pub protocol: Protocol,
    /// Seconds to open a connection. Five: a service on the same network answers in milliseconds or is down.
    #[serde(default = "connect_seconds")]
    pub connect_seconds: u32,
    /// Seconds until the answer's first byte. Sixty: long reports do exist. gRPC calls bring a deadline of their own.
    #[serde(default = "answer_seconds")]
    pub answer_seconds: u32,
    /// Seconds for which a body, either way, or a WebSocket may be silent. No limit where absent: what waits for an event
    /// is as silent as what has died, and its permit is asked for again all the while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_seconds: Option<u32>,
    /// Connections to the service at once. 16,384: as many clients as the gateway takes, so that whoever wants less says so.
    #[serde(default = "connections", skip_serializing_if = "is_connections")]
    pub connections: u32,
    /// Seconds in which an address that is new, or comes back, is brought up to its share of requests. None: most services
    /// are as quick at once.
    #[serde(default, skip_serializing_if = "is_default")]
    pub slow_start_seconds: u32,
    /// A cookie that keeps a browser with one address of the service, by name; ours, and never shown to the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky_cookie: Option<String>,
    /// Asks each address for its health. Without it an address is down only once requests fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthRules>,
    /// When an address that fails gets no requests for a while.
    #[serde(default, skip_serializing_if = "is_default")]
    pub outliers: OutlierRules,
    /// When a request is sent again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retries: RetryRules,
}

/// What is spoken with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// Over TLS what both sides know: HTTP/1.1 for requests, HTTP/2 for gRPC. HTTP/1.1 without TLS.
    #[default]
    Auto,
    /// HTTP/1.1 and nothing else.
    Http1,
    /// HTTP/2 and nothing else; without TLS by prior knowledge (h2c). WebSockets still go by HTTP/1.1.
    Http2,
}

/// How each address is asked for its health. An answer of 200 to 399 in time is a good one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthRules {
    /// The path that is asked for, without any identity.
    #[serde(default = "health_path")]
    pub path: String,
    /// Seconds from one question to the next. Five: a dead address is found within three of them.
    #[serde(default = "every_seconds")]
    pub every_seconds: u32,
    /// Seconds for an answer. Two: who is slower has no time for requests either.
    #[serde(default = "within_seconds")]
    pub within_seconds: u32,
    /// Good answers in a row after which an address is up again. Two: one may be luck.
    #[serde(default = "healthy_after")]
    pub healthy_after: u32,
    /// Bad answers in a row after which an address is down. Three: one lost packet is no outage.
    #[serde(default = "unhealthy_after")]
    pub unhealthy_after: u32,
}

/// When an address gets no requests although it can be reached: it breaks off, says nothing in time, or answers 502, 503
/// or 504.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutlierRules {
    /// Faults in a row after which an address is left out; 0 leaves none out. Five: no accident.
    pub after: u32,
    /// Seconds for which it is left out at first; each time anew so many more, up to ten times. Ten: a restart takes as long.
    pub for_seconds: u32,
    /// Percent of the addresses that may be left out at once, though always one of several. Fifty: the other half can
    /// carry the work, and where all fail the fault is elsewhere.
    pub share_percent: u32,
}

impl Default for OutlierRules {
    fn default() -> Self {
        Self { after: 5, for_seconds: 10, share_percent: 50 }
    }
}

/// When a request is sent again: if nothing of it was sent, or if it has no body and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryRules {
    /// Times that one request is sent, at most; 1 sends none again. Three: who fails thrice is not unlucky.
    pub tries: u32,
    /// Requests sent again, in percent of all, so that a service that fails is not asked twice as much. Twenty.
    pub budget_percent: u32,
}

impl Default for RetryRules {
    fn default() -> Self {
        Self { tries: 3, budget_percent: 20 }
    }
}

impl UpstreamSpec {
    /// Every address of the service, as written.
    pub fn all_urls(&self) -> impl Iterator<Item = &WrittenUrl> {
        self.url.iter().chain(&self.urls)
    }

    /// Whether the service is spoken to over TLS.
    pub fn is_https(&self) -> bool {
        self.all_urls().next().is_some_and(|url| url.scheme() == "https")
    }
}

fn connect_seconds() -> u32 {
    5
}
fn answer_seconds() -> u32 {
    60
}
fn connections() -> u32 {
    16_384
}
fn health_path() -> String {
    "/".to_owned()
}
fn every_seconds() -> u32 {
    5
}
fn within_seconds() -> u32 {
    2
}
fn healthy_after() -> u32 {
    2
}
fn unhealthy_after() -> u32 {
    3
}
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_connections(value: &u32) -> bool {
    *value == connections()
}
