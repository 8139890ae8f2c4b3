use proptest::prelude::*;

use super::*;

fn rewrite(client: &str, service: &str) -> Rewrite {
    let some = |prefix: &str| Some(prefix.to_owned()).filter(|prefix| !prefix.is_empty());
    let spec = RewriteSpec { strip_prefix: some(client), add_prefix: some(service), ..RewriteSpec::default() };
    Rewrite::new("apps/lab.toml", &spec).unwrap()
}

fn sent(client: &str, service: &str, raw: &str) -> Result<String, Reason> {
    let canonical = Canonical::of_target(raw, false)?;
    rewrite(client, service).target(canonical.target()).map(|moved| match moved {
        Moved::To(target) => target.to_string(),
        Moved::Onward(target) => format!("onward {target}"),
    })
}

#[test]
fn a_path_is_moved_by_whole_segments() {
    for (client, service, raw, expected) in [
        ("/lab", "", "/lab/x", Ok("/x")),
        ("/lab", "", "/lab/x/?q=/lab/y", Ok("/x/?q=/lab/y")),
        ("/lab", "", "/lab/", Ok("/")),
        ("/lab", "", "/lab", Ok("onward /lab/")),
        ("/lab", "", "/lab?a=b", Ok("onward /lab/?a=b")),
        ("/lab", "", "/%6Cab/%78", Ok("/x")),
        ("/lab", "", "/lab/a%20b;c", Ok("/a%20b%3Bc")),
        ("/lab", "", "/labs/x", Err(Reason::NotFound)),
        ("/lab", "", "/Lab/x", Err(Reason::NotFound)),
        ("/lab", "", "/x", Err(Reason::NotFound)),
        ("/lab", "", "/", Err(Reason::NotFound)),
        ("/lab", "", "/lab%2Fx", Err(Reason::AmbiguousPath)),
        ("/lab", "", "/lab//x", Err(Reason::AmbiguousPath)),
        ("/lab", "", "/lab/../x", Err(Reason::AmbiguousPath)),
        ("/lab/v1", "/api", "/lab/v1", Ok("/api")),
        ("/lab/v1", "/api", "/lab/v1/x", Ok("/api/x")),
        ("/lab/v1", "/api", "/lab/v2/x", Err(Reason::NotFound)),
        ("", "/app", "/", Ok("/app/")),
        ("", "/app", "/x?", Ok("/app/x?")),
        ("", "", "/x", Ok("/x")),
    ] {
        assert_eq!(
            sent(client, service, raw).as_deref().map_err(|reason| *reason),
            expected,
            "{client} {service} {raw}"
        );
    }
}

