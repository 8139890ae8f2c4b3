//! Which ends of sessions apps are told of. Nobody brings the words here: they are looked at where they wait.

use std::time::Duration;

use cardea_core::{FactorId, SessionId};
use cardea_identity::{Sealed, Ticket, session::End};
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};

use super::{
    changes::{Disk, add, north, tenant_reaching},
    *,
};
use crate::{
    house::{FACTOR_LINK, Following, Raising},
    logout::{AT_ONCE, WAITING},
};

/// Has all apps of a tenant want to be told.
async fn wants_to_be_told(house: &House, tenant: &TenantId) {
    let mut wanted = house.store.bundle().await.unwrap();
    let tenant = wanted.tenants.get_mut(tenant).unwrap();
    tenant.apps.values_mut().for_each(|app| app.back_channel_logout = Some("/over".to_owned()));
    let plan = Plan::between(house.store.bundle().await.unwrap(), &wanted);
    let hash = |_: &TenantId, _: &PolicySet| String::new();
    let with = Applying { author: "operator", note: "", hash: &hash, now: house.now() };
    house.store.apply(&plan, &with).await.unwrap();
}

impl Stage {
    /// As [`Stage::set`], with an app that wants to be told.
    async fn telling() -> Self {
        Self::telling_on(None).await
    }

    /// The same, with faults injected into the writing of entries.
    async fn telling_on(disk: Option<Arc<dyn FaultHook>>) -> Self {
        let stage = Self::on(disk).await;
        wants_to_be_told(&stage.house, &stage.tenant).await;
        stage.house.load_state().await.unwrap();
        stage
    }

    fn words(&self) -> Vec<SessionId> {
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

/// Has the database refuse what `when` names.
async fn refuse(house: &House, when: &str) {
    let path = house.config.database();
    let mut database = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    let nth = when.len();
    let trigger = format!("CREATE TRIGGER refused_{nth} BEFORE {when} BEGIN SELECT RAISE(ABORT, 'refused'); END");
    sqlx::query(AssertSqlSafe(trigger)).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
}

const SEEN: &str = "UPDATE ON users";
const HANDED: &str = "INSERT ON handles";
/// Another end than the first.
const ENDED: &str = "UPDATE OF ended_at ON sessions WHEN EXISTS (SELECT 1 FROM sessions WHERE ended_at IS NOT NULL)";

/// The old session is over by then, and nobody holds another: once it went on in silence.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_up_that_fails_on_its_way_ends_the_session_for_the_apps() {
    for (refused, goes_on) in [(&[][..], true), (&[SEEN], false), (&[SEEN, ENDED], false), (&[HANDED], false)] {
        let stage = Stage::telling().await;
        let (house, now) = (&stage.house, stage.house.now());
        let id = FactorId::mint(now, &*house.entropy);
        let data = FactorData::Totp { secret: Sealed::from_stored("sealed"), last_step: None };
        let factor = Factor { id, name: String::new(), data, created: now, last_used: None };
        house.store.insert_factor(&stage.tenant, stage.user.id, &factor).await.unwrap();
        let (tenant, proofs) =
            (house.tenant(&stage.tenant).unwrap(), [Proof { means: Means::Totp { factor: id }, at: now }]);
        let session = stage.session.id;
        let raising = Raising { tenant: &tenant, user: &stage.user, session, proofs: &proofs, now };
        for when in refused {
            refuse(house, when).await;
        }
        let raised = match house.raise(&raising, Doer::operator()).await {
            Ok(raised) => house.hand(&raised.unwrap(), HOST, now).await,
            Err(fault) => Err(fault),
        };
        assert_eq!(raised.is_ok(), goes_on, "{refused:?}");
        let words = stage.words();
        assert_eq!(words.contains(&session), !goes_on, "{refused:?}: {words:?}");
        assert_eq!(stage.events().await.contains(&"session-ended".to_owned()), !goes_on, "{refused:?}");
        let open = house.shared.sessions_of_user(&stage.tenant, stage.user.id, now).await.unwrap();
        // The store could not end what it keeps, which nobody holds; its own time ends that.
        assert_eq!(open.len(), usize::from(goes_on || refused.contains(&ENDED)), "{refused:?}");
        stage.strike().await;
    }
}

/// The same for a link, whose entry could not be written.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_fails_on_its_way_ends_the_session_for_the_apps() {
    let disk = Arc::new(Disk(false.into()));
    let stage = Stage::telling_on(Some(Arc::clone(&disk) as _)).await;
    let (house, now) = (&stage.house, stage.house.now());
    let tenant = house.tenant(&stage.tenant).unwrap();
    let link = house.make_factor_link(&tenant, stage.user.id, &Doer::operator()).await.unwrap();
    let ticket = Ticket::parse(link.url.split(FACTOR_LINK).nth(1).unwrap()).unwrap().hash();
    let following = Following { tenant: &tenant, user: &stage.user, session: stage.session.id, ticket: &ticket, now };
    disk.0.store(true, Ordering::SeqCst);
    let followed = {
        let mut follows = std::pin::pin!(house.follow_link(&following, Doer::operator()));
        // Whoever waits for an entry is told so once it has waited too long.
        loop {
            match tokio::time::timeout(Duration::from_millis(20), &mut follows).await {
                Ok(followed) => break followed,
                Err(_) => stage.pass(1),
            }
        }
    };
    assert!(followed.is_err() && stage.words().contains(&stage.session.id), "{followed:?}");
    disk.0.store(false, Ordering::SeqCst);
    while house.log.flush().await.is_err() {}
    assert!(house.shared.sessions_of_user(&stage.tenant, stage.user.id, now).await.unwrap().is_empty());
    stage.strike().await;
}

/// A command that ends a session, and finds only then what reaches its apps.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_cannot_be_reached_is_told_of_as_what_it_is() {
    let stage = Stage::set().await;
    for (dir, upstream, refused, why) in [
        ("unready", "", Some("INSERT ON signing_keys"), "what reaches its service could not be made ready"),
        ("behind", "ca_file = \"none.pem\"", None, "what its tenant is made of cannot be used"),
    ] {
        let config = || {
            let text = format!("[state]\ndir = \"{dir}\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\nplain = true\n");
            Config::parse("cardea.toml", &text, &stage.folder, stage.clock.now()).unwrap()
        };
        let clock = || Arc::clone(&stage.clock) as Arc<dyn Clock>;
        let house = House::unprepared(config(), clock(), Arc::clone(&stage.house.entropy)).await.unwrap();
        add(&house, tenant_reaching("north", upstream)).await;
        wants_to_be_told(&house, &north()).await;
        house.close().await;
        let house = House::open_to_change(config(), clock(), Arc::clone(&stage.house.entropy)).await.unwrap();
        let user = join(&house, &north()).await;
        sign_in(&house, &north(), &user).await;
        house.end_sessions_of_user(&north(), user.id, None, EndReason::Administrator, &Doer::operator()).await.unwrap();
        if let Some(when) = refused {
            refuse(&house, when).await;
        }
        assert_eq!(house.close_changed().await, 1, "{dir}");
        let read = Reading::open(&config(), stage.house.now()).await.unwrap();
        let page = read.store.log(Some(&north()), &LogQuery { limit: 99, ..LogQuery::default() }).await.unwrap();
        let told: Vec<_> = page.items.iter().map(|one| String::from_utf8(one.body.clone()).unwrap()).collect();
        let untold = told.iter().find(|one| one.contains("logout-untold")).unwrap();
        assert!(untold.contains(why), "{dir}: {untold}");
    }
    stage.strike().await;
}
