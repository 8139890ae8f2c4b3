use super::*;
use crate::{
    assurance::Means,
    testing::{now, tenant, user},
};
use cardea_core::{FactorId, entropy::Fixed, resources::SessionLimits};

fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

fn proof(means: fn(FactorId) -> Means) -> Proof {
    Proof { means: means(crate::testing::password_factor().id), at: now() }
}

fn begun() -> (Session, HandleRecord, SessionRules) {
    begun_under(&SessionRules::default())
}

fn begun_under(rules: &SessionRules) -> (Session, HandleRecord, SessionRules) {
    let ada = user("ada@north.example");
    let proofs = vec![proof(|factor| Means::Password { factor })];
    let client = Some([192, 0, 2, 7].into());
    let start = Start { tenant: tenant(), user: ada.id, proofs, agent: String::new(), client, rules, now: now() };
    let session = Session::begin(start, &Fixed::new(3)).unwrap();
    let (_, handle) = HandleRecord::issue(&session, "records.north.example", now(), &Fixed::new(4));
    (session, handle, rules.clone())
}

/// A policy that asks for a recent sign-in counts from when the second factor was really shown; people are told when they came.
#[test]
fn a_remembered_device_makes_no_sign_in_fresh() {
    let (at, shown) = (now().plus(Duration::from_secs(86_400)), now());
    let [word, app] = [1, 2].map(|seed| FactorId::mint(now(), &Fixed::new(seed)));
    let proofs = vec![
        Proof { means: Means::Password { factor: word }, at },
        Proof { means: Means::Remembered { factor: app }, at: shown },
    ];
    let rules = SessionRules::default();
    let user = user("ada@north.example").id;
    let start = Start { tenant: tenant(), user, proofs, agent: String::new(), client: None, rules: &rules, now: at };
    let begun = Session::begin(start, &Fixed::new(1)).unwrap();
    assert_eq!((begun.assurance, begun.shown_assurance()), (Assurance::Two, Assurance::One));
    assert_eq!((begun.signed_in_at, begun.shown_at(), begun.created), (shown, at, at));
    assert_eq!(begun.factor_names(), ["password", "remembered"]);
    let later = at.plus(Duration::from_secs(60));
    let again = |means| begun.stepped_up(&[Proof { means, at: later }], later, &Fixed::new(2));
    let by_password = again(Means::Password { factor: word });
    assert_eq!((by_password.signed_in_at, by_password.shown_at()), (shown, later), "the device stands in still");
    let by_code = again(Means::Totp { factor: app });
    assert_eq!((by_code.signed_in_at, by_code.factor_names()), (later, vec!["password", "totp"]));
    // Who has lost what the device stands in for is in by what is left, and lately enough to put another in its place.
    let by_recovery = again(Means::Recovery { factor: FactorId::mint(now(), &Fixed::new(3)) });
    assert_eq!((by_recovery.signed_in_at, by_recovery.factor_names()), (at, vec!["password", "recovery"]));
    assert_eq!((by_recovery.assurance, crate::enrolment::recovers(&by_recovery, later)), (Assurance::One, true));
    let linked = begun.linked(later, &Fixed::new(4));
    assert_eq!((linked.signed_in_at, linked.assurance), (shown, Assurance::Two), "nothing was shown");
}

#[test]
fn a_session_lives_until_a_limit_is_reached() {
    let (mut session, mut handle, rules) = begun();
    let at = |session: &Session, handle: &HandleRecord, after| judge(handle, session, &rules, now().plus(after));
    assert_eq!(at(&session, &handle, minutes(14)), Standing::Live);
    assert_eq!(at(&session, &handle, minutes(15)), Standing::Rotate);
    assert_eq!(at(&session, &handle, minutes(60)), Standing::Ended(EndReason::Idle));
    session.last_seen = now().plus(minutes(719));
    handle.issued_at = session.last_seen;
    assert_eq!(at(&session, &handle, minutes(719)), Standing::Live);
    assert_eq!(at(&session, &handle, minutes(720)), Standing::Ended(EndReason::Absolute));
}

#[test]
fn a_replaced_handle_works_a_minute_and_then_betrays_its_thief() {
    let (session, mut handle, rules) = begun();
    handle.superseded_at = Some(now());
    assert_eq!(judge(&handle, &session, &rules, now().plus(GRACE)), Standing::Live);
    assert_eq!(judge(&handle, &session, &rules, now().plus(Duration::from_secs(61))), Standing::Reused);
}

