//! Signs assertions. Signing is the dearest step of a request, so one serves a session and app for up to thirty
//! seconds, as long as nothing that it says has changed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cardea_core::{AppId, Caller, Timestamp, resources::Claim};
use cardea_identity::{
    assertion::{self, Assertion, Person, REUSE, Request},
    keys,
};
use cardea_proxy::{AssertionFor, Assertions, LiveSession, LiveToken, StoreFault};
use http::HeaderValue;

use super::House;

/// Assertions that may serve again, by session or token.
#[derive(Default)]
pub(super) struct Minted(Mutex<HashMap<u128, Vec<Kept>>>);

/// Behind whom an assertion stands, as it was read: another reading may say something else.
enum Holder {
    Session(Arc<LiveSession>),
    Token(Arc<LiveToken>),
}

impl Holder {
    fn of(of: &AssertionFor<'_>) -> Option<Self> {
        let session = of.session.map(|session| Self::Session(Arc::clone(session)));
        session.or_else(|| of.token.map(|token| Self::Token(Arc::clone(token))))
    }

    fn id(&self) -> Option<u128> {
        match self {
            Self::Session(session) => Some(session.id.as_uuid().as_u128()),
            Self::Token(token) => {
                let (of_token, of_key) =
                    (token.by.token.map(|id| id.as_uuid()), token.by.access_key.map(|id| id.as_uuid()));
                of_token.or(of_key).map(|id| id.as_u128())
            }
        }
    }

    fn is(&self, of: &AssertionFor<'_>) -> bool {
        match self {
            Self::Session(session) => of.session.is_some_and(|other| Arc::ptr_eq(session, other)),
            Self::Token(token) => of.token.is_some_and(|other| Arc::ptr_eq(token, other)),
        }
    }
}

struct Kept {
    app: AppId,
    holder: Holder,
    policy: Arc<str>,
    at: Timestamp,
    value: HeaderValue,
}

/// Sessions with kept assertions; beyond it, those past their time go. As many as a gateway serves in half a minute.
const SESSIONS: usize = 20_000;

impl Assertions for House {
    fn assertion(&self, of: &AssertionFor<'_>) -> Result<Option<HeaderValue>, StoreFault> {
        if matches!(of.caller, Caller::Visitor) {
            return Ok(None);
        }
        let holder = Holder::of(of).filter(|_| of.request.is_none());
        let Some((holder, id)) = holder.and_then(|holder| holder.id().map(|id| (holder, id))) else {
            return self.sign(of).map(Some);
        };
        if let Some(value) = self.minted.find(of, id) {
            return Ok(Some(value));
        }
        let value = self.sign(of)?;
        self.minted.keep(of, (id, holder), &value);
        Ok(Some(value))
    }
}

impl House {
    fn sign(&self, of: &AssertionFor<'_>) -> Result<HeaderValue, StoreFault> {
        let fault = |what: &str| StoreFault(format!("tenant `{}` {what}", of.tenant.id));
        let ring = self.keys.of(&of.tenant.id).ok_or_else(|| fault("has no assertion keys"))?;
        let key = keys::signer(&ring.records, of.now).and_then(|record| ring.signing.get(&record.id));
        let key = key.ok_or_else(|| fault("has no assertion key that signs now"))?;
        let claims = |claim| of.app.spec.claims.contains(&claim);
        let (sub, person) = match of.caller {
            Caller::Visitor => return Err(fault("has no visitor to assert")),
            Caller::User(user) => {
                let person = Person {
                    email: claims(Claim::Email).then_some(user.email.as_str()),
                    name: claims(Claim::Name).then_some(user.name.as_str()),
                    groups: claims(Claim::Groups).then_some(user.groups.as_slice()),
                };
                (user.id.to_string(), person)
            }
            Caller::Service { id, groups } => {
                let groups = claims(Claim::Groups).then_some(groups.as_slice());
                (id.to_string(), Person { groups, ..Person::default() })
            }
            Caller::Workload { spiffe_id } => (spiffe_id.to_string(), Person::default()),
        };
        let url =
            of.request.map(|(_, canonical)| format!("{}{}", self.config.origin(canonical.host()), canonical.path()));
        let request = of.request.zip(url.as_deref()).map(|((decision, canonical), url)| Request {
            decision,
            method: canonical.method().as_str(),
            url,
        });
        let assertion = Assertion {
            iss: &of.tenant.sign_in_origin,
            aud: &of.app.spec.id,
            sub: &sub,
            tenant: &of.tenant.id,
            amr: match (of.session, of.token) {
                (Some(session), _) => &session.factors,
                (None, Some(token)) => &token.factors,
                (None, None) => &[],
            },
            assurance: of.session.map(|session| session.assurance).or_else(|| of.token?.assurance),
            auth_time: of
                .session
                .map(|session| session.signed_in_at)
                .or_else(|| of.token?.signed_in_at)
                .map(|at| at.as_secs()),
            client_id: of.token.and_then(|token| token.by.client.as_ref()),
            scope: of.token.map(|token| &token.scope),
            sid: of.session.map(|session| session.id),
            policy: &of.tenant.policy.hash,
            person,
            request,
        };
        let token = assertion::mint(&assertion, key, of.now).map_err(|_| fault("cannot sign"))?;
        HeaderValue::try_from(token).map_err(|_| fault("signed what is no header value"))
    }
}

impl Minted {
    fn find(&self, of: &AssertionFor<'_>, id: u128) -> Option<HeaderValue> {
        let kept = self.lock();
        let found = kept.get(&id)?.iter().find(|one| one.app == of.app.spec.id)?;
        let same = found.holder.is(of) && found.policy == of.tenant.policy.hash;
        (same && of.now >= found.at && of.now.since(found.at) < REUSE).then(|| found.value.clone())
    }

    fn keep(&self, of: &AssertionFor<'_>, (id, holder): (u128, Holder), value: &HeaderValue) {
        let mut kept = self.lock();
        if kept.len() >= SESSIONS {
            kept.retain(|_, all| all.iter().any(|one| of.now.since(one.at) < REUSE));
            if kept.len() >= SESSIONS {
                kept.clear();
            }
        }
        let all = kept.entry(id).or_default();
        all.retain(|one| one.app != of.app.spec.id && of.now.since(one.at) < REUSE);
        all.push(Kept {
            app: of.app.spec.id.clone(),
            holder,
            policy: Arc::clone(&of.tenant.policy.hash),
            at: of.now,
            value: value.clone(),
        });
    }

    /// Drops what may not serve again.
    pub(super) fn sweep(&self, now: Timestamp) {
        self.lock().retain(|_, all| {
            all.retain(|one| now.since(one.at) < REUSE);
            !all.is_empty()
        });
    }

    /// Each change of the map is one call: a panic elsewhere leaves it whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<u128, Vec<Kept>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
