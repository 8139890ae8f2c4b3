//! A sign-in as an explicit machine: each state says what it awaits, each step consumes it, and a step that does not
//! belong to the state is refused. Between two requests the state lies sealed in the store under a ticket that changes
//! with every step, so that nothing shown before a step is worth anything after it.
//!
//! A sign-in is complete at the tenant's `factors.minimum`, not at all that the person could show: what needs more asks
//! for it by a challenge when it is needed, and the person sees why.

mod email;
mod linking;
mod remembered;

use cardea_core::{Assurance, ProviderId, Reason, SessionId, TenantId, Timestamp, UserId, resources::FactorRules};
use serde::{Deserialize, Serialize};

use crate::{
    assurance::{self, Means, Proof},
    enrolment::may_use_link,
    factors::{email::Sent, passkey::Ceremony},
    oidc::Attempt,
    pool::{Email, Factor, FactorKind, Had, User},
    return_to::ReturnTo,
    token::TicketHash,
};

pub use remembered::{Lacks, lacks};

/// Where a sign-in ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The address that the person wanted.
    pub to: ReturnTo,
    /// The hash of the flow cookie that the app host gave to the browser; absent where the sign-in host itself is the
    /// destination.
    pub flow: Option<TicketHash>,
}

/// A sign-in, or a step-up, under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Flow {
    tenant: TenantId,
    destination: Destination,
    aim: Aim,
    state: State,
    /// Whose link for another factor it was begun with: they get in with what they have, below the tenant's minimum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enrols: Option<UserId>,
}

/// What is to come of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Aim {
    /// A new session.
    SignIn,
    /// A first session, on the strength of an invitation and the factor chosen with it: complete whatever the tenant's
    /// minimum, since the second factor can only be enrolled from inside.
    Invitation,
    /// More assurance, or a fresh proof, for a session that there is.
    StepUp {
        /// The session.
        session: SessionId,
        /// Whose it is: nobody else's factor counts.
        user: UserId,
        /// What it rests on so far.
        proofs: Vec<Proof>,
        /// What is asked for.
        need: Need,
    },
    /// An account at a provider, linked to whom a session is of (see `linking`).
    Link {
        /// The session.
        session: SessionId,
        /// Whose it is.
        user: UserId,
        /// The provider that they said yes to.
        at: ProviderId,
        /// What they had when it was judged that they may.
        had: Had,
    },
}

/// What a step-up is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// At least this assurance.
    Assurance(Assurance),
    /// A proof of now, by something known or a passkey: a code alone would only show that the phone is at hand.
    Fresh,
}

impl Need {
    /// Reads the `need` of a step-up's address: `2`, `3` or `fresh`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "2" => Some(Self::Assurance(Assurance::Two)),
            "3" => Some(Self::Assurance(Assurance::Three)),
            "fresh" => Some(Self::Fresh),
            _ => None,
        }
    }
}

/// What the flow awaits.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum State {
    Identity,
    Passkey {
        ceremony: Ceremony,
    },
    Password {
        email: Email,
    },
    /// `code` is what is awaited; gone once it was shown. `invitation` is what it accepts.
    Email {
        email: Email,
        code: Option<Sent>,
        invitation: Option<TicketHash>,
    },
    Factor {
        user: UserId,
        email: Email,
        proofs: Vec<Proof>,
        ceremony: Option<Ceremony>,
    },
    Provider {
        provider: ProviderId,
        attempt: Attempt,
    },
}

/// What a flow awaits, for choosing a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaits<'a> {
    /// Who it is.
    Identity,
    /// The answer of any passkey.
    Passkey,
    /// The password that belongs to the address.
    Password(&'a Email),
    /// The code that was sent to the address.
    Code(&'a Email),
    /// A second factor of this person; for a step-up any that serves.
    Factor(UserId, &'a Email),
    /// The provider's answer.
    Provider(&'a ProviderId),
}

/// What a step leads to.
#[derive(Debug)]
pub enum Step {
    /// More is needed: keep this and ask.
    Ask(Flow),
    /// Done.
    Done(Done),
}

/// A sign-in, or a step-up, that is complete. INVARIANT: made by the steps of a [`Flow`] only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Who.
    pub user: UserId,
    /// What was proven in this flow; for a step-up only what is new.
    pub proofs: Vec<Proof>,
    /// What is to come of it.
    pub aim: Aim,
    /// Where it ends.
    pub destination: Destination,
}

/// What the rules need to know of a person.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The person.
    pub user: &'a User,
    /// The factors that they have enrolled.
    pub factors: &'a [Factor],
    /// What the tenant allows.
    pub rules: &'a FactorRules,
    /// The providers that could give their word for them, each with the most that it could be worth. Looked at only where the sign-in
    /// [enrols](Flow::enrols).
    pub words: &'a [(ProviderId, Assurance)],
}

impl Known<'_> {
    /// Whether the person can use a factor of this kind here.
    pub fn has(&self, kind: FactorKind) -> bool {
        allowed(self.rules, kind) && self.factors.iter().any(|factor| factor.kind() == kind)
    }
}

