//! Cardea's own apps: their pages and APIs go the same way as everybody's, decided by policies that ship with it.

use cardea_core::{
    AppId, Assurance, GroupId,
    resources::{AppSpec, PolicyText},
};

/// Sign-in pages, `/.cardea/…` on app hosts, sign-out, assets, keys and discovery: open to everybody, always.
pub fn sign_in() -> AppId {
    id(NAMES[0])
}

/// The person's portal: any user.
pub fn portal() -> AppId {
    id(NAMES[1])
}

/// The console and the admin API: administrators at assurance 2.
pub fn console() -> AppId {
    id(NAMES[2])
}

/// Enrolment and renewal of workload certificates.
pub fn machines() -> AppId {
    id(NAMES[3])
}

/// Questions that services ask before they act (AuthZEN): whoever the tenant's own policies let.
pub fn decisions() -> AppId {
    id(NAMES[4])
}

/// The group whose members administer their tenant; known in every tenant.
pub const ADMINISTRATORS: &str = "administrators";

/// The one app of ours that a tenant's policies may name.
pub(crate) const DECISIONS: &str = "cardea-decisions";

/// The policies that decide for them.
const POLICIES: &str = include_str!("built_in.cedar");

/// What is built in everywhere, and what a tenant's settings make: its minimum, and the `[cors]` of its apps.
pub(crate) fn texts(least: Option<Assurance>, apps: &[&AppSpec]) -> [Vec<PolicyText>; 2] {
    let everywhere = PolicyText { name: "cardea".to_owned(), text: POLICIES.to_owned() };
    let shared = apps.iter().filter(|app| app.cors.is_some());
    let settings = least.and_then(minimum).into_iter().chain(shared.map(|app| preflight(&app.id)));
    [vec![everywhere], settings.collect()]
}

/// The rule that an app's `[cors]` makes: a preflight, which browsers send without cookies, is answered. It gives nothing of
/// the app, since the gateway answers it; what the page then asks for is decided like any request. Guard-rails and the
/// tenant's own policies may forbid it, as they may anything.
fn preflight(app: &AppId) -> PolicyText {
    let text = format!(
        "// The app's `[cors]`: a browser asks for a page of another origin what that may do.\n\
         @id(\"{PREFLIGHT}-{app}\")\n\
         permit(principal is Visitor, action == Action::\"{PREFLIGHT}\", resource in App::\"{app}\");\n"
    );
    PolicyText { name: format!("{PREFLIGHT}-{app}"), text }
}

/// The action of a preflight, known where an app of the tenant declares `[cors]`. It is in `read`, as `OPTIONS` is.
pub const PREFLIGHT: &str = "preflight";

/// The rule that a tenant's `factors.minimum` makes: sessions below it open the sign-in pages and the portal alone, where a
/// second factor is enrolled. None where one factor is enough: whoever is signed in has shown that.
///
/// It says what a sign-in says: a provider's people are the provider's to check, whatever its word is worth.
fn minimum(level: Assurance) -> Option<PolicyText> {
    let text = format!(
        "// The tenant's `factors.minimum`. A session may be below it for a while: one that an invitation began, and one that\n\
         // is older than the setting.\n\
         @id(\"{MINIMUM}\")\n\
         forbid(principal is User, action, resource)\n\
         when {{ context.assurance < {} && !context.factors.contains(\"oidc\") }};\n",
        level.level()
    );
    (level > Assurance::One).then(|| PolicyText { name: "minimum".to_owned(), text })
}

/// The name of that rule.
pub(crate) const MINIMUM: &str = "minimum-assurance";

pub(crate) fn administrators() -> Option<GroupId> {
    GroupId::parse(ADMINISTRATORS).ok()
}

/// All of them.
pub fn apps() -> [AppId; 5] {
    [sign_in(), portal(), console(), machines(), decisions()]
}

/// Whether the app is one of ours.
pub(crate) fn is_own(app: &AppId) -> bool {
    app.as_str().starts_with("cardea-") && NAMES.contains(&app.as_str())
}

/// Whether the app is where a person adds a factor.
pub(crate) fn is_portal(app: &AppId) -> bool {
    app.as_str() == NAMES[1]
}

/// Whether the tenant's own policies decide for the app, as for its own apps.
pub(crate) fn is_the_tenant_s(app: &AppId) -> bool {
    !is_own(app) || app.as_str() == DECISIONS
}

/// Whether not even a guard-rail may narrow the app: the pages through which everybody must pass, and the machines'.
pub(crate) fn is_fixed(app: &AppId) -> bool {
    [NAMES[0], NAMES[3]].contains(&app.as_str())
}

const NAMES: [&str; 5] = ["cardea-sign-in", "cardea-portal", "cardea-console", "cardea-machines", DECISIONS];

#[allow(clippy::expect_used, reason = "the names are written above; a test parses each")]
fn id(name: &str) -> AppId {
    AppId::parse(name).expect("a slug")
}
