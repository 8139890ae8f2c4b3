//! The page on which a person is asked what a client may do in their name; the same for a browser that comes back to it and for
//! a device.

use std::collections::BTreeSet;

use cardea_core::{AppId, resources::ClientSpec};
use cardea_identity::oauth2::Scope;

use super::visit::Visit;
use crate::pages::{self, Look};

/// What is asked for.
pub(super) struct What<'a> {
    pub(super) client: &'a ClientSpec,
    pub(super) scope: &'a Scope,
    pub(super) apps: &'a BTreeSet<AppId>,
}

/// The page; `to` is where its answer goes, and what goes with it.
pub(super) fn page<'a>(
    visit: &'a Visit,
    look: &'a Look,
    what: &What<'a>,
    (action, carried): (&'static str, Vec<(String, String)>),
) -> pages::Consent<'a> {
    let name = |app: &AppId| visit.tenant.bundle.apps.get(app).map(|spec| spec.name.clone());
    let words = &look.w.programs;
    let scope = what.scope.names().map(|scope| match scope {
        "read" => words.read.to_string(),
        "write" => words.write.to_string(),
        other => words.act.with(other),
    });
    pages::Consent {
        look,
        person: visit.person(),
        client: &what.client.name,
        apps: what.apps.iter().filter_map(name).collect(),
        scope: scope.collect(),
        days: what.client.days,
        device: action != "/oauth2/authorize",
        action,
        carried,
    }
}
