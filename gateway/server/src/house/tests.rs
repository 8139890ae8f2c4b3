use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicI64, AtomicU32, Ordering},
};

use cardea_core::{
    Assurance, Reason, UserId,
    entropy::Fixed,
    resources::{Bundle, PolicySet},
};
use cardea_identity::{
    Email, Factor, FactorData, Handle, HandleRecord, Session, Status, User,
    assurance::{Means, Proof},
    session::{EndReason, Start},
};
use cardea_proxy::{Found, Sessions as _};
use cardea_storage::{Applying, LogQuery, Plan};

use super::*;

mod accounts;
mod changes;
mod crowd;
mod explaining;
mod going_away;
mod invitation;
mod letters;
mod limits;
mod logout;
mod own_pages;
mod programs;
mod reading;
mod reload;
mod remembering;
mod rotation;
mod suspension;

/// A clock that the test moves.
struct Moved(AtomicI64);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// A house in a folder of its own, with one tenant and one person who is signed in on the app's host.
struct Stage {
    house: Arc<House>,
    clock: Arc<Moved>,
    tenant: TenantId,
    user: User,
    session: Session,
    handle: Handle,
    folder: PathBuf,
}

const HOST: &str = "records.acme.localhost";

impl Stage {
    async fn set() -> Self {
        Self::on(None).await
    }

    /// As [`Stage::set`], with faults injected into the writing of entries.
    async fn on(disk: Option<Arc<dyn FaultHook>>) -> Self {
        Self::configured("", disk).await
    }

    /// As [`Stage::set`], with more in its configuration.
    async fn configured(more: &str, disk: Option<Arc<dyn FaultHook>>) -> Self {
        static NTH: AtomicU32 = AtomicU32::new(0);
        let nth = NTH.fetch_add(1, Ordering::SeqCst);
        let folder = std::env::temp_dir().join(format!("cardea-house-{}-{nth}", std::process::id()));
        let text = format!("[state]\ndir = \"state\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\nplain = true\n{more}");
        let clock = Arc::new(Moved(AtomicI64::new(1_800_000_000_000_000)));
        let config = Config::parse("cardea.toml", &text, &folder, clock.now()).unwrap();
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let entropy = Arc::new(Fixed::new(u64::from(nth)));
        let house = House::built(config, Arc::clone(&clock) as _, entropy, disk).await.unwrap();
        apply(&house, "").await;
        house.load_state().await.unwrap();
        let tenant = TenantId::parse("acme").unwrap();
        let user = join(&house, &tenant).await;
        let (session, handle) = sign_in(&house, &tenant, &user).await;
        Self { house, clock, tenant, user, session, handle, folder }
    }

