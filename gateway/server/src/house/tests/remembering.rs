//! Remembered devices, as days go by and rules change.

use cardea_core::FactorId;
use cardea_identity::{Ticket, device::Device, remembered::Place};

use super::{changes::Disk, *};
use crate::house::{BELOW_MINIMUM, InBrowser, Raising};

const DAY: i64 = 24 * 3600;

/// Somebody with two factors, and a browser.
struct Desk {
    stage: Stage,
    factors: Vec<Factor>,
    browser: Device,
}

impl Desk {
    async fn set() -> Self {
        Self::on(None).await
    }

    async fn on(disk: Option<Arc<dyn FaultHook>>) -> Self {
        let stage = Stage::on(disk).await;
        let now = stage.house.now();
        let key = FactorData::Passkey {
            credential_id: "k".to_owned(),
            credential: serde_json::Value::Null,
            reach: Assurance::Two,
            copied: None,
        };
        let mut factors = Vec::new();
        for (seed, data) in [(71, FactorData::Password { phc: String::new() }), (72, key)] {
            let id = FactorId::mint(now, &Fixed::new(seed));
            let factor = Factor { id, name: String::new(), data, created: now, last_used: None };
            stage.house.store.insert_factor(&stage.tenant, stage.user.id, &factor).await.unwrap();
            factors.push(factor);
        }
        let desk = Self { stage, factors, browser: Device::new(&Fixed::new(73)) };
        desk.allow(30).await;
        desk
    }

    async fn allow(&self, days: u16) {
        apply(&self.stage.house, &format!("[factors]\nminimum = 2\nremember_days = {days}\n")).await;
        self.stage.house.load_state().await.unwrap();
    }

