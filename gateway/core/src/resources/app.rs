//! The app: a protected service, where it answers, what its addresses mean, and what it is told of the caller.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{AppRates, Resource, tenant::check_host};
use crate::{AppId, Diagnostic, Diagnostics};

mod answers;
mod cors;
mod forward_auth;
mod hardening;
mod limits;
mod logout;
mod rewrite;
mod upstream;

pub use answers::AnswerSpec;
pub use cors::{CorsSpec, OriginRule};
pub use forward_auth::{Dialect, ForwardAuthSpec};
pub use hardening::HardeningSpec;
pub use limits::AppLimits;
pub use rewrite::{HeaderRewrite, RewriteSpec};
pub use upstream::{HealthRules, OutlierRules, Protocol, RetryRules, UpstreamSpec};

/// An app as an administrator writes it (`tenants/<tenant>/apps/<id>.toml`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppSpec {
    /// Its name in policies (`App::"records"`) and as the assertion's audience.
    pub id: AppId,
    /// Its name as people read it.
    pub name: String,
    /// One line for the portal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The hosts at which it answers: lower case, no port.
    pub hosts: Vec<String>,
    /// Claims that the assertion carries beside the caller's id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
    /// How fresh the assertion is.
    #[serde(default)]
    pub assertion: AssertionMode,
    /// When the entry must be durable.
    #[serde(default)]
    pub audit: AuditMode,
    /// Keeps encoded slashes (`%2F`) as part of a segment instead of refusing them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub encoded_slashes: bool,
    /// Shown among the portal's apps. On: an app that people open; off for one that only programs call.
    #[serde(default = "yes")]
    pub in_portal: bool,
    /// The path that the portal opens.
    #[serde(default = "root_path")]
    pub start_path: String,
    /// What an address is that no pattern of `resources` fits.
    #[serde(default, skip_serializing_if = "Unmatched::is_default")]
    pub unmatched: Unmatched,
    /// Other origins whose pages may open WebSockets here, as in `[cors]`. None: only the app's own pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub websocket_origins: Vec<String>,
    /// The path at which the service is told that a session is over, as the service itself knows it; it is told nothing where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_channel_logout: Option<String>,
    /// The service behind it; absent where another proxy carries the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamSpec>,
    /// How large and how slow what is sent to it may be, where it is not as usual.
    #[serde(default, skip_serializing_if = "AppLimits::is_usual")]
    pub limits: AppLimits,
    /// How many requests may come in how much time.
    #[serde(default, skip_serializing_if = "AppRates::is_none")]
    pub rates: AppRates,
    /// How another proxy asks about its requests; absent where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_auth: Option<ForwardAuthSpec>,
    /// Header names that the service knows already, and the claim that fills each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Claim>,
    /// What is changed on the way to the service and back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<RewriteSpec>,
    /// What pages of other origins may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<CorsSpec>,
    /// Which answer headers are made stricter.
    #[serde(default, skip_serializing_if = "HardeningSpec::is_default")]
    pub hardening: HardeningSpec,
    /// What its addresses name: the most specific pattern that fits gives the resource's type and attributes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceRule>,
    /// Which requests are acts with a name of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<ActionRule>,
    /// What the gateway answers in the service's stead, once it is permitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<AnswerSpec>,
}

impl AppSpec {
    /// An app of which only the name is given: Cardea's own are made so.
    pub fn named(id: AppId) -> Self {
        Self {
            name: id.to_string(),
            id,
            description: String::new(),
            hosts: Vec::new(),
            claims: Vec::new(),
            assertion: AssertionMode::Session,
            audit: AuditMode::Grouped,
            encoded_slashes: false,
            in_portal: false,
            start_path: root_path(),
            unmatched: Unmatched::App,
            websocket_origins: Vec::new(),
            back_channel_logout: None,
            upstream: None,
            limits: AppLimits::default(),
            rates: AppRates::default(),
            forward_auth: None,
            headers: BTreeMap::new(),
            rewrite: None,
            cors: None,
            hardening: HardeningSpec::default(),
            resources: Vec::new(),
            actions: Vec::new(),
            answers: Vec::new(),
        }
    }
}

/// `/studies/{study}/records/{record}` makes a `Record` with `study` and `record`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceRule {
    /// A path pattern: `{name}` takes one segment, `{*name}` the rest. Case counts; a slash at the end does not.
    pub pattern: String,
    /// The resource's type in policies: a Cedar identifier such as `Record`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// `POST /studies/{study}/records/{record}/approve` is `approve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionRule {
    /// The HTTP method, in capitals. A rule for `GET` holds for `HEAD`, unless that has one of its own.
    pub method: String,
    /// A path pattern, as in a resource rule.
    pub pattern: String,
    /// The action's name in policies, such as `approve`; it belongs to the group of its method (`read` or `write`).
    pub action: String,
}

/// Something that may be told of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// The user's id.
    Sub,
    /// E-mail address.
    Email,
    /// Name as shown.
    Name,
    /// Groups, comma-separated in a header.
    Groups,
}

/// How fresh an assertion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AssertionMode {
    /// One serves a session and app for up to 30 seconds: signing is the dearest step on the way.
    #[default]
    Session,
    /// Each request gets its own, which names the entry, the method and the address.
    Request,
}

/// When a request's entry must be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditMode {
    /// In groups, within milliseconds of the answer.
    #[default]
    Grouped,
    /// Before the request is forwarded.
    Before,
}

