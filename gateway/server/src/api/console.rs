//! Serves the console's files under `/admin/`: compressed when they were built, named by their content, never framed.

use std::sync::Arc;

use axum::{
    Router,
    extract::Path,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use cardea_console::Asset;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{
        ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
        VARY,
    },
};

use crate::House;

/// The console's addresses.
pub fn routes() -> Router<Arc<House>> {
    Router::new()
        .route("/admin", get(|| async { Redirect::permanent("/admin/") }))
        .route("/admin/", get(|headers: HeaderMap| async move { serve("", &headers) }))
        .route(
            "/admin/{*path}",
            get(|Path(path): Path<String>, headers: HeaderMap| async move { serve(&path, &headers) }),
        )
}

/// The file at `path` below `/admin/`, in the best form that the client takes.
pub fn serve(path: &str, headers: &HeaderMap) -> Response {
    let Some(asset) = cardea_console::find(path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut response = if is_held(headers, asset) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let (bytes, encoding) = form(headers, asset);
        let mut response = Response::new(axum::body::Body::from(bytes));
        if let Some(encoding) = encoding {
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        response
    };
    let head = response.headers_mut();
    let caching = if asset.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    for (name, value) in [
        (CONTENT_TYPE, asset.mime),
        (CACHE_CONTROL, caching),
        (ETAG, asset.etag),
        (VARY, "Accept-Encoding"),
        (CONTENT_SECURITY_POLICY, cardea_console::CONTENT_SECURITY_POLICY),
    ] {
        head.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        head.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether the client holds this very file already (RFC 9110 section 13.1.2).
fn is_held(headers: &HeaderMap, asset: &Asset) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.trim_start_matches("W/") == asset.etag
        })
    })
}

fn form(headers: &HeaderMap, asset: &'static Asset) -> (&'static [u8], Option<&'static str>) {
    let taken = |coding: &str| {
        headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(|value| {
            value.split(',').any(|part| {
                let mut words = part.split(';').map(str::trim);
                let named = words.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
                named && !words.any(|word| matches!(word, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
            })
        })
    };
    match (asset.br, asset.gz) {
        (Some(br), _) if taken("br") => (br, Some("br")),
        (_, Some(gz)) if taken("gzip") => (gz, Some("gzip")),
        _ => (asset.bytes, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_page_carries_its_policy_and_is_never_cached_blindly() {
        let response = serve("people/x", &HeaderMap::new());
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[CACHE_CONTROL], "no-cache");
        assert!(response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().contains("frame-ancestors 'none'"));
        let held = serve("", &asking(&[("if-none-match", response.headers()[ETAG].to_str().unwrap())]));
        assert_eq!(held.status(), 304);
    }

    #[test]
    fn a_coding_that_the_client_refuses_is_not_sent() {
        let refused = serve("", &asking(&[("accept-encoding", "br;q=0, gzip;q=0")]));
        assert!(!refused.headers().contains_key(CONTENT_ENCODING));
    }

    #[test]
    fn a_lost_script_is_not_found() {
        assert_eq!(serve("assets/index-gone.js", &HeaderMap::new()).status(), 404);
    }
}
