//! Handles and their successors.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_is_replaced_once_and_its_late_use_ends_the_session() {
    let stage = Stage::set().await;
    stage.pass(900);
    let live = stage.find(&stage.handle).await.unwrap();
    let now = stage.house.now();
    let next = stage.house.rotate(&live, now).await.unwrap().expect("the first who asks gets the new handle");
    assert!(stage.house.rotate(&live, now).await.unwrap().is_none(), "a second new handle was given out");
    let next = Handle::parse(&next).unwrap();
    assert!(stage.find(&next).await.is_some());
    stage.pass(50);
    let old = stage.find(&stage.handle).await.expect("parallel requests still hold the old handle");
    assert!(old.rotate_at.is_none(), "a replaced handle would be replaced again");
    stage.pass(50);
    assert!(stage.find(&stage.handle).await.is_none(), "a replaced handle worked after its grace");
    assert!(stage.find(&next).await.is_none(), "the session outlived the reuse of a handle");
    assert_eq!(stage.events().await.iter().filter(|code| *code == "session-reuse").count(), 1);
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_no_stolen_cookie() {
    let stage = Stage::set().await;
    stage.pass(900);
    let live = stage.find(&stage.handle).await.unwrap();
    let lost = stage.house.rotate(&live, stage.house.now()).await.unwrap().expect("it is due");
    // The browser never got it, and comes back much later with what it has.
    stage.pass(1200);
    let again = stage.find(&stage.handle).await.expect("an aborted answer ended the session");
    assert!(again.rotate_at.is_some_and(|at| at <= stage.house.now()), "it is not given another");
    let next = stage.house.rotate(&again, stage.house.now()).await.unwrap().expect("the next is due");
    assert!(stage.find(&Handle::parse(&lost).unwrap()).await.is_none(), "the lost one opens the session, too");
    let next = Handle::parse(&next).unwrap();
    assert!(stage.find(&next).await.is_some());
    // Only now the old one has a successor in use: after the grace its use is a second party's.
    stage.pass(61);
    assert!(stage.find(&stage.handle).await.is_none());
    assert!(stage.find(&next).await.is_none());
    assert_eq!(stage.events().await.iter().filter(|code| *code == "session-reuse").count(), 1);
    stage.strike().await;
}
