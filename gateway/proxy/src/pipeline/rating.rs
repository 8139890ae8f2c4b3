//! Rates: how many requests may come in how much time. What is refused counts at its address, and under no other rate.

use std::net::IpAddr;

use cardea_core::{Reason, resources::Rate};
use http::HeaderMap;

use super::{Asker, Proxy, Story};
use crate::{App, Site, rates::Of};

impl Proxy {
    /// The app's rate of the client's address, before anything is looked up: whoever asks may be a stranger, and asks for a lot.
    pub(super) fn rate_of_address(
        &self,
        story: &mut Story,
        (site, app): (&Site, &App),
        client: IpAddr,
    ) -> Result<(), Reason> {
        let rate = app.spec.rates.address;
        self.counted(story, site, [(rate, Of::Address(&app.spec.id, client))])
    }

    /// The app's rates of the caller and of all callers, and the tenant's. Cardea's own pages have none: how often somebody may try
    /// to sign in is counted elsewhere.
    pub(super) fn rates_of(
        &self,
        story: &mut Story,
        (site, app): (&Site, &App),
        asker: &Asker,
        client: IpAddr,
    ) -> Result<(), Reason> {
        if app.own.is_some() {
            return Ok(());
        }
        let (id, rates) = (&app.spec.id, app.spec.rates);
        let caller = Of::Caller(id, asker.principal().caller(), client);
        self.counted(story, site, [(rates.caller, caller), (rates.app, Of::App(id)), (site.tenant.rate, Of::Tenant)])
    }

    /// Counts a request under each rate that there is, or under none.
    fn counted<'a, const N: usize>(
        &self,
        story: &mut Story,
        site: &Site,
        rates: [(Option<Rate>, Of<'a>); N],
    ) -> Result<(), Reason> {
        let tenant = &site.tenant.id;
        for (nth, (rate, of)) in rates.iter().enumerate() {
            let Some(rate) = rate else { continue };
            let standing = self.parts.rates.take((tenant, *of), *rate, story.at);
            story.rate = Some(standing.nearer(story.rate));
            if standing.wait.is_some() {
                story.is_beyond(standing.name());
                let before = rates[..nth].iter().filter(|(rate, _)| rate.is_some());
                before.for_each(|(_, of)| self.parts.rates.give_back((tenant, *of)));
                return Err(Reason::RateLimited);
            }
        }
        Ok(())
    }
}

/// Tells the client of the rate that is nearest its end, unless a proxy asks, which would tell the service.
pub(super) fn tell(story: &Story, headers: &mut HeaderMap) {
    if let Some(standing) = story.rate.as_ref().filter(|standing| story.asking.is_none() || standing.wait.is_some()) {
        standing.tell(headers);
    }
}
