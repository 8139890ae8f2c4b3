//! From a request's credentials to who asks, and from a no to what would help.

use std::sync::Arc;

use cardea_core::{Caller, Reason};
use cardea_identity::{Handle, cookie};
use cardea_policy::{Challenge as Need, Principal};
use http::{HeaderMap, HeaderValue};

use super::{Asker, Canonical, Connection, Fail, Limits, Proxy, Site, Story, Way, cookies};
use crate::{Door, Found, StoreFault, challenge};

impl Proxy {
    /// Who asks. Where a handle was shown that opens nothing (any more), also what its holder may be told.
    pub(super) async fn caller(
        &self,
        site: &Site,
        canonical: &Canonical,
        connection: &Connection,
        (headers, limits): (&HeaderMap, &Limits),
    ) -> Result<(Asker, Option<Reason>), Fail> {
        if connection.door == Door::Machines {
            return Ok((workload(site, connection, &self.visitor)?, None));
        }
        let Some(hash) = cookies::handle(headers, canonical.tls(), &connection.shown) else {
            return Ok((Asker::Other(Arc::clone(&self.visitor)), None));
        };
        let now = self.now();
        let tenant = &site.tenant.id;
        let found = match self.parts.sessions.cached(tenant, &hash, now) {
            Some(session) => Found::Live(session),
            None => {
                let _shares = self.share_of_questions(tenant, canonical.client(), limits)?;
                self.parts.sessions.find(tenant, &hash, now).await.map_err(|fault| self.silent(&fault))?
            }
        };
        let session = match found {
            Found::Live(session) => session,
            Found::Over(reason) => return Ok((Asker::Other(Arc::clone(&self.visitor)), Some(reason))),
        };
        // INVARIANT: a handle opens its own session, at its own tenant and host, while that lives; checked here too,
        // whatever the store said.
        let fits = session.tenant == *tenant
            && session.host == *canonical.host()
            && session.handle == hash
            && session.is_live(now);
        if fits {
            Ok((Asker::Session(session), None))
        } else {
            Ok((Asker::Other(Arc::clone(&self.visitor)), Some(Reason::SessionEnded)))
        }
    }

    /// A store did not answer. Whoever shows something made up makes it be asked, so lines about it are seldom.
    pub(super) fn silent(&self, fault: &StoreFault) -> Reason {
        if let Some(times) = self.silence.due() {
            tracing::warn!(%fault, times, "a store did not answer");
        }
        Reason::StoreUnavailable
    }

    /// A no: a challenge where something would help.
    pub(super) fn denied(&self, need: Option<Need>, over: Option<Reason>, way: &Way, headers: &HeaderMap) -> Fail {
        let Way { site, canonical, asker, .. } = way;
        let Some(need) = need else {
            // Said to everybody who could enrol one, whatever was asked: it tells nothing of the policies.
            let lacking = asker.session().filter(|session| session.lacks_second_factor);
            let add_factor = lacking.map(|_| format!("{}/factors", site.tenant.sign_in_origin));
            return Fail { add_factor, ..Reason::Denied.into() };
        };
        let reason = match need {
            Need::SignIn => over.unwrap_or(Reason::SignInRequired),
            _ => Reason::StepUpRequired,
        };
        // Whoever is suspended reads that first: signing in again would only lead in a circle.
        let lead = canonical.navigation() && reason != Reason::UserSuspended;
        let entropy = &*self.parts.entropy;
        let port = way.limits().public_port;
        let (mut challenge, flow_cookie) = challenge::of(need, site, canonical, headers, port, entropy);
        if reason == Reason::SessionEnded {
            // Whoever was at work a moment ago reads why they are asked again.
            challenge.url.push_str("&ended=yes");
        }
        Fail { challenge: Some(challenge), flow_cookie, lead, ..reason.into() }
    }

    /// The second factor comes first: where it is added, from where the way leads on to what was asked for.
    pub(super) fn held(&self, way: &Way, headers: &HeaderMap) -> Fail {
        let Way { site, canonical, .. } = way;
        let lead = canonical.navigation();
        let mut url = format!("{}/factors", site.tenant.sign_in_origin);
        if lead {
            let to = challenge::return_address(canonical, headers, way.limits().public_port);
            url.push_str("?to=");
            url.extend(url::form_urlencoded::byte_serialize(to.as_bytes()));
        }
        Fail { add_factor: Some(url), lead, ..Reason::SecondFactorRequired.into() }
    }

    /// The cookie with the session's next handle, where this one is due. After the answer, so that a client that has
    /// gone by then loses nothing; a store that fails now has only put it off.
    pub(super) async fn rotated(&self, story: &Story, way: &Way, headers: &HeaderMap) -> Option<HeaderValue> {
        let session = way.asker.session()?;
        let due = session.rotate_at.is_some_and(|at| at <= story.at);
        let tls = way.canonical.tls();
        if !due || way.canonical.websocket() || cookies::sets_session(headers, tls) || !session.is_live(self.now()) {
            return None;
        }
        match self.parts.sessions.rotate(session, self.now()).await {
            Ok(Some(next)) => HeaderValue::try_from(cookie::set_handle(&Handle::parse(&next).ok()?, tls)).ok(),
            Ok(None) => None,
            Err(fault) => {
                tracing::warn!(%fault, "a handle could not be rotated");
                None
            }
        }
    }
}

/// Whoever comes to the machines' door: a workload of this tenant, or nobody we know.
fn workload(site: &Site, connection: &Connection, visitor: &Arc<Principal>) -> Result<Asker, Fail> {
    let Some(spiffe_id) = connection.workload() else { return Ok(Asker::Other(Arc::clone(visitor))) };
    let ours = spiffe_id
        .strip_prefix("spiffe://")
        .and_then(|rest| rest.strip_prefix(site.tenant.trust_domain.as_str()))
        .is_some_and(|path| path.starts_with('/'));
    if !ours {
        return Err(Reason::CertificateRejected.into());
    }
    Ok(Asker::Other(Arc::new(Principal::of(&Caller::Workload { spiffe_id: Arc::clone(spiffe_id) }))))
}
