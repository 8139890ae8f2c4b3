//! Who may add or remove a factor: somebody who proved lately who they are, as strongly as the account can (NIST SP
//! 800-63B-4 section 4.1.2). Else one stolen password, or one browser left open, would be enough to take an account over.
//!
//! Who has lost the second factor shows a recovery code instead, which counts here, for ten minutes, as assurance 2
//! (section 4.2.2.2) and nowhere else. It is never worth 3: a key that cannot be copied is not replaced on the strength of
//! a piece of paper; but it may be struck off, as by anybody who has shown two factors, and is then not asked for any more.
//!
//! Whoever came by a code in the mail has shown a mailbox and no more: where the account has a password, a passkey or a
//! provider, that is asked for too, however little it adds. Else whoever reads the mail could put a passkey of their own
//! beside the person's password, and outgrow both. An app's codes are asked for beside a password only, so where they are all
//! that there is beside the mailbox, nothing is added or removed but by an administrator's link or a recovery code.
//!
//! Whoever can show one factor and no more adds none on its strength alone: see `cardea_identity::enrolment`.

use cardea_core::{Assurance, FactorId, Reason, Timestamp};
use cardea_identity::{
    Factor, FactorKind, Session,
    assurance::{self, Means},
    enrolment::{self, Adding, FRESH},
};

use super::visit::{Failed, Visit};

/// What is to be done with a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// A new one.
    Add,
    /// One less, or one under another name.
    Remove,
    /// Recovery codes gone.
    RemoveCodes,
}

/// The visitor has proven enough for what they are about to do, as long as their factors are those that it was judged by.
/// INVARIANT: made by [`require`] only.
#[derive(Debug)]
pub(super) struct Proven {
    pub(super) had: Vec<FactorId>,
}

/// Goes on if the visitor's sign-in is strong and fresh enough; else sends them to a step-up that leads back to `back`.
pub(super) async fn require(visit: &Visit, act: Act, factors: &[Factor], back: &str) -> Result<Proven, Failed> {
    let (session, usable) = (session(visit).await?, visit.usable(factors));
    let vouched = visit.house.unheard(&visit.tenant, &session).await?;
    let first = |need| Err(Failed::First(step_up(need, &visit.admitted().tenant().sign_in_origin, back)));
    let rules = &visit.tenant.bundle.tenant.factors;
    let adding = Adding { session: &session, usable: &usable, vouched, rules, now: visit.now() };
    if act == Act::Add
        && let Err(reason) = enrolment::may_lift(&adding)
    {
        // Who has lost the second factor, and struck it off, may have codes left that open the way.
        let kept = usable.iter().any(|factor| factor.kind() == FactorKind::Recovery);
        return if kept { first("2") } else { Err(Failed::Refused(reason)) };
    }
    match missing(&session, act, &usable, vouched, visit.now()) {
        None => Ok(Proven { had: factors.iter().map(|factor| factor.id).collect() }),
        Some(need) => first(need),
    }
}

/// Goes on if the visitor has signed in lately; else sends them to a step-up that leads back to `back`.
pub(super) fn signed_in(visit: &Visit, back: &str) -> Result<(), Failed> {
    if visit.now().since(visit.live.signed_in_at) <= FRESH {
        return Ok(());
    }
    Err(again(visit, back))
}

/// Asks for a proof of now, and comes back.
pub(super) fn again(visit: &Visit, back: &str) -> Failed {
    Failed::First(step_up("fresh", &visit.admitted().tenant().sign_in_origin, back))
}

/// Whether the visitor adds a factor by an administrator's link only.
pub(super) async fn needs_link(visit: &Visit, factors: &[Factor]) -> Result<bool, Failed> {
    Ok(visit.house.needs_link(&visit.tenant, &session(visit).await?, factors, visit.now()).await?)
}

/// The session as the store has it.
pub(super) async fn session(visit: &Visit) -> Result<Session, Failed> {
    let session = visit.house.shared.session(visit.tenant_id(), visit.live.id).await?;
    session.ok_or(Failed::Refused(Reason::SessionEnded))
}