fn answered(client: &str, service: &str, name: &'static str, value: &str) -> Vec<String> {
    let mut headers = HeaderMap::new();
    headers.append(name, HeaderValue::from_str(value).unwrap());
    rewrite(client, service).answer(&Canonical::of_target("/lab/x", false).unwrap(), &mut headers);
    headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[test]
fn what_a_service_says_of_its_own_addresses_is_mapped_back() {
    for (client, service, said, told) in [
        ("/lab", "", "/x?q=1#top", "/lab/x?q=1#top"),
        ("/lab", "", "/", "/lab/"),
        ("/lab", "", "https://lab.localhost:8443/x", "https://lab.localhost:8443/lab/x"),
        ("/lab", "", "http://LAB.localhost:8443/x", "http://LAB.localhost:8443/lab/x"),
        ("/lab", "", "//lab.localhost:8443/x", "//lab.localhost:8443/lab/x"),
        ("/lab", "", "https://lab.localhost:8443", "https://lab.localhost:8443/lab/"),
        ("", "/app", "/app/x", "/x"),
        ("", "/app", "/app", "/"),
        ("/lab", "/app", "/app/x", "/lab/x"),
    ] {
        assert_eq!(answered(client, service, "location", said), [told], "{client} {service} {said}");
        assert_eq!(answered(client, service, "content-location", said), [told], "{client} {service} {said}");
    }
    // What is nobody's address below the prefix, or could be read in two ways, is left as it was said.
    for (client, service, said) in [
        ("/lab", "", "x"),
        ("/lab", "", "../x"),
        ("/lab", "", "?page=2"),
        ("/lab", "", "https://other.example/x"),
        ("/lab", "", "https://lab.localhost:8443.evil.example/x"),
        ("/lab", "", "https://lab.localhost:8443@evil.example/x"),
        ("/lab", "", "//evil.example/x"),
        ("/lab", "", "/a/../b"),
        ("/lab", "", "/\\evil.example"),
        ("/lab", "", "mailto:ida@acme.test"),
        ("", "/app", "/app//evil.example"),
        ("", "/app", "/app/\\evil.example"),
        ("", "/app", "/apple/x"),
        ("", "/app", "/x"),
    ] {
        assert_eq!(answered(client, service, "location", said), [said], "{client} {service} {said}");
    }
}

#[test]
fn cookies_go_where_their_paths_went() {
    for (client, service, said, told) in [
        ("/lab", "", "a=1; Path=/; HttpOnly", "a=1; Path=/lab; HttpOnly"),
        ("/lab", "", "a=1; path=/x; Secure", "a=1; path=/lab/x; Secure"),
        ("/lab", "", "a=1; Secure", "a=1; Secure"),
        ("/lab", "", "__Host-a=1; Path=/; Secure", "__Host-a=1; Path=/; Secure"),
        ("/lab", "", "path=/x; Domain=lab.localhost", "path=/x; Domain=lab.localhost"),
        ("", "/app", "a=1; Path=/app", "a=1; Path=/"),
        ("", "/app", "a=1; Path=/app/x", "a=1; Path=/x"),
        ("", "/app", "a=1; Path=/", "a=1; Path=/"),
    ] {
        assert_eq!(answered(client, service, "set-cookie", said), [told], "{client} {service} {said}");
    }
}

#[test]
fn headers_are_set_and_removed_in_every_spelling() {
    let spec: RewriteSpec =
        toml::from_str("[request]\nset = { X-Lab = 'one' }\nremove = ['Accept-Encoding']\n").unwrap();
    let mut headers = HeaderMap::new();
    for name in ["x-lab", "x.lab", "accept-encoding", "accept"] {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static("sent"));
    }
    Rewrite::new("apps/lab.toml", &spec).unwrap().request(&mut headers);
    let mut left: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    left.sort_unstable();
    assert_eq!(left, [("accept", "sent"), ("x-lab", "one")]);
}

/// Segments that a joining of paths might trip over.
fn segment() -> impl Strategy<Value = String> {
    let odd = [
        "", ".", "..", "%2e", "%2F", "%5c", "%252e", "..;", ";", "lab", "app", "%6Cab", "LAB", "a b", "%20", "é",
        "%C3%A9", "//", "\\",
    ];
    prop_oneof![proptest::sample::select(odd.to_vec()).prop_map(str::to_owned), "[a-z%.;/]{0,4}"]
}

fn prefix() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec!["", "/lab", "/app", "/lab/app", "/v1.2"])
}

proptest! {
    /// What is sent reads as what was decided, moved; it goes back to where it came from; and nothing arises in it that the
    /// edge would have refused.
    #[test]
    fn what_is_sent_is_what_was_decided_moved(
        client in prefix(),
        service in prefix(),
        below in proptest::bool::weighted(0.8),
        segments in proptest::collection::vec(segment(), 0..5),
        keeps_slashes in any::<bool>(),
    ) {
        let raw = format!("{}/{}", if below { client } else { "" }, segments.join("/"));
        let Ok(decided) = Canonical::of_target(&raw, keeps_slashes) else { return Ok(()) };
        let rewrite = rewrite(client, service);
        let rest = super::below(decided.path(), client);
        match rewrite.target(decided.target()) {
            Err(reason) => {
                prop_assert_eq!(reason, Reason::NotFound);
                prop_assert!(rest.is_none(), "{} is below {}", decided.path(), client);
            }
            Ok(Moved::Onward(target)) => prop_assert_eq!(target.path(), format!("{client}/")),
            Ok(Moved::To(target)) => {
                let heard = Canonical::of_target(target.as_str(), keeps_slashes);
                let heard = heard.map_err(|reason| TestCaseError::fail(format!("{target} was sent: {reason}")))?;
                let moved = rest.map(|rest| format!("{service}{rest}"));
                prop_assert_eq!(Some(&**heard.path()), moved.as_deref());
                prop_assert_eq!(heard.target(), &target, "it has one spelling");
                let back = rewrite.back(target.path());
                prop_assert_eq!(back.as_deref(), Some(decided.target().path()));
            }
        }
    }
}
