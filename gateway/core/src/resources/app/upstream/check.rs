//! What keeps a service from being reached as written.

use super::{Diagnostic, Diagnostics, HealthRules, UpstreamSpec, WrittenUrl};

/// Most addresses of one service: more are better told by a name that resolves to them.
const URLS_MAX: usize = 64;

/// The longest of all limits, in seconds: a day. What takes longer is no request.
const DAY: u32 = 86_400;

/// Cookies that are Cardea's own.
const OUR_COOKIES: [&str; 6] =
    ["__Host-cardea", "__Host-cardea-flow", "__Host-cardea-device", "cardea", "cardea-flow", "cardea-device"];

pub(in crate::resources::app) fn check(source: &str, upstream: &UpstreamSpec, found: &mut Diagnostics) {
    let mut amiss = |message: String, help: &str| found.push(Diagnostic::new(source, message).help(help));
    match (&upstream.url, upstream.urls.len()) {
        (None, 0) => amiss("the upstream has no address".to_owned(), "add `url = \"https://host:port\"`"),
        (Some(_), 1..) => amiss("the upstream has both `url` and `urls`".to_owned(), "keep one of the two"),
        (_, count) if count > URLS_MAX => {
            amiss(format!("the upstream has {count} addresses"), "name at most 64, or a host that resolves to all");
        }
        _ => {}
    }
    for (nth, url) in upstream.all_urls().enumerate() {
        of_url(url, &mut amiss);
        if upstream.all_urls().take(nth).any(|other| **other == **url) {
            amiss(format!("upstream `{url}` stands twice"), "name each address once");
        }
    }
    if let Some(other) = upstream.all_urls().find(|url| (url.scheme() == "https") != upstream.is_https()) {
        amiss(format!("upstream `{other}` has another scheme than the first"), "use `https` for all, or `http`");
    }
    of_identity(upstream, &mut amiss);
    of_limits(upstream, &mut amiss);
    if let Some(health) = &upstream.health {
        of_health(health, &mut amiss);
    }
    if let Some(name) = &upstream.sticky_cookie {
        of_cookie(name, &mut amiss);
    }
}

fn of_url(url: &WrittenUrl, amiss: &mut impl FnMut(String, &str)) {
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
        amiss(format!("upstream `{url}` is neither http nor https"), "write `https://host:port`");
    }
    let more = url.path() != "/" || url.query().is_some() || !url.username().is_empty() || url.fragment().is_some();
    if more || url.password().is_some() {
        amiss(format!("upstream `{url}` has more than a scheme, host and port"), "write `https://host:port`");
    }
}

fn of_identity(upstream: &UpstreamSpec, amiss: &mut impl FnMut(String, &str)) {
    let Some(id) = &upstream.spiffe_id else { return };
    for url in upstream.all_urls().filter(|url| url.scheme() != "https") {
        amiss(format!("upstream `{url}` names a SPIFFE ID but is not https"), "mTLS needs an `https` address");
    }
    if !id.starts_with("spiffe://") {
        amiss(format!("`{id}` is not a SPIFFE ID"), "it starts with `spiffe://`");
    }
    if upstream.ca_file.is_some() {
        amiss(
            "the upstream has both `spiffe_id` and `ca_file`".to_owned(),
            "with `spiffe_id` the tenant's own CA is the only root",
        );
    }
}

fn of_limits(upstream: &UpstreamSpec, amiss: &mut impl FnMut(String, &str)) {
    let (outliers, retries) = (&upstream.outliers, &upstream.retries);
    let mut within = |name: &str, value: u32, least: u32, most: u32| {
        if !(least..=most).contains(&value) {
            amiss(format!("{name} is {value}"), &format!("give a number from {least} to {most}"));
        }
    };
    within("connect_seconds", upstream.connect_seconds, 1, DAY);
    within("answer_seconds", upstream.answer_seconds, 1, DAY);
    within("idle_seconds", upstream.idle_seconds.unwrap_or(1), 1, DAY);
    within("connections", upstream.connections, 1, 1_000_000);
    within("slow_start_seconds", upstream.slow_start_seconds, 0, 3_600);
    within("outliers.after", outliers.after, 0, 1_000);
    within("outliers.for_seconds", outliers.for_seconds, 1, 3_600);
    within("outliers.share_percent", outliers.share_percent, 0, 100);
    within("retries.tries", retries.tries, 1, 10);
    within("retries.budget_percent", retries.budget_percent, 0, 100);
}

