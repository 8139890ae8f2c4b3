//! Everything that an entry can record, in one closed list, each with what is needed to explain it later.

use std::sync::Arc;

use cardea_core::{
    AccessKeyId, AppId, Assurance, Attributes, ClientId, DeviceId, FactorId, GrantId, GroupId, ProviderId, Reason,
    SessionId, Timestamp, TokenId, UserId,
};
use serde::{Deserialize, Serialize};

pub use crate::request::{ContextFacts, Decision, PolicyRef, Program, Request, ResourceFacts, Verdict};

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $code:literal $body:tt)*) => {
        /// What happened. The code (`kind` in JSON) is stable: filters, exports and alerts rely on it.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        pub enum Event {
            $($(#[$doc])* #[serde(rename = $code)] $name $body,)*
        }

        impl Event {
            /// The codes of all events, for filters and tests.
            pub const CODES: &'static [&'static str] = &[$($code),*];

            /// The stable kebab-case code.
            pub const fn code(&self) -> &'static str {
                match self { $(Self::$name { .. } => $code,)* }
            }
        }
    };
}

events! {
    /// A request ended: forwarded, refused or failed.
    Request = "request" (Box<Request>)
    /// A person signed in.
    SignedIn = "sign-in" {
        /// Who.
        user: Subject,
        /// The session begun.
        session: SessionId,
        /// The factors shown: `password`, `totp`, `passkey`, `recovery`, `email`, `oidc`, `linked`; `remembered` where a device stood
        /// in for one.
        factors: Vec<Arc<str>>,
        /// The provider that vouched, if one did.
        provider: Option<ProviderId>,
        /// What the factors amount to.
        assurance: Assurance,
    }
    /// A sign-in failed.
    SignInRefused = "sign-in-refused" {
        /// The address that was typed in or vouched for, if it came so far.
        email: Option<String>,
        /// The user whom it belongs to, if there is one.
        user: Option<UserId>,
        /// The factor that was tried.
        factor: Option<Arc<str>>,
        /// The provider that was asked.
        provider: Option<ProviderId>,
        /// Why.
        reason: Reason,
        /// What the person is not told: which check failed.
        detail: String,
    }
    /// A signed-in person showed a further factor.
    SteppedUp = "step-up" {
        /// Who.
        user: Subject,
        /// The factor shown.
        factor: Arc<str>,
        /// The session's assurance now.
        assurance: Assurance,
    }
    /// A person signed out.
    SignedOut = "sign-out" {
        /// Who.
        user: Subject,
        /// Whether all of the person's sessions ended, or only this one, or all others.
        everywhere: bool,
        /// How many sessions ended.
        sessions: u64,
    }
    /// Sessions ended otherwise than by signing out.
    SessionEnded = "session-ended" {
        /// Whose.
        user: Subject,
        /// The one that ended; absent where all of the user's did.
        session: Option<SessionId>,
        /// Why: `idle`, `absolute`, `administrator`, `suspended`, `portal`, `provider`: that said so, ….
        cause: Arc<str>,
        /// How many ended.
        sessions: u64,
    }
    /// A provider said by itself something of one of its people, or of nobody who is known here.
    SignalTaken = "signal-taken" {
        /// Which provider.
        provider: ProviderId,
        /// What it said: `logout`, or the last word of a security event's name: `session-revoked`, `account-disabled`, …; `unknown`.
        signal: Arc<str>,
        /// Of whom; absent where nobody here is meant.
        user: Option<Subject>,
        /// How many sessions ended by it; each has an entry of its own before this one.
        sessions: u64,
    }
    /// What came in as a provider's word, and is not believed.
    SignalRefused = "signal-refused" {
        /// Which provider was to have said it.
        provider: ProviderId,
        /// What whoever sent it is not told: which check failed.
        detail: String,
    }
    /// A handle that had been replaced was shown again: somebody else may hold it. The session has ended.
    SessionReuse = "session-reuse" {
        /// Whose.
        user: UserId,
        /// The session that ended.
        session: SessionId,
    }
    /// A person was invited into the pool.
    UserInvited = "user-invited" {
        /// Who.
        user: Subject,
        /// Groups given at once.
        groups: Vec<GroupId>,
        /// Until when the invitation may be used.
        expires: Timestamp,
    }
    /// A person was put into the pool, and no invitation made.
    UserAdded = "user-added" {
        /// Who.
        user: Subject,
        /// Groups given at once.
        groups: Vec<GroupId>,
    }
    /// A file of people is about to be added to the pool. Where no `users-imported` follows, adding broke off: some of its
    /// people may be there without an entry of their own.
    UsersImportBegun = "users-import-begun" {
        /// SHA-256 of the file, in hex.
        file: String,
        /// How many people are to be added.
        rows: u64,
    }
    /// A file of people was read into the pool; each who is new has an entry before this one.
    UsersImported = "users-imported" {
        /// SHA-256 of the file, in hex.
        file: String,
        /// How many were added.
        added: u64,
        /// How many were there already, as the file says.
        unchanged: u64,
        /// How many rows were left out, since something is wrong with them.
        refused: u64,
    }
    /// A person joined: by an invitation, or by a provider's word.
    UserJoined = "user-joined" {
        /// Who.
        user: Subject,
        /// The provider that vouched; absent for an invitation.
        provider: Option<ProviderId>,
    }
    /// A user was linked to an account at a provider.
    IdentityLinked = "identity-linked" {
        /// Who.
        user: Subject,
        /// The provider.
        provider: ProviderId,
        /// The account there.
        subject: String,
        /// Whether the person linked it, from inside.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        own: bool,
    }
    /// A user's account at a provider is theirs no more, and opens nothing.
    IdentityUnlinked = "identity-unlinked" {
        /// Who.
        user: Subject,
        /// The provider.
        provider: ProviderId,
        /// The account there.
        subject: String,
    }
    /// A user may no longer sign in; the sessions ended.
    UserSuspended = "user-suspended" {
        /// Who.
        user: Subject,
        /// Sessions that ended.
        sessions: u64,
    }
    /// A suspended user may sign in again.
    UserActivated = "user-activated" {
        /// Who.
        user: Subject,
    }
    /// An administrator let a user start over: factors and sessions are gone, and a new invitation was made.
    UserReset = "user-reset" {
        /// Who.
        user: Subject,
        /// Factors that are gone.
        factors: u64,
        /// Sessions that ended.
        sessions: u64,
    }
    /// An administrator made a link by which a user may add a first factor beyond the only one.
    FactorLinkMade = "factor-link-made" {
        /// Who.
        user: Subject,
        /// Until when the link may be used.
        expires: Timestamp,
    }
    /// Such a link was used: its session may add a factor.
    FactorLinkUsed = "factor-link-used" {
        /// Who.
        user: Subject,
        /// The session that took the place of the one in which it was shown.
        session: SessionId,
    }
    /// A user is gone for good, with factors, groups and sessions.
    UserDeleted = "user-deleted" {
        /// Who.
        user: Subject,
        /// Sessions that ended.
        sessions: u64,
    }
    /// A user's groups changed.
    GroupsChanged = "groups-changed" {
        /// Who.
        user: Subject,
        /// Direct groups before.
        before: Vec<GroupId>,
        /// Direct groups now.
        after: Vec<GroupId>,
        /// The provider whose word changed them; absent for an administrator.
        provider: Option<ProviderId>,
    }
    /// What the tenant says of a user beside name and groups changed.
    AttributesChanged = "attributes-changed" {
        /// Who.
        user: Subject,
        /// What was said before.
        before: Attributes,
        /// What is said now.
        after: Attributes,
    }
    /// A person enrolled a factor.
    FactorAdded = "factor-added" {
        /// Whose.
        user: Subject,
        /// The factor.
        factor: FactorId,
        /// `password`, `totp`, `passkey` or `recovery`.
        factor_kind: Arc<str>,
        /// The name that the person gave it.
        name: String,
    }
    /// A factor was removed.
    FactorRemoved = "factor-removed" {
        /// Whose.
        user: Subject,
        /// The factor.
        factor: FactorId,
        /// `password`, `totp`, `passkey` or `recovery`.
        factor_kind: Arc<str>,
    }
    /// A factor was replaced or renamed, as a password that is changed.
    FactorChanged = "factor-changed" {
        /// Whose.
        user: Subject,
        /// The factor.
        factor: FactorId,
        /// `password`, `totp`, `passkey` or `recovery`.
        factor_kind: Arc<str>,
        /// What of it: `value` or `name`.
        what: Arc<str>,
    }
    /// A person showed a recovery code in place of a factor that is lost; it is spent.
    RecoveryUsed = "recovery-used" {
        /// Who.
        user: Subject,
        /// The set that it was of.
        factor: FactorId,
        /// How many of it are left.
        left: u64,
    }
    /// A browser in which a second factor was shown stands in for it from now on.
    DeviceRemembered = "device-remembered" {
        /// Whose.
        user: Subject,
        /// The device.
        device: DeviceId,
        /// The factor that was shown.
        factor: FactorId,
        /// The browser, as a person recognises it.
        browser: String,
        /// Until when.
        until: Timestamp,
    }
    /// A remembered device stood in for a second factor at a sign-in.
    DeviceUsed = "device-used" {
        /// Whose.
        user: Subject,
        /// The device.
        device: DeviceId,
        /// When the factor was really shown.
        shown: Timestamp,
    }
    /// Devices are remembered no more. Those that go with a change of factors, a suspension or the account are told by that; those
    /// past their time, and of a tenant that lets none be remembered any more, by nothing.
    DeviceForgotten = "device-forgotten" {
        /// Whose.
        user: Subject,
        /// The devices.
        devices: Vec<DeviceId>,
        /// Why: `portal`, `signed-out`, `administrator`, `reuse` of a session's old handle, `copied`: a key that was used up was shown
        /// again; `remembered-again`: another takes its place in the same browser.
        cause: Arc<str>,
    }
    /// A letter to a person was handed to the mail server: a code, an invitation, a link for another factor, or a notice.
    MailSent = "mail-sent" {
        /// To whom.
        user: Subject,
        /// `code`, `invitation`, `factor-link` or `notice`.
        letter: Arc<str>,
    }
    /// A letter to a person could not be handed to the mail server; nobody tries again.
    MailFailed = "mail-failed" {
        /// To whom it was to go.
        user: Subject,
        /// `code`, `invitation`, `factor-link` or `notice`.
        letter: Arc<str>,
        /// Why, without what the server said: that may name others.
        detail: String,
    }
    /// An app was not told that a session is over; nobody tries again.
    LogoutUntold = "logout-untold" {
        /// The app.
        app: AppId,
        /// Whose session.
        user: Subject,
        /// The session, by the name that the app was to be told.
        session: SessionId,
        /// Why, without what the app said: that may name others.
        detail: String,
    }
    /// A known person showed a factor that does not verify, at sign-in, step-up or enrolment.
    FactorRefused = "factor-refused" {
        /// Whose.
        user: UserId,
        /// `password`, `totp`, `passkey` or `recovery`.
        factor_kind: Arc<str>,
        /// Why, as the person was told.
        reason: Reason,
        /// What the person is not told: wrong, replayed, foreign, ….
        detail: String,
    }
    /// A person let a client act for them.
    GrantMade = "grant-made" {
        /// Who.
        user: Subject,
        /// The client.
        client: ClientId,
        /// What was made.
        grant: GrantId,
        /// What its tokens are good for, with spaces between.
        scope: String,
        /// The apps that they are for.
        apps: Vec<AppId>,
        /// `authorization_code` or `device_code`.
        by: Arc<str>,
    }
    /// What a person let a client do is over.
    GrantEnded = "grant-ended" {
        /// Whose.
        user: Subject,
        /// The client.
        client: ClientId,
        /// What ended.
        grant: GrantId,
        /// Why: `expired`, `revoked` by the client, `portal`, `account`, `reuse` of a code.
        cause: Arc<str>,
    }
    /// All that a person let programs do is over, keys included: the account was suspended or reset, its factors changed, or all of
    /// its sessions were ended.
    ProgramsEnded = "programs-ended" {
        /// Whose.
        user: Subject,
        /// How many.
        programs: u64,
    }
    /// A refresh token that had been used was shown again: somebody else may hold it. All that it belonged to has ended.
    RefreshReuse = "refresh-reuse" {
        /// Whose.
        user: Subject,
        /// The client.
        client: ClientId,
        /// What ended.
        grant: GrantId,
    }
    /// A client was given an access token.
    AccessTokenIssued = "access-token-issued" {
        /// The client.
        client: ClientId,
        /// In whose name; absent for its own.
        user: Option<UserId>,
        /// What that person let it do.
        grant: Option<GrantId>,
        /// The token.
        token: TokenId,
        /// What it is good for, with spaces between.
        scope: String,
        /// `client_credentials`, `authorization_code`, `device_code` or `refresh_token`.
        by: Arc<str>,
    }
    /// A client gave an access token back before its time.
    AccessTokenRevoked = "access-token-revoked" {
        /// The client.
        client: ClientId,
        /// The token.
        token: TokenId,
    }
    /// A client was refused a token, or is not the one that it says.
    ClientRefused = "client-refused" {
        /// The client that was named, where there is one of that name.
        client: Option<ClientId>,
        /// What it was told (RFC 6749 section 5.2).
        error: Arc<str>,
        /// What it was not told: which check failed.
        detail: String,
    }
    /// A client was given a secret.
    ClientSecretMade = "client-secret-made" {
        /// The client.
        client: ClientId,
        /// How many of its secrets are good for nothing since.
        ended: u64,
    }
    /// A person made an access key.
    AccessKeyMade = "access-key-made" {
        /// Whose.
        user: Subject,
        /// The key.
        key: AccessKeyId,
        /// What they call it.
        name: String,
        /// What it is good for, with spaces between.
        scope: String,
        /// The apps that it is for.
        apps: Vec<AppId>,
        /// Until when.
        expires: Timestamp,
    }
    /// A person removed an access key.
    AccessKeyRemoved = "access-key-removed" {
        /// Whose.
        user: Subject,
        /// The key.
        key: AccessKeyId,
        /// What they called it.
        name: String,
    }
    /// A policy set took effect.
    PolicyActivated = "policy-activated" {
        /// The set that decides now.
        policy: PolicyRef,
        /// The version that it replaced.
        before: Option<u64>,
        /// What the author says of it.
        note: String,
    }
    /// A policy set was refused: it does not validate, fails a test, or its base has moved.
    PolicyRefused = "policy-refused" {
        /// Why.
        reason: Reason,
        /// The first thing wrong.
        detail: String,
    }
    /// Resources were applied as a whole.
    ResourcesApplied = "resources-applied" {
        /// One line for each thing added, changed or removed: `~ acme: app records`.
        changes: Vec<String>,
        /// What stood and what stands in its place; older entries do not tell.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hashes: Vec<Replaced>,
    }
    /// A service got its first certificate.
    CertificateIssued = "certificate-issued" {
        /// What was issued.
        certificate: Certificate,
        /// What proved the right to it: an enrolment token's id, or `gateway` for our own.
        by: Arc<str>,
    }
    /// A certificate was replaced by a younger one.
    CertificateRenewed = "certificate-renewed" {
        /// What was issued.
        certificate: Certificate,
        /// The serial of the one that proved the right to it.
        before: String,
    }
    /// A request for a certificate was refused.
    CertificateRefused = "certificate-refused" {
        /// The SPIFFE ID asked for, if it came so far.
        spiffe_id: Option<String>,
        /// Why.
        reason: Reason,
        /// Which check failed.
        detail: String,
    }
    /// A one-time token was made: an enrolment token, or an invitation made anew.
    TokenMade = "token-made" {
        /// Names the token without being it.
        token: String,
        /// `enrolment` or `invitation`.
        token_kind: Arc<str>,
        /// For whom or what.
        subject: String,
        /// Until when it may be used.
        expires: Timestamp,
    }
    /// A signing key, or a CA key, was made or took over.
    KeyRotated = "key-rotated" {
        /// `assertion`, `root`, `intermediate`, `gateway`, ….
        purpose: Arc<str>,
        /// The key's id.
        key: String,
    }
    /// Another configuration is in force, or certificates were renewed.
    ConfigurationChanged = "configuration-changed" {
        /// One line for each thing that is another: `~ limits.in_flight: 4096 → 100`.
        changes: Vec<String>,
        /// Keys that differ and wait for a restart.
        waiting: Vec<String>,
    }
    /// Another configuration, or a renewed certificate, could not be taken over; the one before stays in force.
    ConfigurationRefused = "configuration-refused" {
        /// What is wrong.
        detail: String,
    }
    /// What was changed of the tenant cannot be used; what stood before stays in force, until it is too old.
    TenantBehind = "tenant-behind" {
        /// Since when.
        since: Timestamp,
        /// What is wrong.
        detail: String,
    }
    /// What was changed of the tenant could not be taken over within the limit: nothing of it is admitted.
    TenantPaused = "tenant-paused" {
        /// Since when what decided before was no longer the newest.
        since: Timestamp,
        /// What is wrong.
        detail: String,
    }
    /// What was changed of the tenant is in force: its requests are admitted again.
    TenantResumed = "tenant-resumed" {}
    /// The gateway began to serve.
    Started = "started" {
        /// Its version.
        version: String,
    }
    /// The gateway ended, having drained.
    Stopped = "stopped" {}
}