/// Whether the tenant allows factors of this kind.
pub const fn allowed(rules: &FactorRules, kind: FactorKind) -> bool {
    match kind {
        FactorKind::Password => rules.password,
        FactorKind::Totp => rules.totp,
        FactorKind::Passkey => rules.passkey,
        FactorKind::Recovery => rules.recovery,
    }
}

/// Those of a person's factors that the tenant allows: what they could be asked for.
pub fn usable(rules: &FactorRules, enrolled: &[Factor]) -> Vec<Factor> {
    enrolled.iter().filter(|factor| allowed(rules, factor.kind())).cloned().collect()
}

/// Whether recovery codes would be of use to a person with these factors: there is a second factor to be lost, and
/// something to show beside a code: a password, or where they are `vouched_for`, the mailbox or a provider's word. Who has passkeys alone recovers by an
/// invitation.
pub fn may_keep_recovery_codes(rules: &FactorRules, enrolled: &[Factor], vouched_for: bool) -> bool {
    let has = |kind| allowed(rules, kind) && enrolled.iter().any(|factor| factor.kind() == kind);
    let second = has(FactorKind::Totp) || has(FactorKind::Passkey);
    rules.recovery && second && (vouched_for || has(FactorKind::Password))
}

impl Flow {
    /// Begins a sign-in that ends at `destination`.
    pub const fn begin(tenant: TenantId, destination: Destination) -> Self {
        Self { tenant, destination, aim: Aim::SignIn, state: State::Identity, enrols: None }
    }

    /// The same sign-in, begun with a link by which `user` may add a factor. Whoever else signs in by it does so as without.
    #[must_use]
    pub const fn to_enrol(mut self, user: UserId) -> Self {
        self.enrols = Some(user);
        self
    }

    /// Begins a step-up of a session of `user`.
    pub fn step_up(user: &User, session: SessionId, proofs: Vec<Proof>, need: Need, destination: Destination) -> Self {
        let aim = Aim::StepUp { session, user: user.id, proofs, need };
        let state = State::Factor { user: user.id, email: user.email.clone(), proofs: vec![], ceremony: None };
        Self { tenant: user.tenant.clone(), destination, aim, state, enrols: None }
    }

    /// Begins with an invitation that was just accepted.
    pub fn invited(user: &User, destination: Destination) -> Self {
        let state = State::Factor { user: user.id, email: user.email.clone(), proofs: vec![], ceremony: None };
        Self { tenant: user.tenant.clone(), destination, aim: Aim::Invitation, state, enrols: None }
    }

    /// The tenant.
    pub const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Where it ends.
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// What is to come of it.
    pub const fn aim(&self) -> &Aim {
        &self.aim
    }

    /// Whose link for another factor it was begun with.
    pub const fn enrols(&self) -> Option<UserId> {
        self.enrols
    }