fn of_health(health: &HealthRules, amiss: &mut impl FnMut(String, &str)) {
    let path = &health.path;
    if !path.starts_with('/') || path.bytes().any(|b| !b.is_ascii_graphic() || b == b'#') {
        amiss(format!("health path `{path}` is not a path"), "start with `/`; escape what is not ASCII");
    }
    let mut within = |name: &str, value: u32, most: u32| {
        if !(1..=most).contains(&value) {
            amiss(format!("health.{name} is {value}"), &format!("give a number from 1 to {most}"));
        }
    };
    within("every_seconds", health.every_seconds, 3_600);
    within("within_seconds", health.within_seconds, 60);
    within("healthy_after", health.healthy_after, 100);
    within("unhealthy_after", health.unhealthy_after, 100);
    if health.within_seconds > health.every_seconds {
        amiss(
            format!("health.within_seconds is {}, more than every_seconds", health.within_seconds),
            "an answer is due before the next question",
        );
    }
}

fn of_cookie(name: &str, amiss: &mut impl FnMut(String, &str)) {
    let token = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(token) {
        amiss(format!("`{name}` is not a cookie's name"), "use up to 64 letters, digits, `-`, `_` and `.`");
    }
    if OUR_COOKIES.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
        amiss(
            format!("sticky_cookie `{name}` is the name of a cookie of Cardea's own"),
            "choose another, such as `records-at`",
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::resources::{AppSpec, read::read_resource};

    fn mistakes(upstream: &str) -> String {
        let text = format!("id = \"records\"\nname = \"Records\"\nhosts = [\"r.localhost\"]\n[upstream]\n{upstream}\n");
        read_resource::<AppSpec>("app.toml", &text).err().map(|found| found.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_cannot_be_reached_as_written_is_named() {
        for (upstream, says) in [
            ("", "the upstream has no address"),
            ("url = \"http://a:1\"\nurls = [\"http://b:1\"]", "both `url` and `urls`"),
            ("urls = [\"http://a:1\", \"https://b:1\"]", "app.toml:5:23: upstream `https://b:1` has another scheme"),
            ("urls = [\"http://a:1\", \"http://a:1\"]", "`http://a:1` stands twice"),
            ("urls = [\"http://a:1\", \"http://a:1/\"]", "`http://a:1/` stands twice"),
            ("url = \"ftp://a:1\"", "neither http nor https"),
            ("url = \"http://a:1/path\"", "more than a scheme, host and port"),
            ("url = \"http://u:p@a:1\"", "more than a scheme, host and port"),
            ("url = \"http://a:1\"\nspiffe_id = \"spiffe://x/y\"", "not https"),
            ("url = \"http://a:1\"\nprotocol = \"http3\"", "unknown variant"),
            ("url = \"http://a:1\"\nconnect_seconds = 0", "connect_seconds is 0"),
            ("url = \"http://a:1\"\nidle_seconds = 0", "idle_seconds is 0"),
            ("url = \"http://a:1\"\nconnections = 0", "connections is 0"),
            ("url = \"http://a:1\"\nsticky_cookie = \"a;b\"", "`a;b` is not a cookie's name"),
            ("url = \"http://a:1\"\nsticky_cookie = \"Cardea-Flow\"", "a cookie of Cardea's own"),
            ("url = \"http://a:1\"\n[upstream.health]\npath = \"health\"", "`health` is not a path"),
            ("url = \"http://a:1\"\n[upstream.health]\nwithin_seconds = 9", "more than every_seconds"),
            ("url = \"http://a:1\"\n[upstream.health]\nevery_second = 9", "did you mean `every_seconds`"),
            ("url = \"http://a:1\"\n[upstream.outliers]\nshare_percent = 101", "outliers.share_percent is 101"),
            ("url = \"http://a:1\"\n[upstream.retries]\ntries = 0", "retries.tries is 0"),
        ] {
            let found = mistakes(upstream);
            assert!(found.contains(says), "{upstream}: {found}");
        }
    }

    #[test]
    fn every_field_reads_back_as_it_was_written() {
        let full = "urls = [\"https://a:1\", \"https://b:1\"]\nprotocol = \"http2\"\nconnect_seconds = 1\nanswer_seconds = 2\n\
            idle_seconds = 3\nconnections = 4\nslow_start_seconds = 5\nsticky_cookie = \"at\"\n\
            [upstream.health]\npath = \"/healthz\"\nevery_seconds = 9\n[upstream.outliers]\nafter = 0\n[upstream.retries]\ntries = 1";
        for upstream in ["url = \"http://a:1\"", full, "url = \"http://a:1\"\n[upstream.health]"] {
            let text = format!("id = \"records\"\nname = \"R\"\nhosts = [\"r.localhost\"]\n[upstream]\n{upstream}\n");
            let read = read_resource::<AppSpec>("app.toml", &text).unwrap();
            let written = toml::to_string(&read).unwrap();
            assert_eq!(read_resource::<AppSpec>("app.toml", &written).unwrap(), read, "{written}");
        }
    }
}
