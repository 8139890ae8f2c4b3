//! Letters to people: codes, invitations, and notices of what changed about their account. No request waits for one: it is
//! put in a bounded queue, of which each tenant has a fair share, and handed to the mail server beside all requests. So a
//! sign-in page answers as fast, and the same, whether there is such a person, and whether the mail server works.
//!
//! What becomes of a letter is an entry and a figure; where it fails or is dropped, a warning too, which names nobody. No
//! letter is kept over a restart: a code that never came is asked for again, and an invitation's link is told to who made
//! it.

mod figures;
mod letter;
mod post;

use std::sync::Arc;

use cardea_audit::{Event, Subject};
use cardea_core::{ClientId, Language, ProviderId, Reason, TenantId};
use cardea_identity::{Email, Status, factors::email::Code};
use cardea_storage::StoreFault;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    House,
    config::MailConfig,
    figures::Outcomes,
    house::{Doer, FactorLink, Invited, subject, with_causes},
    queue::{Queue, Waits},
    state::TenantState,
};

use figures::{Labels, Outcome};
pub(crate) use letter::{Letter, Notice};
use post::Carrier;

/// Letters that may wait. A thousand: what a slow mail server takes in a few minutes, and a megabyte.
const WAITING: usize = 1_000;
/// Letters on their way at once. Four: what any mail server takes from one sender.
const HANDS: u32 = 4;
/// Fifteen seconds for what is under way when the process ends.
const LAST_LETTERS: std::time::Duration = std::time::Duration::from_secs(15);

/// The letters of a house.
pub(crate) struct Mail {
    /// None where no mail is configured: then no letter is written.
    carrier: Option<Carrier>,
    queue: Queue<Wanted>,
    hands: Arc<Semaphore>,
    pub(crate) counts: Outcomes<Labels>,
}

/// A letter that is to be sent.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// A code, to whoever has that address, if anybody has it and may have one.
    Code(Box<CodeWanted>),
    /// A letter to a person who is known.
    Letter(Box<Addressed>),
}

/// A code, asked for by whoever typed that address. Whether anybody has it is found out with the letter.
#[derive(Debug)]
pub(crate) struct CodeWanted {
    /// The tenant.
    pub tenant: TenantId,
    /// What was typed.
    pub email: Email,
    /// The code.
    pub code: Code,
    /// The language of whoever asked.
    pub language: Language,
    /// Whether an invitation's link was shown: then it goes to who is invited, too.
    pub invited: bool,
    /// Who asked.
    pub by: Doer,
}

/// A letter with its address.
#[derive(Debug)]
pub(crate) struct Addressed {
    /// The tenant.
    pub tenant: TenantId,
    /// To whom.
    pub user: Subject,
    /// What it says.
    pub letter: Letter,
    /// In which language.
    pub language: Language,
    /// On whose account it is written.
    pub by: Doer,
}

impl Mail {
    /// Prepares to send; whether the mail server is there is found out with the first letter.
    pub(crate) fn open(config: Option<&MailConfig>) -> Result<Self, String> {
        let carrier = config.map(Carrier::open).transpose()?;
        let hands = Arc::new(Semaphore::new(HANDS as usize));
        Ok(Self { carrier, queue: Queue::new(WAITING), hands, counts: figures::counts() })
    }

    /// Whether letters are sent at all.
    pub(crate) const fn is_on(&self) -> bool {
        self.carrier.is_some()
    }
}

impl Wanted {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Code(_) => Letter::CODE,
            Self::Letter(one) => one.letter.kind(),
        }
    }
}

impl Waits for Wanted {
    /// All letters of a tenant are one.
    type Share = ();

    fn tenant(&self) -> &TenantId {
        match self {
            Self::Code(one) => &one.tenant,
            Self::Letter(one) => &one.tenant,
        }
    }

    fn share(&self) {}

    /// A code that does not come is asked for again; what happened to an account is told once, and a stranger can ask for codes at
    /// will.
    fn gives_way(&self) -> bool {
        matches!(self, Self::Code(_))
    }
}

/// Hands letters over until the process ends.
pub(crate) async fn deliver(house: Arc<House>) {
    // The hand first: whoever is stopped while waiting for one has taken no letter out of the queue.
    while let Ok(hand) = Arc::clone(&house.mail.hands).acquire_owned().await {
        let wanted = house.mail.queue.next().await;
        begin(&house, hand, wanted);
    }
}

/// Begins with one.
fn begin(house: &Arc<House>, hand: OwnedSemaphorePermit, wanted: Wanted) {
    let house = Arc::clone(house);
    tokio::spawn(async move {
        let _hand = hand;
        match wanted {
            Wanted::Code(wanted) => house.answer_for_code(*wanted).await,
            Wanted::Letter(one) => drop(house.deliver(*one).await),
        }
    });
}

