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
        let (tenant, id, now) = (&self.tenant, self.user.id, self.house.now());
        // Who never chose a factor is invited again.
        self.house.activate_user(tenant, id, &Doer::operator()).await.unwrap();
        assert!(self.house.store.set_status(tenant, id, Status::Invited, Status::Active, now).await.unwrap());
        self.house.forget_user(id);
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
