//! Apps that are told that a session is over (OpenID Connect Back-Channel Logout 1.0; we are the provider): those of its tenant that name
//! a place for it in their file. No request waits for one: each word is put in a bounded queue, of which each tenant has a fair share,
//! once the end is in the store, and brought beside all requests. An app that does not answer holds up no other; where several do not, the others
//! of their tenant wait for seconds.
//!
//! A word that is given up while the process lives is an entry of the tenant (`logout-untold`), a figure and a warning. None is kept over a restart: an
//! app that hears nothing may conclude nothing.

mod figures;
mod hands;
mod tries;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cardea_audit::{Event, Subject};
use cardea_core::{AppId, SessionId, TenantId, Timestamp, UserId};
use cardea_identity::{
    Session, keys,
    logout::{self, LogoutToken},
    session::{End, EndReason},
};
use cardea_proxy::upstream::Telling;
use tokio_util::sync::CancellationToken;

use crate::{
    House,
    house::Doer,
    queue::{Queue, Waits},
};

use figures::{Counts, Outcome};
use hands::{Hand, Hands};
use tries::{Answer, Next};

/// Words that may wait. Four thousand: what a hundred people's sessions are to forty apps, and less than a megabyte.
pub(crate) const WAITING: usize = 4_096;
/// Words of one end of many sessions: a quarter of what may wait.
pub(crate) const AT_ONCE: usize = 1_024;
/// Eight seconds for what waits when the process ends: three tries at a service that fails at once.
const LAST_WORDS: Duration = Duration::from_secs(8);

/// What apps are to be told.
pub(crate) struct Logouts {
    queue: Queue<Word>,
    hands: Arc<Hands>,
    /// Told when there is no time left.
    over: CancellationToken,
    untold: AtomicU64,
    pub(crate) counts: Counts,
}

/// That one session is over, for one app.
#[derive(Debug)]
struct Word {
    tenant: TenantId,
    app: AppId,
    user: Subject,
    session: SessionId,
    since: Timestamp,
}

impl Waits for Word {
    fn tenant(&self) -> &TenantId {
        &self.tenant
    }
}

impl Default for Logouts {
    fn default() -> Self {
        let queue = Queue::new(WAITING);
        let hands = Hands::new(queue.bell());
        let (over, untold, counts) = (CancellationToken::new(), AtomicU64::new(0), Counts::default());
        Self { queue, hands, over, untold, counts }
    }
}

impl Logouts {
    /// Whose apps are still to be told.
    pub(crate) fn waiting(&self) -> Vec<TenantId> {
        self.queue.tenants()
    }

