//! The data plane: what happens to a request between its connection and its answer (DESIGN section 3).
//!
//! ```text
//! listener → edge (Canonical) → routing (Route) → access (Permit) → upstream | own pages → Response
//!                                                     └→ failure → sign-in · step-up · 403 · 404
//! ```
//! What it needs of the rest of the gateway it asks through six small traits in [`own`] and [`live_token`]; it opens no store.

pub mod access;
mod answers;
pub mod body;
pub mod certificates;
mod challenge;
mod cors;
mod declared;
pub mod drain;
pub mod edge;
pub mod failure;
mod forward_auth;
mod framing;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod hardening;
pub mod headers;
mod keepalive;
pub mod limits;
pub mod listener;
pub mod live_token;
pub mod metrics;
pub mod observe;
mod origin;
pub mod own;
pub mod permit;
pub mod pipeline;
pub mod rates;
mod rewrite;
mod room;
pub mod routing;
mod seldom;
pub mod settings;
mod story;
mod streams;
pub mod trace_context;
pub mod upstream;

pub use access::{LiveSession, OpenedBy};
pub use body::Body;
pub use certificates::Certificate;
pub use drain::Drain;
pub use edge::{Canonical, ClientCertificate, Connection, Door, forwarded::ForwardedBy};
pub use failure::{Challenge, Failure};
pub use forward_auth::{Description, Vouched};
pub use limits::Limits;
pub use listener::{Listener, Security};
pub use live_token::{LiveToken, Tokens};
pub use own::{Admitted, AssertionFor, Assertions, Faces, Found, OwnPages, Recorder, Sessions, StoreFault};
pub use permit::Permit;
pub use pipeline::{Evaluation, Inquiry, Parts, Proxy};
pub use rates::Rates;
pub use routing::{App, OwnApp, OwnApps, Site, SiteRole, Snapshot, Tenant};
pub use settings::Settings;
pub use streams::Changed;
pub use upstream::{Transport, Upstream};
