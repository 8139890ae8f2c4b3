use std::{collections::BTreeMap, net::Ipv4Addr};

use cardea_core::entropy::Fixed;

use super::*;
use crate::testing::{now, tenant};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// AuthQuake (2024): parallel sessions made unlimited guesses. Here a thousand in one second get ten.
#[test]
fn guesses_stop_at_the_limit_and_then_trickle() {
    let (mut tries, mut admitted) = (Tries::default(), 0);
    for _ in 0..1000 {
        if let Ok(next) = tries.admit(&PER_ACCOUNT, now()) {
            tries = next;
            admitted += 1;
        }
    }
    assert_eq!(admitted, 10);
    let mut at = now();
    for _ in 0..24 * 3600 {
        at = at.plus(seconds(1));
        if let Ok(next) = tries.admit(&PER_ACCOUNT, at) {
            tries = next;
            admitted += 1;
        }
    }
    assert!(admitted < 45, "{admitted} guesses in a day");
}

#[test]
fn waits_grow_and_nobody_is_locked_out() {
    let waits: Vec<_> = (9..14).map(|count| PER_ACCOUNT.wait_after(count)).collect();
    assert_eq!(waits, [0, 30, 60, 120, 240].map(seconds));
    assert_eq!(PER_ACCOUNT.wait_after(u32::MAX), seconds(3600));
    let tired = Tries { count: 500, last: now() };
    assert!(tired.admit(&PER_ACCOUNT, now().plus(seconds(3600))).is_ok());
    assert_eq!(tired.admit(&PER_ACCOUNT, now().plus(seconds(24 * 3600))).unwrap().count, 1);
}

#[test]
fn a_refused_try_costs_nothing_and_a_clock_set_back_gains_nothing() {
    let tries = Tries { count: 10, last: now() };
    assert_eq!(tries.admit(&PER_ACCOUNT, now().plus(seconds(10))), Err(seconds(20)));
    assert_eq!(tries.admit(&PER_ACCOUNT, now().minus(seconds(3600))), Err(seconds(30)));
}

#[test]
fn a_try_given_back_was_never_made_and_none_below_nothing() {
    let tries = Tries { count: 3, last: now() };
    assert_eq!(tries.given_back(), Tries { count: 2, last: now() });
    assert_eq!(Tries::default().given_back(), Tries::default());
}

fn account(text: &str) -> Account {
    Account::of(&tenant(), &Email::parse(text).unwrap())
}

/// What a store does, in memory.
#[derive(Default)]
struct Counters(BTreeMap<String, Tries>);

impl Counters {
    /// Whether a wrong guess gets through.
    fn guess(&mut self, limits: &Limits, at: Timestamp) -> bool {
        let mut passed = Vec::new();
        for limit in limits.in_order() {
            let stood = self.0.entry(limit.key.clone()).or_default();
            let Ok(next) = stood.admit(&limit.rule, at) else {
                for key in passed {
                    self.0.entry(key).and_modify(|tries| *tries = tries.given_back());
                }
                return false;
            };
            *stood = next;
            passed.push(limit.key.clone());
        }
        true
    }
}

fn from(network: u32) -> IpAddr {
    IpAddr::from(Ipv4Addr::from(0x0a00_0000 + network))
}

/// A thousand networks guess at one account all day. They get little, and its owner, in a browser that has been
/// there before, signs in at any moment, be it from one of the same networks.
#[test]
fn guesses_from_everywhere_are_bounded_and_keep_no_owner_out() {
    let (ada, mut counters, mut through) = (account("ada@north.example"), Counters::default(), 0);
    let device = Device::new(&Fixed::new(1)).remember(ada.clone(), now());
    for minute in 0..24 * 60 {
        let at = now().plus(seconds(minute * 60));
        for network in 0..50 {
            let limits = limits(Target::Password, &ada, from(network + 50 * (minute as u32 % 20)), None, at);
            through += u32::from(counters.guess(&limits, at));
        }
        let owner = limits(Target::Password, &ada, from(minute as u32), Some(&device), at);
        assert!(owner.in_order().all(|limit| {
            let stood = counters.0.get(&limit.key).copied().unwrap_or_default();
            stood.admit(&limit.rule, at).is_ok()
        }));
    }
    assert!((50..100).contains(&through), "{through} guesses in a day");
}

/// An attacker who knew an older password has any number of browsers that the account knows.
#[test]
fn known_browsers_are_bounded_one_by_one_and_in_all() {
    let (ada, mut counters) = (account("ada@north.example"), Counters::default());
    let mut guesses = |seed, count| {
        let device = Device::new(&Fixed::new(seed)).remember(ada.clone(), now());
        let limits = limits(Target::Password, &ada, from(1), Some(&device), now());
        (0..count).filter(|_| counters.guess(&limits, now())).count()
    };
    assert_eq!(guesses(1, 100), 10);
    assert_eq!((2..100).map(|seed| guesses(seed, 10)).sum::<usize>(), 40);
}

