//! Counting of proofs before anything is verified, since they can be guessed: too many too fast are asked to wait. Of passkeys, which
//! cannot, failures are counted.

use std::time::Duration;

use cardea_identity::{
    Email, TicketHash,
    assurance::Means,
    cookie::{self, Cookie},
    device::Device,
    guard::{self, Account, Limits, Target},
    sign_in::{Aim, Flow},
};
use cardea_storage::Forgiven;

use super::visit::{No, SetCookie, Visit};

impl Visit {
    /// Counts a try at an account before anything is verified; the wait, if it comes too soon.
    pub(super) async fn limited(&self, target: Target, email: &Email) -> Result<Option<Duration>, No> {
        let limits = self.limits(target, email);
        let in_order: Vec<_> = limits.in_order().collect();
        let wait = self.house.shared.attempt_each(self.id(), &in_order, self.now).await?;
        if wait.is_some() {
            tracing::warn!(tenant = %self.id(), target = target.as_str(), "tries come too fast");
        }
        Ok(wait)
    }

    /// The tries that a proof makes undone: the account's are forgotten, and the address has its own back.
    pub(super) fn forgiven(&self, flow: &Flow, means: &Means, email: &Email) -> Forgiven {
        // Who joins has chosen what they show, or came by a link, under which it was counted: nothing of the account's was guessed.
        if *flow.aim() == Aim::Invitation {
            return Forgiven::default();
        }
        let targets: &[Target] = match means {
            Means::Password { .. } => &[Target::Password],
            Means::Totp { .. } => &[Target::Totp],
            Means::Recovery { .. } => &[Target::Recovery],
            // Whoever reads the letter has asked for it.
            Means::Email => &[Target::Email, Target::Letter],
            // Not guessed, and not counted before it is verified.
            Means::Passkey { .. } | Means::Oidc { .. } | Means::Remembered { .. } => &[],
        };
        let mut forgiven = Forgiven::default();
        for target in targets {
            let limits = self.limits(*target, email);
            forgiven.keys.extend(limits.account.into_iter().map(|limit| limit.key));
            forgiven.back.extend(limits.address);
        }
        forgiven
    }

    /// Makes tries undone after a success.
    pub(super) async fn forgive(&self, forgiven: &Forgiven) -> Result<(), No> {
        if forgiven.is_empty() {
            return Ok(());
        }
        Ok(self.house.shared.forgive_each(self.id(), forgiven, self.now).await?)
    }

    fn limits(&self, target: Target, email: &Email) -> Limits {
        let account = Account::of(self.id(), email);
        guard::limits(target, &account, self.admitted.client(), self.device().as_ref(), self.now)
    }

    /// Makes one more step of a sign-in, unless they follow each other too fast: each is a durable write.
    pub(super) fn pace(&self) -> Result<(), No> {
        let known = self.device().map(|device| device.id().to_owned());
        let place = known.unwrap_or_else(|| guard::network(self.admitted.client()));
        self.house.pace.step(&place, self.now).map_err(No::Wait)
    }

    /// As [`limited`](Self::limited), and for who came by the link of an invitation under a count of that link alone.
    pub(super) async fn limited_for(
        &self,
        target: Target,
        email: &Email,
        link: Option<TicketHash>,
    ) -> Result<Option<Duration>, No> {
        match link {
            Some(link) => Ok(self.house.shared.attempt(self.id(), &guard::by_link(target, &link), self.now).await?),
            None => self.limited(target, email).await,
        }
    }

    /// Counts a try by the client's address alone, where no account is named yet.
    pub(super) async fn limited_by_address(&self, target: Target) -> Result<(), No> {
        let limit = guard::by_address(target, self.admitted.client());
        match self.house.shared.attempt(self.id(), &limit, self.now).await? {
            Some(wait) => Err(No::Wait(wait)),
            None => Ok(()),
        }
    }

    /// Gives the client's address its try back, after a success.
    pub(super) async fn forgive_address(&self, target: Target) -> Result<(), No> {
        let limit = guard::by_address(target, self.admitted.client());
        Ok(self.house.shared.give_back(self.id(), &limit, self.now).await?)
    }

    /// The browser, if somebody has signed in here before, with whatever they have.
    pub(super) fn device(&self) -> Option<Device> {
        let sealed = Cookie::Device.find(self.house.is_secure(), self.cookies())?;
        Device::open(sealed, self.id(), &self.house.store.sealer_at_hand(Some(self.id()))?)
    }

    /// The cookie by which this browser is known from now on to whoever has that address: as theirs, or as one in which somebody
    /// has signed in.
    pub(super) fn known_device(&self, email: &Email, is_theirs: bool, device: &Device) -> Result<SetCookie, No> {
        // At hand since the tenant is served.
        let sealer = self.house.store.sealer_at_hand(Some(self.id())).ok_or(cardea_identity::sealing::CannotOpen)?;
        let entropy = &*self.house.entropy;
        let device = device.clone();
        let account = Account::of(self.id(), email);
        let device = if is_theirs { device.remember(account, self.now) } else { device.meet(account, self.now) };
        let sealed = device.seal(self.id(), &sealer, entropy)?;
        Ok(SetCookie::new(cookie::set_device(&sealed, self.house.is_secure())))
    }
}
