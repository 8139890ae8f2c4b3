//! Where an app's service is and how it is reached.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{Diagnostic, Diagnostics};

/// Where the service is and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSpec {
    /// `http://host:port` or `https://host:port`; no path.
    pub url: Url,
    /// The exact SPIFFE ID that the service must prove; with it the connection is mTLS under the tenant's own CA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<String>,
    /// PEM file of roots for an `https` service with a certificate that is not ours; the system's roots where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// Seconds to open a connection. Five: a service on the same network answers in milliseconds or is down.
    #[serde(default = "connect_seconds")]
    pub connect_seconds: u32,
    /// Seconds until the answer's first byte. Sixty: long reports do exist.
    #[serde(default = "answer_seconds")]
    pub answer_seconds: u32,
}

pub(super) fn check(source: &str, upstream: &UpstreamSpec, found: &mut Diagnostics) {
    let url = &upstream.url;
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
        found.push(Diagnostic::new(source, format!("upstream `{url}` is neither http nor https")));
    }
    if url.path() != "/" || url.query().is_some() || !url.username().is_empty() || url.fragment().is_some() {
        found.push(
            Diagnostic::new(source, format!("upstream `{url}` has more than a scheme, host and port"))
                .help("write `https://host:port`"),
        );
    }
    if let Some(id) = &upstream.spiffe_id {
        if url.scheme() != "https" {
            found.push(
                Diagnostic::new(source, format!("upstream `{url}` names a SPIFFE ID but is not https"))
                    .help("mTLS needs an `https` address"),
            );
        }
        if !id.starts_with("spiffe://") {
            found
                .push(Diagnostic::new(source, format!("`{id}` is not a SPIFFE ID")).help("it starts with `spiffe://`"));
        }
        if upstream.ca_file.is_some() {
            found.push(
                Diagnostic::new(source, "the upstream has both `spiffe_id` and `ca_file`")
                    .help("with `spiffe_id` the tenant's own CA is the only root"),
            );
        }
    }
}

fn connect_seconds() -> u32 {
    5
}
fn answer_seconds() -> u32 {
    60
}