#[test]
fn who_is_refused_by_address_raises_no_accounts_counter() {
    let (ada, mut counters) = (account("ada@north.example"), Counters::default());
    for nth in 0..100 {
        let other = limits(Target::Password, &account(&format!("p{nth}@north.example")), from(1), None, now());
        assert!(counters.guess(&other, now()));
    }
    let hers = limits(Target::Password, &ada, from(1), None, now());
    assert!(!counters.guess(&hers, now()));
    assert!(hers.account.iter().all(|limit| !counters.0.contains_key(&limit.key)));
    assert!(counters.guess(&limits(Target::Password, &ada, from(2), None, now()), now()));
}

/// AuthQuake: ten thousand codes from a hundred networks are guesses at one account. And whoever has stolen the proof before,
/// and guesses at the next, keeps no owner out where they have signed in.
#[test]
fn codes_are_counted_for_the_account_and_keep_no_owner_out() {
    let (ada, mut counters) = (account("ada@north.example"), Counters::default());
    let hers = Device::new(&Fixed::new(1)).remember(ada.clone(), now());
    // Each kind has its own: guesses at one keep nobody from the other.
    for target in [Target::Totp, Target::Recovery] {
        let mut through = |networks: u32, device: Option<&Device>| {
            let one = |nth: &u32| counters.guess(&limits(target, &ada, from(nth % networks), device, now()), now());
            (0..10_000).filter(one).count()
        };
        assert_eq!(through(1, None), 10, "{target:?} from one place");
        assert_eq!(through(100, None), 40, "{target:?} from all places, with those before");
        assert_eq!(through(100, Some(&hers)), 10, "{target:?} from a browser of hers");
    }
}

/// Strangers who want letters for a mailbox keep nobody from joining who holds the link for it.
#[test]
fn letters_by_an_invitation_link_are_counted_for_the_link() {
    let (ada, mut counters) = (account("ada@north.example"), Counters::default());
    let link = TicketHash::from_bytes([7; 32]);
    for (target, free) in [(Target::Letter, 5), (Target::Email, 10)] {
        for nth in 0..100 {
            counters.guess(&limits(target, &ada, from(nth), None, now()), now());
        }
        let by_link = Limits { address: None, account: vec![by_link(target, &link)] };
        assert_eq!((0..100).filter(|_| counters.guess(&by_link, now())).count(), free, "{target:?}");
    }
}

/// A stranger fills a mailbox with so many letters, and no more, and the browsers of its owner may still ask for one.
#[test]
fn letters_to_one_mailbox_are_few_whoever_asks_for_them() {
    let (ada, mut counters) = (account("ada@north.example"), Counters::default());
    let asked = |counters: &mut Counters, from: IpAddr, device: Option<&Device>, count| {
        let limits = limits(Target::Letter, &ada, from, device, now());
        (0..count).filter(|_| counters.guess(&limits, now())).count()
    };
    assert_eq!(asked(&mut counters, from(1), None, 100), 5);
    assert_eq!((2..100).map(|nth| asked(&mut counters, from(nth), None, 10)).sum::<usize>(), 10);
    let hers = Device::new(&Fixed::new(1)).remember(ada.clone(), now());
    assert_eq!(asked(&mut counters, from(1), Some(&hers), 100), 5);
    // And one network to so many mailboxes.
    let mut counters = Counters::default();
    let through = (0..1_000).filter(|nth| {
        let other = account(&format!("p{nth}@north.example"));
        counters.guess(&limits(Target::Letter, &other, from(1), None, now()), now())
    });
    assert_eq!(through.count(), 100);
}

/// Authelia CVE-2025-24806: counters per spelling of the login name.
#[test]
fn one_account_has_one_counter_however_it_is_spelt() {
    let of = |text| limits(Target::Totp, &account(text), from(1), None, now());
    assert_eq!(of("ada@north.example"), of(" ADA@North.Example "));
    assert_ne!(of("ada@north.example").account, of("bob@north.example").account);
    assert!(!of("ada@north.example").account[0].key.contains("ada"));
}

#[test]
fn an_ipv6_subscriber_is_one_address() {
    let of = |text: &str| by_address(Target::Password, text.parse().unwrap());
    assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
    assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
}

/// A proof that was shown counted again in the second half of its life: its rule was made of the time that was left.
#[test]
fn what_counts_once_is_refused_until_its_life_is_over() {
    let (rule, t0) = (Rule::once(Duration::from_secs(60)), Timestamp::from_secs(1_800_000_000));
    let shown = Tries::default().admit(&rule, t0).unwrap();
    for seconds in [0, 29, 31, 59] {
        assert!(shown.admit(&rule, t0.plus(Duration::from_secs(seconds))).is_err(), "{seconds}");
    }
    assert!(shown.admit(&rule, t0.plus(Duration::from_secs(60))).is_ok());
    // A pace that looks the same is none.
    assert!(rule.is_once() && !Rule { counts: Counts::Tries, ..rule }.is_once());
    assert!(![PER_ACCOUNT, PER_ACCOUNT_IN_ALL, LETTERS, LETTERS_IN_ALL, PER_ADDRESS].iter().any(Rule::is_once));
}