    fn pass(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    async fn find(&self, handle: &Handle) -> Option<Arc<cardea_proxy::LiveSession>> {
        match self.house.find(&self.tenant, &handle.hash(), self.house.now()).await.unwrap() {
            Found::Live(session) => Some(session),
            Found::Over(_) => None,
        }
    }

    /// What the holder of a handle that opens nothing is told.
    async fn told(&self, handle: &Handle) -> Option<Reason> {
        match self.house.find(&self.tenant, &handle.hash(), self.house.now()).await.unwrap() {
            Found::Live(_) => None,
            Found::Over(reason) => Some(reason),
        }
    }

    /// Whether a stream of the session may stay open.
    async fn current(&self) -> bool {
        self.house.current(&self.tenant, self.session.id, HOST, self.house.now()).await.unwrap().is_some()
    }

    fn cached(&self, handle: &Handle) -> bool {
        self.house.cached(&self.tenant, &handle.hash(), self.house.now()).is_some()
    }

    async fn events(&self) -> Vec<String> {
        self.house.log.flush().await.unwrap();
        let query = LogQuery { limit: 100, ..LogQuery::default() };
        let page = self.house.store.log(Some(&self.tenant), &query).await.unwrap();
        page.items.iter().map(|one| Entry::read(&one.body).unwrap().event.code().to_owned()).collect()
    }

    async fn strike(self) {
        self.house.close().await;
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

async fn apply(house: &House, more_of_the_tenant: &str) {
    let tenant = format!("id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n{more_of_the_tenant}");
    let files: BTreeMap<_, _> = [
        ("tenants/acme/tenant.toml", tenant.as_str()),
        (
            "tenants/acme/apps/records.toml",
            "id = \"records\"\nname = \"R\"\nhosts = [\"records.acme.localhost\"]\n[upstream]\nurl = \"http://127.0.0.1:1\"\n",
        ),
        ("tenants/acme/groups/staff.toml", "id = \"staff\"\nname = \"S\"\n"),
    ]
    .map(|(path, text)| (path.to_owned(), text.to_owned()))
    .into();
    let wanted = Bundle::read(&files).unwrap();
    let plan = Plan::between(house.store.bundle().await.unwrap(), &wanted);
    let hash = |_: &TenantId, _: &PolicySet| String::new();
    let with = Applying { author: "operator", note: "", hash: &hash, now: house.now() };
    house.store.apply(&plan, &with).await.unwrap();
}

async fn join(house: &House, tenant: &TenantId) -> User {
    let now = house.now();
    let user = User {
        id: UserId::mint(now, &*house.entropy),
        tenant: tenant.clone(),
        email: Email::parse("ada@acme.example").unwrap(),
        name: "Ada".to_owned(),
        status: Status::Active,
        groups: Vec::new(),
        created: now,
        changed: now,
        last_seen: None,
        attributes: cardea_core::Attributes::default(),
    };
    house.store.insert_user(&user).await.unwrap();
    user
}

async fn sign_in(house: &House, tenant: &TenantId, user: &User) -> (Session, Handle) {
    let now = house.now();
    let factor = cardea_core::FactorId::mint(now, &*house.entropy);
    sign_in_by(house, tenant, user, vec![Proof { means: Means::Password { factor }, at: now }]).await
}

async fn sign_in_by(house: &House, tenant: &TenantId, user: &User, proofs: Vec<Proof>) -> (Session, Handle) {
    let now = house.now();
    let start = Start {
        tenant: tenant.clone(),
        user: user.id,
        proofs,
        agent: String::new(),
        client: None,
        rules: &house.tenant(tenant).unwrap().bundle.tenant.session,
        now,
    };
    let session = Session::begin(start, &*house.entropy).unwrap();
    house.shared.session_insert(&session).await.unwrap();
    let (handle, record) = HandleRecord::issue(&session, HOST, now, &*house.entropy);
    house.shared.handle_insert(&record, &session).await.unwrap();
    (session, handle)
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_answers_for_thirty_seconds_and_then_asks() {
    let stage = Stage::set().await;
    assert!(!stage.cached(&stage.handle));
    assert_eq!(&*stage.find(&stage.handle).await.unwrap().host, HOST);
    assert!(stage.cached(&stage.handle));
    stage.pass(29);
    assert!(stage.cached(&stage.handle));
    stage.pass(1);
    assert!(!stage.cached(&stage.handle));
    let other = TenantId::parse("north").unwrap();
    assert!(stage.house.cached(&other, &stage.handle.hash(), stage.house.now()).is_none());
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspension_bites_on_the_next_request_and_ends_what_is_open() {
    let stage = Stage::set().await;
    assert!(stage.find(&stage.handle).await.is_some());
    let ended = stage.house.suspend_user(&stage.tenant, stage.user.id, &Doer::operator()).await.unwrap();
    assert_eq!(ended, 1);
    assert!(!stage.cached(&stage.handle), "memory still knows the session");
    assert!(stage.find(&stage.handle).await.is_none());
    assert_eq!(stage.told(&stage.handle).await, Some(Reason::UserSuspended));
    let strangers = Handle::draw(&Fixed::new(99));
    assert_eq!(stage.told(&strangers).await, Some(Reason::SessionEnded), "a stranger learns of the suspension");
    assert!(stage.events().await.contains(&"user-suspended".to_owned()));
    stage.house.activate_user(&stage.tenant, stage.user.id, &Doer::operator()).await.unwrap();
    assert_eq!(stage.told(&stage.handle).await, Some(Reason::SessionEnded), "what ended stays ended");
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_counts_from_the_next_request_on() {
    let stage = Stage::set().await;
    assert!(stage.find(&stage.handle).await.unwrap().user.groups.is_empty());
    let tenant = stage.house.tenant(&stage.tenant).unwrap();
    let staff = [cardea_core::GroupId::parse("staff").unwrap()];
    stage.house.set_groups(&tenant, stage.user.id, &staff, &Doer::operator()).await.unwrap();
    assert!(!stage.cached(&stage.handle));
    assert_eq!(stage.find(&stage.handle).await.unwrap().user.groups, staff);
    let unknown = [cardea_core::GroupId::parse("stuff").unwrap()];
    let refused = stage.house.set_groups(&tenant, stage.user.id, &unknown, &Doer::operator()).await;
    let Err(ChangeFault::Invalid(no)) = refused else { panic!("{refused:?}") };
    let help = no.help.unwrap();
    assert!(help.starts_with("did you mean `staff`? ") && help.contains("there are"), "{help}");
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_for_a_factor_that_the_tenant_has_switched_off() {
    let stage = Stage::set().await;
    let secret = stage
        .house
        .sealer(&stage.tenant)
        .await
        .unwrap()
        .seal("factors/1", b"12345678901234567890", &*stage.house.entropy)
        .unwrap();
    let factor = Factor {
        id: cardea_core::FactorId::mint(stage.house.now(), &*stage.house.entropy),
        name: "Phone".to_owned(),
        data: FactorData::Totp { secret, last_step: None },
        created: stage.house.now(),
        last_used: None,
    };
    stage.house.store.insert_factor(&stage.tenant, stage.user.id, &factor).await.unwrap();
    let live = stage.find(&stage.handle).await.unwrap();
    assert_eq!((live.reachable, live.lacks_second_factor), (Assurance::Two, false));
    apply(&stage.house, "[factors]\ntotp = false\n").await;
    stage.house.load_state().await.unwrap();
    let live = stage.find(&stage.handle).await.unwrap();
    assert_eq!((live.reachable, live.lacks_second_factor), (Assurance::One, true), "a passkey may still be added");
    apply(&stage.house, "[factors]\ntotp = false\npasskey = false\n").await;
    stage.house.load_state().await.unwrap();
    assert!(!stage.find(&stage.handle).await.unwrap().lacks_second_factor, "there is none that could be added");
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_before_a_change_is_not_remembered_after_it() {
    let stage = Stage::set().await;
    let asked_at = stage.house.cache.generation();
    let stale = stage.find(&stage.handle).await.unwrap();
    stage.house.forget_user(stage.user.id);
    stage.house.cache.put(&stale, stage.house.now(), asked_at);
    assert!(!stage.cached(&stage.handle), "a session read before the change came back");
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_ends_and_says_so_once() {
    let stage = Stage::set().await;
    assert!(stage.find(&stage.handle).await.is_some());
    stage.pass(3601);
    assert!(stage.find(&stage.handle).await.is_none());
    assert!(stage.find(&stage.handle).await.is_none());
    assert_eq!(stage.events().await.iter().filter(|code| *code == "session-ended").count(), 1);
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_stream_keeps_no_session_alive() {
    let stage = Stage::set().await;
    stage.pass(3000);
    assert!(stage.current().await, "its session is neither idle nor old");
    stage.pass(601);
    assert!(!stage.current().await, "the stream counted as a use");
    let (session, _) = sign_in(&stage.house, &stage.tenant, &stage.user).await;
    let stage = Stage { session, ..stage };
    assert!(stage.current().await);
    apply(&stage.house, "[session]\nidle_minutes = 300\nabsolute_hours = 2\n").await;
    stage.house.load_state().await.unwrap();
    stage.pass(7199);
    assert!(stage.current().await);
    stage.pass(1);
    assert!(!stage.current().await, "the limit as it is now came too late for the stream");
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_an_administrator_ends_is_gone_everywhere() {
    let stage = Stage::set().await;
    assert!(stage.find(&stage.handle).await.is_some());
    let (house, doer) = (&stage.house, Doer::operator());
    assert!(house.end_session(&stage.tenant, stage.session.id, EndReason::Administrator, &doer).await.unwrap());
    assert!(!house.end_session(&stage.tenant, stage.session.id, EndReason::Administrator, &doer).await.unwrap());
    assert!(!stage.cached(&stage.handle));
    assert!(stage.find(&stage.handle).await.is_none());
    stage.strike().await;
}
