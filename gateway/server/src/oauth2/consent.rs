//! What a person lets a client do, from their yes to the first tokens.

use std::{collections::BTreeSet, net::IpAddr};

use axum::response::Response;
use cardea_audit::Event;
use cardea_core::{AppId, Assurance, ClientId, GrantId, SessionId, TenantId, Timestamp, UserId};
use cardea_identity::{
    TicketHash, User, cookie,
    oauth2::{
        Grant, Scope,
        access_token::Confirmation,
        grant::{GrantEnd, GrantEndReason, days},
    },
    session::{End, EndReason},
};
use cardea_proxy::LiveSession;
use http::{HeaderMap, header::USER_AGENT};
use serde::{Deserialize, Serialize};

use super::{
    client::Client,
    form::Asked,
    issue::{self, Wanted},
    told::No,
};
use crate::{
    House,
    house::{Doer, subject},
    state::TenantState,
};

/// A person's yes, on its way to the client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Consent {
    pub(crate) client: ClientId,
    pub(crate) user: UserId,
    pub(crate) scope: Scope,
    pub(crate) apps: BTreeSet<AppId>,
    assurance: Assurance,
    factors: Vec<String>,
    signed_in_at: Timestamp,
    agent: String,
    address: Option<IpAddr>,
    session: SessionId,
    given: Timestamp,
}

impl Consent {
    /// A yes in this session, to that.
    pub(crate) fn of(
        live: &LiveSession,
        (headers, address): (&HeaderMap, IpAddr),
        client: &ClientId,
        (scope, apps): (Scope, BTreeSet<AppId>),
        now: Timestamp,
    ) -> Self {
        let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self {
            client: client.clone(),
            user: live.user.id,
            scope,
            apps,
            assurance: live.assurance,
            factors: live.factors.iter().map(|name| (*name).to_owned()).collect(),
            signed_in_at: live.signed_in_at,
            agent: cookie::agent_label(agent),
            address: Some(address),
            session: live.id,
            given: now,
        }
    }
}

/// Makes the grant of a yes that was redeemed, and its first tokens.
pub(super) async fn grant(
    asked: &Asked,
    client: &Client<'_>,
    consent: Consent,
    (code, by): (Option<&TicketHash>, &'static str),
) -> Result<Response, No> {
    let (house, tenant, now) = (&asked.house, asked.tenant.id(), asked.now());
    // They may have been suspended since.
    let user = house.store.user(tenant, consent.user).await?.filter(User::may_enter);
    let user = user.ok_or_else(|| No::grant("its person may not sign in"))?;
    if house.would_owe(&asked.tenant, user.id).await? {
        return Err(No::grant("its person owes a second factor"));
    }
    // Whoever said yes in a session that was thrown out since may not have been its owner.
    let session = house.shared.session(tenant, consent.session).await?;
    let stands = |end: Option<End>| end.is_none_or(|end| matches!(end.why, EndReason::SignedOut | EndReason::Replaced));
    if !session.is_some_and(|session| stands(session.ended)) {
        return Err(No::grant("the session in which its person said yes was ended"));
    }
    let scope = consent.scope.names().filter(|name| client.spec.scope.contains(*name));
    let scope = Scope::of(scope).map_err(|_| No::grant("the client may do nothing of it any more"))?;
    let apps: BTreeSet<_> = consent.apps.intersection(&client.spec.apps).cloned().collect();
    let grant = Grant {
        id: GrantId::mint(now, &*house.entropy),
        tenant: tenant.clone(),
        client: client.spec.id.clone(),
        user: consent.user,
        scope: scope.clone(),
        apps: apps.clone(),
        assurance: consent.assurance,
        factors: consent.factors,
        signed_in_at: consent.signed_in_at,
        // A certificate of ours lives an hour: with the next one the client is still the same.
        bound: client.bound.clone().filter(|bound| matches!(bound, Confirmation::Key(_))),
        agent: consent.agent,
        address: consent.address,
        session: consent.session,
        created: now,
        last_used: now,
        expires: now.plus(days(client.spec.days)),
        ended: None,
    };
    let (secret, first) = grant.refresh(now, &*house.entropy);
    if !house.store.grant_insert(&grant, (code, consent.given), &first).await? {
        return Err(No::grant("all that its person let programs do was ended since they said yes"));
    }
    let event = Event::GrantMade {
        user: subject(&user),
        client: grant.client.clone(),
        grant: grant.id,
        scope: scope.to_string(),
        apps: apps.iter().cloned().collect(),
        by: by.into(),
    };
    house.record(tenant, &asked.doer(), event).await?;
    let (bound, refresh) = (client.bound.clone(), Some(secret.expose_text()));
    issue::token(asked, Wanted { client, grant: Some(&grant), scope, apps, bound, by, refresh }).await
}

impl House {
    /// Ends what a person let clients do in sessions that were thrown out: whoever held those may not have been they.
    pub(crate) async fn end_grants_given_in(
        &self,
        tenant: &TenantId,
        user: UserId,
        thrown_out: impl Fn(SessionId) -> bool,
    ) -> Result<(), cardea_storage::StoreFault> {
        let Some(state) = self.tenant(tenant) else { return Ok(()) };
        for grant in self.store.grants_of(tenant, user, self.now()).await? {
            if thrown_out(grant.session) {
                self.end_grant(&state, &grant, (GrantEndReason::Account, &Doer::gateway())).await?;
            }
        }
        Ok(())
    }

    /// Ends what a person let a client do, once; an entry tells it.
    pub(crate) async fn end_grant(
        &self,
        tenant: &TenantState,
        grant: &Grant,
        (why, doer): (GrantEndReason, &Doer),
    ) -> Result<bool, cardea_storage::StoreFault> {
        let end = GrantEnd { at: self.now(), why };
        let done = self.store.grant_end(tenant.id(), grant.id, end).await?;
        self.forget_program(cardea_proxy::live_token::Ended::Grant(grant.id));
        if !done {
            return Ok(false);
        }
        let Some(user) = self.store.user(tenant.id(), grant.user).await? else { return Ok(true) };
        let (user, client, grant) = (subject(&user), grant.client.clone(), grant.id);
        let event = match why {
            GrantEndReason::Reuse => Event::RefreshReuse { user, client, grant },
            other => Event::GrantEnded { user, client, grant, cause: other.as_str().into() },
        };
        self.record(tenant.id(), doer, event).await?;
        Ok(true)
    }
}
