//! Several gateways count one rate, and strangers in masses count.

use std::collections::HashMap;

use super::*;

const AT: i64 = 1_800_000_000_000_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros(AT + millis * 1_000)
}

fn rate(requests: u32, seconds: u32) -> Rate {
    Rate { requests, seconds, burst: None }
}

struct Names {
    acme: TenantId,
    records: AppId,
}

fn names() -> Names {
    Names { acme: TenantId::parse("acme").unwrap(), records: AppId::parse("records").unwrap() }
}

impl Names {
    fn address(&self, client: &str) -> (&TenantId, Of<'_>) {
        (&self.acme, Of::Address(&self.records, client.parse().unwrap()))
    }
}

/// How many of so many requests may come.
fn come(rates: &Rates, who: (&TenantId, Of<'_>), rate: Rate, millis: i64, many: usize) -> usize {
    (0..many).filter(|_| rates.take(who, rate, at(millis)).wait.is_none()).count()
}

/// What the store adds up for all.
#[derive(Default)]
struct Shared(HashMap<u128, (Level, i64)>);

impl Shared {
    fn round(&mut self, rates: &Rates, millis: i64) {
        let (now, uses) = (at(millis), rates.unsaid(at(millis)));
        let mut add = |said: &Use| {
            let (level, ever) = self.0.entry(said.name).or_default();
            *level = level.as_of(now.as_micros(), said.rate);
            level.used += said.used;
            *ever += said.used;
            Heard { level: *level, ever: *ever }
        };
        let heard: Vec<_> = uses.iter().map(&mut add).collect();
        rates.hear(&uses, &heard, now);
    }
}

#[test]
fn what_one_gateway_admits_the_other_knows_after_a_round() {
    let (names, ours, theirs) = (names(), Rates::new(&[7; 32]), Rates::new(&[7; 32]));
    let (who, rate, mut shared) = (names.address("192.0.2.1"), rate(10, 10), Shared::default());
    assert_eq!(come(&ours, who, rate, 0, 7), 7);
    shared.round(&ours, 200);
    assert_eq!(come(&theirs, who, rate, 200, 1), 1, "nothing is known of it here before it is asked about");
    shared.round(&theirs, 400);
    shared.round(&ours, 400);
    assert_eq!(come(&theirs, who, rate, 400, 9), 2, "seven there and one here are used");
    assert_eq!(come(&theirs, names.address("192.0.2.2"), rate, 400, 9), 9, "another's is another's");
}

/// Whatever comes, and wherever: what goes beyond the rate in one round is paid back in the next.
#[test]
fn the_sum_over_gateways_is_the_rate_but_for_one_round() {
    let (names, rate) = (names(), rate(20, 10));
    let gateways: Vec<_> = (0..3).map(|_| Rates::new(&[7; 32])).collect();
    let (who, mut shared, mut came) = (names.address("192.0.2.1"), Shared::default(), 0);
    for tick in 0..300 {
        let millis = tick * 100;
        came += gateways.iter().map(|one| come(one, who, rate, millis, 5)).sum::<usize>();
        if tick % 2 == 1 {
            gateways.iter().for_each(|one| shared.round(one, millis));
        }
    }
    // Thirty seconds of two a second after twenty at once, and at most twenty more at each of the two others before they hear.
    assert!((75..=80 + 2 * 20).contains(&came), "{came}");
    let before = came;
    for tick in 300..600 {
        came += gateways.iter().map(|one| come(one, who, rate, tick * 100, 5)).sum::<usize>();
        if tick % 2 == 1 {
            gateways.iter().for_each(|one| shared.round(one, tick * 100));
        }
    }
    let later = came - before;
    assert!((57..=64).contains(&later), "{later} in thirty seconds of two a second");
}

#[test]
fn while_the_store_is_away_each_keeps_to_its_share_and_none_is_without_limit() {
    let (names, rate) = (names(), rate(100, 10));
    let gateways: Vec<_> = (0..2).map(|_| Rates::new(&[7; 32])).collect();
    let (who, mut shared) = (names.address("192.0.2.1"), Shared::default());
    for tick in 0..100 {
        assert!(gateways.iter().all(|one| come(one, who, rate, tick * 200, 1) == 1));
        gateways.iter().for_each(|one| shared.round(one, tick * 200));
    }
    let away = |millis| {
        for one in &gateways {
            let uses = one.unsaid(at(millis));
            one.unheard(&uses);
        }
    };
    away(20_000);
    // Long enough for all to come back, at both of them.
    let came: Vec<_> = gateways.iter().map(|one| come(one, who, rate, 60_000, 200)).collect();
    assert!(came.iter().all(|came| (25..=75).contains(came)) && came.iter().sum::<usize>() <= 110, "{came:?}");
    let stranger = names.address("192.0.2.9");
    let came: usize = gateways.iter().map(|one| come(one, stranger, rate, 60_000, 200)).sum();
    assert!((50..=110).contains(&came), "somebody new, too: {came}");
    away(60_200);
    // Back again: what was admitted meanwhile is told, and nothing that has long come back.
    gateways.iter().for_each(|one| shared.round(one, 61_000));
    assert!(gateways.iter().all(|one| come(one, who, rate, 61_000, 1) == 1));
    gateways.iter().for_each(|one| shared.round(one, 61_200));
    let came: Vec<_> = gateways.iter().map(|one| come(one, who, rate, 61_200, 200)).collect();
    assert!(came.iter().all(|came| *came <= 25), "each knows of the other's eighty again: {came:?}");
    gateways.iter().for_each(|one| shared.round(one, 90_000));
    assert_eq!(come(&gateways[0], who, rate, 90_000, 200), 100, "nothing is owed for ever");
}

#[test]
fn a_flood_of_addresses_takes_no_memory_and_frees_nobody_who_is_at_an_end() {
    let (names, rates, rate) = (names(), Rates::new(&[7; 32]), rate(100, 3_600));
    let busy: Vec<_> = (1..=200).map(|last| format!("192.0.2.{last}")).collect();
    for client in &busy {
        assert_eq!(come(&rates, names.address(client), rate, 0, 200), 100);
    }
    let strangers =
        |salt: u128, client: u128| IpAddr::from((0x2001_0db8 << 96 | salt << 88 | client << 64).to_be_bytes());
    for client in 0..400_000 {
        let of = Of::Address(&names.records, strangers(1, client));
        assert_eq!(rates.take((&names.acme, of), rate, at(1)).wait, None);
    }
    assert!(busy.iter().all(|client| come(&rates, names.address(client), rate, 2, 1) == 0));
    let said = (0..1_000).map_while(|_| Some(rates.unsaid(at(3)).len()).filter(|said| *said > 0));
    let said: Vec<_> = said.collect();
    assert!(said.iter().all(|said| *said < 2_000) && said.iter().sum::<usize>() <= 131_072, "{}", said.len());
}

/// What gave way was whoever had used the fewest requests: strangers under a wide rate freed those who were at the end of a narrow one.
#[test]
fn strangers_under_a_wide_rate_free_nobody_who_is_at_the_end_of_a_narrow_one() {
    let (names, rates, narrow, wide) = (names(), Rates::new(&[7; 32]), rate(5, 3_600), rate(3_000, 60));
    let busy: Vec<_> = (1..=200).map(|last| format!("192.0.2.{last}")).collect();
    for client in &busy {
        assert_eq!(come(&rates, names.address(client), narrow, 0, 6), 5);
    }
    for client in 0..400_000_u128 {
        let address = IpAddr::from((0x2001_0db8 << 96 | client << 64).to_be_bytes());
        for _ in 0..6 {
            assert_eq!(rates.take((&names.acme, Of::Address(&names.records, address)), wide, at(1)).wait, None);
        }
    }
    assert!(busy.iter().all(|client| come(&rates, names.address(client), narrow, 2, 1) == 0));
}

#[test]
fn a_network_of_ipv6_is_one_client_and_names_tell_nothing() {
    let (names, rates, rate) = (names(), Rates::new(&[7; 32]), rate(2, 60));
    for client in ["2001:db8::1", "2001:db8::ffff:0:1"] {
        assert_eq!(come(&rates, names.address(client), rate, 0, 1), 1);
    }
    assert_eq!(come(&rates, names.address("2001:db8::2"), rate, 0, 1), 0);
    assert_eq!(come(&rates, names.address("2001:db8:0:1::2"), rate, 0, 1), 1);
    assert_eq!(come(&rates, names.address("192.0.2.1"), rate, 0, 1), 1);
    assert_eq!(come(&rates, names.address("::ffff:192.0.2.1"), rate, 0, 2), 1, "the same, written otherwise");
    // Each thing that has a rate has one of its own.
    let client = "192.0.2.7".parse().unwrap();
    let service = Caller::Workload { spiffe_id: "spiffe://acme/service/x".into() };
    let other = TenantId::parse("other").unwrap();
    let all = [
        (&names.acme, Of::Address(&names.records, client)),
        (&names.acme, Of::Caller(&names.records, &Caller::Visitor, client)),
        (&names.acme, Of::Caller(&names.records, &service, client)),
        (&names.acme, Of::App(&names.records)),
        (&names.acme, Of::Tenant),
        (&other, Of::Tenant),
        (&other, Of::App(&names.records)),
    ];
    let marks: std::collections::HashSet<_> = all.iter().map(|(tenant, of)| rates.mark(tenant, *of)).collect();
    assert_eq!(marks.len(), all.len());
    let elsewhere = Rates::new(&[8; 32]);
    assert!(all.iter().all(|(tenant, of)| !marks.contains(&elsewhere.mark(tenant, *of))));
}

#[test]
fn another_rate_under_the_same_name_goes_on_from_what_was_used() {
    let (names, rates) = (names(), Rates::new(&[7; 32]));
    let who = names.address("192.0.2.1");
    assert_eq!(come(&rates, who, rate(10, 3_600), 0, 20), 10);
    assert_eq!(come(&rates, who, rate(15, 3_600), 0, 20), 5, "five more than before");
    assert_eq!(come(&rates, who, rate(4, 3_600), 0, 20), 0);
    assert_eq!(come(&rates, who, rate(100, 1), 1_000, 200), 100, "and a faster one brings all back soon");
    rates.give_back(who);
    assert_eq!(come(&rates, who, rate(100, 1), 1_000, 9), 1);
}

#[test]
fn what_is_given_back_after_it_was_said_comes_off_what_is_said_next() {
    let (names, ours, theirs) = (names(), Rates::new(&[7; 32]), Rates::new(&[7; 32]));
    let (who, rate, mut shared) = (names.address("192.0.2.1"), rate(10, 3_600), Shared::default());
    assert_eq!(come(&ours, who, rate, 0, 4), 4);
    shared.round(&ours, 0);
    (0..2).for_each(|_| ours.give_back(who));
    assert!(ours.unsaid(at(0)).is_empty());
    assert_eq!(come(&ours, who, rate, 0, 3), 3);
    shared.round(&ours, 0);
    assert_eq!(come(&theirs, who, rate, 0, 1), 1);
    shared.round(&theirs, 0);
    assert_eq!(come(&theirs, who, rate, 0, 10), 4, "five there, and one here");
}
