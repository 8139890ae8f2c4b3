//! A client: a program that obtains tokens (RFC 6749), in its own name or in a person's.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Resource;
use crate::{AppId, ClientId, Diagnostic, Diagnostics, GroupId};

/// A client as an administrator writes it (`tenants/<tenant>/clients/<id>.toml`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSpec {
    /// Its `client_id`, and its name in policies where it asks in its own name: `Service::"lab-sync"`.
    pub id: ClientId,
    /// Its name as people read it who are asked whether it may act for them.
    pub name: String,
    /// How it comes by tokens.
    pub grants: BTreeSet<GrantType>,
    /// How it proves that it is the one.
    #[serde(default)]
    pub authentication: ClientAuthentication,
    /// Its public keys, for `private_key_jwt`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<ClientKey>,
    /// The name in its certificate, for `tls_client_auth`: a workload of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<String>,
    /// Where a browser may bring a code back to: addresses as they stand, or loopback ones, of which the port is left open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// The apps that its tokens may be for.
    pub apps: BTreeSet<AppId>,
    /// What its tokens may be good for: names of actions, or `read` and `write` for all of either kind.
    pub scope: BTreeSet<String>,
    /// The groups that it is in where it asks in its own name.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<GroupId>,
    /// Whether its tokens must be bound to a key (RFC 9449) or certificate (RFC 8705) of its own, so that whoever steals one
    /// has nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bound: bool,
    /// For how many days a person's permission lasts before they are asked again: 1 to 366. Thirty: a month of work with a tool.
    #[serde(default = "days", skip_serializing_if = "is_usual")]
    pub days: u16,
    /// After how many days without use it ends earlier. Fourteen: over a holiday.
    #[serde(default = "idle_days", skip_serializing_if = "is_usual_idle")]
    pub idle_days: u16,
}

/// How a client comes by tokens; the names are those of OAuth's metadata (RFC 8414, RFC 8628).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// In its own name: it is a service account.
    ClientCredentials,
    /// In the name of a person, who says so in a browser that comes back to it (with PKCE, RFC 7636).
    AuthorizationCode,
    /// In the name of a person, who says so in any browser (RFC 8628).
    DeviceCode,
}

/// How a client proves that it is the one (RFC 7591 section 2, `token_endpoint_auth_method`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthentication {
    /// Not at all: a program on people's own machines can keep no secret.
    #[default]
    None,
    /// By a secret that `cardea client secret` makes.
    ClientSecret,
    /// By a JWT that it signs with a key of its own (RFC 7523).
    PrivateKeyJwt,
    /// By the certificate of its connection (RFC 8705).
    TlsClientAuth,
}

/// A public key of a client, as a JWK (RFC 7517): P-256 or Ed25519.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientKey {
    /// Its name, which the client's JWTs carry; not needed where there is one key alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// `EC`, or `OKP`.
    pub kty: String,
    /// `P-256`, or `Ed25519`.
    pub crv: String,
    /// The first coordinate, or the key; base64url.
    pub x: String,
    /// The second coordinate; base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
}

/// The most keys of one client: one that signs and one that will, and some to spare.
const MOST_KEYS: usize = 8;

/// The longest that anything of a person's permission may last.
const MOST_DAYS: u16 = 366;

