//! What can go wrong in the authority, sorted by whose failure it is.

use crate::InvalidSpiffeId;

/// Why a certificate was not made, or not read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What somebody sent us is refused.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The certificate that would have been signed breaks a rule of its profile; nothing was signed.
    #[error("the certificate was not signed: {0}")]
    Lint(String),
    /// A key or certificate of ours cannot be made or read.
    #[error("{what} cannot be {done}: {cause}")]
    Broken {
        /// The thing.
        what: &'static str,
        /// What was to be done with it.
        done: &'static str,
        /// What the library said.
        cause: String,
    },
}

/// Why something that a peer showed is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The text is no PKCS #10 request.
    #[error("this is not a PEM certificate request")]
    NotARequest,
    /// The request is larger than any honest one.
    #[error("the certificate request has {0} bytes, more than 16384")]
    TooLarge(usize),
    /// The request is not signed by the key that it holds (RFC 2986 section 3).
    #[error("the certificate request is not signed by its own key")]
    NotSigned,
    /// The key is of a kind that we do not certify.
    #[error("the key is neither P-256 nor Ed25519")]
    WeakKey,
    /// A renewal that keeps the old key.
    #[error("a renewal needs a new key, and this is the old one")]
    SameKey,
    /// The bytes are no X.509 certificate.
    #[error("this is not an X.509 certificate")]
    NotACertificate,
    /// A certificate that names nobody, or more than one.
    #[error("the certificate has {0} URI names, not exactly one")]
    UriNames(usize),
    /// The one URI name is no SPIFFE ID.
    #[error(transparent)]
    SpiffeId(#[from] InvalidSpiffeId),
    /// The certificate is one that signs certificates, so it may not stand for a caller.
    #[error("a certificate authority's certificate does not authenticate anybody")]
    SigningCertificate,
    /// The enrolment token is not one of ours.
    #[error("this is not an enrolment token: it starts with `cardea-enrol_` and has 56 characters")]
    NotAToken,
    /// The enrolment token was used before.
    #[error("the enrolment token has been used already")]
    TokenUsed,
    /// The enrolment token came too late.
    #[error("the enrolment token has expired")]
    TokenExpired,
}

impl Error {
    pub(crate) fn broken(what: &'static str, done: &'static str) -> impl FnOnce(rcgen::Error) -> Self {
        move |cause| Self::Broken { what, done, cause: cause.to_string() }
    }
}
