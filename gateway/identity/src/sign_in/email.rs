//! The part of a sign-in that awaits a code by e-mail. Drawing one keeps nothing but what the browser's own sign-in holds,
//! so that a code is its browser's alone, and the next one ends it.

use cardea_core::{Reason, Timestamp};

use super::{Aim, Destination, Flow, Known, Need, State};
use crate::{
    factors::email::{Rejected, Sent},
    pool::{FactorKind, User},
    token::TicketHash,
};

impl Flow {
    /// A code was drawn: it is awaited now, and the one before is good no more.
    pub fn mailed(self, sent: Sent) -> Result<Self, Reason> {
        let (email, invitation) = match (&self.aim, &self.state) {
            (Aim::SignIn, State::Password { email })
            | (Aim::StepUp { need: Need::Fresh, .. }, State::Factor { email, .. }) => (email.clone(), None),
            (_, State::Email { email, invitation, .. }) => (email.clone(), *invitation),
            _ => return Err(Reason::SignInExpired),
        };
        Ok(Self { state: State::Email { email, code: Some(sent), invitation }, ..self })
    }

    /// Begins with an invitation whose person wants no factor but the mailbox; it is accepted once the code is shown.
    pub fn invited_by_mail(user: &User, destination: Destination, invitation: TicketHash, sent: Sent) -> Self {
        let state = State::Email { email: user.email.clone(), code: Some(sent), invitation: Some(invitation) };
        Self { tenant: user.tenant.clone(), destination, aim: Aim::Invitation, state, enrols: None }
    }

    /// The invitation that is accepted by the code, if this began with one.
    pub const fn invitation(&self) -> Option<TicketHash> {
        match &self.state {
            State::Email { invitation, .. } => *invitation,
            _ => None,
        }
    }

    /// Something was typed for the code: one try less, and after the right one none is awaited any more.
    pub fn answered(mut self, typed: &str, now: Timestamp) -> Result<(Self, Result<(), Rejected>), Reason> {
        let State::Email { code, .. } = &mut self.state else { return Err(Reason::SignInExpired) };
        let answer = code.as_mut().ok_or(Reason::SignInExpired)?.answer(typed, now);
        if answer.is_ok() {
            *code = None;
        }
        Ok((self, answer))
    }
}

