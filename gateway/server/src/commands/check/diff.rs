//! `cardea check --diff`: what would change if the files were taken over now, and whether they would be.

use std::{collections::BTreeMap, path::PathBuf};

use cardea_core::resources::{Bundle, PolicySet};
use cardea_storage::{Legible, Plan, ResourceChange};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Context, Ended, Failure, Outcome, checks, folder, placed, say, say_json, show};
use crate::{
    commands::apply,
    config::{Config, Held, InForce, KeyChange, keys_between, same_doors},
    state::Roots,
};

/// A resource that would be added, changed or removed.
#[derive(Debug, Serialize)]
struct Resource {
    change: &'static str,
    what: String,
    /// What of it: fields by their way, policies by their name. Empty where all of it comes or goes.
    of: Vec<String>,
}

/// A certificate that would be added, changed or removed.
#[derive(Debug, Serialize)]
struct Shown {
    path: PathBuf,
    before: Option<Held>,
    after: Option<Held>,
}

/// A file of roots that services would be checked by as it is now.
#[derive(Debug, Serialize)]
struct Replaced {
    path: PathBuf,
    before: String,
    after: String,
}

/// The whole difference.
#[derive(Debug, Serialize)]
struct Diff {
    resources: Vec<Resource>,
    configuration: Vec<KeyChange>,
    certificates: Vec<Shown>,
    /// Files of roots that hold something else than what services are checked by.
    roots: Vec<Replaced>,
    /// Whether the configuration could be compared: a gateway runs, or ran last, with this state folder.
    compared: bool,
}

pub(super) async fn run(dir: Option<PathBuf>, context: &Context) -> Ended {
    let config = context.config()?;
    let dir = dir.or_else(|| config.resources.clone());
    let wanted = dir.as_deref().map(folder::read).transpose()?;
    let now = context.clock.now();
    let mut checked = wanted.as_ref().map(|wanted| checks::bundle(wanted, Some(&config), now)).unwrap_or_default();
    placed(&mut checked, dir.as_deref());
    let (stored, in_force) = (stored(&config).await?, InForce::read(&config.state_dir));
    let named = wanted.as_ref().unwrap_or(&stored.bundle);
    let roots = in_force.as_ref().map(|before| roots(before, named, &config)).unwrap_or_default();
    let resources = match &wanted {
        Some(wanted) => {
            let plan = Plan::between(stored, wanted);
            checked.warnings.extend(apply::left(&plan));
            resources(&plan)
        }
        None => {
            checked.diagnostics.extend(stored.mistakes());
            Vec::new()
        }
    };
    let diff = Diff {
        resources,
        configuration: in_force.as_ref().map(|before| configuration(before, &config)).unwrap_or_default(),
        certificates: in_force.as_ref().map(|before| certificates(before, &config)).unwrap_or_default(),
        roots,
        compared: in_force.is_some(),
    };
    if context.is_json() {
        let (ok, found, tests) = (checked.passed(), &checked.diagnostics, &checked.tests);
        let warnings = &checked.warnings;
        say_json(&json!({ "ok": ok, "diff": diff, "diagnostics": found, "warnings": warnings, "tests": tests }))?;
    } else {
        diff.lines().iter().for_each(say);
        show(&checked);
    }
    Ok(if checked.passed() { Outcome::Done } else { Outcome::No })
}

async fn stored(config: &Config) -> Result<Legible, Failure> {
    let kept = config.kept();
    if kept.holds_nothing().await.map_err(anyhow::Error::from)? {
        return Ok(Legible::default());
    }
    let store = kept.open_to_read(None).await.map_err(anyhow::Error::from)?;
    let stored = store.legible().await.map_err(anyhow::Error::from)?;
    store.close().await;
    Ok(stored)
}

/// The plan that `apply` would make, with what of each thing is another.
fn resources(plan: &Plan) -> Vec<Resource> {
    let of = |change| Resource { change: kind(plan.sign(change)), what: change.to_string(), of: inside(change, plan) };
    plan.changes.iter().map(of).collect()
}

