//! Refusals as gRPC clients read them: a status in the trailers, since they look at nothing else (gRPC over HTTP/2,
//! "Responses").

use std::time::Duration;

use cardea_core::Reason;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Version, header, request::Parts as Head};

use super::Failure;
use crate::Body;

static STATUS: HeaderName = HeaderName::from_static("grpc-status");
static MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
static KIND: HeaderValue = HeaderValue::from_static("application/grpc");

/// Whether a gRPC client sent this. Only HTTP/2 has trailers that every client reads; to whoever speaks HTTP/1.1, a
/// no with the status 200 would be a yes.
pub(crate) fn sent(head: &Head) -> bool {
    head.method == Method::POST && head.version >= Version::HTTP_2 && is_grpc(&head.headers)
}

/// Whether these headers announce gRPC proper, with any message format. gRPC-Web is another protocol, which has its
/// trailers in the body.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let Some((name, rest)) = kind.split_at_checked(KIND.len()) else { return false };
    name.eq_ignore_ascii_case(KIND.as_bytes()) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// The longest that a call may ask to be waited for: a client's word holds no place for good.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The time that a call's client gives it (`grpc-timeout`): at most eight digits and a unit. None where it says nothing
/// that can be read, or nothing once.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let mut values = headers.get_all("grpc-timeout").iter();
    let (Some(value), None) = (values.next().filter(|_| is_grpc(headers)), values.next()) else { return None };
    let (digits, unit) = value.to_str().ok()?.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
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
            let request = http::Request::post("/a.B/C").version(version).header("content-type", kind).body(()).unwrap();
            assert_eq!(sent(&request.into_parts().0), expected, "{kind} {version:?}");
        }
        let get = http::Request::get("/").version(Version::HTTP_2).header("content-type", "application/grpc");
        assert!(!sent(&get.body(()).unwrap().into_parts().0));
    }

    #[test]
    fn messages_are_visible_ascii() {
        assert_eq!(encoded("open https://a/?to=%2F ü"), "open https://a/?to=%252F %C3%BC");
    }
}
