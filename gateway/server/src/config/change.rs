//! What of a configuration can change while the gateway runs, what waits for a restart, and which keys differ.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use cardea_core::{Diagnostic, Diagnostics, Timestamp};
use serde::Serialize;

use super::{Certificate, Config, ListenerConfig, LogConfig, Scheme};

/// Keys that a reload takes over. INVARIANT: they are those that [`Config::with_changes_of`] takes.
const LIVE: &[&str] = &["access_log", "forwarded", "limits", "log", "resources", "tls", "traces", "trusted_proxies"];

/// A key below those that waits all the same: lines of two forms in one stream would not be read by whoever reads the first.
const WAITING: &str = "log.format";

/// A key whose value is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyChange {
    /// The key as it is written: `limits.in_flight`.
    pub key: String,
    /// Its value before; absent where it was not written.
    pub before: Option<String>,
    /// Its value now.
    pub after: Option<String>,
    /// Whether it is taken over only by a restart.
    pub waits_for_restart: bool,
}

impl Config {
    /// This configuration with everything of `new` that can change while the gateway runs: limits, trusted proxies,
    /// certificates, and how it tells what it does. Where listeners are others, their certificates wait with them.
    pub fn with_changes_of(&self, new: Self) -> Self {
        let listeners = if self.same_doors(&new) { new.listeners } else { self.listeners.clone() };
        Self {
            listeners,
            text: new.text,
            resources: new.resources,
            trusted_proxies: new.trusted_proxies,
            forwarded: new.forwarded,
            limits: new.limits,
            log: LogConfig { format: self.log.format, ..new.log },
            access_log: new.access_log,
            traces: new.traces,
            watch_certificates: new.watch_certificates,
            ..self.clone()
        }
    }

    /// The keys in which `new` differs and which wait for a restart: addresses, stores and names.
    pub fn waits_for_restart(&self, new: &Self) -> Vec<&'static str> {
        [
            ("listeners", !self.same_doors(new)),
            ("ops", self.ops != new.ops),
            ("machines", self.machines != new.machines || self.certificate_life != new.certificate_life),
            ("ext_authz", self.ext_authz != new.ext_authz),
            ("state", self.state_dir != new.state_dir),
            ("state.sessions", self.sessions != new.sessions),
            ("keys", self.passphrase != new.passphrase),
            ("public_port", self.public_port != new.public_port),
            ("public_scheme", self.public_tls != new.public_tls),
            ("trust_domain", self.trust_domain != new.trust_domain),
            ("postgres", self.postgres != new.postgres),
            ("redis", self.redis != new.redis),
            ("mail", self.mail != new.mail),
            ("log.format", self.log.format != new.log.format),
        ]
        .into_iter()
        .filter_map(|(key, differs)| differs.then_some(key))
        .collect()
    }

    /// Whether both listen at the same addresses, in the same order and the same way.
    fn same_doors(&self, other: &Self) -> bool {
        let doors = |config: &Self| -> Vec<_> {
            config
                .listeners
                .iter()
                .map(|one| {
                    (
                        one.address,
                        matches!(one.scheme, Scheme::Plain),
                        one.proxy_protocol,
                        one.http3,
                        one.client_certificates,
                    )
                })
                .collect()
        };
        doors(self) == doors(other)
    }

    /// Every certificate of every listener.
    pub fn certificates(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        self.listeners.iter().flat_map(ListenerConfig::certificates)
    }

    /// This configuration with the certificates whose files were replaced, if any was, and what is wrong with those that
    /// cannot be read. Each stands for itself: one that is broken keeps its predecessor, and holds up no other.
    pub fn with_renewed(&self, now: Timestamp) -> (Option<Self>, Diagnostics) {
        let (mut renewed, mut wrong, mut any) = (self.clone(), Diagnostics::default(), false);
        let all = renewed.listeners.iter_mut().filter_map(|listener| match &mut listener.scheme {
            Scheme::Plain => None,
            Scheme::Tls(all) => Some(all),
        });
        for one in all.flatten().filter(|one| one.was_replaced()) {
            match Certificate::read(&one.path, &one.key, now) {
                Ok(new) => (*one, any) = (Arc::new(new), true),
                Err(flaw) => wrong.push(Diagnostic::new(&self.source, flaw.message).help(flaw.help)),
            }
        }
        (any.then_some(renewed), wrong)
    }
}

/// The keys in which two texts of a configuration differ, in their order. Both have been read before. `same_doors`: whether
/// the process that they are told of listens as `after` says ([`same_doors`]); only then are certificates taken over.
pub fn keys_between(before: &str, after: &str, same_doors: bool) -> Vec<KeyChange> {
    let (before, after) = (flat(before), flat(after));
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let differs = |key: &&String| before.get(*key) != after.get(*key);
    let told = |key: &String| KeyChange {
        key: key.clone(),
        before: before.get(key).cloned(),
        after: after.get(key).cloned(),
        waits_for_restart: !is_live(key, same_doors),
    };
    keys.into_iter().filter(differs).map(told).collect()
}

