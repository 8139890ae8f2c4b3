//! Who waits for whom, where apps do not answer. Time is made here: a try takes as long as its app says.

use std::{collections::HashMap, time::Duration};

use cardea_core::{Reason, Timestamp, entropy::Fixed};

use super::*;

/// A word for an app, put now.
pub(super) fn word(tenant: &str, app: &str) -> Word {
    word_at(tenant, app, Instant::now())
}

fn word_at(tenant: &str, app: &str, since: Instant) -> Word {
    let at = Timestamp::from_micros(0);
    Word {
        tenant: TenantId::parse(tenant).unwrap(),
        app: AppId::parse(app).unwrap(),
        user: Subject { id: UserId::mint(at, &Fixed::new(1)), email: String::new() },
        session: SessionId::mint(at, &Fixed::new(2)),
        since,
        tries: 0,
        due: None,
        failing: None,
    }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A round in which apps whose name begins with `hung` say nothing, those with `gone` are not there, and others answer at once.
struct Play {
    round: Round,
    begun: Instant,
    now: Instant,
    /// The tries under way at apps that say nothing, and when they end.
    asked: Vec<(Instant, Word, Hand)>,
    /// When each word was told: tenant, app, seconds from the beginning.
    told: Vec<(String, String, u64)>,
    untold: Vec<Untold>,
    /// The most that were asked at once, of each app.
    most: HashMap<AppId, usize>,
}

impl Play {
    fn new() -> Self {
        let now = Instant::now();
        let (asked, told, untold, most) = Default::default();
        Self { round: Round::default(), begun: now, now, asked, told, untold, most }
    }

    /// So many words for each app, one after the other as sessions end.
    fn put(&mut self, count: usize, tenant: &str, apps: &[&str]) {
        for app in std::iter::repeat_n(apps, count).flatten() {
            self.untold.extend(self.round.put(word_at(tenant, app, self.now)));
        }
    }

    fn tried(&mut self, word: Word, hand: Hand, answer: Answer) {
        let (tenant, app) = (word.tenant.to_string(), word.app.to_string());
        match self.round.tried(word, answer, self.now) {
            Tried::Told => self.told.push((tenant, app, (self.now - self.begun).as_secs())),
            Tried::Rests => {}
            Tried::Untold(word) => self.untold.push(word),
        }
        drop(hand);
    }

    /// Lets time pass until then.
    fn until(&mut self, second: u64) {
        let end = self.begun + seconds(second);
        loop {
            let due = loop {
                match self.round.turn(self.now) {
                    Ok(Turn::Late(word)) => self.untold.push(word),
                    Ok(Turn::Told(word, hand)) => self.ask(word, hand),
                    Err(due) => break due,
                }
            };
            let next = self.asked.iter().map(|(ends, ..)| *ends).chain(due).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = next;
            while let Some(place) = self.asked.iter().position(|(ends, ..)| *ends <= next) {
                let (_, word, hand) = self.asked.remove(place);
                self.tried(word, hand, Answer::Fault(Reason::UpstreamTimeout));
            }
        }
        self.now = end;
    }

    fn ask(&mut self, word: Word, hand: Hand) {
        match word.app.as_str() {
            hung if hung.starts_with("hung") => {
                let most = self.most.entry(word.app.clone()).or_default();
                *most = (*most).max(1 + self.asked.iter().filter(|(_, one, _)| one.app == word.app).count());
                self.asked.push((self.now + tries::PATIENCE, word, hand));
            }
            gone if gone.starts_with("gone") => self.tried(word, hand, Answer::Fault(Reason::UpstreamUnreachable)),
            _ => self.tried(word, hand, Answer::Status(204)),
        }
    }

    /// When words to the apps of that name were told.
    fn told(&self, tenant: &str, app: &str) -> Vec<u64> {
        self.told.iter().filter(|one| one.0 == tenant && one.1 == app).map(|one| one.2).collect()
    }
}

#[test]
fn apps_that_hang_keep_neither_their_neighbours_nor_other_tenants_waiting() {
    let mut play = Play::new();
    let (four, tenants) = (["hung1", "hung2", "hung3", "hung4"], ["acme", "north", "south", "west"]);
    // Those that hang have had all that they get, before anybody else comes.
    for tenant in tenants {
        play.put(20, tenant, &four);
    }
    for second in [0, 3, 7, 12, 30, 59] {
        play.until(second);
        for tenant in ["acme", "west", "fifth"] {
            play.put(3, tenant, &["well"]);
        }
        play.until(second);
        for tenant in ["acme", "west", "fifth"] {
            let told = play.told(tenant, "well");
            assert!(told.ends_with(&[second; 3]), "{tenant} waits at {second}: {told:?}");
        }
    }
    assert!(play.most.values().all(|most| *most <= 8), "of four tenants two each: {:?}", play.most);
    play.until(90);
    assert!(play.round.is_over() && play.untold.len() == 4 * 4 * 20, "{}", play.untold.len());
    let whys: Vec<_> = play.untold.iter().map(|one| one.why.as_str()).collect();
    assert!(whys.contains(&"upstream-timeout, at try 3") && whys.contains(&"its turn did not come within a minute"));
    assert!(play.untold.iter().all(|one| one.outcome == Outcome::Failed && one.word.app.as_str() != "well"));
}

/// However many hang: others wait for the first try of those that were well before, and no longer.
#[test]
fn a_tenant_whose_apps_all_hang_but_one_has_that_one_told() {
    let mut play = Play::new();
    let hung: Vec<_> = (0..20).map(|nth| format!("hung{nth}")).collect();
    let mut apps: Vec<_> = hung.iter().map(String::as_str).collect();
    apps.push("well");
    for _ in 0..100 {
        play.put(1, "acme", &apps);
    }
    play.until(15);
    let told = play.told("acme", "well");
    assert_eq!(told.len(), 100, "by then: {told:?}");
    play.put(2, "acme", &["well"]);
    play.until(15);
    assert_eq!(play.told("acme", "well").len(), 102, "whoever comes later waits for none");
    play.until(100);
    assert!(play.round.is_over() && play.untold.len() == 2_000);
}

#[test]
fn what_rests_holds_no_hand_and_has_its_place_in_the_bound() {
    let mut play = Play::new();
    play.put(WAITING, "acme", &["gone"]);
    play.until(0);
    assert!(play.round.hands.are_idle() && !play.round.is_over(), "a hand waits for time to pass");
    assert_eq!((play.untold.len(), play.round.waiting().len()), (0, 1));
    // All of them rest; whoever comes finds room all the same, and the youngest of those goes.
    play.put(3, "acme", &["well"]);
    assert_eq!(play.untold.iter().map(|one| one.word.app.as_str()).collect::<Vec<_>>(), ["gone"; 3]);
    assert!(play.untold.iter().all(|one| one.outcome == Outcome::Dropped && one.why == "too many others wait"));
    play.until(0);
    assert_eq!(play.told("acme", "well"), [0, 0, 0]);
    play.until(5);
    assert!(!play.round.is_over(), "at the second try");
    play.until(6);
    assert!(play.round.is_over() && play.untold.len() == WAITING);
}

#[test]
fn an_app_that_is_dead_loses_its_own_words_and_no_neighbours() {
    let mut play = Play::new();
    play.put(3, "acme", &["hung1"]);
    play.until(0);
    // What its neighbour is to hear comes between all that the dead one does not.
    play.put(WAITING - 10, "acme", &["hung1"]);
    play.put(100, "acme", &["hung1", "well"]);
    assert_eq!(play.untold.len(), 200 - 10 + 1, "there is room for {WAITING}, and two were asked");
    assert!(play.untold.iter().all(|one| one.word.app.as_str() == "hung1" && one.outcome == Outcome::Dropped));
    play.until(0);
    assert_eq!(play.told("acme", "well"), [0; 100]);
    // Past their time they go together: nobody is asked for them one by one.
    play.until(65);
    let app = AppId::parse("hung1").unwrap();
    assert_eq!((play.most[&app], play.untold.len()), (2, WAITING - 10 + 103), "{}", play.untold.len());
    assert!(play.round.is_over());
    assert_eq!(play.told("acme", "well").len(), 100);
}