/// Hands over what still waits, and lets what is under way end.
pub(crate) async fn finish(house: &Arc<House>) {
    if !house.mail.is_on() {
        return;
    }
    let rest = async {
        while let Ok(hand) = Arc::clone(&house.mail.hands).acquire_owned().await
            && let Some(wanted) = house.mail.queue.next_now()
        {
            begin(house, hand, wanted);
        }
        let _ = house.mail.hands.acquire_many(HANDS).await;
    };
    if tokio::time::timeout(LAST_LETTERS, rest).await.is_err() {
        tracing::warn!("letters were left unsent when the time for them was over");
        while let Some(wanted) = house.mail.queue.next_now() {
            house.dropped(wanted, "the gateway ended before its turn came");
        }
    }
}

impl House {
    /// Whether letters are sent at all.
    pub(crate) const fn sends_letters(&self) -> bool {
        self.mail.is_on()
    }

    /// Whether a tenant's people may sign in by a code in the mail: it says so, and there is a way for letters.
    pub(crate) fn sends_codes(&self, tenant: &TenantState) -> bool {
        tenant.bundle.tenant.factors.email && self.mail.is_on()
    }

    /// Puts a letter in the queue. Where that is full, one is dropped: whoever asked is told nothing else, since they would be
    /// told of somebody else's letters.
    pub(crate) fn send_letter(&self, wanted: Wanted) {
        if self.mail.is_on()
            && let Some(dropped) = self.mail.queue.put(wanted)
        {
            self.dropped(dropped, "too many letters wait");
        }
    }

    /// Notes that a letter will not be sent.
    fn dropped(&self, wanted: Wanted, why: &'static str) {
        let kind = wanted.kind();
        self.mail.counts.count((kind, Outcome::Dropped));
        tracing::warn!(tenant = %wanted.tenant(), letter = kind, cause = why, "a letter was dropped");
        match wanted {
            Wanted::Code(one) => self.note(&one.tenant, &one.by, no_code(&one.email, None, why)),
            Wanted::Letter(one) => {
                let event = Event::MailFailed { user: one.user, letter: kind.into(), detail: why.into() };
                self.note(&one.tenant, &one.by, event);
            }
        }
    }

    /// Tells a person what an event changed about their account, where it is of that kind.
    pub(crate) fn give_notice(&self, tenant: &TenantId, event: &Event) {
        if self.mail.is_on()
            && let Some((user, notice)) = Notice::of(
                event,
                |provider| self.provider_name(tenant, provider),
                |client| self.client_name(tenant, client),
            )
        {
            self.notify(tenant, user.clone(), notice);
        }
    }

    fn client_name(&self, tenant: &TenantId, id: &ClientId) -> String {
        let state = self.tenant(tenant);
        let known = state.as_ref().and_then(|state| state.bundle.clients.get(id));
        known.map_or_else(|| id.to_string(), |client| client.name.clone())
    }

    fn provider_name(&self, tenant: &TenantId, id: &ProviderId) -> String {
        let state = self.tenant(tenant);
        let known = state.as_ref().and_then(|state| state.bundle.providers.get(id));
        known.map_or_else(|| id.to_string(), |provider| provider.name.clone())
    }

    /// Tells a person something about their account, in the tenant's language.
    pub(crate) fn notify(&self, tenant: &TenantId, user: Subject, notice: Notice) {
        let Some(state) = self.tenant(tenant) else { return };
        let letter = Letter::Notice { notice, at: self.now() };
        self.send_letter(Wanted::Letter(Box::new(addressed(&state, user, letter, Doer::gateway()))));
    }

    /// Sends the link of an invitation to the person whom it is for, where a letter may carry it. Tells whether it is on its way.
    pub(crate) fn mail_invitation(&self, tenant: &TenantState, invited: &Invited, by: Doer) -> bool {
        let goes = self.mail.is_on() && invited.by_letter();
        if goes {
            self.send_letter(Wanted::Letter(Box::new(invitation(tenant, invited, by))));
        }
        goes
    }

    /// The same, for who waits to hear what became of it.
    pub(crate) async fn mail_invitation_now(
        &self,
        tenant: &TenantState,
        invited: &Invited,
        by: Doer,
    ) -> Result<(), String> {
        if !invited.by_letter() {
            return Err("it replaces what they sign in with, or had, so no letter carries it".to_owned());
        }
        self.deliver(invitation(tenant, invited, by)).await
    }

    /// Sends a link for another factor to whom it is for, or notice of it where no letter may carry it. Tells whether the link
    /// is on its way.
    pub(crate) fn mail_factor_link(&self, tenant: &TenantState, link: &FactorLink, by: Doer) -> bool {
        if link.by_letter {
            self.send_letter(Wanted::Letter(Box::new(factor_link(tenant, link, by))));
        } else {
            self.notify(tenant.id(), subject(&link.user), Notice::LinkMade);
        }
        self.mail.is_on() && link.by_letter
    }

