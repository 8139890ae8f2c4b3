//! Parameters that stand twice. Of two values one part of a program reads the first and another the last, so that what
//! is checked is not what is used: whatever names something twice is refused before anything reads it.

use http::{HeaderMap, Uri, header::CONTENT_TYPE};

/// Where a provider's answer comes in. Its handler refuses what stands twice by itself: only after it has spent the
/// sign-in, since an answer is read once, whatever it says.
const PROVIDERS_ANSWER: &str = "/sign-in/callback/";

/// Whether the query of a request to our own pages names a parameter twice.
pub(super) fn in_address(uri: &Uri) -> bool {
    !uri.path().starts_with(PROVIDERS_ANSWER) && uri.query().is_some_and(|query| in_pairs(query.as_bytes()))
}

/// Whether a body is a form that names a field twice.
pub(super) fn in_form(headers: &HeaderMap, body: &[u8]) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") && in_pairs(body)
}

/// Whether a name stands twice among pairs in the form of forms and queries, whatever its spelling.
pub(crate) fn in_pairs(text: &[u8]) -> bool {
    let mut names: Vec<_> = url::form_urlencoded::parse(text).map(|(name, _)| name).collect();
    names.sort_unstable();
    names.windows(2).any(|two| matches!(two, [one, next] if one == next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_stands_twice_is_found_in_any_spelling() {
        for (pairs, twice) in [
            ("", false),
            ("to=a", false),
            ("to=a&flow=a&code=a&state=a", false),
            ("to=a&To=a", false),
            ("to=to&flow=to", false),
            ("to=a&to=a", true),
            ("flow=a&to=b&flow=", true),
            ("code=a&code=b", true),
            ("state&state", true),
            ("to=a&t%6f=b", true),
            ("a+b=1&a%20b=2", true),
            ("x=1&x=2", true),
        ] {
            assert_eq!(in_pairs(pairs.as_bytes()), twice, "{pairs}");
            let uri: Uri = format!("/sign-in?{pairs}").parse().unwrap();
            assert_eq!(in_address(&uri), twice, "{uri}");
        }
        assert!(!in_address(&"/sign-in/callback/work?code=a&code=b".parse().unwrap()), "left to its handler");
    }

    #[test]
    fn only_a_form_is_read_as_one() {
        for (kind, found) in [
            ("application/x-www-form-urlencoded", true),
            ("Application/X-WWW-form-urlencoded ; charset=utf-8", true),
            ("application/json", false),
            ("text/plain", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().unwrap())]);
            assert_eq!(in_form(&headers, b"email=a&email=b"), found, "{kind}");
            assert!(!in_form(&headers, b"email=a&name=b"), "{kind}");
        }
        assert!(!in_form(&HeaderMap::new(), b"email=a&email=b"));
    }
}
