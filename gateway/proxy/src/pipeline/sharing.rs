//! Room for a request among all that are in flight: whoever takes much leaves some to others.

use std::net::IpAddr;

use cardea_core::{Caller, Reason, TenantId};

use super::{Asker, Limits, Proxy};
use crate::{
    App, Site,
    listener::counted_as,
    room::{Holder, Share},
};

impl Proxy {
    /// A client's and a tenant's share of the questions to the store: whoever asks may be a stranger who shows something made up,
    /// and a store may be slow. It is no part of what strangers at the same address have, who would otherwise keep out whoever is
    /// signed in there.
    pub(super) fn share_of_questions(
        &self,
        tenant: &TenantId,
        client: IpAddr,
        limits: &Limits,
    ) -> Result<[Share<'_>; 2], Reason> {
        let share = |holder, percent| self.shares.take(holder, limits.share(percent, true));
        let own = share(Holder::Unread(counted_as(client)), limits.client_percent).ok_or(Reason::TooManyRequests)?;
        let all = share(Holder::AllUnread(tenant), limits.tenant_percent).ok_or(Reason::Overloaded)?;
        Ok([own, all])
    }

    /// The shares of a caller, an app and a tenant, to be held until the answer begins. Strangers have less of them: where
    /// little room is left, it is for callers who are known, and visitors in masses do not stop their work.
    pub(super) fn shares_of(
        &self,
        asker: &Asker,
        client: IpAddr,
        (site, app): (&Site, &App),
        limits: &Limits,
    ) -> Result<[Share<'_>; 3], Reason> {
        let caller = asker.principal().caller();
        let visits = matches!(caller, Caller::Visitor);
        if visits && self.slots.taken() > limits.share(100, true) {
            return Err(Reason::Overloaded);
        }
        let share = |holder, percent| self.shares.take(holder, limits.share(percent, visits));
        let own = match (asker.session(), caller) {
            (Some(session), _) => Holder::Session(session.id),
            (None, Caller::User(user)) => Holder::Person(user.id),
            (None, Caller::Service { id, .. }) => Holder::Program(&site.tenant.id, id),
            (None, Caller::Workload { spiffe_id }) => Holder::Workload(spiffe_id),
            _ => Holder::Client(counted_as(client)),
        };
        let own = share(own, limits.client_percent).ok_or(Reason::TooManyRequests)?;
        let (tenant, app) = (&site.tenant.id, &app.spec.id);
        let app = share(Holder::App(tenant, app), limits.app_percent).ok_or(Reason::Overloaded)?;
        let tenant = share(Holder::Tenant(tenant), limits.tenant_percent).ok_or(Reason::Overloaded)?;
        Ok([own, app, tenant])
    }
}
