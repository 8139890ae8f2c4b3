//! A remembered device: the browser's part of it. Where a sign-in asks for a second factor, a browser in which that was really
//! shown, and whose person ticked the box then, is not asked again (see `cardea_identity::remembered`).

use cardea_core::{Caller, FactorId, Reason, SessionId};
use cardea_identity::{
    Ticket, cookie,
    device::Device,
    remembered::Place,
    session::EndReason,
    sign_in::{Flow, Step},
};
use cardea_storage::Forgiven;
use serde::Deserialize;

use super::{
    complete::{Enrolled, Outcome},
    visit::{No, SetCookie, Visit},
};
use crate::house::{DeviceKey, Doer, InBrowser, Recalled, with_causes};

/// The box on a page that asks for a second factor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) enum Remember {
    /// Not ticked.
    #[default]
    No,
    /// Ticked.
    #[serde(rename = "yes")]
    Yes,
}

impl Visit {
    /// For how many days the person may have this browser remembered, where this step of theirs is one after which they may.
    pub(super) fn may_remember(&self, flow: &Flow) -> Option<u16> {
        self.tenant.bundle.tenant.factors.remember_days.filter(|_| flow.may_be_remembered())
    }

    /// Goes on with a sign-in that awaits a second factor: to its end, where this browser stands in for that.
    pub(super) async fn recalled(
        &self,
        flow: Flow,
        enrolled: &Enrolled,
        browser: &Device,
        doer: Doer,
    ) -> Result<Outcome, No> {
        let asked = self.in_browser(enrolled, browser);
        let found = self.found(&flow, &asked, &doer).await?;
        let Some(found) = found else { return Ok(Outcome::More(Box::new(flow))) };
        let step = flow.clone().recalled(self.known(enrolled), &found.proof);
        let Step::Done(done) = step else { return Ok(Outcome::More(Box::new(flow))) };
        // Before anybody is in: of two who show one key, one gets in without the factor.
        let Some(next) = self.house.use_device(&asked, found, self.place(browser), &doer).await? else {
            return Ok(Outcome::More(Box::new(flow)));
        };
        let (session, outcome) = self.complete(done, enrolled, browser, (doer, Forgiven::default())).await?;
        // Whoever forgot the device a moment ago ended the sessions that rested on it: this one was not among them yet.
        if !self.house.is_remembered(&asked, &next).await? {
            self.house.end_session(self.id(), session, EndReason::FactorChanged, &self.noting()).await?;
            return Err(Reason::SessionEnded.into());
        }
        Ok(outcome.and(Some(self.hold(&next))))
    }

    /// What this browser's key stands in for. One that is good no more may tell that the browser was copied.
    async fn found(&self, flow: &Flow, asked: &InBrowser<'_>, doer: &Doer) -> Result<Option<Recalled>, No> {
        let Some(key) = self.device_key().filter(|_| self.may_remember(flow).is_some()) else { return Ok(None) };
        let found = self.house.recall(asked, &key).await?;
        if found.is_none() {
            self.house.look_for_copies(asked, &key, doer).await?;
        }
        Ok(found)
    }

    /// Remembers this browser, in which that factor was shown just now, and signed `session` in. Where it cannot be remembered they
    /// are in all the same, and asked again the next time.
    pub(super) async fn remember(
        &self,
        enrolled: &Enrolled,
        factor: FactorId,
        browser: &Device,
        session: SessionId,
    ) -> Option<SetCookie> {
        let (asked, before) = (self.in_browser(enrolled, browser), self.device_key());
        let caller = Caller::User(self.tenant.facts(&enrolled.user));
        let doer = self.noting().known_as(caller, Some(session));
        let kept = self.house.remember_device(&asked, factor, self.place(browser), (before.as_ref(), &doer)).await;
        kept.unwrap_or_else(|error| {
            tracing::error!(tenant = %self.id(), error = %with_causes(&error), "a device cannot be remembered");
            None
        })
        .map(|key| self.hold(&key))
    }

    fn hold(&self, key: &DeviceKey) -> SetCookie {
        let life = key.expires.since(self.now);
        SetCookie::new(cookie::set_remembered(&key.key, life, self.house.is_secure()))
    }

    fn device_key(&self) -> Option<Ticket> {
        cookie::remembered(self.cookies(), self.house.is_secure())
    }

    fn in_browser<'a>(&'a self, enrolled: &'a Enrolled, browser: &'a Device) -> InBrowser<'a> {
        let Enrolled { user, factors } = enrolled;
        InBrowser { tenant: &self.tenant, user, factors, browser: Some(browser), now: self.now }
    }

    fn place<'a>(&self, browser: &'a Device) -> Place<'a> {
        Place { browser, agent: self.agent(), client: self.admitted.client() }
    }
}
