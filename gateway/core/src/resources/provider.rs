//! An OpenID Connect provider that a tenant trusts, and how far.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, Visitor},
};

use super::{Resource, WrittenUrl};
use crate::{Assurance, Diagnostic, Diagnostics, GroupId, ProviderId};

/// A provider as an administrator writes it (`tenants/<tenant>/providers/<id>.toml`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSpec {
    /// Its name in paths and entries.
    pub id: ProviderId,
    /// What its button says after "Continue with".
    pub name: String,
    /// The issuer, exactly as the provider's discovery document states it (OpenID Connect Discovery 1.0 section 4.3).
    pub issuer: WrittenUrl,
    /// Our client id at the provider.
    pub client_id: String,
    /// Where our client secret is kept; absent for a public client, which PKCE alone protects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretRef>,
    /// Scopes beside `openid`.
    #[serde(default = "usual_scopes")]
    pub scopes: Vec<String>,
    /// E-mail domains whose people are sent here at once. For these its word about an address is believed: it opens the
    /// pool's account of that address, or the invitation that waits for it; with any other it only joins (see `join`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub email_domains: Vec<String>,
    /// Whether a person unknown to the pool joins it by signing in.
    #[serde(default)]
    pub join: JoinRule,
    /// Whether people of the pool may link accounts of theirs there to their own, by proving both. Off: an account that anybody can
    /// open is then no way in that the tenant has not thought of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub link: bool,
    /// The claim that lists the person's groups.
    #[serde(default = "groups_claim")]
    pub groups_claim: String,
    /// The provider's group names that count here, and the group of ours that each gives.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, GroupId>,
    /// What a value of `acr` or `amr` is worth; whatever is not listed is worth assurance 1.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub assurance: BTreeMap<String, Assurance>,
    /// PEM file of roots for a provider under a private CA; the system's roots where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// Whose security events about its people are believed, where something about them is not as for its ID tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signals: Option<SignalsSpec>,
}

/// Who sends security events (OpenID Shared Signals Framework 1.0), and to whom. What is left out is as for ID tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalsSpec {
    /// Another who issues them in the provider's place, exactly as their tokens say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Where that one publishes its keys; both or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<WrittenUrl>,
    /// What they call us; our client id where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// Where the secret is kept that each push brings (`Authorization: Bearer`); none is asked for where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretRef>,
}

/// Where a secret is kept: never in the resource itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretRef {
    /// A file that holds it, relative to the configuration's folder; trailing line ends are dropped.
    File(String),
    /// An environment variable of the gateway.
    Env(String),
}

/// By hand, so that a secret that somebody wrote here itself is not repeated by the error that says so.
impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Place;
        impl<'de> Visitor<'de> for Place {
            type Value = SecretRef;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("where the secret is kept: `{ file = \"…\" }` or `{ env = \"…\" }`")
            }
            fn visit_str<E: de::Error>(self, _: &str) -> Result<SecretRef, E> {
                Err(open())
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<SecretRef, E> {
                Err(open())
            }
            fn visit_u64<E: de::Error>(self, _: u64) -> Result<SecretRef, E> {
                Err(open())
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<SecretRef, E> {
                Err(open())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretRef, A::Error> {
                let Some((kind, place)) = map.next_entry::<String, String>()? else {
                    return Err(de::Error::custom(
                        "the place of a secret is empty: write `{ file = \"…\" }` or `{ env = \"…\" }`",
                    ));
                };
                let place = match kind.as_str() {
                    "file" => SecretRef::File(place),
                    "env" => SecretRef::Env(place),
                    other => return Err(de::Error::unknown_field(other, &["file", "env"])),
                };
                match map.next_key::<String>()? {
                    None => Ok(place),
                    Some(_) => Err(de::Error::custom("a secret is kept in one place: `file` or `env`")),
                }
            }
        }
        d.deserialize_any(Place)
    }
}

fn open<E: de::Error>() -> E {
    E::custom("a secret stands here itself: write where it is kept, `{ file = \"…\" }` or `{ env = \"…\" }`")
}

/// Who may come in by this provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JoinRule {
    /// Only people whom the pool knows: who are linked, or have an address in `email_domains`.
    #[default]
    Closed,
    /// Whoever the provider vouches for joins the pool on first sign-in.
    Open,
}

fn usual_scopes() -> Vec<String> {
    vec!["email".to_owned(), "profile".to_owned()]
}
fn groups_claim() -> String {
    "groups".to_owned()
}

impl Resource for ProviderSpec {
    const KIND: &'static str = "provider";

    fn check(&self, source: &str) -> Diagnostics {
        let mut found = Diagnostics::default();
        let mut protected = |what: &str, url: &WrittenUrl| {
            let loopback = url.host_str().is_some_and(|host| {
                host == "localhost" || host.ends_with(".localhost") || host == "127.0.0.1" || host == "[::1]"
            });
            if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
                let one = Diagnostic::new(source, format!("{what} `{url}` is not https"));
                found.push(one.help("plain http is accepted on loopback only"));
            }
        };
        protected("issuer", &self.issuer);
        if let Some(keys) = self.signals.as_ref().and_then(|signals| signals.jwks_uri.as_ref()) {
            protected("signals.jwks_uri", keys);
        }
        if self.signals.as_ref().is_some_and(|signals| signals.issuer.is_some() != signals.jwks_uri.is_some()) {
            let one = Diagnostic::new(source, "signals.issuer and signals.jwks_uri do not stand together");
            found.push(one.help("whoever signs in the provider's place is named, and where its keys are"));
        }
        if self.issuer.query().is_some() || self.issuer.fragment().is_some() {
            found.push(Diagnostic::new(source, format!("issuer `{}` has a query or fragment", self.issuer)));
        }
        if self.client_id.is_empty() {
            found.push(Diagnostic::new(source, "the provider has an empty `client_id`"));
        }
        for domain in &self.email_domains {
            super::tenant::check_host(source, domain, &mut found);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Holder {
        secret: SecretRef,
    }

    #[test]
    fn a_secret_that_stands_itself_is_refused_and_not_repeated() {
        let read = |text: &str| {
            toml::from_str::<Holder>(text).map(|holder| holder.secret).map_err(|error| error.message().to_owned())
        };
        assert_eq!(read("secret = { file = \"a\" }"), Ok(SecretRef::File("a".to_owned())));
        assert_eq!(read("secret = { env = \"A\" }"), Ok(SecretRef::Env("A".to_owned())));
        for (text, told) in [
            ("\"hunter2\"", "write where it is kept"),
            ("72346", "write where it is kept"),
            ("7.2346", "write where it is kept"),
            ("{}", "is empty"),
            ("{ file = \"a\", env = \"A\" }", "in one place"),
            ("{ files = \"hunter2\" }", "unknown field `files`"),
        ] {
            let why = read(&format!("secret = {text}")).unwrap_err();
            assert!(why.contains(told) && !why.contains("hunter2") && !why.contains("2346"), "{text}: {why}");
        }
    }
}