/// Whether two texts name the same listeners, as [`Config::with_changes_of`] compares them.
pub fn same_doors(one: &str, other: &str) -> bool {
    let doors = |text: &str| -> Vec<_> {
        let table = text.parse::<toml::Table>().unwrap_or_default();
        let all = table.get("listeners").and_then(toml::Value::as_array);
        let door = |one: &toml::Value| {
            let address = one.get("address").and_then(|address| address.as_str()?.parse::<SocketAddr>().ok());
            let says = |key| one.get(key).and_then(toml::Value::as_bool).unwrap_or_default();
            (address, one.get("tls").is_some(), says("proxy_protocol"), says("http3"), says("client_certificates"))
        };
        all.into_iter().flatten().map(door).collect()
    };
    doors(one) == doors(other)
}

fn is_live(key: &str, same_doors: bool) -> bool {
    let first = key.split(['.', '[']).next().unwrap_or_default();
    WAITING != key && LIVE.contains(&first) || (same_doors && first == "listeners" && key.contains(".tls"))
}

/// Every value of a text with the way to it.
fn flat(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    if let Ok(table) = text.parse::<toml::Table>() {
        walk(String::new(), &toml::Value::Table(table), &mut found);
    }
    found
}

fn walk(at: String, value: &toml::Value, found: &mut BTreeMap<String, String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                walk(if at.is_empty() { key.clone() } else { format!("{at}.{key}") }, value, found);
            }
        }
        toml::Value::Array(all) if all.iter().any(toml::Value::is_table) => {
            for (nth, value) in all.iter().enumerate() {
                walk(format!("{at}[{nth}]"), value, found);
            }
        }
        other => {
            found.insert(at, other.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_are_named_with_what_waits() {
        let before = "[state]\ndir = \"s\"\n[[listeners]]\naddress = \"127.0.0.1:1\"\nplain = true\n";
        let after = "trusted_proxies = [\"10.0.0.0/8\"]\n[state]\ndir = \"s\"\n[[listeners]]\naddress = \"127.0.0.1:2\"\n\
                     plain = true\n[limits]\nin_flight = 7\n";
        let told: Vec<_> = keys_between(before, after, false)
            .into_iter()
            .map(|one| (one.key, one.before, one.after, one.waits_for_restart))
            .collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            told,
            [
                ("limits.in_flight".to_owned(), None, text("7"), false),
                ("listeners[0].address".to_owned(), text("\"127.0.0.1:1\""), text("\"127.0.0.1:2\""), true),
                ("trusted_proxies".to_owned(), None, text("[\"10.0.0.0/8\"]"), false),
            ]
        );
        assert!(keys_between(after, after, true).is_empty());
        for (key, doors, live) in [
            ("listeners[0].tls.certificate", true, true),
            ("listeners[1].tls[0].key", true, true),
            ("listeners[0].tls.certificate", false, false),
            ("state.dir", true, false),
            ("log.level", false, true),
            ("log.format", true, false),
            ("limits.drain_seconds", false, true),
        ] {
            assert_eq!(is_live(key, doors), live, "{key}");
        }
    }

    #[test]
    fn certificates_wait_with_listeners_that_are_others() {
        let listening = |text: &str| format!("[state]\ndir = \"s\"\n[[listeners]]\n{text}\n");
        let tls = "address = \"[::1]:1\"\ntls = { certificate = \"c\", key = \"k\" }";
        let other = tls.replace("\"c\"", "\"d\"");
        for (after, same) in [
            (other.clone(), true),
            (other.replace("[::1]", "[0:0::1]"), true),
            (format!("{other}\nproxy_protocol = false"), true),
            (format!("{other}\nproxy_protocol = true"), false),
            (format!("{other}\nhttp3 = false"), true),
            (format!("{other}\nhttp3 = true"), false),
            (format!("{other}\nclient_certificates = true"), false),
            (other.replace(":1\"", ":2\""), false),
            (format!("{other}\n[[listeners]]\n{tls}"), false),
        ] {
            assert_eq!(same_doors(&listening(tls), &listening(&after)), same, "{after}");
        }
        let plain = listening("address = \"[::1]:1\"\nplain = true");
        assert!(!same_doors(&plain, &listening(tls)));
        let waits = |one: KeyChange| one.waits_for_restart;
        assert!(keys_between(&plain, &listening(tls), false).into_iter().all(waits));
    }
}