/// What the session lacks, as a step-up's address names it.
fn missing(
    session: &Session,
    act: Act,
    usable: &[Factor],
    vouched: Option<Assurance>,
    now: Timestamp,
) -> Option<&'static str> {
    // A remembered device shows nothing: whoever copied it must not outgrow its owner.
    let really = session.shown_assurance();
    let best = assurance::reachable(&session.proofs, usable, vouched).unwrap_or(really);
    let recovered = enrolment::recovers(session, now);
    let shown = if recovered { really.max(Assurance::Two) } else { really };
    let wanted = match act {
        Act::Add => best,
        // Who has lost the only key of assurance 3 must still be able to strike it off.
        Act::Remove => best.min(Assurance::Two),
        // Who has one factor left beside the codes has them for the day when somebody holds that one, too: whoever shows
        // nothing else takes no way back away.
        Act::RemoveCodes if session.by_link => best.min(Assurance::Two),
        Act::RemoveCodes => Assurance::Two,
    };
    let by_mail_alone = session.proofs.iter().all(|proof| matches!(proof.means, Means::Email | Means::Recovery { .. }));
    let has_better = vouched.is_some()
        || usable.iter().any(|factor| matches!(factor.kind(), FactorKind::Password | FactorKind::Passkey));
    match wanted {
        Assurance::Three if shown < wanted => Some("3"),
        Assurance::Two if shown < wanted => Some("2"),
        // Who has nothing else to show is vouched for by the link.
        _ if session.by_link && by_mail_alone && !has_better && now.since(session.signed_in_at) <= FRESH => None,
        _ if by_mail_alone && !recovered && usable.iter().any(|factor| factor.kind() == FactorKind::Totp) => Some("2"),
        _ if by_mail_alone && has_better && !recovered => Some("fresh"),
        _ if now.since(session.signed_in_at) > FRESH => Some("fresh"),
        _ => None,
    }
}

