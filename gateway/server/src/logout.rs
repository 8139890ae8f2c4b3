//! Apps that are told that a session is over (OpenID Connect Back-Channel Logout 1.0; we are the provider): those of its tenant that name
//! a place for it in their file. No request waits for one: each word is put in a bounded queue, of which each tenant has a fair share,
//! once the end is in the store, and brought beside all requests. Apps that do not answer hold up no other.
//!
//! A word that is given up while the process lives is an entry of the tenant (`logout-untold`), a figure and a warning. None is kept over a restart: an
//! app that hears nothing may conclude nothing.

mod figures;
mod hands;
mod round;
mod tries;

#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cardea_audit::{Event, Subject};
use cardea_core::{AppId, SessionId, TenantId, UserId};
use cardea_identity::{
    Session, keys,
    logout::{self, LogoutToken},
    session::{End, EndReason},
};
use cardea_proxy::upstream::Telling;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{House, figures::Outcomes, house::Doer, queue::Waits};

use figures::{Labels, Outcome};
use hands::{Failing, Hand};
use round::{Round, Tried, Turn, Untold};
use tries::Answer;

/// Words that may wait, at rest or not. Four thousand: what a hundred people's sessions are to forty apps, and less than a megabyte.
pub(crate) const WAITING: usize = 4_096;
/// Words of one end of many sessions: a quarter of what may wait.
pub(crate) const AT_ONCE: usize = 1_024;
/// Eight seconds for what waits when the process ends: three tries at a service that fails at once.
const LAST_WORDS: Duration = Duration::from_secs(8);

/// What apps are to be told.
pub(crate) struct Logouts {
    round: Round,
    /// Told when there is no time left.
    over: CancellationToken,
    untold: AtomicU64,
    pub(crate) counts: Outcomes<Labels>,
}

/// That one session is over, for one app.
#[derive(Debug)]
struct Word {
    tenant: TenantId,
    app: AppId,
    user: Subject,
    session: SessionId,
    /// When it was found out.
    since: Instant,
    /// How often its app was asked.
    tries: usize,
    /// When it is to be tried again.
    due: Option<Instant>,
    /// Where a try has failed.
    failing: Option<Failing>,
}

impl Waits for Word {
    type Share = AppId;

    fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    fn share(&self) -> AppId {
        self.app.clone()
    }

    fn due(&self) -> Option<Instant> {
        self.due
    }
}

impl Default for Logouts {
    fn default() -> Self {
        let (round, over, untold) = Default::default();
        Self { round, over, untold, counts: figures::counts() }
    }
}

impl Logouts {
    /// Whose apps are still to be told.
    pub(crate) fn waiting(&self) -> Vec<TenantId> {
        self.round.waiting()
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
        std::iter::from_fn(|| self.round.queue.next_now()).map(|word| word.session).collect()
    }
}

/// Tells apps until the process ends.
pub(crate) async fn deliver(house: Arc<House>) {
    tell(&house, |_| false).await;
}

/// Tells apps, until nothing is left to do now and `over` says that nothing will be.
async fn tell(house: &Arc<House>, over: impl Fn(&Round) -> bool) {
    let round = &house.logouts.round;
    loop {
        match round.turn(Instant::now()) {
            Ok(Turn::Told(word, hand)) => begin(house, word, hand),
            Ok(Turn::Late(word)) => house.give_up(word),
            Err(_) if over(round) => return,
            Err(due) => round.queue.changed(due).await,
        }
    }
}

fn begin(house: &Arc<House>, word: Word, hand: Hand) {
    let house = Arc::clone(house);
    tokio::spawn(async move {
        house.bring(word).await;
        drop(hand);
    });
}

/// Tells what is still to be told, as long as there is time; the rest is given up.
pub(crate) async fn finish(house: &Arc<House>) {
    let Logouts { round, over, .. } = &house.logouts;
    if tokio::time::timeout(LAST_WORDS, tell(house, Round::is_over)).await.is_ok() {
        return;
    }
    over.cancel();
    // Those under way hear it at once, and say so.
    while !round.hands.are_idle() {
        round.queue.changed(None).await;
    }
    while let Some(word) = round.queue.next_now() {
        house.give_up(Untold::dropped(word, ENDED));
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
        let since = Instant::now();
        let word = |app: &AppId, session| {
            let (tenant, app, user) = (tenant.clone(), app.clone(), whose.clone());
            Word { tenant, app, user, session, since, tries: 0, due: None, failing: None }
        };
        let names: Vec<_> = lived.iter().flat_map(|session| session.names()).collect();
        let (told, beyond) = names.split_at(names.len().min((AT_ONCE / apps().count()).max(1)));
        for (session, app) in told.iter().flat_map(|session| apps().map(move |app| (session, app))) {
            if let Some(dropped) = self.logouts.round.put(word(app, *session)) {
                self.give_up(dropped);
            }
        }
        if let Some(first) = beyond.first() {
            for app in apps() {
                let why = format!("too many ended at once: this one and {} more names", beyond.len() - 1);
                self.give_up(Untold::dropped(word(app, *first), &why));
            }
        }
    }

    /// Gives up all words that wait, since no app can be reached.
    pub(crate) fn tell_nobody(&self, why: &str) {
        while let Some(word) = self.logouts.round.queue.next_now() {
            self.give_up(Untold { word, outcome: Outcome::Failed, why: why.to_owned() });
        }
    }

    /// Tells one app, or has the word rest until it is tried again, or gives it up.
    async fn bring(&self, word: Word) {
        let answer = tokio::select! {
            answer = self.say(&word) => answer,
            () = self.logouts.over.cancelled() => return self.give_up(Untold::dropped(word, ENDED)),
        };
        match self.logouts.round.tried(word, answer, Instant::now()) {
            Tried::Told => self.logouts.counts.count(Outcome::Told),
            Tried::Rests => {}
            Tried::Untold(word) => self.give_up(word),
        }
    }

    /// Tells one app once. Each try has a token of its own.
    async fn say(&self, word: &Word) -> Answer {
        let not = |why: &str| Answer::Not(why.to_owned());
        let state = self.state.load();
        let Some(state) = state.tenants.get(&word.tenant) else {
            let behind = state.behind.contains_key(&word.tenant);
            return not(if behind { "what its tenant is made of cannot be used" } else { "the tenant is gone" });
        };
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
    fn give_up(&self, Untold { word, outcome, why: detail }: Untold) {
        let Word { tenant, app, user, session, .. } = word;
        self.logouts.untold.fetch_add(1, Ordering::Relaxed);
        self.logouts.counts.count(outcome);
        tracing::warn!(%tenant, %app, %session, cause = detail, "an app was not told that a session is over");
        self.note(&tenant, &Doer::gateway(), Event::LogoutUntold { app, user, session, detail });
    }
}