#[test]
fn a_handle_whose_successor_never_arrived_stays_good() {
    let (session, mut handle, rules) = begun();
    let at = |handle: &HandleRecord, after| judge(handle, &session, &rules, now().plus(after));
    assert_eq!(at(&handle, minutes(15)), Standing::Rotate);
    handle.offered_at = Some(now().plus(minutes(15)));
    // One that is under way is waited for, so that a page's parallel requests are given one between them.
    assert_eq!(at(&handle, minutes(15)), Standing::Live);
    assert_eq!(at(&handle, minutes(16).saturating_sub(Duration::from_micros(1))), Standing::Live);
    assert_eq!(at(&handle, minutes(16)), Standing::Rotate, "the next is due");
    assert_eq!(at(&handle, minutes(50)), Standing::Rotate, "however late");
}

#[test]
fn a_successor_takes_its_place_when_it_is_first_shown() {
    let (session, handle, rules) = begun();
    let (_, mut next) = handle.successor(&session, now().plus(minutes(15)), &Fixed::new(5));
    assert_eq!((next.replaces, &next.host), (Some(handle.hash), &handle.host));
    for after in [minutes(15), minutes(40)] {
        assert_eq!(judge(&next, &session, &rules, now().plus(after)), Standing::Arrived);
    }
    next.replaces = None;
    assert_eq!(judge(&next, &session, &rules, now().plus(minutes(20))), Standing::Live);
    let ended = session.ended(EndReason::SignedOut, now());
    let (_, late) = handle.successor(&ended, now(), &Fixed::new(6));
    assert_eq!(judge(&late, &ended, &rules, now()), Standing::Ended(EndReason::SignedOut));
}

#[test]
fn an_ended_session_stays_ended_for_every_handle() {
    let (session, handle, rules) = begun();
    let ended = session.ended(EndReason::SignedOut, now()).ended(EndReason::Idle, now());
    assert_eq!(judge(&handle, &ended, &rules, now()), Standing::Ended(EndReason::SignedOut));
}

#[test]
fn a_handle_opens_its_own_host_and_tenant_only() {
    let (session, handle, _) = begun();
    assert!(handle.fits(&tenant(), "records.north.example", &session));
    assert!(!handle.fits(&tenant(), "id.north.example", &session));
    assert!(!handle.fits(&TenantId::parse("south").unwrap(), "records.north.example", &session));
}

#[test]
fn a_session_answers_to_the_newest_of_the_names_that_it_had() {
    let (begun, _, _) = begun();
    assert_eq!(begun.names().collect::<Vec<_>>(), [begun.id]);
    let (mut raised, mut had) = (begun.clone(), vec![begun.id]);
    for seed in 10..30 {
        raised = raised.stepped_up(&[proof(|factor| Means::Password { factor })], now(), &Fixed::new(seed));
        had.insert(0, raised.id);
    }
    let names: Vec<_> = raised.names().collect();
    assert_eq!(names, had[..17], "its own, and sixteen of before");
    assert!(!names.contains(&begun.id), "the oldest are let go");
}

#[test]
fn a_step_up_makes_another_session_that_lives_no_longer() {
    let (session, _, _) = begun();
    let later = now().plus(minutes(30));
    let raised = session.stepped_up(&[proof(|factor| Means::Totp { factor })], later, &Fixed::new(6));
    assert_ne!(raised.id, session.id);
    assert_eq!((raised.assurance, raised.signed_in_at), (Assurance::Two, later));
    assert_eq!(raised.expires, session.expires);
    assert_eq!(raised.factor_names(), ["password", "totp"]);
}

