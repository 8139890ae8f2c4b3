//! One HTTP/1 head, read as strictly as RFC 9112 is written.

use cardea_core::Reason;
use http::Uri;

use crate::edge::lists;

/// What a head says of what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) framing: Framing,
    /// No request comes after this one (RFC 9112 section 9.6).
    pub(super) last: bool,
}

/// How the body after a head is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// Where the first head ends, its empty line included; `from` is how much has been searched before.
pub(super) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = bytes[at..].iter().position(|&b| b == b'\n') {
        at += found + 1;
        if bytes[..at].ends_with(b"\n\r\n") || bytes[..at].ends_with(b"\n\n") {
            return Some(at);
        }
    }
    None
}

/// Whether an unfinished head can no longer become one: it is not text at all (TLS spoken to a plain port, say).
pub(super) fn is_hopeless(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|b| !b.is_ascii_graphic() && *b != b'\r')
}

/// Checks a whole head of at most `fields_max` fields.
pub(super) fn check(head: &[u8], fields_max: usize) -> Result<Announced, Reason> {
    let mut lines = head.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").ok_or(Reason::AmbiguousFraming));
    let request = lines.next().unwrap_or(Err(Reason::AmbiguousFraming))?;
    let http_11 = check_request_line(request)?;
    let (mut length, mut chunked, mut last) = (None, false, !http_11);
    for (nth, line) in lines.enumerate() {
        let line = match line {
            Ok([]) => break,
            other => other?,
        };
        // Hyper would close the connection without a word.
        if nth == fields_max {
            return Err(Reason::HeadersTooLarge);
        }
        let (name, value) = check_field(line)?;
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let one = number(value).ok_or(Reason::AmbiguousFraming)?;
                if length.replace(one).is_some() {
                    return Err(Reason::AmbiguousFraming);
                }
            }
            14 if name.eq_ignore_ascii_case(super::REFUSED.as_bytes()) => return Err(Reason::BadHeader),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if chunked || !http_11 || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Reason::AmbiguousFraming);
                }
                chunked = true;
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                last = lists(value, b"close") || last && !lists(value, b"keep-alive");
            }
            _ => {}
        }
    }
    let framing = match (length, chunked) {
        (Some(_), true) => return Err(Reason::AmbiguousFraming),
        (None, true) => Framing::Chunked,
        (Some(length), false) => Framing::Length(length),
        (None, false) => Framing::None,
    };
    Ok(Announced { framing, last })
}

/// A header's name and value. Folded lines, spaces before the colon and odd names all fail here.
fn check_field(line: &[u8]) -> Result<(&[u8], &[u8]), Reason> {
    let colon = line.iter().position(|&b| b == b':').ok_or(Reason::AmbiguousFraming)?;
    let (name, value) = (&line[..colon], trimmed(&line[colon + 1..]));
    if name.is_empty() || !name.iter().all(|&b| is_token(b)) {
        let spaced = name.iter().any(u8::is_ascii_whitespace);
        return Err(if spaced { Reason::AmbiguousFraming } else { Reason::BadHeader });
    }
    // All of them, without a stop at the first that may not be there: so sixteen are looked at in one step.
    if !value.iter().fold(true, |fine, &b| fine & is_in_value(b)) {
        return Err(Reason::BadHeader);
    }
    Ok((name, value))
}

/// Without the spaces and tabs around a value: RFC 9110 section 5.6.3 knows no other, unlike `trim_ascii`.
fn trimmed(value: &[u8]) -> &[u8] {
    let inner = |b: &u8| *b != b' ' && *b != b'\t';
    let start = value.iter().position(inner).unwrap_or(value.len());
    let end = value.iter().rposition(inner).map_or(start, |last| last + 1);
    &value[start..end]
}

/// `GET /path HTTP/1.1`, with one space each. Says whether it is HTTP/1.1.
fn check_request_line(line: &[u8]) -> Result<bool, Reason> {
    let mut parts = line.split(|&b| b == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Reason::AmbiguousFraming);
    };
    if method.is_empty() || !method.iter().all(|&b| is_token(b)) {
        return Err(Reason::AmbiguousFraming);
    }
    if !is_plain(target) {
        check_odd_target(target)?;
    }
    match version {
        b"HTTP/1.1" => Ok(true),
        b"HTTP/1.0" => Ok(false),
        _ => Err(Reason::AmbiguousFraming),
    }
}

/// Whether a target is a path and query without any sign that could trouble somebody: nearly all are.
fn is_plain(target: &[u8]) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"/-._~%?=&+,;:@!$*()".contains(b);
    target.len() < 8192 && target.starts_with(b"/") && target.iter().all(plain)
}

/// Hyper reads a target with [`Uri`], and answers by itself where that fails; so it is asked here first. A fragment never
/// belongs in a request, and `Uri` would cut it off unseen.
fn check_odd_target(target: &[u8]) -> Result<(), Reason> {
    let odd = target.iter().any(|&b| !b.is_ascii_graphic() || b == b'#') || Uri::try_from(target).is_err();
    if odd { Err(Reason::AmbiguousPath) } else { Ok(()) }
}

/// Whether a value may hold it: anything but control characters, of which a tab is none.
pub(super) const fn is_in_value(byte: u8) -> bool {
    (byte == b'\t') | (byte >= b' ') & (byte != 0x7f)
}

pub(super) const fn is_token(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Which bytes a name may hold (RFC 9110 section 5.6.2). A table: every byte of every name is asked about.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte: u8 = 0;
    while byte < 0x80 {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            );
        byte += 1;
    }
    table
};

fn number(value: &[u8]) -> Option<u64> {
    let digits = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    digits.then(|| value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}
