//! The console that administrators use, built by `build.rs` from `app/` and embedded: files with their media type,
//! their compressed forms and a strong tag, so that serving one is a copy.
//!
//! ```
//! let page = cardea_console::find("policies/access").unwrap(); // a deep link: the app itself opens the room
//! assert_eq!(page.mime, "text/html; charset=utf-8");
//! assert!(!page.immutable);
//! ```

include!(concat!(env!("OUT_DIR"), "/table.rs"));

/// The policy that the console's pages are served with. Scripts and styles come from files only, nothing may frame it,
/// and text never becomes markup: `svelte-trusted-html` is the framework's own factory for its compiled templates.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html";

/// One file of the built console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asset {
    /// Its path below `/admin/`, such as `assets/index-B3xd.js`.
    pub path: &'static str,
    /// What to send as `Content-Type`.
    pub mime: &'static str,
    /// The file itself.
    pub bytes: &'static [u8],
    /// The same in Brotli, where that is smaller.
    pub br: Option<&'static [u8]>,
    /// The same in gzip, where that is smaller.
    pub gz: Option<&'static [u8]>,
    /// A strong entity tag, quotes included; it changes whenever the file does.
    pub etag: &'static str,
    /// Whether the name holds the content's hash, so that a cache may keep it for ever.
    pub immutable: bool,
}

/// The file at `path` below `/admin/`. Any address that is not a file's is a place inside the app and gets its page; a
/// hashed file that is not there is nothing, so that an old page after an upgrade does not run markup as a script.
pub fn find(path: &str) -> Option<&'static Asset> {
    let path = path.trim_start_matches('/');
    let exact = |wanted: &str| ASSETS.iter().find(|asset| asset.path == wanted);
    match exact(path) {
        None if path.starts_with("assets/") => None,
        None => exact("index.html"),
        found => found,
    }
}

/// Every file, sorted by path.
pub fn all() -> &'static [Asset] {
    ASSETS
}

/// Whether this build holds the real console, and not the page that says how to build it.
pub const fn is_built() -> bool {
    BUILT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_well_formed() {
        assert!(ASSETS.is_sorted_by(|a, b| a.path < b.path), "paths are sorted and distinct");
        for asset in ASSETS {
            assert!(!asset.bytes.is_empty() && asset.mime.contains('/'), "{}", asset.path);
            assert!(asset.etag.starts_with('"') && asset.etag.ends_with('"') && asset.etag.len() > 2, "{}", asset.path);
            assert!(asset.br.is_none_or(|br| br.len() < asset.bytes.len()), "{}", asset.path);
            assert!(asset.gz.is_none_or(|gz| gz.starts_with(&[0x1f, 0x8b])), "{}", asset.path);
            assert_eq!(asset.immutable, asset.path.starts_with("assets/"), "{}", asset.path);
        }
    }

    #[test]
    fn a_deep_link_gets_the_page_and_a_lost_script_gets_nothing() {
        let page = find("").expect("there is always a page");
        assert_eq!(page.path, "index.html");
        for deep in ["policies/access", "people/0190-a?status=active", "/log"] {
            assert_eq!(find(deep), Some(page), "{deep}");
        }
        assert_eq!(find("assets/index-gone.js"), None);
    }

    #[test]
    fn the_page_holds_nothing_that_its_policy_would_block() {
        let page = String::from_utf8_lossy(find("").expect("there is always a page").bytes);
        assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" onload="), "{page}");
        assert!(page.matches("<script").count() == page.matches(" src=\"/admin/assets/").count(), "{page}");
    }
}
