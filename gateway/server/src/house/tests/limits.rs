//! Limits that a tenant sets for sessions of one assurance, as requests meet them.

use super::*;
use crate::house::Raising;

const RULES: &str = "[session]\nidle_minutes = 60\nabsolute_hours = 12\n[session.assurance_1]\nabsolute_hours = 24\n\
                     [session.assurance_2]\nidle_minutes = 15\nabsolute_hours = 1\n";

impl Stage {
    /// The session raised to 2, and a handle to it.
    async fn raised(&self) -> (Session, Handle) {
        let now = self.house.now();
        let factor = cardea_core::FactorId::mint(now, &*self.house.entropy);
        let data = FactorData::Totp { secret: cardea_identity::Sealed::from_stored("sealed"), last_step: None };
        let app = Factor { id: factor, name: String::new(), data, created: now, last_used: None };
        self.house.store.insert_factor(&self.tenant, self.user.id, &app).await.unwrap();
        let proofs = [Proof { means: Means::Totp { factor }, at: now }];
        let tenant = self.house.tenant(&self.tenant).unwrap();
        let raising = Raising { tenant: &tenant, user: &self.user, session: self.session.id, proofs: &proofs, now };
        let session = self.house.raise(&raising, Doer::operator()).await.unwrap().unwrap();
        let (handle, record) = HandleRecord::issue(&session, HOST, now, &*self.house.entropy);
        self.house.shared.handle_insert(&record, &session).await.unwrap();
        (session, handle)
    }

    async fn under(rules: &str) -> Self {
        let stage = Self::set().await;
        apply(&stage.house, rules).await;
        stage.house.load_state().await.unwrap();
        let (session, handle) = sign_in(&stage.house, &stage.tenant, &stage.user).await;
        Self { session, handle, ..stage }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_assurance_ends_by_its_own_idle_limit() {
    let stage = Stage::under(RULES).await;
    stage.pass(59 * 60);
    assert!(stage.find(&stage.handle).await.is_some(), "at 1 an hour is allowed");
    let (_, handle) = stage.raised().await;
    assert!(stage.find(&stage.handle).await.is_none(), "it was replaced");
    stage.pass(14 * 60);
    assert!(stage.find(&handle).await.is_some());
    stage.pass(14 * 60);
    assert!(stage.find(&handle).await.is_some(), "the last use did not count");
    stage.pass(15 * 60);
    assert!(stage.find(&handle).await.is_none(), "a quarter of an hour is all at 2");
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_absolute_limit_of_the_higher_assurance_counts_from_the_rise() {
    let stage = Stage::under(RULES).await;
    // Used all along, for twenty hours.
    for _ in 0..24 {
        stage.pass(50 * 60);
        assert!(stage.find(&stage.handle).await.is_some());
    }
    let (session, handle) = stage.raised().await;
    assert_eq!(session.expires, stage.house.now().plus(Duration::from_secs(3600)));
    for _ in 0..5 {
        stage.pass(10 * 60);
        let live = stage.find(&handle).await.unwrap();
        assert_eq!((live.assurance, live.ends_at), (Assurance::Two, session.expires));
    }
    assert!(stage.cached(&handle));
    stage.pass(599);
    assert!(stage.find(&handle).await.is_some());
    stage.pass(1);
    // Memory says so by the one comparison that it makes; no store is asked.
    assert!(!stage.cached(&handle));
    assert!(stage.find(&handle).await.is_none());
    stage.strike().await;
}
