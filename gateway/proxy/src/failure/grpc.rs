//! Refusals as gRPC clients read them: a status in the trailers, since they look at nothing else (gRPC over HTTP/2,
//! "Responses").

use std::time::Duration;

use cardea_core::Reason;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version, header, request::Parts as Head};

use super::Failure;
use crate::Body;

static STATUS: HeaderName = HeaderName::from_static("grpc-status");
static MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
static KIND: HeaderValue = HeaderValue::from_static("application/grpc");

/// Whether a gRPC client sent this. Only HTTP/2 has trailers that every client reads; to whoever speaks HTTP/1.1, a
/// no with the status 200 would be a yes.
pub(crate) fn sent(head: &Head) -> bool {
    calls(&head.method, head.version, &head.headers)
}

/// Whether a request that is about to be sent on is one.
pub(crate) fn is_call<B>(request: &Request<B>) -> bool {
    calls(request.method(), request.version(), request.headers())
}

fn calls(method: &Method, version: Version, headers: &HeaderMap) -> bool {
    method == Method::POST && version >= Version::HTTP_2 && is_grpc(headers)
}

/// Whether these headers announce gRPC proper, with any message format. gRPC-Web is another protocol, which has its
/// trailers in the body.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let Some((name, rest)) = kind.split_at_checked(KIND.len()) else { return false };
    name.eq_ignore_ascii_case(KIND.as_bytes()) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// The longest that a call may ask to be waited for: a client's word holds no place for good.
pub(crate) const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The time that a call's client gives it (`grpc-timeout`): at most eight digits and a unit. None where it says nothing
/// that can be read, or says it twice.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let mut values = headers.get_all("grpc-timeout").iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (digits, unit) = value.to_str().ok()?.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    let time = match unit {
        "H" => Duration::from_secs(count * 3_600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    };
    Some(time.min(LONGEST))
}

/// A no without a body: "Trailers-Only" in the protocol's words.
pub(super) fn answer(failure: &Failure) -> Response<Body> {
    let mut text = failure.reason.code().to_owned();
    if let Some(challenge) = &failure.challenge {
        text.push_str(": open ");
        text.push_str(&challenge.url);
    }
    let mut response = Response::new(Body::empty());
    response.headers_mut().insert(header::CONTENT_TYPE, KIND.clone());
    response.headers_mut().extend(told(failure.reason, &text));
    response
}

/// The trailers of an answer that is broken off.
pub(crate) fn broken_off(reason: Reason) -> HeaderMap {
    told(reason, reason.code()).into_iter().collect()
}

fn told(reason: Reason, text: &str) -> [(HeaderName, HeaderValue); 2] {
    let message = HeaderValue::try_from(encoded(text)).unwrap_or(HeaderValue::from_static("refused"));
    [(STATUS.clone(), HeaderValue::from(status(reason))), (MESSAGE.clone(), message)]
}

/// gRPC's status for a reason: what its own table gives for the HTTP status (`http-grpc-status-mapping.md`), so that a
/// client reads the same whether this or an HTTP proxy answers it.
fn status(reason: Reason) -> u16 {
    match reason.status() {
        400 => 13,                   // INTERNAL
        401 => 16,                   // UNAUTHENTICATED
        403 => 7,                    // PERMISSION_DENIED
        404 | 405 => 12,             // UNIMPLEMENTED
        413 => 8,                    // RESOURCE_EXHAUSTED
        499 => 1,                    // CANCELLED
        429 | 502 | 503 | 504 => 14, // UNAVAILABLE
        _ => 2,                      // UNKNOWN
    }
}

/// Visible ASCII as it is, all else by its bytes (the protocol's `Percent-Encoded`).
fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_grpc_proper_over_http2_is_answered_so() {
        for (kind, version, expected) in [
            ("application/grpc", Version::HTTP_2, true),
            ("application/grpc+proto", Version::HTTP_2, true),
            ("Application/gRPC; charset=x", Version::HTTP_3, true),
            ("application/grpc", Version::HTTP_11, false),
            ("application/grpc-web", Version::HTTP_2, false),
            ("application/grpcx", Version::HTTP_2, false),
            ("application/json", Version::HTTP_2, false),
            ("app", Version::HTTP_2, false),
        ] {
            let request = Request::post("/a.B/C").version(version).header("content-type", kind).body(()).unwrap();
            assert_eq!(sent(&request.into_parts().0), expected, "{kind} {version:?}");
        }
        let get = Request::get("/").version(Version::HTTP_2).header("content-type", "application/grpc");
        assert!(!sent(&get.body(()).unwrap().into_parts().0));
    }

    #[test]
    fn a_call_s_time_is_read_strictly_and_is_no_longer_than_an_hour() {
        let read = |values: &[&'static [u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("grpc-timeout", HeaderValue::from_bytes(value).unwrap());
            }
            timeout(&headers)
        };
        for (value, expected) in [
            (&b"1H"[..], Duration::from_secs(3_600)),
            (b"59M", Duration::from_secs(59 * 60)),
            (b"7S", Duration::from_secs(7)),
            (b"250m", Duration::from_millis(250)),
            (b"99999999u", Duration::from_micros(99_999_999)),
            (b"1n", Duration::from_nanos(1)),
            (b"0S", Duration::ZERO),
            (b"00000001S", Duration::from_secs(1)),
            // What would be longer than the longest, also where its seconds are many.
            (b"2H", LONGEST),
            (b"61M", LONGEST),
            (b"3601S", LONGEST),
            (b"99999999m", LONGEST),
            (b"99999999H", LONGEST),
        ] {
            assert_eq!(read(&[value]), Some(expected), "{}", String::from_utf8_lossy(value));
        }
        for value in [
            &b""[..],
            b"S",
            b"1",
            b"100",
            b"1h",
            b"1s",
            b"1 S",
            b" 1S",
            b"+1S",
            b"-1S",
            b"1.5S",
            b"1e3S",
            b"0x1S",
            b"100000000S",
            b"1SS",
            b"1HM",
            b"1S,2S",
            b"1\xb5",
            b"\xd9\xa1S",
            b"1S\xff",
        ] {
            assert_eq!(read(&[value]), None, "{}", String::from_utf8_lossy(value));
        }
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[b"1S", b"1S"]), None, "twice");
    }

    #[test]
    fn messages_are_visible_ascii() {
        assert_eq!(encoded("open https://a/?to=%2F ü"), "open https://a/?to=%252F %C3%BC");
    }
}
