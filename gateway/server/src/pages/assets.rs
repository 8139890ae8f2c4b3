//! What pages load: style sheets, one script and the icon, embedded, under names that hold their hash and so never change.
//!
//! They answer at `/assets/` on sign-in hosts and at `/.cardea/assets/` on app hosts, where nothing else is ours.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
    routing::get,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

use super::colour::{Colour, accent_sheet};

/// Where assets are on a sign-in host.
pub const AT_SIGN_IN_HOST: &str = "/assets";
/// Where assets are on an app host.
pub const AT_APP_HOST: &str = "/.cardea/assets";

/// The style of pages at hosts that are nobody's, where no style sheet can be loaded.
pub const BARE_STYLE: &str = include_str!("../../assets/bare.css");

/// The tokens that pages and console share.
pub const TOKENS: &str = include_str!("../../assets/tokens.css");

/// The routes of all assets, for whatever state the server has.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/assets/{name}", get(serve)).route("/.cardea/assets/{name}", get(serve))
}

/// The name under which an asset is served: `pages-3f9a….css` for `pages.css`. A name that is none stays as it is,
/// and is found nowhere.
pub fn hashed_name(name: &str) -> &str {
    ASSETS.iter().find(|asset| asset.name == name).map_or(name, |asset| asset.hashed.as_str())
}

/// The hash that lets the bare style into a page (CSP 3 section 8.3.3).
pub fn bare_style_sha256() -> &'static str {
    static HASH: LazyLock<String> =
        LazyLock::new(|| STANDARD.encode(digest::digest(&digest::SHA256, BARE_STYLE.as_bytes())));
    &HASH
}

/// Every asset under the name that it is served by.
pub fn all() -> impl Iterator<Item = (&'static str, &'static [u8])> {
    ASSETS.iter().map(|asset| (asset.hashed.as_str(), asset.bytes))
}

/// The style sheet of an accent, named by its six hexadecimal digits.
pub fn accent(digits: &str) -> Option<String> {
    Colour::parse(digits).map(accent_sheet)
}

/// Answers with the asset of that name, the accent that it spells, or 404.
pub async fn serve(Path(name): Path<String>, headers: HeaderMap) -> Response {
    if let Some(asset) = ASSETS.iter().find(|asset| asset.hashed == name) {
        return respond(asset.mime, &asset.hashed, Body::from(asset.bytes), &headers);
    }
    let named = name.strip_prefix("accent-").and_then(|rest| rest.strip_suffix(".css"));
    match named.and_then(accent) {
        // A pure function of its address: nothing to store, nothing of a tenant to give away.
        Some(sheet) => respond(CSS, &name, Body::from(sheet), &headers),
        None => {
            let mut missing = Response::new(Body::empty());
            *missing.status_mut() = StatusCode::NOT_FOUND;
            missing
        }
    }
}

/// An asset as it is answered: kept for ever, since its name changes with it, and unable to run anything.
pub(crate) fn respond(mime: &'static str, tag: &str, body: Body, asked: &HeaderMap) -> Response {
    let tag = HeaderValue::from_str(&format!("\"{tag}\"")).unwrap_or(HeaderValue::from_static("\"\""));
    let known = asked.get(header::IF_NONE_MATCH).is_some_and(|have| *have == tag);
    let mut response = Response::new(if known { Body::empty() } else { body });
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(mime));
    headers.insert(header::ETAG, tag);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    // An SVG opened by itself is a document: it may run nothing.
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; style-src 'none'"));
    response
}

struct Asset {
    name: &'static str,
    mime: &'static str,
    bytes: &'static [u8],
    hashed: String,
}

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let all: [(&'static str, &'static str, &'static [u8]); 4] = [
        ("tokens.css", CSS, TOKENS.as_bytes()),
        ("pages.css", CSS, include_bytes!("../../assets/pages.css")),
        ("passkey.js", JAVASCRIPT, include_bytes!("../../assets/passkey.js")),
        ("mark.svg", SVG, include_bytes!("../../assets/mark.svg")),
    ];
    all.into_iter().map(|(name, mime, bytes)| Asset { name, mime, bytes, hashed: with_hash(name, bytes) }).collect()
});

/// A name that changes with what it names: `pages-3f9a….css` for `pages.css`.
pub(crate) fn with_hash(name: &str, bytes: &[u8]) -> String {
    let hash = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, bytes));
    let short: String = hash.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    name.rsplit_once('.').map_or_else(|| name.to_owned(), |(stem, end)| format!("{stem}-{short}.{end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(name: &str) -> Response {
        serve(Path(name.to_owned()), HeaderMap::new()).await
    }

    #[tokio::test]
    async fn an_asset_is_found_by_its_hashed_name_and_kept_for_ever() {
        for name in ["tokens.css", "pages.css", "passkey.js", "mark.svg"] {
            assert_ne!(hashed_name(name), name);
            let response = ask(hashed_name(name)).await;
            assert_eq!(response.status(), StatusCode::OK, "{name}");
            assert!(response.headers()["cache-control"].to_str().unwrap().ends_with("immutable"));
            assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        }
        assert_eq!(ask(hashed_name("passkey.js")).await.headers()["content-type"], JAVASCRIPT);
    }

    #[tokio::test]
    async fn an_asset_that_the_browser_has_is_not_sent_again() {
        let name = hashed_name("pages.css").to_owned();
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(&format!("\"{name}\"")).unwrap());
        assert_eq!(serve(Path(name), headers).await.status(), StatusCode::NOT_MODIFIED);
    }

    #[tokio::test]
    async fn nothing_else_is_served() {
        for name in ["pages.css", "../Cargo.toml", "accent-zzzzzz.css", "accent-0a7c86.js", "accent-.css", ""] {
            assert_eq!(ask(name).await.status(), StatusCode::NOT_FOUND, "{name}");
        }
        assert_eq!(ask("accent-0a7c86.css").await.status(), StatusCode::OK);
    }

    #[test]
    fn no_style_sheet_or_script_loads_from_elsewhere() {
        for asset in ASSETS.iter().filter(|asset| asset.mime != SVG) {
            let text = std::str::from_utf8(asset.bytes).unwrap();
            for foreign in ["http://", "https://", "@import", "url("] {
                assert!(!text.contains(foreign), "{} names {foreign}", asset.name);
            }
        }
    }
}
