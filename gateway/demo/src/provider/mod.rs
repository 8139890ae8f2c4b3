//! A stand-in OpenID provider: the authorization code flow with PKCE, and nothing else. It knows the demonstration's
//! people only, keeps nothing beyond its signing key, and is no model for a real one.

mod flow;
mod keys;
mod pages;
mod routes;

use std::sync::Arc;

use cardea_core::{Clock, Entropy, Secret};

use crate::seed::Person;

pub use keys::{Key, make_key};
pub use routes::serve;

/// What the provider needs to know.
pub struct Options {
    /// The issuer, without a slash at its end: where the listener is reached.
    pub issuer: String,
    /// The one client's id.
    pub client_id: String,
    /// The addresses to which the client may have people sent back, each whole.
    pub redirect_uris: Vec<String>,
    /// Who may sign in.
    pub people: Vec<Person>,
    /// The signing key (PKCS #8, PEM) as [`make_key`] makes it; kept by the caller, so that it outlives a restart.
    pub key: Secret<String>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub entropy: Arc<dyn Entropy>,
}