    /// The same as a letter, for who waits to hear what became of it.
    pub(crate) async fn mail_factor_link_now(
        &self,
        tenant: &TenantState,
        link: &FactorLink,
        by: Doer,
    ) -> Result<(), String> {
        self.deliver(factor_link(tenant, link, by)).await
    }

    /// Sends a code, if there is somebody who may have one; else an entry says why not.
    async fn answer_for_code(&self, wanted: CodeWanted) {
        let CodeWanted { tenant, email, code, language, invited, by } = wanted;
        let found = self.receiver(&tenant, &email, invited).await;
        let (user, detail) = match found {
            Ok(Ok(user)) => {
                let letter = Letter::Code { code };
                drop(self.deliver(Addressed { tenant, user, letter, language, by }).await);
                return;
            }
            Ok(Err((user, detail))) => (user, detail),
            Err(fault) => {
                self.mail.counts.count((Letter::CODE, Outcome::Failed));
                tracing::warn!(%tenant, letter = Letter::CODE, cause = with_causes(&fault), "a letter was not sent");
                return;
            }
        };
        self.note(&tenant, &by, no_code(&email, user, detail));
    }

    /// To whom a code for that address goes, or why it goes to nobody.
    async fn receiver(
        &self,
        tenant: &TenantId,
        email: &Email,
        invited: bool,
    ) -> Result<Result<Subject, (Option<Subject>, &'static str)>, StoreFault> {
        let Some(state) = self.tenant(tenant) else { return Ok(Err((None, "the tenant is gone"))) };
        let Some(user) = self.store.user_by_email(tenant, email).await? else {
            return Ok(Err((None, "nobody has that address")));
        };
        let known = subject(&user);
        if !(user.status == Status::Active || invited && user.status == Status::Invited) {
            return Ok(Err((Some(known), "this person may not sign in")));
        }
        // Who has shut them out there would not want a mailbox to let them in here.
        if self.is_brought(&state, user.id).await? {
            return Ok(Err((Some(known), "a provider signs this person in")));
        }
        Ok(Ok(known))
    }

    /// Hands one letter over; says what went wrong, without a name.
    async fn deliver(&self, one: Addressed) -> Result<(), String> {
        let Addressed { tenant, user, letter, language, by } = one;
        let kind = letter.kind();
        let handed = match (self.tenant(&tenant), &self.mail.carrier) {
            (Some(state), Some(carrier)) => {
                let frame = letter::Frame {
                    tenant: &state.bundle.tenant.name,
                    origin: &self.config.origin(&state.bundle.tenant.sign_in_host),
                    language,
                };
                carrier.carry(&letter.written(&frame), (&user.email, &frame), (self.now(), &*self.entropy)).await
            }
            (None, _) => Err("the tenant is gone".to_owned()),
            (_, None) => Err("no mail is configured".to_owned()),
        };
        let (outcome, event) = match &handed {
            Ok(()) => (Outcome::Sent, Event::MailSent { user, letter: kind.into() }),
            Err(detail) => {
                tracing::warn!(%tenant, letter = kind, cause = detail, "a letter was not sent");
                (Outcome::Failed, Event::MailFailed { user, letter: kind.into(), detail: detail.clone() })
            }
        };
        self.mail.counts.count((kind, outcome));
        self.note(&tenant, &by, event);
        handed
    }
}

/// That whoever asked for a code gets none.
fn no_code(email: &Email, user: Option<Subject>, why: &str) -> Event {
    Event::SignInRefused {
        email: Some(email.to_string()),
        user: user.map(|user| user.id),
        factor: Some("email".into()),
        provider: None,
        reason: Reason::FactorRejected,
        detail: format!("no code was sent: {why}"),
    }
}

fn invitation(tenant: &TenantState, invited: &Invited, by: Doer) -> Addressed {
    let letter = Letter::Invitation { url: invited.url.clone(), expires: invited.expires };
    addressed(tenant, subject(&invited.user), letter, by)
}

fn factor_link(tenant: &TenantState, link: &FactorLink, by: Doer) -> Addressed {
    let letter = Letter::FactorLink { url: link.url.clone(), expires: link.expires };
    addressed(tenant, subject(&link.user), letter, by)
}

/// A letter that nobody asked for: in the tenant's language, since we know of no other.
fn addressed(tenant: &TenantState, user: Subject, letter: Letter, by: Doer) -> Addressed {
    Addressed { tenant: tenant.id().clone(), user, letter, language: tenant.bundle.tenant.language, by }
}
