//! Tokens for programs, as rules: who a client is (RFC 7523, RFC 8705), what it may ask for, the access tokens that it is given
//! (RFC 9068), the refresh tokens that follow each other, the codes of a device (RFC 8628), proof of possession (RFC 9449) and
//! personal access keys. Their HTTP is in the server's `oauth2/`, under the same names.

pub mod access_key;
pub mod access_token;
pub mod client;
pub mod device;
pub mod dpop;
pub mod grant;
mod jws;
pub mod pkce;
pub mod scope;

pub use grant::{Grant, RefreshHash, RefreshToken};
pub use jws::Refused;
pub use scope::Scope;
