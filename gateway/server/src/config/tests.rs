use std::path::Path;

use cardea_core::Timestamp;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn parse(text: &str) -> Result<Config, Diagnostics> {
    Config::parse("cardea.toml", text, Path::new("/nowhere"), NOW)
}

#[test]
fn the_smallest_configuration_has_a_default_for_all_else() {
    let config =
        parse("[state]\ndir = \"state\"\n[[listeners]]\naddress = \"127.0.0.1:8080\"\nplain = true\n").unwrap();
    assert_eq!(config.state_dir, Path::new("/nowhere/state"));
    assert_eq!(config.public_port, 8080);
    assert_eq!(config.trust_domain, "cardea.internal");
    assert_eq!(config.origin("acme.localhost"), "http://acme.localhost:8080");
    assert_eq!(config.limits, Limits::default());
}

#[test]
fn each_mistake_is_told_with_its_place_and_the_way_out() {
    let state = "[state]\ndir = \"s\"\n";
    let plain = "[[listeners]]\naddress = \"127.0.0.1:1\"\nplain = true\n";
    for (text, place, says) in [
        (format!("[state]\ndri = \"s\"\n{plain}"), "cardea.toml:2:1", "did you mean `dir`?"),
        (format!("{state}sessions = \"ram\"\n{plain}"), "cardea.toml:3:12", "expected `disk` or `memory`"),
        (
            format!("{state}sessions = \"memory\"\n{plain}[redis]\nurl = \"redis://h\"\n"),
            "cardea.toml:3:12",
            "sessions in memory and `[redis]`",
        ),
        (
            format!("{state}sessions = \"memory\"\n{plain}[postgres]\nurl = \"postgres://h/b\"\n"),
            "cardea.toml:3:12",
            "sessions in memory and `[postgres]`",
        ),
        (format!("{state}[[listener]]\n{plain}"), "cardea.toml:3:3", "did you mean `listeners`?"),
        (state.to_owned(), "cardea.toml:", "there is no listener"),
        (format!("{state}[[listeners]]\naddress = \"0.0.0.0:80\"\nplain = true\n"), "cardea.toml:4:11", "in the clear"),
        (format!("{state}[[listeners]]\naddress = \"0.0.0.0:443\"\n"), "cardea.toml:3", "neither TLS nor plain"),
        (
            format!("{state}[[listeners]]\naddress = \"localhost:443\"\n"),
            "cardea.toml:4:11",
            "such as `127.0.0.1:8443`",
        ),
        (format!("{state}{plain}[ops]\naddress = \"127.0.0.1\"\n"), "cardea.toml:7:11", "an IP address and a port"),
        (format!("{state}{plain}[ops]\naddress = \"127.0.0.1:1\"\n"), "cardea.toml:7:11", "used twice"),
        (
            format!(
                "{state}[[listeners]]\naddress = \"0.0.0.0:443\"\ntls = {{ certificate = \"c.pem\", key = \"k.pem\" }}\n"
            ),
            "cardea.toml:5:23",
            "cannot be read",
        ),
        (format!("forwarded = \"via\"\n{state}{plain}"), "cardea.toml:1:13", "no header that tells of a client"),
        (format!("{state}{plain}proxy_protocol = true\n"), "cardea.toml:3", "for listed proxies, and none is listed"),
        (format!("{state}{plain}http3 = true\n"), "cardea.toml:3", "HTTP/3 is always TLS"),
        (
            format!(
                "trusted_proxies = [\"10.0.0.0/8\"]\n{state}[[listeners]]\naddress = \"0.0.0.0:443\"\n\
                 tls = {{ certificate = \"c.pem\", key = \"k.pem\" }}\nproxy_protocol = true\nhttp3 = true\n"
            ),
            "cardea.toml:4",
            "TCP and no UDP",
        ),
        (format!("{state}{plain}[log]\nlevel = \"a=b=c\"\n"), "cardea.toml:7:9", "not a log level"),
        (format!("{state}{plain}[limits]\nin_flight = 0\n"), "cardea.toml:7:13", "too small"),
        (format!("{state}{plain}[limits]\nheader_bytes = 1000\n"), "cardea.toml:7:16", "too small"),
        (format!("{state}{plain}[limits]\nheader_bytes = 1000000\n"), "cardea.toml:7:16", "too large"),
        (format!("public_port = 0\n{state}{plain}"), "cardea.toml:1:15", "public_port is 0"),
        (format!("{state}{plain}[ext_authz]\naddress = \"0.0.0.0:9191\"\n"), "cardea.toml:7:11", "anybody could ask"),
        (
            format!("{state}{plain}[ext_authz]\naddress = \"0.0.0.0:9191\"\ncallers = [\"spiffe://a.b/c\"]\n"),
            "cardea.toml:8:12",
            "[machines]",
        ),
        (format!("{state}{plain}[ext_authz]\naddress = \"127.0.0.1:1\"\n"), "cardea.toml:7:11", "used twice"),
        (format!("public_scheme = \"ftp\"\n{state}{plain}"), "cardea.toml:1:17", "ftp"),
        (format!("trust_domain = \"Not One\"\n{state}{plain}"), "cardea.toml:1:16", "not a trust domain"),
        (format!("{state}{plain}[redis]\nurl = \"redis://:geheim@h\"\n"), "cardea.toml:7:7", "holds a password"),
        (
            format!("{state}{plain}[postgres]\nurl = \"postgres://a:geheim@h/b\"\n"),
            "cardea.toml:7:7",
            "holds a password",
        ),
        (format!("{state}{plain}[postgres]\nurl = \"mysql://a@h/b\"\n"), "cardea.toml:7:7", "no URL of a PostgreSQL"),
        (format!("{state}{plain}[postgres]\nurl = \"postgres://a@h/b\"\n"), "cardea.toml:7:7", "is not verified"),
        (
            format!("{state}{plain}[postgres]\nurl = \"postgres://a@h/b?sslmode=require\"\n"),
            "cardea.toml:7:7",
            "is not verified",
        ),
        (
            format!("{state}{plain}[postgres]\nurl = \"postgres://a@h/b?sslmode=verify-full&sslmode=disable\"\n"),
            "cardea.toml:7:7",
            "is not verified",
        ),
        (
            format!("{state}{plain}[postgres]\nurl = \"postgres://a@localhost/b?password=x\"\n"),
            "cardea.toml:7:7",
            "`password` is no",
        ),
        (
            format!("{state}{plain}[postgres]\nurl = \"postgres://a@localhost/b?sslmod=verify-full\"\n"),
            "cardea.toml:7:7",
            "`sslmod` is no",
        ),
        (format!("{state}{plain}[redis]\n"), "cardea.toml:6", "not said where Redis is"),
        (
            format!("{state}{plain}[redis]\nurl = \"redis://h\"\ncluster = [\"redis://h\"]\n"),
            "cardea.toml:8:11",
            "both by `url` and by `cluster`",
        ),
        (format!("{state}{plain}[redis]\ncluster = []\n"), "cardea.toml:7:11", "no node"),
        (format!("{state}{plain}[redis]\ncluster = \"redis://h\"\n"), "cardea.toml:7:11", "a list of URLs"),
        (
            format!("{state}{plain}[redis]\ncluster = [\"redis://h\", \"redis://:geheim@h\"]\n"),
            "cardea.toml:7:25",
            "holds a password",
        ),
        (format!("{state}{plain}[redis]\ncluster = [\"h:7000\"]\n"), "cardea.toml:7:12", "no URL of a Redis"),
        (format!("{state}{plain}[redis]\ncluster = [\"redis://h/3\"]\n"), "cardea.toml:7:12", "no database `3`"),
        (
            format!("{state}{plain}[redis]\ncluster = {{ env = \"CARDEA_NO_SUCH\" }}\n"),
            "cardea.toml:7:11",
            "CARDEA_NO_SUCH",
        ),
        (format!("{state}{plain}[redis]\nurl = {{ env = \"CARDEA_NO_SUCH\" }}\n"), "cardea.toml:7:7", "CARDEA_NO_SUCH"),
        (format!("{state}{plain}[keys]\npassphrase = \"hunter2\"\n"), "cardea.toml:7:14", "write where it is kept"),
        (
            format!("{state}{plain}[mail]\nfrom = \"nobody\"\nfolder = \"m\"\n"),
            "cardea.toml:7:8",
            "no address to send from",
        ),
        (format!("{state}{plain}[mail]\nfrom = \"a@b.c\"\n"), "cardea.toml:6", "mail goes nowhere"),
        (
            format!("{state}{plain}[mail]\nfrom = \"a@b.c\"\nhost = \"h\"\nfolder = \"m\"\n"),
            "cardea.toml:6",
            "both a host and a folder",
        ),
        (
            format!("{state}{plain}[mail]\nfrom = \"a@b.c\"\nhost = \"mail.b.c:587\"\n"),
            "cardea.toml:8:8",
            "not the name of a server",
        ),
        (
            format!("{state}{plain}[mail]\nfrom = \"a@b.c\"\nhost = \"smtp://h\"\n"),
            "cardea.toml:8:8",
            "not the name of a server",
        ),
        (
            format!("{state}{plain}[mail]\nfrom = \"a@b.c\"\nhost = \"mail.b.c\"\ntls = \"none\"\n"),
            "cardea.toml:8:8",
            "in the clear",
        ),
        (
            format!("{state}{plain}[mail]\nfrom = \"a@b.c\"\nhost = \"h\"\nuser = \"u\"\n"),
            "cardea.toml:9:8",
            "a user without a password",
        ),
        (
            format!(
                "{state}{plain}[mail]\nfrom = \"a@b.c\"\nhost = \"h\"\nuser = \"u\"\npassword = {{ env = \"CARDEA_NO_SUCH\" }}\n"
            ),
            "cardea.toml:10:12",
            "CARDEA_NO_SUCH",
        ),
        (
            format!("{state}{plain}[mail]\nfrom = \"a@b.c\"\nhost = \"h\"\nca_file = \"none.pem\"\n"),
            "cardea.toml:9:11",
            "none.pem",
        ),
        (format!("resources = \"none\"\n{state}{plain}"), "cardea.toml:1:13", "not a folder"),
        (
            format!("trusted_proxies = [\"10.0.0.7\", \"proxy.internal\"]\n{state}{plain}"),
            "cardea.toml:1:32",
            "`proxy.internal` is no network: write `10.0.0.0/8`, or an address such as `10.0.0.7`",
        ),
    ] {
        let found = parse(&text).expect_err(&text).to_string();
        assert!(found.contains(place) && found.contains(says), "{text}\n---\n{found}");
        assert!(!found.contains("geheim"), "{found}");
    }
}

