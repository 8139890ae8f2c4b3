//! Remembered devices: kept, used, and forgotten, each with its entry. Which of them stands in for what is decided in
//! `cardea_identity::remembered`.

use cardea_audit::Event;
use cardea_core::{FactorId, SessionId, TenantId, Timestamp, UserId};
use cardea_identity::{
    Factor, Ticket, TicketHash, User,
    assurance::Proof,
    device::Device,
    remembered::{Place, Remembered},
};
use cardea_storage::{StoreFault, TicketKind, TicketRecord};

use super::{Doer, House, accounts::CHANGED, subject};
use crate::state::TenantState;

/// Who signs in, and where.
#[derive(Debug)]
pub(crate) struct InBrowser<'a> {
    /// The tenant.
    pub tenant: &'a TenantState,
    /// Who.
    pub user: &'a User,
    /// What they have enrolled.
    pub factors: &'a [Factor],
    /// The browser's mark, where it has one.
    pub browser: Option<&'a Device>,
    /// The present moment.
    pub now: Timestamp,
}

/// A device that stands in for a factor.
#[derive(Debug)]
pub(crate) struct Recalled {
    /// What it stands in for, and when that was shown.
    pub proof: Proof,
    key: TicketHash,
    kept: Remembered,
}

/// The key that a browser holds from now on, and until when.
#[derive(Debug)]
pub(crate) struct DeviceKey {
    /// The key.
    pub key: Ticket,
    /// Until when it is of use.
    pub expires: Timestamp,
}

impl House {
    /// The device of that key, if it stands in for a factor of this person in this browser. Nothing is changed, and no store is
    /// asked where the tenant lets none be remembered.
    pub(crate) async fn recall(&self, asked: &InBrowser<'_>, key: &Ticket) -> Result<Option<Recalled>, StoreFault> {
        let InBrowser { tenant, user, factors, browser, now } = *asked;
        let rules = &tenant.bundle.tenant.factors;
        if rules.remember_days.is_none() {
            return Ok(None);
        }
        let key = key.hash();
        let found = self.store.peek_ticket(tenant.id(), TicketKind::Device, &key, now).await?;
        let Some(kept) = found.as_ref().and_then(remembered) else { return Ok(None) };
        let proof = kept.proof(user, factors, browser, (rules, now));
        Ok(proof.map(|proof| Recalled { proof, key, kept }))
    }

    /// Notes that a device stood in for a factor, and gives it another key: what was copied of it opens nothing from then on.
    /// `None` where somebody else was faster, or it is forgotten meanwhile.
    pub(crate) async fn use_device(
        &self,
        asked: &InBrowser<'_>,
        recalled: Recalled,
        place: Place<'_>,
        doer: &Doer,
    ) -> Result<Option<DeviceKey>, StoreFault> {
        let Recalled { key, kept, .. } = recalled;
        let kept = kept.used_at(key, place, asked.now);
        let Some(next) = self.keep_device(asked, &kept, Some(&key)).await? else { return Ok(None) };
        let event = Event::DeviceUsed { user: subject(asked.user), device: kept.id, shown: kept.shown };
        self.record(asked.tenant.id(), doer, event).await?;
        Ok(Some(next))
    }

    /// Forgets all that is remembered of a person who is shown to have been copied: their password was typed, and in this browser
    /// a key that a device of theirs has used up. Who of the two is the thief nobody can tell, so both are asked for the factor.
    pub(crate) async fn look_for_copies(
        &self,
        asked: &InBrowser<'_>,
        key: &Ticket,
        doer: &Doer,
    ) -> Result<(), StoreFault> {
        let InBrowser { tenant, user, browser, now, .. } = *asked;
        let (Some(browser), key) = (browser, key.hash()) else { return Ok(()) };
        let kept = self.devices(tenant, user.id).await?;
        if !kept.iter().any(|(_, one)| one.was_copied(browser, &key, now)) {
            return Ok(());
        }
        tracing::warn!(tenant = %tenant.id(), user = %user.id, "a used key of a remembered device was shown again");
        let gone = self.forget_devices(tenant.id(), user.id, |_, _| true, ("copied", doer)).await?;
        self.end_what_rests_on_devices(tenant.id(), user.id, &gone, (None, doer)).await
    }

    /// Whether the device of that key is remembered still.
    pub(crate) async fn is_remembered(&self, asked: &InBrowser<'_>, key: &DeviceKey) -> Result<bool, StoreFault> {
        let key = key.key.hash();
        let found = self.store.peek_ticket(asked.tenant.id(), TicketKind::Device, &key, asked.now).await?;
        Ok(found.is_some())
    }

