//! Which ends of sessions apps are told of. Nobody brings the words here: they are looked at where they wait.

use cardea_identity::session::End;

use super::*;
use crate::logout::{AT_ONCE, WAITING};

impl Stage {
    /// As [`Stage::set`], with an app that wants to be told.
    async fn telling() -> Self {
        let stage = Self::set().await;
        let mut wanted = stage.house.store.bundle().await.unwrap();
        let tenant = wanted.tenants.get_mut(&stage.tenant).unwrap();
        tenant.apps.values_mut().for_each(|app| app.back_channel_logout = Some("/over".to_owned()));
        let plan = Plan::between(stage.house.store.bundle().await.unwrap(), &wanted);
        let hash = |_: &TenantId, _: &PolicySet| String::new();
        let with = Applying { author: "operator", note: "", hash: &hash, now: stage.house.now() };
        stage.house.store.apply(&plan, &with).await.unwrap();
        stage.house.load_state().await.unwrap();
        stage
    }

    fn words(&self) -> Vec<cardea_core::SessionId> {
        self.house.logouts.taken()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_ends_is_told_and_what_time_ends_is_not() {
    let stage = Stage::telling().await;
    let (house, tenant, doer) = (&stage.house, &stage.tenant, Doer::gateway());
    for (why, told) in [
        (EndReason::SignedOut, true),
        (EndReason::Administrator, true),
        (EndReason::Reuse, true),
        (EndReason::FactorChanged, true),
        (EndReason::Idle, false),
        (EndReason::Absolute, false),
    ] {
        let (session, _) = sign_in(house, tenant, &stage.user).await;
        assert!(house.end_session(tenant, session.id, why, &doer).await.unwrap());
        assert!(!house.end_session(tenant, session.id, why, &doer).await.unwrap());
        assert_eq!(stage.words(), told.then_some(session.id).into_iter().collect::<Vec<_>>(), "{why:?}");
    }
    // Another in the same browser is an act, too.
    let (session, _) = sign_in(house, tenant, &stage.user).await;
    house.end_replaced(tenant, session.id).await.unwrap();
    house.end_replaced(tenant, session.id).await.unwrap();
    assert_eq!(stage.words(), [session.id]);
    // All at once, but one: each once.
    let (spared, _) = sign_in(house, tenant, &stage.user).await;
    let why = EndReason::SignedOut;
    assert_eq!(house.end_sessions_of_user(tenant, stage.user.id, Some(spared.id), why, &doer).await.unwrap(), 1);
    assert_eq!(stage.words(), [stage.session.id]);
    house.suspend_user(tenant, stage.user.id, &doer).await.unwrap();
    house.suspend_user(tenant, stage.user.id, &doer).await.unwrap();
    assert_eq!(stage.words(), [spared.id]);
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_over_before_anybody_ended_it_is_not_told() {
    let stage = Stage::telling().await;
    let (house, tenant, doer) = (&stage.house, &stage.tenant, Doer::gateway());
    let idle = house.tenant(tenant).unwrap().bundle.tenant.session.idle(stage.session.assurance);
    stage.pass(i64::try_from(idle.as_secs()).unwrap());
    let (fresh, _) = sign_in(house, tenant, &stage.user).await;
    assert_eq!(house.suspend_user(tenant, stage.user.id, &doer).await.unwrap(), 2, "both end");
    assert_eq!(stage.words(), [fresh.id], "and one was alive");
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_for_which_there_is_no_room_is_an_entry() {
    let stage = Stage::telling().await;
    let end = End { at: stage.house.now(), why: EndReason::SignedOut };
    let over = vec![stage.session.clone(); AT_ONCE + 2];
    let tell = async |over: &[Session]| stage.house.tell_apps(&stage.tenant, stage.user.id, over, end).await;
    let untold = async || stage.events().await.iter().filter(|code| *code == "logout-untold").count();
    for _ in 0..WAITING / AT_ONCE {
        tell(&over[2..]).await;
    }
    assert_eq!(untold().await, 0);
    tell(&over[..1]).await;
    assert_eq!((untold().await, stage.words().len()), (1, WAITING));
    // Of one end, however many sessions it is of, there are so many words and one entry.
    tell(&over).await;
    assert_eq!((untold().await, stage.words().len()), (2, AT_ONCE));
    stage.strike().await;
}
