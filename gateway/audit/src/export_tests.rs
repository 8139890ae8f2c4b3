use super::*;
use crate::chain::{self, START};

fn acme() -> Option<TenantId> {
    Some(TenantId::parse("acme").unwrap())
}

fn export(from: u64, to: u64, body: impl Fn(u64) -> String) -> Vec<u8> {
    let mut head = Head::EMPTY;
    let mut rows = Vec::new();
    for seq in 0..to {
        let body = body(seq).into_bytes();
        let leaf = chain::leaf(&body);
        let before = head;
        head = head.after(&leaf);
        rows.push((before, seq, body, leaf, head.link));
    }
    let mut out = Vec::new();
    let after = rows.get(usize::try_from(from).unwrap()).map_or(Head::EMPTY, |row| row.0);
    let mut export = Export::begin(&mut out, acme(), after).unwrap();
    for (_, seq, body, leaf, link) in rows.iter().filter(|row| row.1 >= from) {
        export.entry(&Row { seq: *seq, body, leaf: *leaf, link: *link }).unwrap();
    }
    assert_eq!(export.end().unwrap(), head);
    out
}

fn entry(seq: u64) -> String {
    format!("{{\"tenant\":\"acme\",\"n\":{seq}, \"odd  spacing\":1}}")
}

fn lines(file: &[u8]) -> Vec<String> {
    String::from_utf8(file.to_vec()).unwrap().lines().map(str::to_owned).collect()
}

fn check(lines: &[String], known: Option<Head>) -> Result<Head, ExportFault> {
    verify(lines.join("\n").as_bytes(), known).map(|(_, head)| head)
}

#[test]
fn an_export_verifies_from_any_start_and_against_a_head_that_was_kept() {
    let whole = lines(&export(0, 10, entry));
    let head = check(&whole, None).unwrap();
    assert_eq!((head.size, whole.len()), (10, 12));
    assert_eq!(check(&whole, Some(head)).unwrap(), head);
    let part = lines(&export(4, 10, entry));
    assert_eq!(part.len(), 8);
    assert_eq!(check(&part, None).unwrap(), head);
    let empty = lines(&export(0, 0, entry));
    assert_eq!(check(&empty, None).unwrap(), Head::EMPTY);
}

#[test]
fn each_tampering_with_an_export_is_named() {
    type Tampering = fn(&mut Vec<String>);
    let table: [(&str, Tampering, &str); 14] = [
        ("an edit", |lines| lines[4] = lines[4].replace("\"n\":3", "\"n\":7"), "entry 3 was edited"),
        ("another spacing", |lines| lines[4] = lines[4].replace("odd  spacing", "odd spacing"), "entry 3 was edited"),
        ("a line removed", |lines| drop(lines.remove(4)), "entries are missing: `3` was to follow, `4` does"),
        ("two exchanged", |lines| lines.swap(4, 5), "entries are missing"),
        ("a line doubled", |lines| lines.insert(4, lines[4].clone()), "entry 3 comes again"),
        ("the last entry removed", |lines| drop(lines.remove(10)), "the log was cut off"),
        ("the end cut off", |lines| lines.truncate(8), "the line that states its head is missing"),
        ("no heading", |lines| drop(lines.remove(0)), "line 1 is not the heading"),
        ("a line of nonsense", |lines| lines[4] = "{}".to_owned(), "line 5 is not an entry"),
        ("a line behind the end", |lines| lines.push(lines[4].clone()), "line 13 is not the end of the file"),
        ("an end before the end", |lines| lines.insert(4, lines[11].clone()), "line 6 is not the end of the file"),
        (
            "an end in an entry",
            |lines| lines[4] = lines[4].replacen('{', "{\"head\":{\"size\":3,\"link\":\"\"},", 1),
            "line 5 is not an entry",
        ),
        ("an entry with more", |lines| lines[4] = lines[4].replacen('{', "{\"more\":1,", 1), "line 5 is not an entry"),
        ("another tenant's heading", |lines| lines[0] = lines[0].replace("acme", "beta"), "belongs to another log"),
    ];
    for (what, tamper, says) in table {
        let mut file = lines(&export(0, 10, entry));
        tamper(&mut file);
        let found = check(&file, None).unwrap_err().to_string();
        assert!(found.contains(says), "{what}: {found}");
    }
}

/// What is exported by and by begins where the last export ended, and has nothing else that could be held against it.
#[test]
fn a_continuation_made_anew_is_betrayed_by_the_head_at_which_it_begins() {
    let kept = check(&lines(&export(0, 4, entry)), None).unwrap();
    check(&lines(&export(4, 10, entry)), Some(kept)).unwrap();
    let forged = |from: u64| {
        let mut file = Vec::new();
        Export::begin(&mut file, acme(), Head { size: from, link: [7; 32] }).unwrap().end().unwrap();
        lines(&file)
    };
    let found = check(&forged(4), Some(kept)).unwrap_err();
    assert!(matches!(found, ExportFault::Broken(Break::Rewritten { size: 4 })), "{found}");
    let found = check(&forged(5), Some(kept)).unwrap_err();
    assert!(matches!(found, ExportFault::Before { known: 4, after: 5 }), "{found}");
}

#[test]
fn a_file_made_anew_is_betrayed_by_a_head_that_was_kept() {
    let kept = check(&lines(&export(0, 10, entry)), None).unwrap();
    let forged = lines(&export(0, 10, |seq| entry(if seq == 3 { 7 } else { seq })));
    check(&forged, None).unwrap();
    let found = check(&forged, Some(kept)).unwrap_err();
    assert!(matches!(found, ExportFault::Broken(Break::Rewritten { size: 10 })), "{found}");
    let longer = Head { size: 11, link: START };
    assert!(matches!(check(&forged, Some(longer)), Err(ExportFault::Broken(Break::Truncated { .. }))));
}

/// Whoever is handed a file to verify does not know who made it.
#[test]
fn a_line_without_end_takes_no_more_memory_than_the_longest_that_is_read() {
    let heading = lines(&export(0, 1, entry)).swap_remove(0) + "\n";
    for (before, line) in [(String::new(), 1), (heading, 2)] {
        let endless = before.as_bytes().chain(io::BufReader::new(io::repeat(b' ')));
        let found = verify(endless, None).unwrap_err();
        assert!(matches!(found, ExportFault::TooLong { line: at } if at == line), "{found}");
        assert_eq!(found.to_string(), format!("line {line} is longer than 16777216 bytes, and no entry is"));
    }
    // As long as one may be, with its end or without: it is read, and is no entry.
    let most = usize::try_from(LINE_MAX).unwrap() - 1;
    for end in ["", "\n"] {
        let found = verify((" ".repeat(most) + end).as_bytes(), None).unwrap_err();
        assert!(matches!(found, ExportFault::Malformed { line: 1, .. }), "{found}");
    }
}