fn step_up(need: &str, origin: &str, back: &str) -> String {
    let to = format!("{origin}{back}");
    let query =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("need", need).append_pair("to", &to).finish();
    format!("/sign-in/step-up?{query}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use cardea_core::{TenantId, UserId, entropy::Fixed, resources::SessionRules};
    use cardea_identity::{FactorData, Sealer, assurance::Proof, factors::totp::Seed, session::Start};

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn id(seed: u64) -> FactorId {
        FactorId::mint(START, &Fixed::new(seed))
    }

    fn factor(seed: u64, data: FactorData) -> Factor {
        Factor { id: id(seed), name: String::new(), data, created: START, last_used: None }
    }

    fn password() -> Factor {
        factor(1, FactorData::Password { phc: String::new() })
    }

    fn totp() -> Factor {
        let sealer = Sealer::new(&cardea_core::Secret::new([7; 32])).unwrap();
        let entropy = Fixed::new(5);
        let secret = Seed::draw(&entropy).seal(id(2), &sealer, &entropy).unwrap();
        factor(2, FactorData::Totp { secret, last_step: None })
    }

    fn key(reach: Assurance) -> Factor {
        let (credential_id, credential) = ("k".to_owned(), serde_json::Value::Null);
        factor(3, FactorData::Passkey { credential_id, credential, reach, copied: None })
    }

    fn session(means: &[Means]) -> Session {
        let start = Start {
            tenant: TenantId::parse("north").unwrap(),
            user: UserId::mint(START, &Fixed::new(9)),
            proofs: means.iter().map(|means| Proof { means: means.clone(), at: START }).collect(),
            agent: String::new(),
            client: None,
            rules: &SessionRules::default(),
            now: START,
        };
        Session::begin(start, &Fixed::new(4)).unwrap()
    }

    fn after(seconds: u64) -> Timestamp {
        START.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_fresh_sign_in_with_all_that_one_has_may_change_factors() {
        let by_password = session(&[Means::Password { factor: id(1) }]);
        assert_eq!(missing(&by_password, Act::Add, &[password()], None, after(600)), None);
        assert_eq!(missing(&by_password, Act::Remove, &[password()], None, after(600)), None);
    }

    #[test]
    fn a_remembered_device_changes_no_factors_and_the_real_one_does() {
        let started = [Means::Password { factor: id(1) }, Means::Remembered { factor: id(2) }];
        let here = session(&started);
        assert_eq!((here.assurance, here.shown_assurance()), (Assurance::Two, Assurance::One));
        for act in [Act::Add, Act::Remove, Act::RemoveCodes] {
            assert_eq!(missing(&here, act, &[password(), totp()], None, after(1)), Some("2"), "{act:?}");
        }
        let code = Proof { means: Means::Totp { factor: id(2) }, at: after(2) };
        let raised = here.stepped_up(&[code], after(2), &Fixed::new(6));
        assert_eq!(missing(&raised, Act::Add, &[password(), totp()], None, after(3)), None);
    }

    #[test]
    fn a_stolen_password_adds_no_factor_to_an_account_whose_second_one_lies_with_a_provider() {
        let by_password = session(&[Means::Password { factor: id(1) }]);
        let missing = |vouched| missing(&by_password, Act::Add, &[password()], vouched, after(1));
        assert_eq!(missing(Some(Assurance::Two)), Some("2"));
        assert_eq!(missing(Some(Assurance::One)), None, "its word is worth no more than the password");
    }

    #[test]
    fn a_mailbox_adds_no_factor_to_an_account_that_has_something_better() {
        let by_mail = session(&[Means::Email]);
        for act in [Act::Add, Act::Remove] {
            let missing = |usable: &[Factor], vouched| missing(&by_mail, act, usable, vouched, after(1));
            assert_eq!(missing(&[], None), None, "all that this person has");
            assert_eq!(missing(&[password()], None), Some("fresh"));
            assert_eq!(missing(&[], Some(Assurance::One)), Some("fresh"));
            assert_eq!(missing(&[password(), totp()], None), Some("2"));
            assert_eq!(missing(&[totp()], None), Some("2"), "codes that a mailbox is never asked for");
            assert_eq!(missing(&[key(Assurance::Two)], None), Some("2"));
        }
        // A link vouches for who has nothing else to show, and never in place of what they have.
        let linked = by_mail.linked(START, &Fixed::new(8));
        let missing_of = |usable: &[Factor], at| missing(&linked, Act::Add, usable, None, at);
        assert_eq!(missing_of(&[totp()], after(1)), None);
        assert_eq!(missing_of(&[totp()], after(601)), Some("2"));
        assert_eq!(missing_of(&[password()], after(1)), Some("fresh"));
        assert_eq!(missing_of(&[password(), totp()], after(1)), Some("2"));
        let with_password = session(&[Means::Email, Means::Password { factor: id(1) }]);
        assert_eq!(missing(&with_password, Act::Add, &[password()], None, after(1)), None);
        let recovered = session(&[Means::Email, Means::Recovery { factor: id(4) }]);
        assert_eq!(
            missing(&recovered, Act::Add, &[key(Assurance::Two)], None, after(1)),
            None,
            "kept code and sent code"
        );
    }

    #[test]
    fn an_old_sign_in_may_not() {
        let by_password = session(&[Means::Password { factor: id(1) }]);
        assert_eq!(missing(&by_password, Act::Add, &[password()], None, after(601)), Some("fresh"));
        assert_eq!(missing(&by_password, Act::Remove, &[password()], None, after(601)), Some("fresh"));
    }

    #[test]
    fn a_stolen_password_adds_no_factor_to_an_account_that_has_two() {
        let by_password = session(&[Means::Password { factor: id(1) }]);
        assert_eq!(missing(&by_password, Act::Add, &[password(), totp()], None, after(1)), Some("2"));
        assert_eq!(missing(&by_password, Act::Remove, &[password(), totp()], None, after(1)), Some("2"));
        assert_eq!(missing(&by_password, Act::Add, &[password(), key(Assurance::Two)], None, after(1)), Some("2"));
        let by_both = session(&[Means::Password { factor: id(1) }, Means::Totp { factor: id(2) }]);
        assert_eq!(missing(&by_both, Act::Add, &[password(), totp()], None, after(1)), None);
    }

    #[test]
    fn a_recovery_code_lets_what_is_lost_be_replaced_for_ten_minutes() {
        let recovered = session(&[Means::Password { factor: id(1) }, Means::Recovery { factor: id(4) }]);
        assert_eq!(recovered.assurance, Assurance::One);
        let all = [password(), totp(), key(Assurance::Two)];
        for act in [Act::Add, Act::Remove] {
            assert_eq!(missing(&recovered, act, &all, None, after(600)), None, "{act:?}");
            assert_eq!(missing(&recovered, act, &all, None, after(601)), Some("2"), "{act:?}");
            assert_eq!(missing(&recovered, act, &all, Some(Assurance::Two), after(1)), None, "{act:?}");
        }
        // A key of assurance 3 is struck off by it, and only then may less take its place.
        let all = [password(), key(Assurance::Three)];
        assert_eq!(missing(&recovered, Act::Add, &all, None, after(1)), Some("3"));
        assert_eq!(missing(&recovered, Act::Remove, &all, None, after(1)), None);
        assert_eq!(missing(&recovered, Act::Add, &[password()], None, after(1)), None);
        // A code is no sign-in of now: beside an old one it asks for that.
        let raised = session(&[Means::Password { factor: id(1) }]).stepped_up(
            &[Proof { means: Means::Recovery { factor: id(4) }, at: after(700) }],
            after(700),
            &Fixed::new(8),
        );
        assert_eq!(missing(&raised, Act::Add, &[password(), totp()], None, after(700)), Some("fresh"));
    }

    /// Whoever has lost the second factor, and struck it off, has a password and the codes. Their thief has the password.
    #[test]
    fn a_stolen_password_takes_nobodys_recovery_codes_away() {
        let by_password = session(&[Means::Password { factor: id(1) }]);
        let left = [password()];
        assert_eq!(missing(&by_password, Act::RemoveCodes, &left, None, after(1)), Some("2"));
        assert_eq!(missing(&by_password, Act::RemoveCodes, &[password(), totp()], None, after(1)), Some("2"));
        let shown = session(&[Means::Password { factor: id(1) }, Means::Recovery { factor: id(4) }]);
        assert_eq!(missing(&shown, Act::RemoveCodes, &left, None, after(600)), None);
        assert_eq!(missing(&shown, Act::RemoveCodes, &left, None, after(601)), Some("2"));
        let by_both = session(&[Means::Password { factor: id(1) }, Means::Totp { factor: id(2) }]);
        assert_eq!(missing(&by_both, Act::RemoveCodes, &[password(), totp()], None, after(1)), None);
        let linked = by_password.linked(START, &Fixed::new(8));
        assert_eq!(missing(&linked, Act::RemoveCodes, &left, None, after(1)), None, "an administrator vouches");
    }

    #[test]
    fn a_lost_key_can_be_struck_off_but_not_replaced_by_less() {
        let by_both = session(&[Means::Password { factor: id(1) }, Means::Totp { factor: id(2) }]);
        let all = [password(), totp(), key(Assurance::Three)];
        assert_eq!(missing(&by_both, Act::Remove, &all, None, after(1)), None);
        assert_eq!(missing(&by_both, Act::Add, &all, None, after(1)), Some("3"));
    }

    #[test]
    fn the_step_up_leads_back_to_where_one_was() {
        assert_eq!(
            step_up("fresh", "https://id.north.example", "/factors/totp"),
            "/sign-in/step-up?need=fresh&to=https%3A%2F%2Fid.north.example%2Ffactors%2Ftotp"
        );
    }
}
