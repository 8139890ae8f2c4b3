//! W3C trace context: continued where it came with the request, started where not.

use std::fmt::Write as _;

use bytes::Bytes;
use cardea_core::{Entropy, EntryId, entropy};
use http::{HeaderMap, HeaderName, HeaderValue};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// A trace that came with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) trace: u128,
    pub(crate) span: u64,
    /// Whether whoever began it tells of it.
    pub(crate) sampled: bool,
}

/// The trace that a request's headers name, if they name one.
pub(crate) fn given(headers: &HeaderMap) -> Option<Given> {
    let (trace, span, flags) = one(headers)?;
    Some(Given {
        trace: u128::from_str_radix(trace, 16).ok()?,
        span: u64::from_str_radix(span, 16).ok()?,
        sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1,
    })
}

fn one(headers: &HeaderMap) -> Option<(&str, &str, &str)> {
    let mut values = headers.get_all(&TRACEPARENT).iter();
    match (values.next(), values.next()) {
        (Some(one), None) => parse(one.as_bytes()),
        _ => None,
    }
}

/// Sets `traceparent` for the upstream: the span that we tell of ourselves (`told`), else the client's trace with a new span,
/// else a trace named after the entry.
pub(crate) fn carry(headers: &mut HeaderMap, entry: EntryId, told: Option<(u128, u64)>, random: &dyn Entropy) {
    let given = one(headers);
    let draw = || u64::from_be_bytes(entropy::bytes(random)) | 1;
    let mut out = String::with_capacity(55);
    let _ = match (told, given) {
        (Some((trace, span)), _) => write!(out, "00-{trace:032x}-{span:016x}-01"),
        (None, Some((trace, _, flags))) => write!(out, "00-{trace}-{:016x}-{flags}", draw()),
        (None, None) => write!(out, "00-{}-{:016x}-01", entry.as_uuid().simple(), draw()),
    };
    if given.is_none() {
        // A state without its parent belongs to no trace.
        headers.remove(&TRACESTATE);
    }
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(out)) {
        headers.insert(TRACEPARENT.clone(), value);
    }
}

/// The trace id, span id and flags of a well-formed `traceparent` (Trace Context section 3.2).
fn parse(value: &[u8]) -> Option<(&str, &str, &str)> {
    let text = std::str::from_utf8(value).ok()?;
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let set = |part: &str| part.bytes().any(|b| b != b'0');
    let fine = hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    (fine && hex(trace, 32) && set(trace) && hex(span, 16) && set(span) && hex(flags, 2))
        .then_some((trace, span, flags))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardea_core::{Timestamp, entropy::Fixed};

    fn carried(given: &str) -> String {
        let random = Fixed::new(3);
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_str(given).unwrap());
        carry(&mut headers, EntryId::mint(Timestamp::from_secs(1), &random), None, &random);
        headers["traceparent"].to_str().unwrap().to_owned()
    }

    #[test]
    fn a_trace_is_continued_with_a_new_span() {
        let out = carried("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
        assert!(out.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && out.ends_with("-00"), "{out}");
        assert!(!out.contains("00f067aa0ba902b7"));
    }

    #[test]
    fn a_trace_that_we_tell_of_is_the_parent_of_the_services() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00".parse().unwrap());
        let came = given(&headers).unwrap();
        assert_eq!((came.span, came.sampled), (0x00f0_67aa_0ba9_02b7, false));
        let random = Fixed::new(3);
        let entry = EntryId::mint(Timestamp::from_secs(1), &random);
        carry(&mut headers, entry, Some((came.trace, 7)), &random);
        assert_eq!(headers["traceparent"], "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007-01");
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