    /// What it awaits.
    pub const fn awaits(&self) -> Awaits<'_> {
        match &self.state {
            State::Identity => Awaits::Identity,
            State::Passkey { .. } => Awaits::Passkey,
            State::Password { email } => Awaits::Password(email),
            State::Email { email, .. } => Awaits::Code(email),
            State::Factor { user, email, .. } => Awaits::Factor(*user, email),
            State::Provider { provider, .. } => Awaits::Provider(provider),
        }
    }

    /// What was proven in this flow so far.
    pub fn proofs(&self) -> &[Proof] {
        match &self.state {
            State::Factor { proofs, .. } => proofs,
            _ => &[],
        }
    }

    /// Whether a recovery code is taken now: in place of a second factor, never as a fresh proof of who it is.
    pub const fn takes_recovery(&self) -> bool {
        let aim = matches!(self.aim, Aim::SignIn | Aim::StepUp { need: Need::Assurance(_), .. });
        aim && matches!(self.state, State::Factor { .. })
    }

    /// An address was given: the password is next, or a code by e-mail, whoever it is and whether or not they exist.
    pub fn identified(self, email: Email) -> Result<Self, Reason> {
        match (&self.aim, &self.state) {
            (Aim::SignIn, State::Identity | State::Passkey { .. } | State::Password { .. } | State::Email { .. }) => {
                Ok(Self { state: State::Password { email }, ..self })
            }
            _ => Err(Reason::SignInExpired),
        }
    }

    /// A passkey's challenge went out. Before anybody is known it asks whoever holds one; after that, the person.
    pub fn challenged(self, ceremony: Ceremony) -> Result<Self, Reason> {
        let state = match (self.state, ceremony) {
            (
                State::Identity
                | State::Passkey { .. }
                | State::Password { .. }
                | State::Email { invitation: None, .. },
                c @ Ceremony::Discoverable(_),
            ) => State::Passkey { ceremony: c },
            (State::Factor { user, email, proofs, .. }, c @ Ceremony::Named(_)) => {
                State::Factor { user, email, proofs, ceremony: Some(c) }
            }
            _ => return Err(Reason::SignInExpired),
        };
        Ok(Self { state, ..self })
    }

    /// Takes the challenge out, before the answer to it is verified: it is spent, whatever comes of that.
    pub fn spend_challenge(mut self) -> Result<(Self, Ceremony), Reason> {
        let ceremony = match &mut self.state {
            State::Passkey { ceremony } => {
                let spent = ceremony.clone();
                self.state = State::Identity;
                spent
            }
            State::Factor { ceremony, .. } => ceremony.take().ok_or(Reason::SignInExpired)?,
            _ => return Err(Reason::SignInExpired),
        };
        Ok((self, ceremony))
    }

    /// The browser goes to a provider.
    pub fn sent_to(self, provider: ProviderId, attempt: Attempt) -> Result<Self, Reason> {
        match (&self.aim, &self.state) {
            (Aim::SignIn, State::Identity | State::Password { .. } | State::Passkey { .. } | State::Email { .. })
            | (Aim::StepUp { .. }, State::Factor { .. } | State::Email { .. }) => {
                Ok(Self { state: State::Provider { provider, attempt }, ..self })
            }
            // Whoever confirmed that an account of one provider is linked has said nothing of another's.
            (Aim::Link { at, .. }, State::Identity) if *at == provider => {
                Ok(Self { state: State::Provider { provider, attempt }, ..self })
            }
            _ => Err(Reason::SignInExpired),
        }
    }

    /// The browser comes back from a provider, which must be the one it was sent to (RFC 9700 section 4.4).
    pub fn back_from(self, provider: &ProviderId) -> Result<(Self, Attempt), Reason> {
        match self.state {
            State::Provider { provider: sent, attempt } if sent == *provider => {
                Ok((Self { state: State::Identity, ..self }, attempt))
            }
            _ => Err(Reason::SignInExpired),
        }
    }

    /// Something was proven, of `known`. Says what is next.
    ///
    /// Refuses a factor of a kind that the tenant does not allow, of a person who may not enter, of another person than
    /// the one that the flow is about, and one that does not belong to the state.
    pub fn proven(self, known: Known<'_>, means: Means, now: Timestamp) -> Result<Step, Reason> {
        self.check(&known, &means)?;
        let before = match &self.state {
            State::Factor { proofs, .. } => proofs.clone(),
            _ => vec![],
        };
        let proofs = [before, vec![Proof { means, at: now }]].concat();
        if self.is_complete(&proofs, &known) {
            let Self { destination, aim, .. } = self;
            return Ok(Step::Done(Done { user: known.user.id, proofs, aim, destination }));
        }
        if !self.can_be_completed(&proofs, &known) {
            // The tenant allows it, and it is worth too little this time: that is the provider's to say.
            let by_word = matches!(proofs.last(), Some(Proof { means: Means::Oidc { .. }, .. }));
            return Err(if by_word { Reason::WordTooWeak } else { Reason::FactorNotAllowed });
        }
        let (user, email) = (known.user.id, known.user.email.clone());
        Ok(Step::Ask(Self { state: State::Factor { user, email, proofs, ceremony: None }, ..self }))
    }

    fn check(&self, known: &Known<'_>, means: &Means) -> Result<(), Reason> {
        if known.user.tenant != self.tenant {
            return Err(Reason::FactorRejected);
        }
        if !known.user.may_enter() {
            return Err(Reason::UserSuspended);
        }
        if matches!(&self.aim, Aim::StepUp { user, .. } if *user != known.user.id) {
            return Err(Reason::FactorRejected);
        }
        let kind = match means {
            Means::Password { .. } => Some(FactorKind::Password),
            Means::Totp { .. } => Some(FactorKind::Totp),
            Means::Passkey { .. } => Some(FactorKind::Passkey),
            Means::Recovery { .. } => Some(FactorKind::Recovery),
            Means::Remembered { .. } | Means::Email | Means::Oidc { .. } => None,
        };
        let by_mail = matches!(means, Means::Email);
        if kind.is_some_and(|kind| !allowed(known.rules, kind)) || by_mail && !known.rules.email {
            return Err(Reason::FactorNotAllowed);
        }
        let fits = match (&self.state, means) {
            (State::Password { email }, Means::Password { .. }) => *email == known.user.email,
            // `answered` leaves no code behind where the right one was shown.
            (State::Email { email, code: None, .. }, Means::Email) => {
                *email == known.user.email && known.may_prove_by_mail(&self.aim)
            }
            // `spend_challenge` and `back_from` leave `Identity` behind.
            (State::Identity, Means::Passkey { .. } | Means::Oidc { .. }) => !matches!(self.aim, Aim::Link { .. }),
            (State::Factor { user, .. }, Means::Totp { .. } | Means::Passkey { .. }) => *user == known.user.id,
            (State::Factor { user, .. }, Means::Recovery { .. }) => *user == known.user.id && self.takes_recovery(),
            // A password comes here only where the session, or the invitation, not the flow, holds the first proof.
            (State::Factor { user, .. }, Means::Password { .. }) => {
                *user == known.user.id && !matches!(self.aim, Aim::SignIn)
            }
            _ => false,
        };
        if fits { Ok(()) } else { Err(Reason::SignInExpired) }
    }

    fn is_complete(&self, proofs: &[Proof], known: &Known<'_>) -> bool {
        // A recovery code ends the asking, at whatever assurance there is: it leads to where factors are changed, and the
        // session opens no more than before.
        if proofs.iter().any(|proof| matches!(proof.means, Means::Recovery { .. })) {
            return true;
        }
        match &self.aim {
            // A provider's people are the provider's to check; `minimum` is about the pool's own factors.
            Aim::SignIn if assurance::is_a_providers(proofs) => true,
            Aim::SignIn => {
                let (shown, minimum) = (assurance::of(proofs), Some(known.rules.minimum));
                let by_link = || {
                    let usable = usable(known.rules, known.factors);
                    may_use_link(proofs, &usable, known.words) && assurance::reachable(proofs, &usable, None) < minimum
                };
                shown >= minimum || shown.is_some() && self.enrols == Some(known.user.id) && by_link()
            }
            Aim::Invitation => assurance::of(proofs).is_some(),
            Aim::Link { .. } => false,
            Aim::StepUp { proofs: before, need: Need::Assurance(level), .. } => {
                assurance::of(&assurance::joined(&assurance::shown(before), proofs)) >= Some(*level)
            }
            Aim::StepUp { proofs: before, need: Need::Fresh, .. } => lacks(before, proofs).is_none(),
        }
    }

    fn can_be_completed(&self, proofs: &[Proof], known: &Known<'_>) -> bool {
        let usable = usable(known.rules, known.factors);
        match &self.aim {
            Aim::Invitation | Aim::Link { .. } => false,
            // What a mailbox is worth it has shown, and nothing beside it makes that more.
            Aim::SignIn if proofs.iter().any(|proof| matches!(proof.means, Means::Email)) => false,
            Aim::SignIn => {
                let reachable = assurance::reachable(proofs, &usable, None) >= Some(known.rules.minimum);
                reachable || known.has(FactorKind::Recovery)
            }
            Aim::StepUp { proofs: before, need: Need::Assurance(level), .. } => {
                let shown = assurance::joined(&assurance::shown(before), proofs);
                assurance::reachable(&shown, &usable, None) >= Some(*level)
            }
            Aim::StepUp { need: Need::Fresh, .. } => {
                usable.iter().any(|factor| matches!(factor.kind(), FactorKind::Password | FactorKind::Passkey))
            }
        }
    }
}

#[cfg(test)]
#[path = "sign_in_tests.rs"]
mod tests;