    /// How many words were given up.
    pub(crate) fn untold(&self) -> u64 {
        self.untold.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
impl Logouts {
    /// The sessions of the words that wait, which wait no more.
    pub(crate) fn taken(&self) -> Vec<SessionId> {
        std::iter::from_fn(|| self.queue.next_now()).map(|word| word.session).collect()
    }
}

/// Tells apps until the process ends.
pub(crate) async fn deliver(house: Arc<House>) {
    loop {
        let (word, hand) = house.logouts.queue.next_for(|word| house.logouts.hands.take(word)).await;
        begin(&house, hand, word);
    }
}

fn begin(house: &Arc<House>, hand: Hand, word: Word) {
    let house = Arc::clone(house);
    tokio::spawn(async move {
        house.bring(word).await;
        drop(hand);
    });
}

/// Tells what is still to be told, as long as there is time; the rest is given up.
pub(crate) async fn finish(house: &Arc<House>) {
    let Logouts { queue, hands, over, .. } = &house.logouts;
    let (bell, all_idle) = (queue.bell(), || queue.is_empty() && hands.are_idle());
    let rest = async {
        loop {
            while let Some((word, hand)) = queue.next_now_for(|word| hands.take(word)) {
                begin(house, hand, word);
            }
            if all_idle() {
                return;
            }
            bell.notified().await;
        }
    };
    if tokio::time::timeout(LAST_WORDS, rest).await.is_ok() {
        return;
    }
    over.cancel();
    while let Some(word) = queue.next_now() {
        house.give_up(word, Outcome::Dropped, ENDED.to_owned());
    }
    // Those under way hear it at once, and say so.
    while !hands.are_idle() {
        bell.notified().await;
    }
}

/// Why an app was not told for which there was no time left.
const ENDED: &str = "the process ended before it was told";

impl House {
    /// Has the apps of the tenant told of sessions of a user that are over by what somebody did. Those whose time was over before are not
    /// told, since nobody found that out until now.
    pub(crate) async fn tell_apps(&self, tenant: &TenantId, user: UserId, over: &[Session], end: End) {
        if matches!(end.why, EndReason::Idle | EndReason::Absolute) {
            return;
        }
        let Some(state) = self.tenant(tenant) else { return };
        let apps = || state.bundle.apps.values().filter(|app| app.back_channel_logout.is_some()).map(|app| &app.id);
        let rules = &state.bundle.tenant.session;
        let lived: Vec<_> = over.iter().filter(|session| session.past(rules, end.at).is_none()).collect();
        if lived.is_empty() || apps().next().is_none() {
            return;
        }
        // The id stands in any case; whoever was deleted has no address any more.
        let whose = self.subject_of(tenant, user).await.unwrap_or(Subject { id: user, email: String::new() });
        let word = |app: &AppId, session| {
            let (tenant, app, user) = (tenant.clone(), app.clone(), whose.clone());
            Word { tenant, app, user, session, since: end.at }
        };
        let names: Vec<_> = lived.iter().flat_map(|session| session.names()).collect();
        let (told, beyond) = names.split_at(names.len().min((AT_ONCE / apps().count()).max(1)));
        for (session, app) in told.iter().flat_map(|session| apps().map(move |app| (session, app))) {
            if let Some(dropped) = self.logouts.queue.put(word(app, *session)) {
                self.give_up(dropped, Outcome::Dropped, "too many others wait".to_owned());
            }
        }
        if let Some(first) = beyond.first() {
            for app in apps() {
                let detail = format!("too many ended at once: this one and {} more names", beyond.len() - 1);
                self.give_up(word(app, *first), Outcome::Dropped, detail);
            }
        }
    }

    /// Tells one app, as often as it takes, or gives it up.
    async fn bring(&self, word: Word) {
        let mut nth = 1;
        loop {
            let tried = async {
                let answer = match tries::begin(self.now().since(word.since)) {
                    Ok(()) => self.say(&word).await,
                    Err(late) => Answer::Not(late.to_owned()),
                };
                let next = tries::after(nth, self.now().since(word.since), answer);
                if let Next::Again(pause) = next {
                    tokio::time::sleep(pause).await;
                }
                next
            };
            let next = tokio::select! {
                next = tried => next,
                () = self.logouts.over.cancelled() => return self.give_up(word, Outcome::Dropped, ENDED.to_owned()),
            };
            match next {
                Next::Again(_) => nth += 1,
                Next::Done => return self.logouts.counts.count(Outcome::Told),
                Next::Refused => return self.give_up(word, Outcome::Refused, tries::REFUSES.to_owned()),
                Next::GivenUp(why) => return self.give_up(word, Outcome::Failed, why),
            }
        }
    }

    /// Tells one app once. Each try has a token of its own.
    async fn say(&self, word: &Word) -> Answer {
        let not = |why: &str| Answer::Not(why.to_owned());
        let Some(state) = self.tenant(&word.tenant) else { return not("the tenant is gone") };
        let Some(app) = state.app(&word.app) else { return not("the app is gone") };
        let (Some(path), Some(upstream)) = (&app.spec.back_channel_logout, &app.upstream) else {
            return not("the app wants to be told no more");
        };
        let now = self.now();
        let ring = self.keys.of(&word.tenant);
        let key = ring.as_ref().and_then(|ring| ring.signing.get(&keys::signer(&ring.records, now)?.id));
        let said =
            LogoutToken { iss: &state.route.sign_in_origin, aud: &word.app, sub: word.user.id, sid: word.session };
        let token = key.and_then(|key| logout::mint(said, key, now, &*self.entropy).ok());
        let Some(token) = token else { return not("the tenant has no key that signs now") };
        let origin = app.spec.hosts.first().map(|host| self.config.origin(host)).unwrap_or_default();
        let host = origin.rsplit('/').next().unwrap_or_default();
        let told = Telling { host, path, form: &format!("logout_token={token}") };
        match upstream.tell(told, tries::PATIENCE).await {
            Ok(status) => Answer::Status(status.as_u16()),
            Err(reason) => Answer::Fault(reason),
        }
    }

    /// Notes that an app is not told.
    fn give_up(&self, word: Word, outcome: Outcome, detail: String) {
        let Word { tenant, app, user, session, .. } = word;
        self.logouts.untold.fetch_add(1, Ordering::Relaxed);
        self.logouts.counts.count(outcome);
        tracing::warn!(%tenant, %app, %session, cause = detail, "an app was not told that a session is over");
        self.note(&tenant, &Doer::gateway(), Event::LogoutUntold { app, user, session, detail });
    }
}
