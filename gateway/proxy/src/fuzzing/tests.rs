//! The kept corpus, played again, and inputs made of the pieces that attacks are made of.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

/// Plays everything that fuzzing found worth keeping for a target.
fn replay(target: &str, holds: fn(&[u8])) {
    let folder = format!("{}/../../tests/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut played = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        holds(&std::fs::read(entry.unwrap().path()).unwrap());
        played += 1;
    }
    assert!(played > 0, "{folder} is empty");
}

#[test]
fn what_fuzzing_found_still_holds() {
    replay("canonical", canonical);
    replay("header_rules", header_rules);
    replay("cookies", cookies);
    replay("forwarded", forwarded);
    replay("framing", framing);
}

/// Texts made of these pieces.
fn of(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    vec(select(pieces), 0..12).prop_map(|pieces| pieces.concat())
}

const TARGET: &[&str] = &[
    "/", "a", "..", ".", ";", "%2e", "%2F", "%5c", "\\", "%25", "%252e", "32", "%00", "%7f", "%c3%a9", "%ff", "é", "?",
    "#", "//", "*", "http://", "@", ":", "a.test", "%", "%4", "%41", "~", "[", "|", "'", "\"", " ", "x=1", "&",
];
const HOST: &[&str] = &[
    "a", "A", ".", "-", "test", ":", "80", "8443", "99999", "[", "]", "::1", "%", "@", "/", "_", "xn--", "é", ",", " ",
];
const FIELDS: &[&str] = &[
    "cardea",
    "Assertion",
    "-",
    "_",
    ".",
    "Remote",
    "User",
    "X-Auth-Request",
    "SSL",
    "Client",
    "Cert",
    "x",
    "X-Forwarded",
    "For",
    "Forwarded",
    "Connection: ",
    "close",
    ", ",
    "content-length",
    "host",
    "te",
    "transfer-encoding",
    "cookie",
    ": ",
    ": 1\n",
    "\n",
    "x-own",
    "via",
    "x-http-method",
    "override",
    "sec-fetch-site",
    "keep-alive",
    "~",
    "!",
    "Upgrade",
    "x-legacy-user",
    "proxy-connection",
];
const COOKIES: &[&str] = &[
    "cardea",
    "__Host-",
    "__host-",
    "-flow",
    "-device",
    "=",
    ";",
    "; ",
    " ",
    "\t",
    "a",
    "b=2",
    "\n",
    "\"",
    "Path=/",
    "==",
    "CARDEA",
    ",",
    "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF",
];
const HOPS: &[&str] = &[
    "\0",
    "\u{1}",
    "\u{2}",
    "\u{3}",
    "x-forwarded-for: ",
    "x-forwarded-proto: https",
    "forwarded: for=",
    "\n",
    ", ",
    "10.0.0.9",
    "203.0.113.9",
    "::ffff:10.0.0.1",
    "2001:db8::9",
    "2001:db9::9",
    "nonsense",
    ",",
    "\"",
    ":80",
    "[",
    "]",
];
const STREAM: &[&str] = &[
    "\u{1}",
    "\u{7}",
    "GET / HTTP/1.1\r\n",
    "POST /x HTTP/1.1\r\n",
    "GET / HTTP/1.0\r\n",
    "host: a\r\n",
    "\r\n",
    "\n",
    "\r",
    "Content-Length: 3\r\n",
    "content-length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "transfer-encoding: x\r\n",
    "abc",
    "3\r\nabc\r\n",
    "0\r\n",
    "a: 1\r\n",
    "3;x=y\r\nabc\r\n",
    " ",
    "connection: close\r\n",
    "expect: 100-continue\r\n",
    "upgrade: websocket\r\n",
    "CONNECT a:1 HTTP/1.1\r\n",
    "ffffffffffffffff\r\n",
    ": ",
    "0",
    "x",
    "\t",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_forwarded_is_what_was_decided(target in of(TARGET), host in of(HOST)) {
        canonical(format!("/{target}\n{host}").as_bytes());
        canonical(format!("{target}\na.test").as_bytes());
    }

    #[test]
    fn no_identity_comes_from_outside(lines in of(FIELDS)) {
        header_rules(lines.as_bytes());
    }

    #[test]
    fn our_cookies_stay_and_others_pass(lines in of(COOKIES)) {
        cookies(lines.as_bytes());
    }

    #[test]
    fn strangers_say_nothing_of_where_they_come_from(lines in of(HOPS)) {
        forwarded(lines.as_bytes());
    }

    #[test]
    fn hyper_hears_what_stands_there_and_no_more(stream in of(STREAM)) {
        framing(stream.as_bytes());
        framing(format!("\u{5}POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{stream}").as_bytes());
    }
}