fn kind(sign: char) -> &'static str {
    match sign {
        '+' => "added",
        '-' => "removed",
        _ => "changed",
    }
}

fn inside(change: &ResourceChange, plan: &Plan) -> Vec<String> {
    use ResourceChange as C;
    let was = |tenant| plan.before.bundle.tenants.get(tenant);
    match change {
        C::PutTenant(spec) => fields(was(&spec.id).map(|was| &was.tenant), spec),
        C::PutApp(tenant, spec) => fields(was(tenant).and_then(|was| was.apps.get(&spec.id)), &**spec),
        C::PutProvider(tenant, spec) => fields(was(tenant).and_then(|was| was.providers.get(&spec.id)), &**spec),
        C::PutClient(tenant, spec) => fields(was(tenant).and_then(|was| was.clients.get(&spec.id)), &**spec),
        C::PutGroup(tenant, spec) => fields(was(tenant).and_then(|was| was.groups.get(&spec.id)), spec),
        C::Policies(tenant, set) => {
            let none = PolicySet::default();
            let was = was(tenant).map_or(&none, |was| &was.policies);
            let mut named = texts(&was.policies, &set.policies);
            if was.tests != set.tests {
                named.push("~ tests".to_owned());
            }
            named
        }
        C::GuardRails(rails) => texts(&plan.before.bundle.guard_rails, rails),
        C::ClearTenant(_)
        | C::DropTenant(_)
        | C::DropApp(..)
        | C::DropProvider(..)
        | C::DropGroup(..)
        | C::DropClient(..) => Vec::new(),
    }
}

/// Policies by their names: `+` added, `~` changed, `-` removed.
fn texts(before: &[cardea_core::resources::PolicyText], after: &[cardea_core::resources::PolicyText]) -> Vec<String> {
    let by_name = |all: &[cardea_core::resources::PolicyText]| -> BTreeMap<String, String> {
        all.iter().map(|one| (one.name.clone(), one.text.clone())).collect()
    };
    signed(&by_name(before), &by_name(after))
}

/// Fields by their way. None where the thing is new: all of it is.
fn fields<T: Serialize>(before: Option<&T>, after: &T) -> Vec<String> {
    let Some(before) = before else { return Vec::new() };
    let flat = |one: &T| {
        let mut found = BTreeMap::new();
        walk(String::new(), &serde_json::to_value(one).unwrap_or_default(), &mut found);
        found
    };
    signed(&flat(before), &flat(after))
}

fn walk(at: String, value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(all) => {
            for (key, value) in all {
                walk(if at.is_empty() { key.clone() } else { format!("{at}.{key}") }, value, found);
            }
        }
        Value::Null => {}
        other => {
            found.insert(at, other.to_string());
        }
    }
}

fn signed(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let gone = before.keys().filter(|key| !after.contains_key(*key)).map(|key| format!("- {key}"));
    let there = after.iter().filter_map(|(key, value)| match before.get(key) {
        None => Some(format!("+ {key}")),
        Some(was) if was != value => Some(format!("~ {key}")),
        Some(_) => None,
    });
    gone.chain(there).collect()
}

/// What waits for a restart is compared with what the process started with, all else with what was taken over last.
fn configuration(before: &InForce, config: &Config) -> Vec<KeyChange> {
    let same = same_doors(&before.started, &config.text);
    let waiting = keys_between(&before.started, &config.text, same).into_iter().filter(|one| one.waits_for_restart);
    let live = keys_between(&before.now, &config.text, same).into_iter().filter(|one| !one.waits_for_restart);
    live.chain(waiting).collect()
}

