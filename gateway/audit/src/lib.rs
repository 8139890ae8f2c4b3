//! Audit entries and the chain that links them. Opens no file, reads no clock: a log is given as bytes, and what is
//! wrong with it is named.
//!
//! ```
//! use cardea_audit::{chain, Chain, Row};
//!
//! let body = br#"{"id":"..."}"#;
//! let leaf = chain::leaf(body);
//! let link = chain::link(&chain::START, &leaf);
//! let mut chain = Chain::start();
//! chain.take(&Row { seq: 0, body, leaf, link }).unwrap();
//! assert_eq!(chain.head().size, 1);
//! ```

pub mod chain;
pub mod entry;
pub mod event;
pub mod export;
pub mod halves;
pub mod request;

pub use chain::{Break, Chain, Hash, Head, Row};
pub use entry::{Actor, Client, Entry, Facets, Ourselves};
pub use event::{
    Certificate, ContextFacts, Decision, Event, PolicyRef, Replaced, Request, ResourceFacts, Subject, Verdict,
};