/// A user as an entry names them: the id for programs, the address as it was then for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The user.
    pub id: UserId,
    /// The e-mail address at the time.
    pub email: String,
}

/// Something that was written anew: the hashes, in hex, of what stood and of what stands now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// What it is: `acme: app records`, `guard-rails`; `acme: decisions` for the hash by which decisions name the policies.
    pub what: String,
    /// SHA-256 of its JSON before; absent for what is new.
    pub before: Option<String>,
    /// SHA-256 of its JSON now; absent for what is gone.
    pub after: Option<String>,
}

/// A certificate as an entry names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its serial number, in hex.
    pub serial: String,
    /// The SPIFFE ID that it proves.
    pub spiffe_id: String,
    /// When it ends.
    pub not_after: Timestamp,
}

impl Event {
    /// The app that it concerns.
    pub fn app(&self) -> Option<&AppId> {
        match self {
            Self::Request(request) => request.app.as_ref(),
            Self::LogoutUntold { app, .. } => Some(app),
            _ => None,
        }
    }

    /// Whose account it tells of, where that person is shown it: sign-ins, sessions, ways to sign in, and what others did to
    /// the account. Requests are not among it, since they are many; nor are letters, which the person has, and the use of a
    /// remembered device, of which the sign-in tells.
    pub const fn person(&self) -> Option<UserId> {
        match self {
            Self::SignedIn { user, .. }
            | Self::SteppedUp { user, .. }
            | Self::SignedOut { user, .. }
            | Self::SessionEnded { user, .. }
            | Self::UserJoined { user, .. }
            | Self::IdentityLinked { user, .. }
            | Self::IdentityUnlinked { user, .. }
            | Self::UserSuspended { user, .. }
            | Self::UserActivated { user }
            | Self::UserReset { user, .. }
            | Self::UserInvited { user, .. }
            | Self::AttributesChanged { user, .. }
            | Self::FactorLinkMade { user, .. }
            | Self::FactorLinkUsed { user, .. }
            | Self::GroupsChanged { user, .. }
            | Self::FactorAdded { user, .. }
            | Self::FactorRemoved { user, .. }
            | Self::FactorChanged { user, .. }
            | Self::DeviceRemembered { user, .. }
            | Self::DeviceForgotten { user, .. }
            | Self::GrantMade { user, .. }
            | Self::GrantEnded { user, .. }
            | Self::ProgramsEnded { user, .. }
            | Self::RefreshReuse { user, .. }
            | Self::AccessKeyMade { user, .. }
            | Self::AccessKeyRemoved { user, .. }
            | Self::RecoveryUsed { user, .. } => Some(user.id),
            Self::SessionReuse { user, .. } | Self::FactorRefused { user, .. } => Some(*user),
            Self::SignInRefused { user, .. } => *user,
            _ => None,
        }
    }

    /// The reason that it states.
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Request(request) => request.reason,
            Self::SignInRefused { reason, .. }
            | Self::FactorRefused { reason, .. }
            | Self::PolicyRefused { reason, .. }
            | Self::CertificateRefused { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// The verdict, where a question was put.
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Request(request) => request.decision.as_ref().map(|decision| decision.verdict),
            _ => None,
        }
    }
}
