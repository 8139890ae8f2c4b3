//! The internal certificate authority as pure rules: who may be named by a certificate, what a certificate of ours
//! looks like, when it is due for renewal, and whose certificate a peer has shown. Opens no socket, reads no clock,
//! draws no randomness.
//!
//! One [`Authority`] is the operator's root; each tenant has an intermediate of its own, and whoever checks a peer
//! trusts only that tenant's intermediate ([`TrustBundle`]) *and* compares the whole SPIFFE ID ([`peer_spiffe_id`]).
//! Names never come from the certificate request: they come from the [`Profile`] that was authorised.
//!
//! ```
//! use std::time::Duration;
//! use cardea_certs::{Authority, PrivateKey, Profile, Request, SpiffeId, TrustDomain, peer_spiffe_id};
//! use cardea_core::{TenantId, Timestamp, entropy::Fixed};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (now, entropy) = (Timestamp::from_secs(1_763_800_000), Fixed::new(1));
//! let domain = TrustDomain::of_tenant(&TenantId::parse("acme")?, "cardea.internal")?;
//! let root = Authority::root(now, &entropy)?;
//! let acme = root.intermediate(&domain, now, &entropy)?;
//!
//! let key = PrivateKey::generate(&entropy)?;
//! let request = Request::parse(&key.request()?)?;
//! let id = SpiffeId::service(&domain, "records")?;
//! let issued = acme.issue(&Profile::Workload(id.clone()), &request, Duration::from_secs(3600), now, &entropy)?;
//! assert_eq!(peer_spiffe_id(&issued.chain[0])?, id);
//! # Ok(())
//! # }
//! ```

mod authority;
mod bundle;
pub mod enrolment;
mod error;
mod facts;
mod key;
mod lint;
pub mod pem;
mod profile;
mod request;
mod spiffe;

pub use authority::{Authority, Issued};
pub use bundle::TrustBundle;
pub use enrolment::{Enrolment, EnrolmentToken};
pub use error::{Error, Rejected};
pub use facts::{CertificateFacts, peer_spiffe_id};
pub use key::PrivateKey;
pub use profile::{DEFAULT_TTL, MAX_TTL, MIN_TTL, Profile, renewal_due};
pub use request::Request;
pub use spiffe::{InvalidSpiffeId, SpiffeId, TrustDomain};