    /// Remembers a browser in which `factor` was shown just now. `None` where the person's factors are others by now.
    ///
    /// INVARIANT: first it forgets all that was remembered there, by the browser's mark as well as under `before`. Whoever copied
    /// the browser holds the newest key by now, and would be in beside its owner for as long as that lasts.
    pub(crate) async fn remember_device(
        &self,
        asked: &InBrowser<'_>,
        factor: FactorId,
        place: Place<'_>,
        (before, doer): (Option<&Ticket>, &Doer),
    ) -> Result<Option<DeviceKey>, StoreFault> {
        let InBrowser { tenant, user, factors, now, .. } = *asked;
        let (browser, before) = (place.agent.clone(), before.map(Ticket::hash));
        let here = |key: &TicketHash, one: &Remembered| before == Some(*key) || one.is_in(place.browser);
        let gone = self.forget_devices(tenant.id(), user.id, here, ("remembered-again", doer)).await?;
        self.end_what_rests_on_devices(tenant.id(), user.id, &gone, (None, doer)).await?;
        let kept = Remembered::new(user, factors, factor, place, (now, &*self.entropy));
        let Some(key) = self.keep_device(asked, &kept, None).await? else { return Ok(None) };
        let until = key.expires;
        let event = Event::DeviceRemembered { user: subject(user), device: kept.id, factor, browser, until };
        self.record(tenant.id(), doer, event).await?;
        Ok(Some(key))
    }

    async fn keep_device(
        &self,
        asked: &InBrowser<'_>,
        kept: &Remembered,
        before: Option<&TicketHash>,
    ) -> Result<Option<DeviceKey>, StoreFault> {
        let InBrowser { tenant, user, factors, now, .. } = *asked;
        let (key, expires) = (Ticket::draw(&*self.entropy), kept.expires(&tenant.bundle.tenant.factors));
        let record = TicketRecord {
            hash: key.hash(),
            tenant: tenant.id().clone(),
            kind: TicketKind::Device,
            subject: user.id.to_string(),
            payload: serde_json::to_value(kept)?,
            author: user.email.to_string(),
            created: now,
            expires,
            used: None,
        };
        let had: Vec<_> = factors.iter().map(|factor| factor.id).collect();
        let done = self.store.keep_device(&record, user.id, &had, before).await?;
        Ok(done.then_some(DeviceKey { key, expires }))
    }

    /// The devices that are remembered of a person, each with the hash of its key and the end of its time; the one that was used
    /// last first.
    pub(crate) async fn devices(
        &self,
        tenant: &TenantState,
        user: UserId,
    ) -> Result<Vec<(TicketHash, Remembered)>, StoreFault> {
        let rules = &tenant.bundle.tenant.factors;
        let now = self.now();
        let all = self.store.tickets(tenant.id(), TicketKind::Device, Some(&user.to_string()), now).await?;
        let all = all.iter().filter_map(|one| Some((one.hash, remembered(one)?)));
        Ok(all.filter(|(_, kept)| now < kept.expires(rules)).collect())
    }

    /// Forgets those of a person's devices that `which` names, and says so in one entry; gives them.
    pub(crate) async fn forget_devices(
        &self,
        tenant: &TenantId,
        user: UserId,
        which: impl Fn(&TicketHash, &Remembered) -> bool + Send,
        (cause, doer): (&str, &Doer),
    ) -> Result<Vec<Remembered>, StoreFault> {
        // What cannot be read names nobody, and goes with the others.
        let named = move |one: &TicketRecord| remembered(one).is_none_or(|kept| which(&one.hash, &kept));
        let gone = self.store.forget_devices(tenant, user, named, self.now()).await?;
        if gone.is_empty() {
            return Ok(Vec::new());
        }
        let gone: Vec<_> = gone.iter().filter_map(remembered).collect();
        let devices = gone.iter().map(|kept| kept.id).collect();
        let event = Event::DeviceForgotten { user: self.subject_of(tenant, user).await?, devices, cause: cause.into() };
        self.record(tenant, doer, event).await?;
        Ok(gone)
    }

    /// Ends the sessions, but one if given, in which one of these devices stands in for a factor.
    pub(crate) async fn end_what_rests_on_devices(
        &self,
        tenant: &TenantId,
        user: UserId,
        devices: &[Remembered],
        (except, doer): (Option<SessionId>, &Doer),
    ) -> Result<(), StoreFault> {
        if devices.is_empty() {
            return Ok(());
        }
        let stood_in = |proof: &Proof| devices.iter().any(|device| device.stood_in(proof));
        self.end_what_rests_on(tenant, user, stood_in, (except, CHANGED), doer).await?;
        Ok(())
    }
}

fn remembered(ticket: &TicketRecord) -> Option<Remembered> {
    serde_json::from_value(ticket.payload.clone()).ok()
}