#[test]
fn a_proxy_may_be_named_by_its_address_alone() {
    let text = "trusted_proxies = [\"127.0.0.1\", \"::1\", \"10.0.0.0/8\"]\n[state]\ndir = \"s\"\n[[listeners]]\n\
                address = \"127.0.0.1:1\"\nplain = true\n";
    let trusted = parse(text).unwrap().trusted_proxies;
    assert_eq!(trusted.iter().map(ToString::to_string).collect::<Vec<_>>(), ["127.0.0.1/32", "::1/128", "10.0.0.0/8"]);
}

#[test]
fn http3_is_spoken_where_it_was_built_in() {
    let found = parse(
        "[state]\ndir = \"s\"\n[[listeners]]\naddress = \"0.0.0.0:443\"\nhttp3 = true\n\
         tls = { certificate = \"c.pem\", key = \"k.pem\" }\n",
    );
    let found = found.unwrap_err().to_string();
    assert_eq!(found.contains("was built without it"), cfg!(not(feature = "http3")), "{found}");
    assert_eq!(found.contains("--features http3"), cfg!(not(feature = "http3")), "{found}");
}

#[test]
fn a_proxy_before_us_may_speak_tls_for_us() {
    let text = "public_port = 443\npublic_scheme = \"https\"\n[state]\ndir = \"s\"\n[[listeners]]\n\
                address = \"127.0.0.1:1\"\nplain = true\n";
    let config = parse(text).unwrap();
    assert!(config.is_tls());
    assert_eq!(config.origin("acme.example"), "https://acme.example");
}