impl Known<'_> {
    /// Whether a code by e-mail is a fresh proof of who this is: where there is neither a password nor a passkey to show. An
    /// open mailbox beside an open session proves nothing that the session does not.
    pub fn confirms_by_mail(&self) -> bool {
        self.rules.email && !self.has(FactorKind::Password) && !self.has(FactorKind::Passkey)
    }

    /// Whether a code by e-mail is taken from this person, for that aim. It raises nothing: see [`crate::assurance`].
    pub(super) fn may_prove_by_mail(&self, aim: &Aim) -> bool {
        match aim {
            Aim::SignIn | Aim::Invitation => self.rules.email,
            Aim::StepUp { need: Need::Fresh, .. } => self.confirms_by_mail(),
            Aim::StepUp { need: Need::Assurance(_), .. } | Aim::Link { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        assurance::{self, Means},
        factors::email::draw,
        pool::{Factor, Status},
        return_to::Origins,
        sign_in::{Awaits, Step},
        testing::{now, passkey_factor, password_factor, tenant, totp_factor, user},
    };
    use cardea_core::{Assurance, SessionId, entropy::Fixed, resources::FactorRules};

    fn rules() -> FactorRules {
        FactorRules { email: true, ..FactorRules::default() }
    }

    fn destination() -> Destination {
        Destination { to: Origins { scheme: "https", port: 443 }.home("records.north.example"), flow: None }
    }

    fn at_code(ada: &User) -> (Flow, String) {
        let (code, sent) = draw(now(), &Fixed::new(1));
        let flow = Flow::begin(tenant(), destination()).identified(ada.email.clone()).unwrap().mailed(sent).unwrap();
        (flow, code.expose_grouped())
    }

    fn proven(flow: Flow, ada: &User, factors: &[Factor], rules: &FactorRules) -> Result<Step, Reason> {
        flow.proven(Known { user: ada, factors, rules, words: &[] }, Means::Email, now())
    }

    #[test]
    fn the_right_code_completes_a_sign_in_at_assurance_1() {
        let ada = user("ada@north.example");
        let (flow, code) = at_code(&ada);
        assert_eq!(flow.awaits(), Awaits::Code(&ada.email));
        let (flow, answer) = flow.answered(&code, now()).unwrap();
        assert_eq!(answer, Ok(()));
        assert!(flow.clone().answered(&code, now()).is_err(), "it is awaited once");
        let Step::Done(done) = proven(flow, &ada, &[], &rules()).unwrap() else { panic!("more was asked") };
        assert_eq!((done.user, assurance::of(&done.proofs)), (ada.id, Some(Assurance::One)));
    }

    #[test]
    fn nothing_is_proven_before_the_right_code_or_by_another() {
        let ada = user("ada@north.example");
        let (flow, code) = at_code(&ada);
        assert_eq!(proven(flow.clone(), &ada, &[], &rules()).unwrap_err(), Reason::SignInExpired);
        let (flow, answer) = flow.answered("00000000", now()).unwrap();
        assert_eq!(answer, Err(Rejected::Wrong));
        assert_eq!(proven(flow.clone(), &ada, &[], &rules()).unwrap_err(), Reason::SignInExpired);
        // A new code ends the one before.
        let (other, sent) = draw(now(), &Fixed::new(2));
        let flow = flow.mailed(sent).unwrap();
        let (flow, answer) = flow.answered(&code, now()).unwrap();
        assert_eq!(answer, Err(Rejected::Wrong));
        let (flow, answer) = flow.answered(&other.expose_grouped(), now()).unwrap();
        assert_eq!(answer, Ok(()));
        // It is the mailbox of one person, who may enter, in a tenant that takes it.
        let bob = user("bob@north.example");
        assert_eq!(proven(flow.clone(), &bob, &[], &rules()).unwrap_err(), Reason::SignInExpired);
        let mut gone = ada.clone();
        gone.status = Status::Suspended;
        assert_eq!(proven(flow.clone(), &gone, &[], &rules()).unwrap_err(), Reason::UserSuspended);
        assert_eq!(
            proven(flow, &ada, &[], &FactorRules::default()).unwrap_err(),
            Reason::FactorNotAllowed,
            "off unless the tenant says so"
        );
    }

    #[test]
    fn where_two_factors_are_asked_for_a_mailbox_leads_nowhere() {
        let ada = user("ada@north.example");
        let rules = FactorRules { minimum: Assurance::Two, ..rules() };
        let factors = [password_factor(), totp_factor(), passkey_factor(Assurance::Two)];
        let (flow, code) = at_code(&ada);
        let (flow, _) = flow.answered(&code, now()).unwrap();
        assert_eq!(proven(flow, &ada, &factors, &rules).unwrap_err(), Reason::FactorNotAllowed);
    }

    /// Whoever reads the mail of a person with a password confirms nothing in that person's name.
    #[test]
    fn a_code_is_a_fresh_proof_only_of_who_has_nothing_better() {
        let ada = user("ada@north.example");
        let step_up = |need| {
            let session = SessionId::mint(now(), &Fixed::new(3));
            Flow::step_up(&ada, session, vec![], need, destination())
        };
        let (code, sent) = draw(now(), &Fixed::new(1));
        assert!(step_up(Need::Assurance(Assurance::Two)).mailed(sent.clone()).is_err());
        let (flow, _) = step_up(Need::Fresh).mailed(sent).unwrap().answered(&code.expose_grouped(), now()).unwrap();
        assert!(matches!(proven(flow.clone(), &ada, &[], &rules()), Ok(Step::Done(_))));
        for factor in [password_factor(), passkey_factor(Assurance::Two)] {
            let refused = proven(flow.clone(), &ada, &[factor], &rules());
            assert_eq!(refused.unwrap_err(), Reason::SignInExpired);
        }
    }

    #[test]
    fn an_invitation_keeps_its_link_until_the_code_is_shown() {
        let ada = user("ada@north.example");
        let link = TicketHash::from_bytes([7; 32]);
        let (code, sent) = draw(now(), &Fixed::new(1));
        let flow = Flow::invited_by_mail(&ada, destination(), link, sent);
        let (_, another) = draw(now(), &Fixed::new(2));
        assert_eq!(flow.clone().mailed(another).unwrap().invitation(), Some(link));
        let (flow, _) = flow.answered(&code.expose_grouped(), now()).unwrap();
        assert_eq!(flow.invitation(), Some(link));
        assert!(matches!(proven(flow, &ada, &[], &rules()), Ok(Step::Done(_))));
        assert_eq!(at_code(&ada).0.invitation(), None);
    }
}
