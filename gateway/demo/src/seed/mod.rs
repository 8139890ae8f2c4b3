//! What the demonstration begins with: two tenants as commented files, three people, and what to try.

mod attempts;
mod people;

use std::collections::BTreeMap;

use cardea_core::{Diagnostics, resources::Bundle};

pub use attempts::{Attempt, attempts};
pub use people::{Person, people};

/// Where things are in this run; fills the placeholders of the seed's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The port of the gateway, shared by all `*.localhost` hosts.
    pub port: u16,
    /// The stand-in provider's issuer, without a slash at its end: `http://127.0.0.1:8081`.
    pub issuer: String,
    /// Address of Acme's records service: `127.0.0.1:9443`.
    pub acme_records: String,
    /// Address of Northwind's records service.
    pub north_records: String,
    /// The operator's trust domain: `cardea.internal`.
    pub trust_domain: String,
}

/// Client id of the gateway at the stand-in provider.
pub const CLIENT_ID: &str = "cardea";

/// The seed as a folder that `cardea apply` reads, comments included: relative path and text.
pub fn files(places: &Places) -> BTreeMap<String, String> {
    FILES.iter().map(|(path, text)| ((*path).to_owned(), places.fill(text))).collect()
}

/// The same, read.
pub fn bundle(places: &Places) -> Result<Bundle, Diagnostics> {
    Bundle::read(&files(places))
}

impl Places {
    fn fill(&self, text: &str) -> String {
        text.replace("@PORT@", &self.port.to_string())
            .replace("@ISSUER@", &self.issuer)
            .replace("@CLIENT_ID@", CLIENT_ID)
            .replace("@ACME_RECORDS@", &self.acme_records)
            .replace("@NORTH_RECORDS@", &self.north_records)
            .replace("@TRUST_DOMAIN@", &self.trust_domain)
    }
}

macro_rules! embedded {
    ($($path:literal),* $(,)?) => {
        const FILES: &[(&str, &str)] = &[$(($path, include_str!(concat!("../../seed/", $path)))),*];
    };
}

embedded!(
    "guard-rails/operator.cedar",
    "tenants/acme/tenant.toml",
    "tenants/acme/apps/records.toml",
    "tenants/acme/groups/administrators.toml",
    "tenants/acme/groups/chemists.toml",
    "tenants/acme/groups/readers.toml",
    "tenants/acme/groups/reviewers.toml",
    "tenants/acme/policies/records.cedar",
    "tenants/acme/policies/tests.toml",
    "tenants/north/tenant.toml",
    "tenants/north/apps/records.toml",
    "tenants/north/groups/administrators.toml",
    "tenants/north/groups/chemists.toml",
    "tenants/north/groups/readers.toml",
    "tenants/north/groups/reviewers.toml",
    "tenants/north/policies/records.cedar",
    "tenants/north/policies/tests.toml",
    "tenants/north/providers/clinic.toml",
);

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places {
            port: 8080,
            issuer: "http://127.0.0.1:8081".to_owned(),
            acme_records: "127.0.0.1:9443".to_owned(),
            north_records: "127.0.0.1:9444".to_owned(),
            trust_domain: "cardea.internal".to_owned(),
        }
    }

    #[test]
    fn the_seed_reads_without_a_mistake_and_leaves_no_placeholder() {
        let bundle = bundle(&places()).unwrap();
        assert_eq!(bundle.tenants.len(), 2);
        assert!(files(&places()).values().all(|text| !text.contains('@') || !text.contains("_RECORDS@")));
        for (path, text) in files(&places()) {
            for word in ["@PORT@", "@ISSUER@", "@CLIENT_ID@", "@TRUST_DOMAIN@"] {
                assert!(!text.contains(word), "{path} still holds {word}");
            }
        }
    }

    #[test]
    fn whoever_and_whatever_is_tried_exists() {
        let bundle = bundle(&places()).unwrap();
        let people = people(&cardea_core::entropy::Fixed::new(1));
        for person in &people {
            let tenant = &bundle.tenants[&person.tenant];
            assert!(person.groups.iter().all(|group| tenant.groups.contains_key(group)), "{}", person.email);
        }
        let hosts: Vec<_> = bundle
            .tenants
            .values()
            .flat_map(|tenant| {
                tenant.apps.values().flat_map(|app| app.hosts.clone()).chain([tenant.tenant.sign_in_host.clone()])
            })
            .collect();
        for attempt in attempts(&places()) {
            let url = url::Url::parse(&attempt.url).unwrap();
            assert!(hosts.iter().any(|host| url.host_str() == Some(host)), "{}", attempt.url);
            assert_eq!(url.port(), Some(8080));
            let known = |email: &String| people.iter().any(|person| &person.email == email);
            assert!(attempt.by.as_ref().is_none_or(known), "{:?}", attempt.by);
        }
    }
}