#[test]
fn all_mistakes_come_together() {
    let found = parse(
        "public_port = 0\n[state]\ndir = \"s\"\n[[listeners]]\naddress = \"0.0.0.0:80\"\nplain = true\n[log]\nlevel = \"a=b=c\"\n",
    )
    .unwrap_err();
    assert_eq!(found.0.len(), 3, "{found}");
}

#[test]
fn an_expired_certificate_is_named_with_its_end() {
    let folder = std::env::temp_dir().join(format!("cardea-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut wanted = rcgen::CertificateParams::new(vec!["acme.example".to_owned()]).unwrap();
    wanted.not_before = rcgen::date_time_ymd(2020, 1, 1);
    wanted.not_after = rcgen::date_time_ymd(2021, 2, 3);
    std::fs::write(folder.join("c.pem"), wanted.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(folder.join("k.pem"), key.serialize_pem()).unwrap();
    let text = "[state]\ndir = \"s\"\n[[listeners]]\naddress = \"0.0.0.0:443\"\ntls = { certificate = \"c.pem\", key = \"k.pem\" }\n";
    let found = Config::parse("cardea.toml", text, &folder, NOW).unwrap_err().to_string();
    assert!(found.contains("expired at 2021-02-03"), "{found}");
    let before = Config::parse("cardea.toml", text, &folder, Timestamp::from_secs(1_600_000_000)).unwrap();
    let Scheme::Tls(certificates) = &before.listeners[0].scheme else { panic!("not TLS") };
    assert!(certificates[0].ready.covers("acme.example") && !certificates[0].ready.covers("other.example"));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_example_is_right_but_for_its_certificate() {
    let text = include_str!("../../cardea.example.toml");
    let found = parse(text).unwrap_err();
    assert!(found.0.iter().all(|one| one.message.contains("tls/chain.pem")), "{found}");
    let unshown = crate::examples::unshown::<shape::File>(text);
    assert!(unshown.is_empty(), "not explained: {unshown:?}");
    // What is commented out shows the default: with it, the same comes out.
    let key = |line: &str| {
        line.strip_prefix("# ").is_some_and(|rest| {
            rest.split_once(" = ").is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        })
    };
    let shown: Vec<_> = text.lines().map(|line| if key(line) { &line[2..] } else { line }).collect();
    let shown = shown
        .join("\n")
        .replace("url = \"redis", "# url = \"redis")
        .replace("url = \"postgres", "# url = \"postgres")
        .replace("cluster = [", "# cluster = [");
    let found = parse(&shown).unwrap_err();
    let expected = ["tls/chain.pem", "resources"];
    assert!(found.0.iter().all(|one| expected.iter().any(|word| one.message.contains(word))), "{found}");
}

#[test]
fn every_limit_of_the_edge_can_be_said_and_none_can_be_senseless() {
    let with = |line: &str| {
        parse(&format!(
            "[state]\ndir = \"s\"\n[[listeners]]\naddress = \"127.0.0.1:1\"\nplain = true\n[limits]\n{line}\n"
        ))
    };
    type Said = fn(&cardea_proxy::Limits) -> bool;
    let all: [(&str, Said); 19] = [
        ("in_flight = 7", |l| l.concurrency == 7),
        ("reserved_percent = 40", |l| l.reserved_percent == 40),
        ("client_percent = 7", |l| l.client_percent == 7),
        ("app_percent = 7", |l| l.app_percent == 7),
        ("tenant_percent = 7", |l| l.tenant_percent == 7),
        ("own_body_seconds = 7", |l| l.own_body == Duration::from_secs(7)),
        ("connections = 7", |l| l.connections == 7),
        ("connections_per_client = 7", |l| l.connections_per_client == 7),
        ("handshake_seconds = 7", |l| l.handshake == Duration::from_secs(7)),
        ("head_seconds = 7", |l| l.head == Duration::from_secs(7)),
        ("idle_seconds = 7", |l| l.idle == Duration::from_secs(7)),
        ("stalled_seconds = 7", |l| l.stalled == Duration::from_secs(7)),
        ("headers = 64", |l| l.headers == 64),
        ("body_bytes = 7", |l| l.body_bytes == 7),
        ("body_bytes_per_second = 0", |l| l.body_rate == 0),
        ("body_grace_seconds = 7", |l| l.body_grace == Duration::from_secs(7)),
        ("http2_streams = 7", |l| l.http2_streams == 7),
        ("http2_resets = 70", |l| l.http2_resets == 70),
        ("http2_idle_frames = 700", |l| l.http2_idle_frames == 700),
    ];
    for (line, said) in all {
        let limits = with(line).unwrap().limits.edge;
        assert!(said(&limits), "{line}: {limits:?}");
    }
    for (line, says) in [
        ("reserved_percent = 100", "too large"),
        ("client_percent = 0", "too small"),
        ("own_body_seconds = 31", "too large"),
        ("app_percent = 101", "too large"),
        ("tenant_percent = 101", "too large"),
        ("connections = 0", "too small"),
        ("connections_per_client = 0", "too small"),
        ("handshake_seconds = 0", "too small"),
        ("head_seconds = 100000", "too large"),
        ("idle_seconds = 0", "too small"),
        ("stalled_seconds = 1", "too small"),
        ("headers = 5", "too small"),
        ("body_bytes = 0", "too small"),
        ("body_grace_seconds = 0", "too small"),
        ("http2_streams = 0", "too small"),
        ("http2_resets = 1", "too small"),
        ("http2_idle_frames = 1", "too small"),
    ] {
        let found = with(line).expect_err(line).to_string();
        assert!(found.contains("cardea.toml:7:") && found.contains(says), "{line}\n{found}");
    }
}

#[test]
fn sessions_are_where_it_is_said_and_go_elsewhere_with_a_restart() {
    let state = "[state]\ndir = \"s\"\n";
    let plain = "[[listeners]]\naddress = \"127.0.0.1:1\"\nplain = true\n";
    for (said, servers, is) in [
        ("", "", "disk"),
        ("sessions = \"disk\"\n", "", "disk"),
        ("sessions = \"memory\"\n", "", "memory"),
        ("sessions = \"disk\"\n", "[postgres]\nurl = \"postgres://127.0.0.1/b\"\n", "postgres"),
        ("", "[redis]\nurl = \"redis://127.0.0.1\"\n", "redis"),
    ] {
        assert_eq!(parse(&format!("{state}{said}{plain}{servers}")).unwrap().sessions_are_in(), is, "{said}{servers}");
    }
    let before = parse(&format!("{state}{plain}")).unwrap();
    let after = parse(&format!("{state}sessions = \"memory\"\n{plain}")).unwrap();
    assert_eq!(before.waits_for_restart(&after), ["state.sessions"]);
    assert_eq!(before.with_changes_of(after).sessions, SessionsIn::Disk);
}

#[test]
fn the_form_of_log_lines_waits_for_a_restart_and_their_level_does_not() {
    let text = "[state]\ndir = \"s\"\n[[listeners]]\naddress = \"127.0.0.1:1\"\nplain = true\n";
    let before = parse(text).unwrap();
    let after = parse(&format!("{text}[log]\nformat = \"json\"\nlevel = \"debug\"\n")).unwrap();
    assert_eq!(before.waits_for_restart(&after), ["log.format"]);
    let next = before.with_changes_of(after);
    assert_eq!((next.log.format, &*next.log.level), (LogFormat::Text, "debug"));
}
