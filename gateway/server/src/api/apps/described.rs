//! An app as the API's description tells it. `app.example.toml` explains each field; what is sent is what `AppSpec` writes.
#![allow(dead_code, reason = "these types are read by the description alone")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

/// A protected service, as its resource file says. What has its default is left out.
#[derive(ToSchema)]
pub(super) struct App {
    /// Its name in policies, and the assertion's audience.
    id: String,
    /// Its name as people read it.
    name: String,
    /// One line for the portal.
    description: Option<String>,
    /// The hosts at which it answers.
    hosts: Vec<String>,
    /// Claims of the assertion beside the caller's id: `email`, `name`, `groups`.
    claims: Option<Vec<String>>,
    /// `session` or `request`.
    assertion: String,
    /// `grouped` or `before`.
    audit: String,
    /// Whether `%2F` stays part of a segment.
    encoded_slashes: Option<bool>,
    /// Whether the portal shows it.
    in_portal: bool,
    /// The path that the portal opens.
    start_path: String,
    /// `app` or `deny`: what an address is that no pattern of `resources` fits.
    unmatched: Option<String>,
    /// Other origins whose pages may open WebSockets.
    websocket_origins: Option<Vec<String>>,
    /// The path at which the service is told that a session is over; it is told nothing where absent.
    back_channel_logout: Option<String>,
    /// The service behind it, and how it is reached; absent where another proxy carries it.
    #[schema(value_type = Option<Object>)]
    upstream: (),
    /// How large and how slow what is sent to it may be; what is left out is as for every app.
    limits: Option<AppLimits>,
    /// How many requests may come in how much time.
    rates: Option<AppRates>,
    /// How another proxy asks about its requests, which carries it.
    forward_auth: Option<ForwardAuth>,
    /// Header names and the claim that fills each.
    headers: Option<BTreeMap<String, String>>,
    /// What is changed on the way to the service and back.
    rewrite: Option<Rewrite>,
    /// What pages of other origins may do.
    cors: Option<Cors>,
    /// Which answer headers are made stricter.
    hardening: Option<Hardening>,
    /// What its addresses name.
    resources: Option<Vec<ResourceRule>>,
    /// Which requests are acts with a name of their own.
    actions: Option<Vec<ActionRule>>,
    /// What the gateway answers in the service's stead.
    answers: Option<Vec<FixedAnswer>>,
}

/// An app's own limits.
#[derive(ToSchema)]
struct AppLimits {
    /// Bytes of a request's body.
    body_bytes: Option<u64>,
    /// The slowest that a body may come; 0 for no such limit.
    body_bytes_per_second: Option<u32>,
}

/// The rates of an app; one that is left out is without a limit.
#[derive(ToSchema)]
struct AppRates {
    /// Of each caller, or of the address of whoever is not known.
    caller: Option<Rate>,
    /// From each address.
    address: Option<Rate>,
    /// Of all callers together.
    app: Option<Rate>,
}

/// So many requests in so many seconds.
#[derive(ToSchema)]
struct Rate {
    requests: u32,
    seconds: u32,
    /// How many may come at once; all where it is left out.
    burst: Option<u32>,
}

/// A proxy that carries the app and asks about each request.
#[derive(ToSchema)]
struct ForwardAuth {
    /// `nginx`, `traefik`, `caddy`, `haproxy` or `envoy`.
    dialect: String,
    /// Whether it answers at oauth2-proxy's addresses, too.
    oauth2_proxy: Option<bool>,
}

/// A prefix of paths that is moved, and headers that are changed.
#[derive(ToSchema)]
struct Rewrite {
    /// The prefix that browsers see and the service does not.
    strip_prefix: Option<String>,
    /// The prefix that the service sees and browsers do not.
    add_prefix: Option<String>,
    /// Headers on their way to the service.
    request: Option<HeaderRewrite>,
    /// Headers on their way to the client.
    response: Option<HeaderRewrite>,
}

/// Headers that are set to a fixed value, and headers that are removed.
#[derive(ToSchema)]
struct HeaderRewrite {
    set: Option<BTreeMap<String, String>>,
    remove: Option<Vec<String>>,
}

/// What pages of other origins may do.
#[derive(ToSchema)]
struct Cors {
    /// `https://lab.example`, `https://*.lab.example`, or `*` alone.
    origins: Vec<String>,
    methods: Vec<String>,
    /// Request headers that a page may set.
    headers: Option<Vec<String>>,
    /// Answer headers that a page may read.
    exposed: Option<Vec<String>>,
    /// Whether a page may act with the person's session.
    credentials: Option<bool>,
    /// Seconds for which a browser remembers a preflight's answer.
    max_age: u32,
}

/// What is left out of the answer headers that are made stricter.
#[derive(ToSchema)]
struct Hardening {
    /// False leaves every answer as the service made it.
    on: Option<bool>,
    /// `X-Content-Type-Options`.
    content_type_options: Option<bool>,
    /// `Referrer-Policy`.
    referrer_policy: Option<bool>,
    /// `X-Frame-Options`.
    frame_options: Option<bool>,
    /// `Cache-Control`.
    cache_control: Option<bool>,
    /// Whether `Server` and `X-Powered-By` are taken away.
    hide_server: Option<bool>,
}

/// A pattern of paths, and the type of what they name.
#[derive(ToSchema)]
struct ResourceRule {
    pattern: String,
    #[schema(rename = "type")]
    kind: String,
}

/// A method and a pattern, and the act that they are.
#[derive(ToSchema)]
struct ActionRule {
    method: String,
    pattern: String,
    action: String,
}

/// An answer that the gateway gives itself, once it is permitted.
#[derive(ToSchema)]
struct FixedAnswer {
    method: String,
    pattern: String,
    status: Option<u16>,
    /// A path of the same host.
    redirect: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    body: Option<String>,
}
