//! How large and how slow what is sent to an app may be.

use serde::{Deserialize, Serialize};

use crate::{Diagnostic, Diagnostics};

/// An app's own limits; where one is absent, that of `cardea.toml` holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppLimits {
    /// Bytes of a request's body: more for a service that takes whole disks, less for one that reads small forms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<u64>,
    /// The slowest that a body may come; 0 for a service whose clients keep a request open and say little.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_bytes_per_second: Option<u32>,
}

impl AppLimits {
    /// Whether nothing is said.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// The largest that a file can say, and larger than any disk.
const BODY_BYTES_MAX: u64 = i64::MAX.unsigned_abs();

pub(super) fn check(source: &str, limits: &AppLimits, found: &mut Diagnostics) {
    let Some(bytes) = limits.body_bytes else { return };
    if bytes == 0 {
        found.push(
            Diagnostic::new(source, "`body_bytes = 0` refuses every body")
                .help("write the largest body that the service takes; leave it out for the usual limit"),
        );
    }
    if bytes > BODY_BYTES_MAX {
        found.push(
            Diagnostic::new(source, format!("`{bytes}` is too large a limit"))
                .help(format!("use at most {BODY_BYTES_MAX}")),
        );
    }
}