const fn days() -> u16 {
    30
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_usual(days_: &u16) -> bool {
    *days_ == days()
}

const fn idle_days() -> u16 {
    14
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_usual_idle(days: &u16) -> bool {
    *days == idle_days()
}

impl ClientSpec {
    /// Whether it acts in its own name.
    pub fn is_service(&self) -> bool {
        self.grants.contains(&GrantType::ClientCredentials)
    }

    /// Whether it acts for people.
    pub fn acts_for_people(&self) -> bool {
        self.grants.iter().any(|grant| *grant != GrantType::ClientCredentials)
    }

    /// Whether it cannot prove who it is.
    pub fn is_public(&self) -> bool {
        self.authentication == ClientAuthentication::None
    }
}

impl Resource for ClientSpec {
    const KIND: &'static str = "client";

    fn check(&self, source: &str) -> Diagnostics {
        let mut found = Diagnostics::default();
        let mut amiss = |message: String, help: &str| found.push(Diagnostic::new(source, message).help(help));
        if self.name.trim().is_empty() {
            amiss("the client has an empty `name`".into(), "give the name that people know it by");
        }
        if self.grants.is_empty() {
            amiss(
                "`grants` is empty, so it comes by no token".into(),
                "write `grants = [\"client_credentials\"]`, say",
            );
        }
        if self.apps.is_empty() {
            amiss("`apps` is empty, so its tokens would be for nothing".into(), "name the apps that it may use");
        }
        if self.scope.is_empty() {
            amiss(
                "`scope` is empty, so its tokens would be good for nothing".into(),
                "write `scope = [\"read\"]`, say",
            );
        }
        for one in self.scope.iter().filter(|one| !is_scope(one)) {
            amiss(
                format!("`{one}` cannot be a scope"),
                "write the name of an action, `read` or `write`: letters, digits, `.`, `_`, `:` and `-`",
            );
        }
        if self.is_service() && self.is_public() {
            amiss(
                "whoever knows its name could act in its name".into(),
                "write `authentication = \"private_key_jwt\"`, `\"tls_client_auth\"` or `\"client_secret\"`",
            );
        }
        if !self.groups.is_empty() && !self.is_service() {
            amiss(
                "it is in `groups`, but never asks in its own name".into(),
                "leave `groups` away: in a person's name it is in the person's",
            );
        }
        for (limit, of) in [(self.days, "days"), (self.idle_days, "idle_days")] {
            if !(1..=MOST_DAYS).contains(&limit) {
                amiss(format!("`{of}` is {limit}"), "give 1 to 366 days, or leave it away");
            }
        }
        self.check_proof(source, &mut found);
        self.check_redirects(source, &mut found);
        found
    }
}

impl ClientSpec {
    fn check_proof(&self, source: &str, found: &mut Diagnostics) {
        use ClientAuthentication as By;
        let mut amiss = |message: String, help: &str| found.push(Diagnostic::new(source, message).help(help));
        match (self.authentication, self.keys.is_empty(), &self.spiffe_id) {
            (By::PrivateKeyJwt, true, _) => amiss(
                "it proves itself by `private_key_jwt`, and no key is given".into(),
                "put its public key into `[[keys]]`: `kty`, `crv`, `x`, `y`",
            ),
            (By::TlsClientAuth, _, None) => amiss(
                "it proves itself by its certificate, and no name in it is given".into(),
                "write `spiffe_id = \"spiffe://…\"`",
            ),
            (By::PrivateKeyJwt, _, None) | (By::TlsClientAuth, true, _) | (By::None | By::ClientSecret, true, None) => {
            }
            (_, false, _) => {
                amiss("`keys` are given, and not asked for".into(), "write `authentication = \"private_key_jwt\"`");
            }
            (_, true, Some(_)) => {
                amiss("`spiffe_id` is given, and not asked for".into(), "write `authentication = \"tls_client_auth\"`");
            }
        }
        if self.keys.len() > MOST_KEYS {
            amiss(format!("it has {} keys", self.keys.len()), "give at most 8");
        }
        let names: BTreeSet<_> = self.keys.iter().map(|key| &key.kid).collect();
        if names.len() < self.keys.len() || self.keys.len() > 1 && names.contains(&None) {
            amiss("of several keys each needs a `kid` of its own".into(), "name each, as the client's JWTs do");
        }
        for key in &self.keys {
            let fits = match (key.kty.as_str(), key.crv.as_str(), &key.y) {
                ("EC", "P-256", Some(y)) => is_coordinate(&key.x) && is_coordinate(y),
                ("OKP", "Ed25519", None) => is_coordinate(&key.x),
                _ => false,
            };
            if !fits {
                amiss(
                    format!("a key of kind `{}`, `{}` is none that is believed", key.kty, key.crv),
                    "give a P-256 key (`kty = \"EC\"`, `crv = \"P-256\"`, `x`, `y`) or an Ed25519 key (`kty = \"OKP\"`, `x`)",
                );
            }
        }
    }

    fn check_redirects(&self, source: &str, found: &mut Diagnostics) {
        let wanted = self.grants.contains(&GrantType::AuthorizationCode);
        if wanted == self.redirect_uris.is_empty() {
            found.push(if wanted {
                Diagnostic::new(source, "`redirect_uris` is empty, so no code could be brought back")
                    .help("write `redirect_uris = [\"http://127.0.0.1/callback\"]` for a tool on people's own machines")
            } else {
                Diagnostic::new(source, "`redirect_uris` are given, and no code is brought back to them")
                    .help("add `authorization_code` to `grants`, or leave them away")
            });
        }
        for uri in &self.redirect_uris {
            if !is_redirect(uri) {
                found.push(Diagnostic::new(source, format!("`{uri}` is no address to bring a code back to")).help(
                    "write `https://…`, or `http://127.0.0.1/…` or `http://[::1]/…` for a tool on people's own machines; no fragment, no user name",
                ));
            }
        }
    }
}

/// Whether a text may be a scope: what a named action may be called.
pub fn is_scope(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-'))
}

/// 32 bytes in base64url, without padding.
fn is_coordinate(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn is_redirect(uri: &str) -> bool {
    let Ok(url) = url::Url::parse(uri) else { return false };
    let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let plain = url.scheme() == "http" && is_loopback(&url);
    bare && (url.scheme() == "https" || plain) && url.host().is_some() && url.as_str() == uri
}

/// Whether the address is of the machine that the browser runs on (RFC 8252 section 7.3; names are none: they may lead elsewhere).
pub fn is_loopback(url: &url::Url) -> bool {
    matches!(url.host(), Some(url::Host::Ipv4(ip)) if ip.is_loopback())
        || matches!(url.host(), Some(url::Host::Ipv6(ip)) if ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::read::read_resource;

    fn amiss(lines: &str) -> Option<String> {
        let text = format!("id = \"sync\"\nname = \"Sync\"\napps = [\"records\"]\n{lines}\n");
        read_resource::<ClientSpec>("clients/sync.toml", &text).err().map(|found| found.to_string())
    }

    const KEY: &str = "[[keys]]\nkty = \"EC\"\ncrv = \"P-256\"\n\
                       x = \"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"\ny = \"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"";

    #[test]
    fn what_could_not_work_or_would_open_too_much_is_named() {
        for (lines, says) in [
            ("grants = []\nscope = [\"read\"]", "comes by no token"),
            ("grants = [\"client_credentials\"]\nscope = [\"read\"]", "whoever knows its name"),
            ("grants = [\"client_credentials\"]\nscope = []\nauthentication = \"client_secret\"", "good for nothing"),
            ("grants = [\"device_code\"]\nscope = [\"re ad\"]", "cannot be a scope"),
            ("grants = [\"device_code\"]\nscope = [\"read\"]\ngroups = [\"staff\"]", "never asks in its own name"),
            ("grants = [\"device_code\"]\nscope = [\"read\"]\ndays = 0", "`days` is 0"),
            (
                "grants = [\"device_code\"]\nscope = [\"read\"]\nredirect_uris = [\"https://a.example/\"]",
                "no code is brought",
            ),
            ("grants = [\"authorization_code\"]\nscope = [\"read\"]", "`redirect_uris` is empty"),
            ("grants = [\"password\"]\nscope = [\"read\"]", "unknown variant `password`"),
            (
                "grants = [\"client_credentials\"]\nscope = [\"read\"]\nauthentication = \"private_key_jwt\"",
                "no key is given",
            ),
            (
                "grants = [\"client_credentials\"]\nscope = [\"read\"]\nauthentication = \"tls_client_auth\"",
                "no name in it",
            ),
            (
                "grants = [\"client_credentials\"]\nscope = [\"read\"]\nauthentication = \"private_key_jwt\"\n[[keys]]\nkty = \"RSA\"\ncrv = \"\"\nx = \"\"",
                "none that is believed",
            ),
        ] {
            let found = amiss(lines);
            assert!(found.as_ref().is_some_and(|found| found.contains(says)), "{lines}: {found:?}");
        }
    }

    #[test]
    fn what_can_work_is_taken() {
        for lines in [
            "grants = [\"client_credentials\"]\nscope = [\"read\"]\nauthentication = \"client_secret\"\ngroups = [\"staff\"]".to_owned(),
            "grants = [\"device_code\"]\nscope = [\"read\", \"approve\"]".to_owned(),
            "grants = [\"authorization_code\"]\nscope = [\"read\"]\nredirect_uris = [\"http://127.0.0.1/callback\", \"http://[::1]/\", \"https://tool.example/back\"]".to_owned(),
            format!("grants = [\"client_credentials\"]\nscope = [\"read\"]\nauthentication = \"private_key_jwt\"\n{KEY}"),
        ] {
            assert_eq!(amiss(&lines), None, "{lines}");
        }
    }

    #[test]
    fn a_code_is_brought_back_to_no_address_that_could_be_anybodys() {
        for uri in [
            "http://localhost/callback",
            "http://tool.example/",
            "https://a.example/#x",
            "https://u:p@a.example/",
            "javascript:alert(1)",
            "https://A.example/",
            "https://a.example/%2e%2e/",
            "cli://callback",
        ] {
            let lines = format!("grants = [\"authorization_code\"]\nscope = [\"read\"]\nredirect_uris = [\"{uri}\"]");
            assert!(amiss(&lines).is_some_and(|found| found.contains("no address")), "{uri}");
        }
    }
}
