//! Questions of services before they act: each has its entry, and whatever fails is no yes.

use std::sync::{Arc, atomic::Ordering};

use cardea_audit::{Actor, Entry, Event, Request};
use cardea_core::{Caller, Clock, GroupId, Reason, UserId, caller::UserFacts};
use cardea_proxy::{Admitted, Description, Evaluation, Inquiry};

use crate::house::{APP_HOST, House, Plan};

/// A house, and somebody who was admitted and asks.
async fn asking(plan: Plan) -> (House, Admitted) {
    let house = plan.open().await;
    house.lent.keeps_admitted.store(true, Ordering::SeqCst);
    house.ask_sign_in("GET /sign-in", "").await;
    let admitted = house.lent.admitted.lock().unwrap().take().expect("nobody was admitted");
    house.lent.entries.lock().unwrap().clear();
    (house, admitted)
}

/// The question whether somebody of that group, or somebody unknown, may open a page.
fn about(house: &House, group: Option<&str>, target: &str) -> Inquiry {
    let user = group.map(|group| UserFacts {
        id: UserId::mint(house.lent.clock.now(), &house.lent.entropy),
        email: "mira@acme.test".to_owned(),
        name: "Mira".to_owned(),
        groups: vec![GroupId::parse(group).unwrap()],
        attributes: cardea_core::Attributes::default(),
    });
    let description = Description {
        method: "GET".to_owned(),
        scheme: "https".to_owned(),
        authority: APP_HOST.to_owned(),
        target: target.to_owned(),
        client: "192.0.2.7".parse().unwrap(),
    };
    Inquiry { user: user.map(Arc::new), owes_second_factor: false, session: None, description: Some(description) }
}

/// The entry that an answer names.
fn entry(house: &House, evaluation: &Evaluation) -> Entry {
    let entries = house.lent.entries.lock().unwrap();
    entries.iter().find(|entry| entry.id == evaluation.entry).cloned().expect("no entry")
}

fn request(entry: &Entry) -> &Request {
    let Event::Request(request) = &entry.event else { panic!("{entry:?}") };
    request
}

#[tokio::test]
async fn an_app_whose_entries_come_first_has_one_before_the_yes() {
    let (house, admitted) = asking(Plan::at("http://127.0.0.1:1").with("audit = 'before'")).await;
    let ask = async |group: &str| house.proxy.evaluate(&admitted, &about(&house, Some(group), "/x")).await;
    let yes = ask("chemists").await.unwrap();
    assert_eq!((yes.refused, request(&entry(&house, &yes)).status), (None, 200));
    house.lent.log_fails.store(true, Ordering::SeqCst);
    assert_eq!(ask("chemists").await.unwrap_err(), Reason::LogUnavailable);
    assert_eq!(house.lent.entries.lock().unwrap().len(), 1);
    // A no admits nothing that could come before its entry.
    let no = ask("painters").await.unwrap();
    assert_eq!((no.refused, request(&entry(&house, &no)).status), (Some(Reason::Denied), 403));
    house.lent.log_full.store(true, Ordering::SeqCst);
    assert_eq!(ask("painters").await.unwrap_err(), Reason::LogUnavailable);

    let (house, admitted) = asking(Plan::at("http://127.0.0.1:1")).await;
    house.lent.log_fails.store(true, Ordering::SeqCst);
    let yes = house.proxy.evaluate(&admitted, &about(&house, Some("chemists"), "/x")).await.unwrap();
    assert_eq!((yes.refused, request(&entry(&house, &yes)).status), (None, 200), "its entry is written with others");
}

#[tokio::test]
async fn every_question_ends_in_an_entry_and_nobody_is_told_from_somebody_by_an_address() {
    let (house, admitted) = asking(Plan::at("http://127.0.0.1:1")).await;
    for (target, chemists, nobody) in [
        ("/x", None, Some(Reason::Denied)),
        ("/public", None, Some(Reason::Denied)),
        ("/secret", Some(Reason::StepUpRequired), Some(Reason::Denied)),
        ("//x", Some(Reason::AmbiguousPath), Some(Reason::AmbiguousPath)),
        ("/.cardea/session", Some(Reason::NotFound), Some(Reason::NotFound)),
    ] {
        for (group, expected) in [(Some("chemists"), chemists), (None, nobody)] {
            let found = house.proxy.evaluate(&admitted, &about(&house, group, target)).await.unwrap();
            assert_eq!(found.refused, expected, "{group:?} {target}");
            let entry = entry(&house, &found);
            let Actor::Caller(actor) = &entry.actor else { panic!("{entry:?}") };
            assert_eq!(matches!(actor, Caller::User(_)), group.is_some(), "{entry:?}");
            assert_eq!((request(&entry).reason, request(&entry).detail.is_some()), (expected, group.is_none()));
            assert!(request(&entry).asked_by.is_some());
        }
    }
    let nothing = Inquiry { description: None, ..about(&house, Some("chemists"), "/x") };
    let found = house.proxy.evaluate(&admitted, &nothing).await.unwrap();
    assert_eq!((found.refused, request(&entry(&house, &found)).status), (Some(Reason::NotFound), 404));
    assert_eq!(house.lent.entries.lock().unwrap().len(), 11);
}

#[tokio::test]
async fn where_the_person_is_stands_in_the_entry_only_if_the_service_says() {
    let (house, admitted) = asking(Plan::at("http://127.0.0.1:1")).await;
    let mut inquiry = about(&house, Some("chemists"), "/x");
    for (said, told) in [("192.0.2.7", Some("192.0.2.7")), ("::ffff:192.0.2.8", Some("192.0.2.8")), ("0.0.0.0", None)] {
        inquiry.description.as_mut().unwrap().client = said.parse().unwrap();
        let found = house.proxy.evaluate(&admitted, &inquiry).await.unwrap();
        let client = entry(&house, &found).client.map(|client| client.address.to_string());
        assert_eq!(client.as_deref(), told, "{said}");
    }
    assert_eq!(Inquiry::NOWHERE.to_string(), "0.0.0.0");
}
