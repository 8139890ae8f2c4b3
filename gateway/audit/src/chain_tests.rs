//! A table of tamperings, each with the first break that must be named.

use super::*;

/// Stored entries, as a table holds them.
#[derive(Debug, Clone)]
struct Stored {
    seq: u64,
    body: Vec<u8>,
    leaf: Hash,
    link: Hash,
}

fn log(size: u64) -> (Vec<Stored>, Head) {
    let mut head = Head::EMPTY;
    let entries = (0..size)
        .map(|seq| {
            let body = format!("{{\"nth\":{seq}}}").into_bytes();
            let leaf = leaf(&body);
            head = head.after(&leaf);
            Stored { seq, body, leaf, link: head.link }
        })
        .collect();
    (entries, head)
}

fn verify(log: &[Stored], known: &[Head]) -> Result<Head, Break> {
    Chain::verify(log.iter().map(|one| Row { seq: one.seq, body: &one.body, leaf: one.leaf, link: one.link }), known)
}

/// Writes everything from `from` on anew, as somebody would who knows the format.
fn relink(log: &mut [Stored], from: usize) {
    let mut head = match from.checked_sub(1) {
        Some(last) => Head { size: from as u64, link: log[last].link },
        None => Head::EMPTY,
    };
    for (seq, one) in log.iter_mut().enumerate().skip(from) {
        one.seq = seq as u64;
        one.leaf = leaf(&one.body);
        head = head.after(&one.leaf);
        one.link = head.link;
    }
}

#[test]
fn an_untouched_log_verifies() {
    let (entries, head) = log(10);
    assert_eq!(verify(&entries, &[head]), Ok(head));
    assert_eq!(verify(&[], &[]), Ok(Head::EMPTY));
    let earlier = Head { size: 4, link: entries[3].link };
    assert_eq!(verify(&entries, &[head, earlier, Head::EMPTY]), Ok(head));
}

#[test]
fn each_tampering_is_named_at_its_place() {
    type Tampering = fn(&mut Vec<Stored>);
    let table: [(&str, Tampering, Break); 13] = [
        ("an edited body", |log| log[4].body[2] ^= 1, Break::Edited { seq: 4 }),
        ("an edited first body", |log| log[0].body.clear(), Break::Edited { seq: 0 }),
        (
            "an edited body with its leaf",
            |log| {
                log[4].body = b"{}".to_vec();
                log[4].leaf = leaf(b"{}");
            },
            Break::Unlinked { seq: 4 },
        ),
        (
            "an edited body with leaf and link",
            |log| {
                let before = log[3].link;
                log[4] = Stored { seq: 4, body: b"{}".to_vec(), leaf: leaf(b"{}"), link: link(&before, &leaf(b"{}")) };
            },
            Break::Unlinked { seq: 5 },
        ),
        ("an edited link", |log| log[4].link[31] ^= 1, Break::Unlinked { seq: 4 }),
        ("two exchanged", |log| log.swap(3, 4), Break::Gap { expected: 3, found: 4 }),
        (
            "two exchanged and renumbered",
            |log| {
                log.swap(3, 4);
                (log[3].seq, log[4].seq) = (3, 4);
            },
            Break::Unlinked { seq: 3 },
        ),
        ("one removed", |log| drop(log.remove(4)), Break::Gap { expected: 4, found: 5 }),
        ("the first removed", |log| drop(log.remove(0)), Break::Gap { expected: 0, found: 1 }),
        (
            "one removed and the rest renumbered",
            |log| {
                log.remove(4);
                for (seq, one) in log.iter_mut().enumerate() {
                    one.seq = seq as u64;
                }
            },
            Break::Unlinked { seq: 4 },
        ),
        ("one doubled", |log| log.insert(4, log[4].clone()), Break::Repeated { expected: 5, found: 4 }),
        ("the end cut off", |log| log.truncate(7), Break::Truncated { known: 10, found: 7 }),
        ("everything gone", Vec::clear, Break::Truncated { known: 10, found: 0 }),
    ];
    for (what, tamper, expected) in table {
        let (mut entries, head) = log(10);
        tamper(&mut entries);
        assert_eq!(verify(&entries, &[head]), Err(expected), "{what}");
    }
}

#[test]
fn a_log_written_anew_as_a_whole_is_betrayed_by_a_head_that_somebody_kept() {
    let (mut entries, head) = log(10);
    entries[4].body = b"{}".to_vec();
    relink(&mut entries, 4);
    assert!(verify(&entries, &[]).is_ok(), "whole in itself");
    assert_eq!(verify(&entries, &[head]), Err(Break::Rewritten { size: 10 }));
    let earlier = Head { size: 6, link: log(10).0[5].link };
    assert_eq!(verify(&entries, &[earlier]), Err(Break::Rewritten { size: 6 }));
    let before = Head { size: 4, link: log(10).0[3].link };
    assert!(verify(&entries, &[before]).is_ok(), "taken before the change");
}

#[test]
fn leaves_and_links_are_those_of_the_written_format() {
    // RFC 6962 section 2.1: the leaf of empty data.
    let empty = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
    assert_eq!(to_hex(&leaf(b"")), empty);
    let by_hand = digest::digest(&digest::SHA256, &[&[2][..], &START[..], &leaf(b"")[..]].concat());
    assert_eq!(link(&START, &leaf(b"")), by_hand.as_ref());
}

#[test]
fn a_head_is_read_as_it_is_written() {
    let (_, head) = log(3);
    assert_eq!(Head::parse(&head.to_string()), Some(head));
    for bad in ["", "3", "3:", "3:zz", "-1:00", &head.to_string()[1..], &format!("{head}0")] {
        assert_eq!(Head::parse(bad), None, "{bad}");
    }
}
