//! How many requests may come in how much time: of one caller, from one address, for one app, at one tenant.

use serde::{Deserialize, Serialize};

use crate::{Diagnostic, Diagnostics};

/// So many requests in so many seconds. What was used comes back evenly: of 600 in 60 seconds, one each tenth of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many.
    pub requests: u32,
    /// In how much time.
    pub seconds: u32,
    /// How many of them may come at once, by whoever was silent for so long. All of them: a page with its pictures comes at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

/// The rates of an app; each that is absent is without a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppRates {
    /// Of each caller: a person, wherever they are signed in, a service; of whoever is not known, their address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Rate>,
    /// From each address (IPv6: each network of 64 bits), whoever asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Rate>,
    /// Of all callers together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<Rate>,
}

/// The rates of a tenant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantRates {
    /// For all of its apps together, by all callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Rate>,
}

/// A million: more than one gateway serves in a second.
const REQUESTS_MAX: u32 = 1_000_000;

/// A day: what is counted for longer is a quota, and belongs to the service.
const SECONDS_MAX: u32 = 24 * 3600;

impl Rate {
    /// How many may come at once.
    pub fn at_once(&self) -> u32 {
        self.burst.unwrap_or(self.requests)
    }

    fn check(&self, source: &str, name: &str, found: &mut Diagnostics) {
        for (key, value, most) in [
            ("requests", self.requests, REQUESTS_MAX),
            ("seconds", self.seconds, SECONDS_MAX),
            ("burst", self.at_once(), REQUESTS_MAX),
        ] {
            if !(1..=most).contains(&value) {
                found.push(
                    Diagnostic::new(source, format!("rates.{name}: `{key}` is {value}"))
                        .help(format!("give 1 to {most}, or leave the rate away")),
                );
            }
        }
        if self.at_once() > self.requests {
            found.push(
                Diagnostic::new(source, format!("rates.{name}: `burst` is more than `requests`"))
                    .help("give more requests in more seconds instead: 100 in 10 for 10 a second, and 100 at once"),
            );
        }
    }
}

impl AppRates {
    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self, source: &str, found: &mut Diagnostics) {
        for (name, rate) in [("caller", self.caller), ("address", self.address), ("app", self.app)] {
            rate.iter().for_each(|rate| rate.check(source, name, found));
        }
    }
}

impl TenantRates {
    /// Whether there are none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn check(&self, source: &str, found: &mut Diagnostics) {
        self.tenant.iter().for_each(|rate| rate.check(source, "tenant", found));
    }
}

#[cfg(test)]
mod tests {
    use crate::resources::{AppSpec, TenantSpec, read::read_resource};

    fn app(rates: &str) -> Result<AppSpec, String> {
        let text = format!(
            "id = \"records\"\nname = \"Records\"\nhosts = [\"records.acme.example\"]\n[upstream]\nurl = \"https://a:1\"\n[rates]\n{rates}\n"
        );
        read_resource::<AppSpec>("records.toml", &text).map_err(|found| found.to_string())
    }

    #[test]
    fn a_rate_that_would_let_nobody_in_or_everybody_is_a_mistake() {
        for (rates, amiss) in [
            ("caller = { requests = 600, seconds = 60 }", None),
            ("address = { requests = 1, seconds = 86400 }\napp = { requests = 1000000, seconds = 1, burst = 1 }", None),
            ("caller = { requests = 0, seconds = 60 }", Some("rates.caller: `requests` is 0")),
            ("caller = { requests = 9, seconds = 0 }", Some("rates.caller: `seconds` is 0")),
            ("app = { requests = 9, seconds = 86401 }", Some("rates.app: `seconds` is 86401")),
            ("address = { requests = 9, seconds = 1, burst = 0 }", Some("rates.address: `burst` is 0")),
            ("address = { requests = 9, seconds = 1, burst = 10 }", Some("`burst` is more than `requests`")),
            ("caller = { requests = 9 }", Some("missing field `seconds`")),
            ("tenant = { requests = 9, seconds = 1 }", Some("unknown field `tenant`")),
        ] {
            let found = app(rates).err();
            match amiss {
                None => assert_eq!(found, None, "{rates}"),
                Some(amiss) => {
                    assert!(found.as_ref().is_some_and(|found| found.contains(amiss)), "{rates}: {found:?}");
                }
            }
        }
        let tenant = "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n[rates]\ntenant = { requests = 0, seconds = 1 }\n";
        let found = read_resource::<TenantSpec>("tenant.toml", tenant).err().map(|found| found.to_string());
        assert!(found.is_some_and(|found| found.contains("rates.tenant: `requests` is 0")));
    }

    #[test]
    fn rates_are_written_as_they_were_read() {
        let spec = app("caller = { requests = 600, seconds = 60, burst = 20 }").unwrap();
        let again: AppSpec = toml::from_str(&toml::to_string(&spec).unwrap()).unwrap();
        assert_eq!((again.rates.caller.unwrap().at_once(), &again), (20, &spec));
        assert!(!toml::to_string(&app("").unwrap()).unwrap().contains("rates"), "what is not there is not written");
    }
}
