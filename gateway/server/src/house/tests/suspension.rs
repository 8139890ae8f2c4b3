//! A suspension that broke off half-way.

use super::*;

impl Stage {
    /// A suspension whose process ended right after the door was shut.
    async fn broke_off(&self) {
        let (tenant, id, now) = (&self.tenant, self.user.id, self.house.now());
        assert!(self.house.store.set_status(tenant, id, Status::Active, Status::Suspended, now).await.unwrap());
    }

    /// Lifts the suspension, all the way.
    async fn lift(&self) {
        let user = self.house.activate_user(&self.tenant, self.user.id, &Doer::operator()).await.unwrap();
        // As before, though she has no factor: where codes by e-mail are all that people need, nobody has one.
        assert_eq!(user.status, Status::Active);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_try_makes_it_whole() {
    let stage = Stage::set().await;
    stage.broke_off().await;
    let suspend = async || stage.house.suspend_user(&stage.tenant, stage.user.id, &Doer::operator()).await;
    assert_eq!(suspend().await.unwrap(), 1, "the session was left");
    assert_eq!(stage.events().await.iter().filter(|code| *code == "user-suspended").count(), 1);
    assert_eq!(suspend().await.unwrap(), 0);
    stage.lift().await;
    assert!(stage.find(&stage.handle).await.is_none());
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_from_before_it_outlives_it() {
    let stage = Stage::set().await;
    assert!(stage.find(&stage.handle).await.is_some());
    stage.broke_off().await;
    stage.lift().await;
    assert!(stage.find(&stage.handle).await.is_none(), "a session from before the suspension came back");
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_invited_is_invited_still_and_who_starts_over_too() {
    let stage = Stage::set().await;
    let (store, id, operator) = (&stage.house.store, stage.user.id, Doer::operator());
    // A reset asks for a new beginning, which a suspension in between must not spare.
    store.reset_user(&stage.tenant, id, stage.house.now()).await.unwrap();
    stage.house.suspend_user(&stage.tenant, id, &operator).await.unwrap();
    let user = stage.house.activate_user(&stage.tenant, id, &operator).await.unwrap();
    assert_eq!(user.status, Status::Invited);
    stage.strike().await;
}