    fn place(&self) -> Place<'_> {
        Place { browser: &self.browser, agent: "Firefox on Linux".to_owned(), client: [192, 0, 2, 7].into() }
    }

    async fn remember(&self, before: Option<&Ticket>) -> Ticket {
        let (house, tenant) = (&self.stage.house, self.stage.house.tenant(&self.stage.tenant).unwrap());
        let asked = self.asked(&tenant);
        let (factor, doer) = (self.factors[1].id, Doer::gateway());
        house.remember_device(&asked, factor, self.place(), (before, &doer)).await.unwrap().unwrap().key
    }

    fn asked<'a>(&'a self, tenant: &'a TenantState) -> InBrowser<'a> {
        let (user, now) = (&self.stage.user, self.stage.house.now());
        InBrowser { tenant, user, factors: &self.factors, browser: Some(&self.browser), now }
    }

    /// When the factor was shown for which that key stands in now.
    async fn shown(&self, key: &Ticket) -> Option<Timestamp> {
        let tenant = self.stage.house.tenant(&self.stage.tenant).unwrap();
        let found = self.stage.house.recall(&self.asked(&tenant), key).await.unwrap();
        found.map(|found| found.proof.at)
    }

    /// Uses that key; gives the next.
    async fn uses(&self, key: &Ticket) -> Option<Ticket> {
        let (house, tenant) = (&self.stage.house, self.stage.house.tenant(&self.stage.tenant).unwrap());
        let asked = self.asked(&tenant);
        let found = house.recall(&asked, key).await.unwrap()?;
        let used = house.use_device(&asked, found, self.place(), &Doer::gateway()).await.unwrap();
        used.map(|next| next.key)
    }

    /// Somebody types the password in this browser, which shows that key: what it tells of a copy.
    async fn shows(&self, key: &Ticket) {
        let tenant = self.stage.house.tenant(&self.stage.tenant).unwrap();
        self.stage.house.look_for_copies(&self.asked(&tenant), key, &Doer::gateway()).await.unwrap();
    }

    /// Signs in by the password, and the device of that key in place of the other factor.
    async fn signs_in(&self, key: &Ticket) -> (Session, Handle) {
        let (stage, tenant) = (&self.stage, self.stage.house.tenant(&self.stage.tenant).unwrap());
        let found = stage.house.recall(&self.asked(&tenant), key).await.unwrap().unwrap();
        let password = Proof { means: Means::Password { factor: self.factors[0].id }, at: stage.house.now() };
        sign_in_by(&stage.house, &stage.tenant, &stage.user, vec![password, found.proof]).await
    }

    async fn count(&self, kind: &str) -> usize {
        self.stage.events().await.iter().filter(|one| *one == kind).count()
    }

    async fn listed(&self) -> usize {
        let tenant = self.stage.house.tenant(&self.stage.tenant).unwrap();
        self.stage.house.devices(&tenant, self.stage.user.id).await.unwrap().len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_asked_again_when_its_days_are_over_however_often_it_was_used() {
    let desk = Desk::set().await;
    let begun = desk.stage.house.now();
    let mut key = desk.remember(None).await;
    for _ in 0..29 {
        desk.stage.pass(DAY);
        let next = desk.uses(&key).await.unwrap();
        assert!(desk.shown(&key).await.is_none(), "a key is good once");
        key = next;
    }
    desk.stage.pass(DAY - 1);
    assert_eq!((desk.shown(&key).await, desk.listed().await), (Some(begun), 1));
    desk.stage.pass(1);
    assert_eq!((desk.shown(&key).await, desk.listed().await), (None, 0));
    let told = desk.stage.events().await;
    let count = |kind: &str| told.iter().filter(|one| *one == kind).count();
    assert_eq!((count("device-remembered"), count("device-used")), (1, 29));
    desk.stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_allows_fewer_days_means_those_that_are_remembered_too() {
    let desk = Desk::set().await;
    let key = desk.remember(None).await;
    desk.stage.pass(7 * DAY);
    desk.allow(7).await;
    assert_eq!((desk.shown(&key).await, desk.listed().await), (None, 0));
    desk.allow(8).await;
    assert!(desk.shown(&key).await.is_some());
    apply(&desk.stage.house, "[factors]\nminimum = 2\n").await;
    desk.stage.house.load_state().await.unwrap();
    assert_eq!((desk.shown(&key).await, desk.listed().await), (None, 0), "none is remembered any more");
    desk.stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_is_remembered_again_is_remembered_once_and_reuse_of_a_session_forgets_it() {
    let desk = Desk::set().await;
    let first = desk.remember(None).await;
    let second = desk.remember(Some(&first)).await;
    assert_eq!((desk.shown(&first).await, desk.listed().await), (None, 1));
    let (stage, doer) = (&desk.stage, Doer::gateway());
    stage.house.end_session(&stage.tenant, stage.session.id, EndReason::Reuse, &doer).await.unwrap();
    assert_eq!((desk.shown(&second).await, desk.listed().await), (None, 0));
    assert!(stage.events().await.iter().any(|one| one == "device-forgotten"));
    desk.stage.strike().await;
}

/// The copy was used first; its owner is asked, shows the factor and has the browser remembered again. Both have its mark.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_who_has_the_browser_remembered_again_leaves_its_copy_nothing() {
    let desk = Desk::set().await;
    let owners = desk.remember(None).await;
    let (_, handle) = desk.signs_in(&owners).await;
    let copys = desk.uses(&owners).await.unwrap();
    let newest = desk.remember(Some(&owners)).await;
    assert_eq!((desk.shown(&copys).await, desk.listed().await), (None, 1), "the copy is remembered still");
    assert!(desk.shown(&newest).await.is_some(), "the owner is not");
    assert!(desk.stage.find(&handle).await.is_none(), "what rests on the copy goes on");
    // As where the browser has lost its key.
    desk.remember(None).await;
    assert_eq!((desk.shown(&newest).await, desk.listed().await), (None, 1));
    assert_eq!((desk.count("device-forgotten").await, desk.count("session-ended").await), (2, 1));
    desk.stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_shown_after_its_use_forgets_every_device_and_ends_what_rests_on_them() {
    let desk = Desk::set().await;
    let first = desk.remember(None).await;
    let (_, handle) = desk.signs_in(&first).await;
    let second = desk.uses(&first).await.unwrap();
    desk.stage.pass(60);
    desk.shows(&first).await;
    desk.shows(&Ticket::draw(&Fixed::new(9))).await;
    assert_eq!((desk.listed().await, desk.count("device-forgotten").await), (1, 0), "a form that was sent twice");
    assert!(desk.stage.find(&handle).await.is_some());
    desk.stage.pass(1);
    desk.shows(&first).await;
    assert_eq!((desk.shown(&second).await, desk.listed().await), (None, 0));
    assert!(desk.stage.find(&handle).await.is_none(), "the session that rests on it goes on");
    assert!(desk.stage.find(&desk.stage.handle).await.is_some(), "another's ended");
    desk.shows(&first).await;
    assert_eq!(desk.count("device-forgotten").await, 1, "said once");
    desk.stage.strike().await;
}

/// The session ended first, and where the entry of the devices could not be written nothing ever told of the reuse.
#[tokio::test(flavor = "multi_thread")]
async fn a_reuse_of_which_nothing_could_be_written_is_found_out_again() {
    let disk = Arc::new(Disk(false.into()));
    let desk = Desk::on(Some(Arc::clone(&disk) as _)).await;
    desk.remember(None).await;
    let (stage, doer) = (&desk.stage, Doer::gateway());
    disk.0.store(true, Ordering::SeqCst);
    {
        let mut ends =
            std::pin::pin!(stage.house.end_session(&stage.tenant, stage.session.id, EndReason::Reuse, &doer));
        loop {
            match tokio::time::timeout(Duration::from_millis(20), &mut ends).await {
                Ok(done) => break drop(done.unwrap_err()),
                Err(_) => stage.pass(1),
            }
        }
    }
    disk.0.store(false, Ordering::SeqCst);
    while stage.house.log.flush().await.is_err() {}
    let again = stage.house.end_session(&stage.tenant, stage.session.id, EndReason::Reuse, &doer).await.unwrap();
    assert_eq!((again, desk.listed().await, desk.count("session-reuse").await), (true, 0, 1));
    desk.stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_for_a_factor_that_is_asked_for_no_more_reaches_nothing() {
    let desk = Desk::set().await;
    let key = desk.remember(None).await;
    let (_, handle) = desk.signs_in(&key).await;
    let live = desk.stage.find(&handle).await.unwrap();
    assert_eq!((live.assurance, live.reachable, live.lacks_second_factor), (Assurance::Two, Assurance::Two, false));
    apply(&desk.stage.house, "[factors]\nminimum = 2\npasskey = false\nremember_days = 30\n").await;
    desk.stage.house.load_state().await.unwrap();
    desk.stage.pass(31);
    let live = desk.stage.find(&handle).await.unwrap();
    assert_eq!((live.assurance, live.reachable, live.lacks_second_factor), (Assurance::Two, Assurance::One, true));
    desk.stage.strike().await;
}

/// Below the tenant's minimum there is time to put another factor in the place of what was lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_code_ends_what_a_device_stood_in_for() {
    let desk = Desk::set().await;
    let key = desk.remember(None).await;
    desk.stage.pass(7 * DAY);
    let (session, _) = desk.signs_in(&key).await;
    let (stage, now) = (&desk.stage, desk.stage.house.now());
    let data = FactorData::Recovery { key: cardea_identity::Sealed::from_stored("") };
    let codes =
        Factor { id: FactorId::mint(now, &Fixed::new(74)), name: String::new(), data, created: now, last_used: None };
    stage.house.store.insert_factor(&stage.tenant, stage.user.id, &codes).await.unwrap();
    let (tenant, shown) = (stage.house.tenant(&stage.tenant).unwrap(), Means::Recovery { factor: codes.id });
    let proofs = [Proof { means: shown, at: now }];
    let raising = Raising { tenant: &tenant, user: &stage.user, session: session.id, proofs: &proofs, now };
    let raised = stage.house.raise(&raising, Doer::gateway()).await.unwrap().unwrap();
    assert_eq!((raised.assurance, raised.factor_names()), (Assurance::One, vec!["password", "recovery"]));
    assert_eq!((raised.signed_in_at, raised.expires), (now, now.plus(BELOW_MINIMUM)));
    desk.stage.strike().await;
}
