//! What must hold for every text that claims to be a token, an id or an address of ours, as a function of bytes that
//! panics where it does not. The fuzz target `tokens` (`tests/fuzz`), its kept corpus and the property test below call
//! it; no build that is handed out holds it.

use cardea_core::{EntryId, Secret, SessionId, TenantId, UserId};
use url::Url;

use crate::{
    Email, Handle, HandleHash, Sealer, Ticket, TicketHash, cookie,
    device::Device,
    return_to::{self, Origins},
};

/// A text. Each parser takes only the one spelling that we issue, or none.
pub fn tokens(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    bearers(text);
    ids(text);
    email(text);
    addresses(text);
    let _ = cookie::agent_label(text);
    if let (Ok(sealer), Ok(tenant)) = (Sealer::new(&Secret::new([7; 32])), TenantId::parse("acme")) {
        assert_eq!(Device::open(text, &tenant, &sealer), None, "a stranger made a device");
    }
}

fn bearers(text: &str) {
    if let Ok(handle) = Handle::parse(text) {
        assert_eq!(handle.expose_text(), text, "a second spelling of a handle");
        assert!(!format!("{handle:?}").contains(text));
    }
    if let Ok(ticket) = Ticket::parse(text) {
        assert_eq!(ticket.expose_text(), text, "a second spelling of a ticket");
    }
    let hashes =
        (HandleHash::parse(text).map(|hash| hash.to_string()), TicketHash::parse(text).map(|hash| hash.to_string()));
    for hash in [hash_text(hashes.0), hash_text(hashes.1)].into_iter().flatten() {
        assert_eq!(hash, text, "a second spelling of a hash");
    }
    for secure in [false, true] {
        if let Some(handle) = cookie::handle([text], secure) {
            let name = cookie::Cookie::Session.name(secure);
            let own = format!("{name}={}", handle.expose_text());
            // A pair without `=` is a cookie without a name (RFC 6265bis section 5.7), whatever its value.
            // What stands around its name is part of it, but for spaces and tabs.
            let is_ours =
                |pair: &&str| pair.split_once('=').is_some_and(|(key, _)| key.trim_matches([' ', '\t']) == name);
            let named = text.split(';').filter(is_ours);
            assert_eq!(named.map(|pair| pair.replace([' ', '\t'], "")).collect::<Vec<_>>(), [own]);
        }
    }
}

fn hash_text<E>(hash: Result<String, E>) -> Option<String> {
    hash.ok()
}

fn ids(text: &str) {
    let read = [
        UserId::parse(text).map(|id| id.to_string()),
        SessionId::parse(text).map(|id| id.to_string()),
        EntryId::parse(text).map(|id| id.to_string()),
        TenantId::parse(text).map(|id| id.to_string()),
    ];
    for id in read.into_iter().flatten() {
        assert_eq!(id, text, "a second spelling of an id");
    }
}

fn email(text: &str) {
    let Ok(email) = Email::parse(text) else { return };
    let canonical = email.as_str();
    assert_eq!(Email::parse(canonical).as_ref(), Ok(&email), "{text:?}");
    assert!(canonical.matches('@').count() == 1 && *canonical == *canonical.to_ascii_lowercase(), "{canonical}");
    assert!(canonical.is_ascii() && !canonical.contains(char::is_whitespace), "{canonical}");
    assert!(!email.domain().ends_with('.') && canonical.ends_with(email.domain()), "{canonical}");
}

fn addresses(text: &str) {
    let ours = |host: &str| ["records.acme.test", "acme.test"].contains(&host);
    for (scheme, port) in [("https", 443), ("https", 8443), ("http", 8080)] {
        let origins = Origins { scheme, port };
        let Ok(to) = origins.check(text, ours) else { continue };
        let read = Url::parse(&to.to_string());
        let origin = read.as_ref().map(|url| url.origin().ascii_serialization());
        assert_eq!(origin.as_deref(), Ok(to.origin()), "{text} leads elsewhere");
        assert!(ours(to.host()) && to.origin() == origins.of(to.host()), "{to}");
        assert!(to.path().starts_with('/') && !to.path().starts_with("//"), "{to}");
        assert_eq!(origins.check(&to.to_string(), ours).as_ref(), Ok(&to), "{text} read again");
    }
    if let (Ok(path), Ok(here)) =
        (return_to::local_path(text), Url::parse("https://records.acme.test/.cardea/callback"))
    {
        let led = here.join(path).map(|url| url.origin());
        assert_eq!(led, Ok(here.origin()), "{path} leads off the host");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*, sample::select};

    #[test]
    fn what_fuzzing_found_still_holds() {
        let folder = format!("{}/../../tests/fuzz/corpus/tokens", env!("CARGO_MANIFEST_DIR"));
        let kept: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!kept.is_empty(), "{folder} is empty");
        for path in kept {
            tokens(&std::fs::read(path).unwrap());
        }
    }

    const PIECES: &[&str] = &[
        "https://",
        "http://",
        "records.acme.test",
        "acme.test",
        ":443",
        ":8443",
        ":8080",
        "/",
        "//",
        "\\",
        "@",
        "?",
        "#",
        ".",
        "..",
        "%2e",
        "%2f",
        "evil.test",
        "\t",
        "a",
        "A",
        "mira",
        "+x",
        "\"",
        " ",
        "=",
        "-",
        "_",
        "cardea=",
        "; ",
        "0190",
        "0190b3c4-7d3e-7abc-8def-0123456789ab",
        "{",
        "}",
        "urn:uuid:",
        "0190b3c47d3e7abc8def0123456789ab",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "B",
        "é",
        "0190B3C4-7D3E-7ABC-8DEF-0123456789AB",
        "javascript:",
        "xn--",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn only_what_we_issue_is_taken(pieces in vec(select(PIECES), 0..7)) {
            tokens(pieces.concat().as_bytes());
        }
    }
}
