//! Who asks, and may they? The only place where a [`Permit`] is made.

use std::{collections::BTreeMap, sync::Arc};

use cardea_audit::event::{ContextFacts, Decision, ResourceFacts, Verdict as Word};
use cardea_core::{Assurance, Caller, ClientId, EntryId, SessionId, TenantId, Timestamp, caller::UserFacts};
use cardea_identity::{HandleHash, Session};
use cardea_policy::{Challenge, Facts, Principal, Question, Target, Verdict};

use crate::{App, Canonical, LiveToken, OwnApp, Permit, Tenant};

/// A live session with all that a decision needs, prebuilt. Kept in memory by the server, shared by requests.
#[derive(Debug)]
pub struct LiveSession {
    /// The session.
    pub id: SessionId,
    /// Its tenant.
    pub tenant: TenantId,
    /// The host whose handle opened it: a handle works on its own host only.
    pub host: Arc<str>,
    /// The handle's hash.
    pub handle: HandleHash,
    /// The user.
    pub user: Arc<UserFacts>,
    /// How sure we are.
    pub assurance: Assurance,
    /// The factors used: `password`, `totp`, `passkey`, `recovery`, `remembered`, `email`, `oidc`, `linked`.
    pub factors: Vec<&'static str>,
    /// When the user last proved a factor, as policies count it.
    pub signed_in_at: Timestamp,
    /// The same as people are told: a remembered device makes no sign-in older.
    pub shown_at: Timestamp,
    /// When it ends, used or not.
    pub ends_at: Timestamp,
    /// When its handle is due to be replaced; none where that is not this handle's to ask.
    pub rotate_at: Option<Timestamp>,
    /// The strongest assurance that the user's enrolled factors can reach: what a challenge may ask for.
    pub reachable: Assurance,
    /// Whether they have enrolled nothing that would raise this above 1, or to the tenant's minimum, and could: a refusal
    /// then says so.
    pub lacks_second_factor: bool,
    /// Whether the tenant wants a second factor of them first: until it is there, nothing opens but where it is added.
    pub owes_second_factor: bool,
    principal: Principal,
    factor_words: Vec<Arc<str>>,
}

/// Which handle opened a session, where, and when it is to be replaced.
#[derive(Debug, Clone)]
pub struct OpenedBy {
    /// The handle's hash.
    pub handle: HandleHash,
    /// Its host.
    pub host: Arc<str>,
    /// When it is due to be replaced; none for a superseded handle in its last minute.
    pub rotate_at: Option<Timestamp>,
}

impl LiveSession {
    /// Prepares a session, which the caller has judged to be live, for many requests.
    pub fn new(session: &Session, opened: OpenedBy, user: Arc<UserFacts>, reachable: Assurance) -> Self {
        let factors = session.factor_names();
        Self {
            id: session.id,
            tenant: session.tenant.clone(),
            host: opened.host,
            handle: opened.handle,
            principal: Principal::of(&Caller::User(Arc::clone(&user))),
            user,
            assurance: session.assurance,
            factor_words: factors.iter().map(|name| Arc::from(*name)).collect(),
            factors,
            signed_in_at: session.signed_in_at,
            shown_at: session.shown_at(),
            ends_at: session.expires,
            rotate_at: opened.rotate_at,
            reachable,
            lacks_second_factor: false,
            owes_second_factor: false,
        }
    }

    /// Whether it is below its greatest age at `now`. That it was ended is heard of otherwise: it is found no more.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.ends_at
    }

    /// The user as policies see them.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }
}

/// Who asks, with all that policies may know of them.
#[derive(Debug, Clone)]
pub(crate) enum Asker {
    /// Somebody with a session.
    Session(Arc<LiveSession>),
    /// A program with a token.
    Token(Arc<LiveToken>),
    /// Anybody else.
    Other(Arc<Principal>),
}

impl Asker {
    pub(crate) fn principal(&self) -> &Principal {
        match self {
            Self::Session(session) => &session.principal,
            Self::Token(token) => token.principal(),
            Self::Other(principal) => principal,
        }
    }

    pub(crate) fn session(&self) -> Option<&Arc<LiveSession>> {
        match self {
            Self::Session(session) => Some(session),
            Self::Token(_) | Self::Other(_) => None,
        }
    }

    pub(crate) fn token(&self) -> Option<&Arc<LiveToken>> {
        match self {
            Self::Token(token) => Some(token),
            Self::Session(_) | Self::Other(_) => None,
        }
    }

    fn factor_words(&self) -> Vec<Arc<str>> {
        match self {
            Self::Session(session) => session.factor_words.clone(),
            Self::Token(token) => token.factor_words().to_vec(),
            Self::Other(_) => Vec::new(),
        }
    }