/// What an address is that no pattern of the app's `resources` fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unmatched {
    /// The app itself: policies speak of it as `App::"<id>"`.
    #[default]
    App,
    /// Nothing: it is answered with 404, whoever asks. For services that read an address in more ways than one, such as
    /// those that fold case: `/Records/1` is then no way round the policies for `/records/1`.
    Deny,
}

impl Unmatched {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
    fn is_default(&self) -> bool {
        *self == Self::App
    }
}

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

fn yes() -> bool {
    true
}
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}
fn root_path() -> String {
    "/".to_owned()
}

impl Resource for AppSpec {
    const KIND: &'static str = "app";

    fn check(&self, source: &str) -> Diagnostics {
        let mut found = Diagnostics::default();
        if self.hosts.is_empty() {
            found.push(Diagnostic::new(source, format!("app `{}` has no host", self.id)).help("add `hosts = [\"…\"]`"));
        }
        for host in &self.hosts {
            check_host(source, host, &mut found);
        }
        match (&self.upstream, &self.forward_auth) {
            (None, None) => found.push(
                Diagnostic::new(source, format!("app `{}` has no upstream", self.id))
                    .help("add `[upstream]` with `url = \"https://host:port\"`, or `[forward_auth]` where another proxy carries it"),
            ),
            (upstream, asked) => {
                upstream.iter().for_each(|upstream| upstream::check(source, upstream, &mut found));
                asked.iter().for_each(|asked| forward_auth::check(source, self, asked, &mut found));
            }
        }
        if let Some(path) = &self.back_channel_logout {
            logout::check(source, self, path, &mut found);
        }
        limits::check(source, &self.limits, &mut found);
        self.rates.check(source, &mut found);
        if !self.start_path.starts_with('/') {
            found.push(Diagnostic::new(source, format!("start_path `{}` does not start with `/`", self.start_path)));
        }
        for rule in &self.resources {
            check_pattern(source, &rule.pattern, &mut found);
            if !is_type_name(&rule.kind) {
                found.push(
                    Diagnostic::new(source, format!("`{}` is not a type name", rule.kind))
                        .help("start with a capital, then letters and digits: `Record`"),
                );
            }
        }
        for rule in &self.actions {
            check_pattern(source, &rule.pattern, &mut found);
            if !METHODS.contains(&rule.method.as_str()) {
                found.push(
                    Diagnostic::new(source, format!("`{}` is not a method", rule.method))
                        .help(format!("use one of {}", METHODS.join(", "))),
                );
            }
            if METHODS.contains(&rule.action.as_str()) || ["read", "write"].contains(&rule.action.as_str()) {
                found.push(
                    Diagnostic::new(source, format!("action `{}` has the name of a method or group", rule.action))
                        .help("choose a word of your own, such as `approve`"),
                );
            } else if !is_action_name(&rule.action) {
                found.push(
                    Diagnostic::new(source, format!("`{}` is not an action name", rule.action))
                        .help("use `a-z`, `0-9` and `-`"),
                );
            }
        }
        if self.unmatched == Unmatched::Deny && self.resources.is_empty() {
            found.push(
                Diagnostic::new(source, format!("app `{}` refuses every address", self.id))
                    .help("with `unmatched = \"deny\"`, name its addresses in `[[resources]]`"),
            );
        }
        cors::check_websocket_origins(source, &self.websocket_origins, &mut found);
        if let Some(rewrite) = &self.rewrite {
            rewrite::check(source, self, rewrite, &mut found);
        }
        if let Some(cors) = &self.cors {
            cors::check(source, cors, &mut found);
        }
        for answer in &self.answers {
            answers::check(source, answer, &mut found);
        }
        for name in self.headers.keys() {
            if is_ours(name) {
                found.push(
                    Diagnostic::new(source, format!("header `{name}` belongs to the gateway"))
                        .help("map claims to the service's own header names"),
                );
            }
        }
        found
    }
}

fn check_pattern(source: &str, pattern: &str, found: &mut Diagnostics) {
    let mut names = BTreeSet::new();
    let segments: Vec<_> = pattern.split('/').skip(1).collect();
    let fine = pattern.starts_with('/')
        && segments.iter().enumerate().all(|(nth, segment)| {
            match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                Some(name) => {
                    let rest = name.strip_prefix('*');
                    is_attribute_name(rest.unwrap_or(name))
                        && names.insert(rest.unwrap_or(name))
                        && (rest.is_none() || nth + 1 == segments.len())
                }
                None => !segment.contains(['{', '}']),
            }
        });
    if !fine {
        found.push(
            Diagnostic::new(source, format!("`{pattern}` is not a path pattern"))
                .help("start with `/`; `{name}` takes a segment, a last `{*name}` the rest; each name once"),
        );
    }
}

/// Whether a header is one that only the gateway sets, whatever its spelling (`_` counts as `-`, in any case).
fn is_ours(name: &str) -> bool {
    let name = name.replace('_', "-").to_ascii_lowercase();
    name.starts_with("cardea-")
        || name.starts_with("x-forwarded-")
            && ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port"].contains(&name.as_str())
        || [
            "host",
            "forwarded",
            "cookie",
            "authorization",
            "connection",
            "x-request-id",
            "traceparent",
            "content-length",
            "transfer-encoding",
            "upgrade",
            "te",
            "trailer",
        ]
        .contains(&name.as_str())
}

fn is_type_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}
fn is_attribute_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
fn is_action_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
