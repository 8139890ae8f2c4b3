//! `/factors/link/{token}`: an administrator's link is shown in the session of the person whom it is for. From then on that
//! session may give the account a first factor beyond the only one.

use axum::{
    extract::Path,
    http::{HeaderValue, header::SET_COOKIE},
    response::Response,
};
use cardea_core::Reason;
use cardea_identity::{Ticket, TicketHash, enrolment::may_use_link, sign_in::usable};

use super::{
    fresh,
    visit::{Failed, Visit, see_other},
};
use crate::{
    house::{FACTOR_LINK, Following},
    pages::{FactorLink, Page},
};

/// Says what the link is for; it stays good.
pub(super) async fn show(visit: Visit, Path(token): Path<String>) -> Response {
    let result = offer(&visit, &token).await;
    visit.answer(result)
}

async fn offer(visit: &Visit, token: &str) -> Result<Response, Failed> {
    opened(visit, token).await?;
    Ok(FactorLink { look: &visit.look, person: visit.person(), action: &format!("{FACTOR_LINK}{token}") }.respond())
}

/// The link, if it is this person's, and they have just shown what they have beside the mailbox that it may have gone to.
/// Another's is as if it were spent.
async fn opened(visit: &Visit, token: &str) -> Result<TicketHash, Failed> {
    let ticket = Ticket::parse(token).map_err(|_| Failed::Refused(Reason::CodeSpent))?.hash();
    if visit.house.factor_link(&visit.tenant, &ticket).await? != Some(visit.user_id()) {
        return Err(Failed::Refused(Reason::CodeSpent));
    }
    let here = format!("{FACTOR_LINK}{token}");
    fresh::signed_in(visit, &here)?;
    let factors = visit.house.store.factors(visit.tenant_id(), visit.user_id()).await?;
    let usable = usable(&visit.tenant.bundle.tenant.factors, &factors);
    let words = visit.house.words(&visit.tenant, visit.user_id()).await?;
    if !may_use_link(&fresh::session(visit).await?.proofs, &usable, &words) {
        return Err(fresh::again(visit, &here));
    }
    Ok(ticket)
}

/// Spends it.
pub(super) async fn accept(visit: Visit, Path(token): Path<String>) -> Response {
    let result = link(&visit, &token).await;
    visit.answer(result)
}

async fn link(visit: &Visit, token: &str) -> Result<Response, Failed> {
    let doer = visit.doer()?;
    let ticket = opened(visit, token).await?;
    let user = visit.user().await?;
    let (house, now) = (&visit.house, visit.now());
    let following = Following { tenant: &visit.tenant, user: &user, session: visit.live.id, ticket: &ticket, now };
    let linked = house.follow_link(&following, doer).await?.ok_or(Failed::Refused(Reason::CodeSpent))?;
    let cookie = house.hand(&linked, &visit.live.host, now).await?;
    let mut response = see_other("/factors");
    let cookie = HeaderValue::from_str(&cookie).map_err(|_| Failed::Refused(Reason::Internal))?;
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(response)
}
