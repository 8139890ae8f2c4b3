//! The authorization code (RFC 6749 section 4.1, with PKCE): on its way through a person's browser, and redeemed.

use axum::response::Response;
use cardea_core::{ClientId, Timestamp};
use cardea_identity::{
    Ticket,
    oauth2::{access_token::Confirmation, grant::GrantEndReason, pkce::CodeChallenge},
    one_time::{OneTime, Purpose},
};
use serde::{Deserialize, Serialize};

use super::{
    client::Client,
    consent::{self, Consent},
    form::Asked,
    told::No,
};
use crate::{House, house::Doer, state::TenantState};

/// What a code stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Code {
    pub(super) consent: Consent,
    /// Where it was brought back to, as it was asked for.
    pub(super) redirect_uri: String,
    pub(super) challenge: CodeChallenge,
    /// The thumbprint of the key that its tokens are to be bound to (RFC 9449 section 10).
    pub(super) key: Option<String>,
}

impl House {
    /// Makes a code, good for a minute and once.
    pub(super) async fn code(
        &self,
        tenant: &TenantState,
        code: &Code,
        now: Timestamp,
    ) -> Result<Ticket, cardea_storage::StoreFault> {
        let sealer = self.sealer(tenant.id()).await?;
        let issued = OneTime::issue(Purpose::AuthorizationCode, tenant.id(), code, &sealer, now, &*self.entropy);
        let (ticket, value) = issued?;
        self.shared.put(&value, now).await?;
        Ok(ticket)
    }
}

/// Redeems a code. INVARIANT: all is checked before it is taken, and it is given to one taker; whoever shows one that was redeemed ends what
/// came of it (RFC 9700 section 2.1.1).
pub(super) async fn redeem(asked: &Asked, client: &Client<'_>) -> Result<Response, No> {
    let (house, tenant, now) = (&asked.house, &asked.tenant, asked.now());
    let text = asked.need("code", "`code` is missing")?;
    let verifier = asked.need("code_verifier", "`code_verifier` is missing")?;
    let hash = Ticket::parse(text).map_err(|_| No::grant("the code is none of ours"))?.hash();
    let Some(found) = house.shared.peek(tenant.id(), Purpose::AuthorizationCode, &hash, now).await? else {
        return Err(again(asked, &hash, &client.spec.id).await?);
    };
    let sealer = house.sealer(tenant.id()).await?;
    let code: Code = found
        .open(Purpose::AuthorizationCode, tenant.id(), &sealer, now)
        .map_err(|_| No::grant("the code does not open"))?;
    if code.consent.client != client.spec.id {
        return Err(No::grant("the code is another client's"));
    }
    // OAuth 2.1 leaves it away, and whoever sends it is to send the same.
    if asked.get("redirect_uri").is_some_and(|uri| uri != code.redirect_uri) {
        return Err(No::grant("the code was brought back to another address"));
    }
    if !code.challenge.is_met_by(verifier) {
        return Err(No::grant("the code's challenge is not met"));
    }
    if let Some(key) = &code.key
        && client.bound != Some(Confirmation::Key(key.clone()))
    {
        return Err(No::grant("the code is bound to another key"));
    }
    if house.shared.take(tenant.id(), Purpose::AuthorizationCode, &hash, now).await?.is_none() {
        return Err(again(asked, &hash, &client.spec.id).await?);
    }
    consent::grant(asked, client, code.consent, (Some(&hash), "authorization_code")).await
}

/// A code that is not there: used, perhaps.
async fn again(asked: &Asked, hash: &cardea_identity::TicketHash, client: &ClientId) -> Result<No, No> {
    let found = asked.house.store.grant_by_code(asked.tenant.id(), hash).await?;
    let Some(grant) = found.filter(|grant| grant.client == *client) else {
        return Ok(No::grant("the code is unknown, used, or too old"));
    };
    asked.house.end_grant(&asked.tenant, &grant, (GrantEndReason::Reuse, &Doer::gateway())).await?;
    Ok(No::grant("the code was redeemed before: what came of it has ended"))
}
