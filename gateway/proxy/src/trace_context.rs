//! W3C trace context: continued where it came with the request, started where not.

use std::fmt::Write as _;

use bytes::Bytes;
use cardea_core::{Entropy, EntryId, entropy};
use http::{HeaderMap, HeaderName, HeaderValue};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Sets `traceparent` for the upstream: the client's trace with a new span, or a trace named after the entry.
pub(crate) fn carry(headers: &mut HeaderMap, entry: EntryId, random: &dyn Entropy) {
    let mut values = headers.get_all(&TRACEPARENT).iter();
    let given = match (values.next(), values.next()) {
        (Some(one), None) => parse(one.as_bytes()),
        _ => None,
    };
    let span = u64::from_be_bytes(entropy::bytes(random)) | 1;
    let mut out = String::with_capacity(55);
    let _ = match given {
        Some((trace, flags)) => write!(out, "00-{trace}-{span:016x}-{flags}"),
        None => write!(out, "00-{}-{span:016x}-01", entry.as_uuid().simple()),
    };
    if given.is_none() {
        // A state without its parent belongs to no trace.
        headers.remove(&TRACESTATE);
    }
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(out)) {
        headers.insert(TRACEPARENT.clone(), value);
    }
}

/// The trace id and flags of a well-formed `traceparent` (Trace Context section 3.2).
fn parse(value: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(value).ok()?;
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let set = |part: &str| part.bytes().any(|b| b != b'0');
    let fine = hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    (fine && hex(trace, 32) && set(trace) && hex(span, 16) && set(span) && hex(flags, 2)).then_some((trace, flags))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::{Timestamp, entropy::Fixed};

    fn carried(given: &str) -> String {
        let random = Fixed::new(3);
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_str(given).unwrap());
        carry(&mut headers, EntryId::mint(Timestamp::from_secs(1), &random), &random);
        headers["traceparent"].to_str().unwrap().to_owned()
    }

    #[test]
    fn a_trace_is_continued_with_a_new_span() {
        let out = carried("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
        assert!(out.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && out.ends_with("-00"), "{out}");
        assert!(!out.contains("00f067aa0ba902b7"));
    }

    #[test]
    fn nonsense_starts_a_trace_of_its_own() {
        for given in [
            "",
            "00-0-0-0",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-00",
        ] {
            assert!(carried(given).ends_with("-01"), "{given}");
        }
    }
}