    fn facts<'a>(&'a self, canonical: &'a Canonical, now: Timestamp) -> Facts<'a> {
        let visitor =
            Facts::visitor(now, canonical.client(), canonical.method().as_str(), canonical.host(), canonical.path());
        match self {
            Self::Session(session) => Facts {
                assurance: Some(session.assurance),
                signed_in: Some(now.since(session.signed_in_at).as_secs()),
                factors: &session.factors,
                ..visitor
            },
            Self::Token(token) => Facts {
                assurance: token.assurance,
                signed_in: token.signed_in_at.map(|at| now.since(at).as_secs()),
                factors: &token.factors,
                client_id: token.by.client.as_ref().map_or("", ClientId::as_str),
                scope: token.scope.as_slice(),
                ..visitor
            },
            Self::Other(_) => visitor,
        }
    }
}

/// The answer to a question: a permit, or a no with what would change it.
pub(crate) enum Answer {
    Allowed(Permit),
    Denied(Option<Challenge>),
}

/// Whether something else comes first: the second factor that the tenant wants of whoever asks. Then nothing is asked of the
/// policies, and nothing opens but the pages where it is added, and those by which one signs in, steps up and signs out. Who is
/// signed in is told to an app's pages only where the app itself would be.
pub(crate) fn is_held(asker: &Asker, app: &App, canonical: &Canonical) -> bool {
    let owes = asker.session().is_some_and(|session| session.owes_second_factor);
    owes && match app.own {
        Some(OwnApp::SignIn) => tells_who_asks(canonical),
        Some(OwnApp::Portal) => canonical.segments().next() != Some("factors"),
        _ => true,
    }
}

/// Whether it is one of the addresses at which an app's own pages learn who is signed in.
fn tells_who_asks(canonical: &Canonical) -> bool {
    let mut segments = canonical.segments();
    matches!(
        (segments.next(), segments.next()),
        (Some(".cardea"), Some("session")) | (Some("oauth2"), Some("userinfo"))
    )
}

/// Puts the question. What is not plainly allowed is denied, and a challenge is computed only then.
pub(crate) fn decide(
    tenant: &Tenant,
    asker: &Asker,
    target: &Target,
    canonical: &Canonical,
    (entry, now): (EntryId, Timestamp),
) -> (Answer, Decision) {
    let facts = asker.facts(canonical, now);
    let question = Question { principal: asker.principal(), target, facts };
    let verdict = tenant.engine.decide(&question);
    if verdict.allowed && verdict.errors.is_empty() {
        return (Answer::Allowed(Permit::new(entry)), record(tenant, asker, &question, verdict, Word::Allow));
    }
    let reach = asker.session().map_or(Assurance::Three, |session| session.reachable);
    let challenge = match asker.principal().caller() {
        // A program is told what its person would have to show (RFC 9470): it has them asked again.
        Caller::Visitor | Caller::User(_) => tenant.engine.challenge(&question, reach),
        Caller::Service { .. } | Caller::Workload { .. } => None,
    };
    let word = if challenge.is_some() { Word::Challenge } else { Word::Deny };
    (Answer::Denied(challenge), record(tenant, asker, &question, verdict, word))
}

/// Whether the question would still be allowed, for streams that are under way. Makes no permit.
pub(crate) fn still_allowed(
    tenant: &Tenant,
    asker: &Asker,
    target: &Target,
    canonical: &Canonical,
    now: Timestamp,
) -> bool {
    let question = Question { principal: asker.principal(), target, facts: asker.facts(canonical, now) };
    let verdict = tenant.engine.decide(&question);
    verdict.allowed && verdict.errors.is_empty()
}

fn record(tenant: &Tenant, asker: &Asker, question: &Question<'_>, verdict: Verdict, word: Word) -> Decision {
    let (target, facts) = (question.target, &question.facts);
    // One after the other: collecting sorts first, which costs more for the two or three that there are.
    let mut attributes = BTreeMap::new();
    for (name, value) in target.attributes() {
        attributes.insert(Arc::clone(name), Arc::clone(value));
    }
    Decision {
        verdict: word,
        determined_by: verdict.determined_by,
        errors: verdict.errors.into_iter().map(|error| error.policy).collect(),
        policy: tenant.policy.clone(),
        action: Arc::clone(target.action()),
        resource: ResourceFacts {
            kind: Arc::clone(target.resource_type()),
            id: Arc::clone(target.resource_id()),
            attributes,
        },
        context: ContextFacts {
            assurance: facts.assurance.map_or(0, Assurance::level),
            time: facts.time,
            signed_in: facts.signed_in.and_then(|secs| i64::try_from(secs).ok()).unwrap_or(i64::MAX),
            client: facts.client,
            factors: asker.factor_words(),
            scope: facts.scope.into(),
        },
    }
}