/// By the file that each lies in.
fn certificates(before: &InForce, config: &Config) -> Vec<Shown> {
    let was: BTreeMap<_, _> = before.certificates.iter().map(|one| (one.path.clone(), one.clone())).collect();
    let is: BTreeMap<_, _> = config.certificates().map(|one| (one.path.clone(), Held::from(&**one))).collect();
    let mut paths: Vec<&PathBuf> = was.keys().chain(is.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    let shown =
        |path: &PathBuf| Shown { path: path.clone(), before: was.get(path).cloned(), after: is.get(path).cloned() };
    let print = |one: &Option<Held>| one.as_ref().map(|one| one.fingerprint.clone());
    paths.into_iter().map(shown).filter(|one| print(&one.before) != print(&one.after)).collect()
}

/// Of those that are named before and after: what is named anew shows among the resources.
fn roots(before: &InForce, bundle: &Bundle, config: &Config) -> Vec<Replaced> {
    let now: BTreeMap<_, _> = bundle
        .tenants
        .values()
        .flat_map(|tenant| Roots::of(tenant, &config.folder).fingerprints(&config.folder))
        .collect();
    let replaced = now.into_iter().filter_map(|(path, after)| {
        let before = before.roots.get(&path).filter(|before| **before != after)?.clone();
        Some(Replaced { path, before, after })
    });
    replaced.collect()
}

impl Diff {
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for one in &self.resources {
            let sign = if one.change == "added" {
                '+'
            } else if one.change == "removed" {
                '-'
            } else {
                '~'
            };
            lines.push(format!("{sign} {}", one.what));
            lines.extend(one.of.iter().map(|of| format!("    {of}")));
        }
        for one in &self.configuration {
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "(not set)".to_owned());
            let waits = if one.waits_for_restart { " (waits for a restart)" } else { "" };
            lines.push(format!("~ {}: {} → {}{waits}", one.key, value(&one.before), value(&one.after)));
        }
        for one in &self.certificates {
            let value = |held: &Option<Held>| held.as_ref().map_or_else(|| "(none)".to_owned(), Held::short);
            lines.push(format!("~ certificate {}: {} → {}", one.path.display(), value(&one.before), value(&one.after)));
        }
        for one in &self.roots {
            let short = |print: &str| print.get(..12).unwrap_or(print).to_owned();
            lines.push(format!("~ roots {}: {} → {}", one.path.display(), short(&one.before), short(&one.after)));
        }
        if lines.is_empty() {
            lines.push("nothing would change".to_owned());
        }
        if !self.compared {
            lines.push("no gateway runs with this state folder: the configuration is compared with nothing".to_owned());
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: &str = "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n";

    fn bundle(url: &str, policies: &[(&str, &str)]) -> Bundle {
        let app = format!("id = \"records\"\nname = \"R\"\nhosts = [\"r.localhost\"]\n[upstream]\nurl = \"{url}\"\n");
        let files = [("tenants/acme/tenant.toml", ACME), ("tenants/acme/apps/records.toml", &app)];
        let texts: Vec<_> =
            policies.iter().map(|(name, text)| (format!("tenants/acme/policies/{name}.cedar"), *text)).collect();
        let all = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Bundle::read(&all.chain(texts.iter().map(|(path, text)| (path.clone(), (*text).to_owned()))).collect()).unwrap()
    }

    #[test]
    fn what_of_a_thing_is_another_is_named() {
        let permit = "permit(principal, action, resource);";
        let before = bundle("http://127.0.0.1:1", &[("gone", permit), ("kept", permit)]);
        let after = bundle("http://127.0.0.1:2", &[("kept", "forbid(principal, action, resource);"), ("new", permit)]);
        let told: Vec<_> =
            resources(&Plan::between(before, &after)).into_iter().map(|one| (one.change, one.what, one.of)).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(
            (told[0].0, &*told[0].1, &*told[0].2),
            ("changed", "acme: app records", &["~ upstream.url".to_owned()][..])
        );
        assert_eq!((told[1].0, &*told[1].1), ("changed", "acme: policies"));
        assert_eq!(told[1].2, ["- gone", "~ kept", "+ new"]);
        let removed = resources(&Plan::between(after, &Bundle::default()));
        assert_eq!((removed[0].change, &*removed[0].what, removed[0].of.len()), ("removed", "tenant acme", 0));
    }
}