/// One table: what is for each assurance, when the session rises, how long it lasts from its beginning.
#[test]
fn a_session_that_rises_is_under_the_limits_of_what_it_has_risen_to() {
    let hours = |count: u32| Some(SessionLimits { absolute_hours: Some(count), idle_minutes: None });
    for (one, two, rises, lasts, what) in [
        (12, 12, 6, 12, "the same for both"),
        (2, 12, 1, 12, "longer above: as if it had begun there"),
        (24, 12, 1, 13, "shorter above: from when it rose"),
        (14, 12, 13, 14, "and never beyond what it had"),
    ] {
        let rules = SessionRules { assurance_1: hours(one), assurance_2: hours(two), ..SessionRules::default() };
        let (begun, handle, _) = begun_under(&rules);
        let at = now().plus(minutes(60 * rises));
        let raised = begun.stepped_up(&[proof(|factor| Means::Totp { factor })], at, &Fixed::new(6));
        let mut raised = raised.risen_from(&begun, &rules, at);
        assert_eq!(raised.expires, now().plus(minutes(60 * lasts)), "{what}");
        let end = raised.expires;
        raised.last_seen = end;
        let handle = HandleRecord { session: raised.id, issued_at: end, ..handle };
        let before = end.minus(Duration::from_secs(1));
        assert_eq!(judge(&handle, &raised, &rules, before), Standing::Live, "{what}");
        assert_eq!(judge(&handle, &raised, &rules, end), Standing::Ended(EndReason::Absolute), "{what}");
        // Another proof of the same worth changes nothing of it; nor does one by which it rises no further.
        let again = raised.stepped_up(&[proof(|factor| Means::Password { factor })], before, &Fixed::new(7));
        assert_eq!(again.risen_from(&raised, &rules, before).expires, end, "{what}");
        // What the tenant makes shorter counts at once, from the same moment.
        let shorter = SessionRules { assurance_2: hours(1), ..rules };
        let late = raised.risen_at.unwrap().plus(minutes(60));
        assert_eq!(judge(&handle, &raised, &shorter, late), Standing::Ended(EndReason::Absolute), "{what}");
    }
}

#[test]
fn each_assurance_has_its_idle_limit() {
    let idle = Some(SessionLimits { idle_minutes: Some(15), absolute_hours: None });
    let rules = SessionRules { assurance_2: idle, ..SessionRules::default() };
    let (begun, handle, _) = begun_under(&rules);
    let raised = begun.stepped_up(&[proof(|factor| Means::Totp { factor })], now(), &Fixed::new(6));
    let raised = raised.risen_from(&begun, &rules, now());
    let at = |session: &Session, after| judge(&handle, session, &rules, now().plus(minutes(after)));
    assert_eq!(at(&begun, 59), Standing::Rotate);
    assert_eq!(at(&begun, 60), Standing::Ended(EndReason::Idle));
    assert_eq!(at(&raised, 14), Standing::Live);
    assert_eq!(at(&raised, 15), Standing::Ended(EndReason::Idle));
    assert!(raised.needs_touch(&rules, now().plus(Duration::from_secs(15))));
    assert!(!begun.needs_touch(&rules, now().plus(Duration::from_secs(15))));
}

#[test]
fn a_recovery_code_is_no_sign_in_of_now() {
    let (session, _, _) = begun();
    let later = now().plus(minutes(30));
    let recovered = session.stepped_up(&[proof(|factor| Means::Recovery { factor })], later, &Fixed::new(6));
    assert_ne!(recovered.id, session.id);
    assert_eq!((recovered.assurance, recovered.signed_in_at), (session.assurance, session.signed_in_at));
    assert_eq!(recovered.factor_names(), ["password", "recovery"]);
}

#[test]
fn a_session_remembers_where_it_was_begun_and_reads_what_older_gateways_wrote() {
    let (session, _, _) = begun();
    let raised = session.stepped_up(&[proof(|factor| Means::Totp { factor })], now(), &Fixed::new(6));
    assert_eq!(raised.client, Some([192, 0, 2, 7].into()));
    let mut json = serde_json::to_value(&session).unwrap();
    assert_eq!(serde_json::from_value::<Session>(json.clone()).unwrap(), session);
    json.as_object_mut().unwrap().remove("client").unwrap();
    assert_eq!(serde_json::from_value::<Session>(json).unwrap().client, None);
}

#[test]
fn nothing_proven_begins_no_session() {
    let rules = SessionRules::default();
    let start = |proofs| Start {
        tenant: tenant(),
        user: user("ada@north.example").id,
        proofs,
        agent: String::new(),
        client: None,
        rules: &rules,
        now: now(),
    };
    assert!(Session::begin(start(vec![]), &Fixed::new(1)).is_none());
    assert!(Session::begin(start(vec![proof(|factor| Means::Totp { factor })]), &Fixed::new(1)).is_none());
}
