//! `cardea user invite` and `enrol`: who is invited anew, and whether a link goes by letter.

use std::collections::BTreeSet;

use cardea_core::GroupId;
use cardea_identity::Email;

use super::super::{Failure, remark};
use crate::{
    House,
    house::{ChangeFault, Doer, FactorLink, Invited},
    state::TenantState,
};

/// Invites a person, or makes a new link for one who is there.
pub(super) async fn invite(
    house: &House,
    tenant: &TenantState,
    email: Email,
    name: Option<String>,
    groups: &[GroupId],
    doer: &Doer,
) -> Result<Invited, Failure> {
    let known = house.store.user_by_email(tenant.id(), &email).await.map_err(ChangeFault::from)?;
    let Some(user) = known else {
        let name = name.unwrap_or_else(|| email.to_string());
        return Ok(house.invite_user(tenant, email, &name, groups, doer).await?);
    };
    // Given besides: whoever only needs a new link keeps what they may.
    let all: BTreeSet<_> = user.groups.iter().chain(groups).cloned().collect();
    if all.len() > user.groups.len() {
        house.set_groups(tenant, user.id, &Vec::from_iter(all), doer).await?;
    }
    Ok(house.invite_again(tenant, user.id, doer).await?)
}

/// Sends the link; false where no mail is configured, or it could not be sent, which is said.
pub(super) async fn mailed(house: &House, tenant: &TenantState, invited: &Invited, doer: Doer) -> bool {
    if !house.sends_letters() {
        return false;
    }
    let sent = house.mail_invitation_now(tenant, invited, doer).await;
    if let Err(cause) = &sent {
        remark(format_args!("the invitation could not be sent ({cause}): hand the link over yourself"));
    }
    sent.is_ok()
}

/// Sends the link, or notice of it where no letter may carry it; the same as above.
pub(super) async fn mailed_factor_link(house: &House, tenant: &TenantState, link: &FactorLink, doer: Doer) -> bool {
    if !house.sends_letters() || !link.by_letter {
        return house.mail_factor_link(tenant, link, doer);
    }
    let sent = house.mail_factor_link_now(tenant, link, doer).await;
    if let Err(cause) = &sent {
        remark(format_args!("the link could not be sent ({cause}): hand it over yourself"));
    }
    sent.is_ok()
}
