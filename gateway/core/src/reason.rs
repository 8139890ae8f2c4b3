//! Every reason for which Cardea says no, in one closed list. The code is stable: programs, entries and dashboards
//! rely on it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// An expected no: the rules say so.
    Refused,
    /// The request is not one that can be answered.
    Misused,
    /// Something of ours, or behind us, does not work.
    Faulted,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $whose:ident;)*) => {
        /// Why a request ended otherwise than it asked.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[$doc])* #[serde(rename = $code)] $name,)*
        }

        impl Reason {
            /// All of them, for tables and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable kebab-case code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status that carries it (RFC 9110 section 15).
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// Whose failure it is.
            pub const fn whose(self) -> Whose {
                match self { $(Self::$name => Whose::$whose,)* }
            }
        }
    };
}

reasons! {
    /// The request's framing has two readings (RFC 9112 section 6.3).
    AmbiguousFraming = "ambiguous-framing", 400, Misused;
    /// The path has two readings, or holds what no path may.
    AmbiguousPath = "ambiguous-path", 400, Misused;
    /// The host is absent, doubled or malformed.
    BadHost = "bad-host", 400, Misused;
    /// A header's name or value is not allowed.
    BadHeader = "bad-header", 400, Misused;
    /// A proxy asks about a request and describes it incompletely, twice, or in another dialect than the app's.
    BadDescription = "bad-description", 400, Misused;
    /// A form or JSON body does not say what it should.
    BadInput = "bad-input", 422, Misused;
    /// A parameter or field stands twice, so that it has two readings.
    DoubledParameter = "doubled-parameter", 400, Misused;
    /// A proxy's question has a parameter that its address does not take.
    UnknownParameter = "unknown-parameter", 400, Misused;
    /// The path is longer than the limit.
    UriTooLong = "uri-too-long", 414, Misused;
    /// The headers are larger than the limit.
    HeadersTooLarge = "headers-too-large", 431, Misused;
    /// The body is larger than the limit.
    BodyTooLarge = "body-too-large", 413, Misused;
    /// The request came slower than it may.
    TooSlow = "too-slow", 408, Misused;
    /// The connection was opened for another host (RFC 9110 section 15.5.20).
    Misdirected = "misdirected", 421, Misused;
    /// No app answers at this host.
    UnknownHost = "unknown-host", 404, Misused;
    /// There is nothing at this address.
    NotFound = "not-found", 404, Misused;
    /// The address knows no such method.
    MethodNotAllowed = "method-not-allowed", 405, Misused;
    /// The change contradicts what stands.
    Conflict = "conflict", 409, Misused;
    /// A browser of another site sent the request.
    CrossSite = "cross-site", 403, Refused;
    /// Somebody asks about another's request who is not among the proxies that are believed.
    ProxyNotTrusted = "proxy-not-trusted", 403, Refused;
    /// Nobody is signed in, and the policies want somebody.
    SignInRequired = "sign-in-required", 401, Refused;
    /// A stronger sign-in would be allowed.
    StepUpRequired = "step-up-required", 401, Refused;
    /// The policies say no.
    Denied = "denied", 403, Refused;
    /// The session has ended.
    SessionEnded = "session-ended", 401, Refused;
    /// The token is none that is good here: forged, over, taken back, or for another app.
    TokenRefused = "token-refused", 401, Refused;
    /// The token is bound to a key or certificate, and came without proof of it.
    ProofRefused = "proof-refused", 401, Refused;
    /// The token is not good for what is asked.
    InsufficientScope = "insufficient-scope", 403, Refused;
    /// The account is suspended.
    UserSuspended = "user-suspended", 403, Refused;
    /// What was shown as proof does not prove it.
    FactorRejected = "factor-rejected", 401, Refused;
    /// The tenant does not allow this way of signing in.
    FactorNotAllowed = "factor-not-allowed", 403, Refused;
    /// What the provider said of the sign-in there is worth less than is asked for.
    WordTooWeak = "word-too-weak", 403, Refused;
    /// A first factor beyond the only one is added by an administrator's link, and this session has none behind it.
    LinkRequired = "link-required", 403, Refused;
    /// The tenant asks for a second factor, and the person has yet to add one.
    SecondFactorRequired = "second-factor-required", 403, Refused;
    /// Too many tries; the answer says when the next may be.
    TooManyAttempts = "too-many-attempts", 429, Refused;
    /// The client, or whoever is signed in, has as many requests in flight as one may have.
    TooManyRequests = "too-many-requests", 429, Refused;
    /// More requests in a time than the rate of the caller, the address, the app or the tenant allows.
    RateLimited = "rate-limited", 429, Refused;
    /// The sign-in took too long, or was begun in another browser.
    SignInExpired = "sign-in-expired", 400, Refused;
    /// A one-time code or link is unknown, spent or too old.
    CodeSpent = "code-spent", 400, Refused;
    /// The identity provider's answer does not verify.
    ProviderRejected = "provider-rejected", 403, Refused;
    /// The identity provider itself refused.
    ProviderRefused = "provider-refused", 403, Refused;
    /// The person is not in the tenant's pool, and may not join by signing in.
    NotAMember = "not-a-member", 403, Refused;
    /// The account at the provider is linked to another user.
    AccountTaken = "account-taken", 409, Refused;
    /// The account at the provider was unlinked, and the provider's word does not link it again.
    AccountUnlinked = "account-unlinked", 403, Refused;
    /// The address to return to is none of the tenant's.
    ForeignReturn = "foreign-return", 400, Refused;
    /// The enrolment token is unknown, spent or too old.
    EnrolmentSpent = "enrolment-spent", 403, Refused;
    /// The certificate request asks for what it may not have.
    RequestNotSigned = "request-not-signed", 400, Refused;
    /// The client's certificate is absent, foreign or past its time.
    CertificateRejected = "certificate-rejected", 403, Refused;
    /// The client's certificate has ended while its connection was open.
    CertificateEnded = "certificate-ended", 401, Refused;
    /// A changed policy set does not validate or fails its own tests.
    PolicyInvalid = "policy-invalid", 422, Refused;
    /// The identity provider cannot be reached.
    ProviderUnavailable = "provider-unavailable", 502, Faulted;
    /// The app's service cannot be reached.
    UpstreamUnreachable = "upstream-unreachable", 502, Faulted;
    /// The app's service did not prove that it is the one meant.
    UpstreamIdentity = "upstream-identity", 502, Faulted;
    /// The app's service answered with something that is not HTTP, or broke off.
    UpstreamBroken = "upstream-broken", 502, Faulted;
    /// The app's service did not answer in time.
    UpstreamTimeout = "upstream-timeout", 504, Faulted;
    /// The store of sessions or people cannot be reached.
    StoreUnavailable = "store-unavailable", 503, Faulted;
    /// Entries cannot be written, so nothing is admitted.
    LogUnavailable = "log-unavailable", 503, Faulted;
    /// More work than the gateway takes at once.
    Overloaded = "overloaded", 503, Faulted;
    /// What was last decided for the tenant cannot be taken over, so nothing is decided by what stood before.
    TenantUnavailable = "tenant-unavailable", 503, Faulted;
    /// The request took longer than the limit.
    TimedOut = "timed-out", 504, Faulted;
    /// The client went away before it had its answer.
    ClientGone = "client-gone", 499, Misused;
    /// A defect of ours.
    Internal = "internal", 500, Faulted;
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_distinct_kebab_case_and_their_status_fits() {
        let codes: HashSet<_> = Reason::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert!(reason.code().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
            let fault = reason.status() >= 500;
            assert_eq!(fault, reason.whose() == Whose::Faulted, "{reason}");
        }
    }
}
