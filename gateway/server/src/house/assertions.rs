//! Signs assertions. Signing is the dearest step of a request, so one serves a session and app for up to thirty
//! seconds, as long as nothing that it says has changed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cardea_core::{AppId, Caller, SessionId, Timestamp, resources::Claim};
use cardea_identity::{
    assertion::{self, Assertion, Person, REUSE, Request},
    keys,
};
use cardea_proxy::{AssertionFor, Assertions, LiveSession, StoreFault};
use http::HeaderValue;

use super::House;

/// Assertions that may serve again, by session.
#[derive(Default)]
pub(super) struct Minted(Mutex<HashMap<SessionId, Vec<Kept>>>);

struct Kept {
    app: AppId,
    /// The session as it was read: another reading may say something else.
    session: Arc<LiveSession>,
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
        match of.session.filter(|_| of.request.is_none()) {
            Some(session) => match self.minted.find(of, session) {
                Some(value) => Ok(Some(value)),
                None => {
                    let value = self.sign(of)?;
                    self.minted.keep(of, session, &value);
                    Ok(Some(value))
                }
            },
            None => self.sign(of).map(Some),
        }
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
            amr: of.session.map_or(&[], |session| session.factors.as_slice()),
            assurance: of.session.map(|session| session.assurance),
            auth_time: of.session.map(|session| session.signed_in_at.as_secs()),
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
    fn find(&self, of: &AssertionFor<'_>, session: &Arc<LiveSession>) -> Option<HeaderValue> {
        let kept = self.lock();
        let found = kept.get(&session.id)?.iter().find(|one| one.app == of.app.spec.id)?;
        let same = Arc::ptr_eq(&found.session, session) && found.policy == of.tenant.policy.hash;
        (same && of.now >= found.at && of.now.since(found.at) < REUSE).then(|| found.value.clone())
    }

    fn keep(&self, of: &AssertionFor<'_>, session: &Arc<LiveSession>, value: &HeaderValue) {
        let mut kept = self.lock();
        if kept.len() >= SESSIONS {
            kept.retain(|_, all| all.iter().any(|one| of.now.since(one.at) < REUSE));
            if kept.len() >= SESSIONS {
                kept.clear();
            }
        }
        let all = kept.entry(session.id).or_default();
        all.retain(|one| one.app != of.app.spec.id && of.now.since(one.at) < REUSE);
        all.push(Kept {
            app: of.app.spec.id.clone(),
            session: Arc::clone(session),
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
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Vec<Kept>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
