//! Resources as a folder of files and back: `read` of what `write` made is the same bundle.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Bundle, TenantBundle};
use crate::{
    Diagnostic, Diagnostics, TenantId,
    resources::{
        AppSpec, ClientSpec, GroupSpec, PolicyText, ProviderSpec, Resource, TenantSpec, TestSpec,
        read::{place_by_value, read_resource},
        read_toml,
    },
};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TestFile {
    #[serde(default)]
    test: Vec<TestSpec>,
}

/// What could be read of a folder.
#[derive(Debug, Default)]
pub struct Gathered {
    /// What could be read.
    pub bundle: Bundle,
    /// Every mistake.
    pub found: Diagnostics,
    /// Tenants of which a file could not be read: what names its content would seem to name nothing.
    pub torn: BTreeSet<TenantId>,
}

impl Bundle {
    /// Reads a folder given as relative path (with `/`) and text. All mistakes of all files come back together.
    pub fn read(files: &BTreeMap<String, String>) -> Result<Self, Diagnostics> {
        let Gathered { bundle, found, .. } = Self::gather(files);
        found.or_ok(bundle)
    }

    /// Reads what can be read of a folder: mistakes in one file do not hide those of others.
    pub fn gather(files: &BTreeMap<String, String>) -> Gathered {
        let mut found = Diagnostics::default();
        let mut bundle = Self::default();
        for (path, text) in files {
            if let ["tenants", folder, "tenant.toml"] = *segments(path) {
                match read_resource::<TenantSpec>(path, text) {
                    Ok(tenant) if tenant.id.as_str() != folder => {
                        found.push(misplaced(path, tenant.id.as_str(), folder));
                    }
                    Ok(tenant) => {
                        bundle.tenants.insert(tenant.id.clone(), TenantBundle::new(tenant));
                    }
                    Err(errors) => found.extend(errors),
                }
            }
        }
        for (path, text) in files {
            bundle.read_file(path, text, files, &mut found);
        }
        let torn = found.0.iter().filter_map(|one| tenant_of(&one.source)).collect();
        // A group that is there and cannot be read is missed by nobody who names it.
        let mut contradictions =
            bundle.check_but(&|tenant, group| files.contains_key(&format!("tenants/{tenant}/groups/{group}.toml")));
        for one in &mut contradictions.0 {
            if let Some(text) = files.get(&one.source) {
                place_by_value(one, text);
            }
        }
        found.extend(contradictions);
        Gathered { bundle, found, torn }
    }

    fn read_file(&mut self, path: &str, text: &str, files: &BTreeMap<String, String>, found: &mut Diagnostics) {
        match *segments(path) {
            ["guard-rails", file] if file.ends_with(".cedar") => {
                self.guard_rails.push(PolicyText { name: stem(file).to_owned(), text: text.to_owned() });
            }
            ["tenants", _, "tenant.toml"] => {}
            ["tenants", folder, ref rest @ ..] => {
                let Some(tenant) = TenantId::parse(folder).ok().and_then(|id| self.tenants.get_mut(&id)) else {
                    if !files.contains_key(&format!("tenants/{folder}/tenant.toml")) {
                        found.push(
                            Diagnostic::new(path, format!("there is no tenant `{folder}`"))
                                .help(format!("add `tenants/{folder}/tenant.toml`")),
                        );
                    }
                    return;
                };
                tenant.read_file(path, rest, text, found);
            }
            _ => found.push(unknown_file(path)),
        }
    }

    /// The folder that holds this bundle: relative path and text.
    pub fn write(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for rail in &self.guard_rails {
            files.insert(format!("guard-rails/{}.cedar", rail.name), rail.text.clone());
        }
        for (id, tenant) in &self.tenants {
            let at = format!("tenants/{id}");
            files.insert(format!("{at}/tenant.toml"), to_toml(&tenant.tenant));
            for (id, app) in &tenant.apps {
                files.insert(format!("{at}/apps/{id}.toml"), to_toml(app));
            }
            for (id, provider) in &tenant.providers {
                files.insert(format!("{at}/providers/{id}.toml"), to_toml(provider));
            }
            for (id, group) in &tenant.groups {
                files.insert(format!("{at}/groups/{id}.toml"), to_toml(group));
            }
            for (id, client) in &tenant.clients {
                files.insert(format!("{at}/clients/{id}.toml"), to_toml(client));
            }
            for policy in &tenant.policies.policies {
                files.insert(format!("{at}/policies/{}.cedar", policy.name), policy.text.clone());
            }
            if !tenant.policies.tests.is_empty() {
                let tests = TestFile { test: tenant.policies.tests.clone() };
                files.insert(format!("{at}/policies/tests.toml"), to_toml(&tests));
            }
        }
        files
    }
}

impl TenantBundle {
    fn read_file(&mut self, path: &str, rest: &[&str], text: &str, found: &mut Diagnostics) {
        match *rest {
            ["apps", file] if file.ends_with(".toml") => {
                insert(path, file, text, &mut self.apps, |app: &AppSpec| app.id.clone(), found);
            }
            ["providers", file] if file.ends_with(".toml") => {
                insert(path, file, text, &mut self.providers, |one: &ProviderSpec| one.id.clone(), found);
            }
            ["groups", file] if file.ends_with(".toml") => {
                insert(path, file, text, &mut self.groups, |one: &GroupSpec| one.id.clone(), found);
            }
            ["clients", file] if file.ends_with(".toml") => {
                insert(path, file, text, &mut self.clients, |one: &ClientSpec| one.id.clone(), found);
            }
            ["policies", "tests.toml"] => match read_toml::<TestFile>(path, text) {
                Ok(tests) => self.policies.tests = tests.test,
                Err(errors) => found.extend(errors),
            },
            ["policies", file] if file.ends_with(".cedar") => {
                self.policies.policies.push(PolicyText { name: stem(file).to_owned(), text: text.to_owned() });
            }
            _ => found.push(unknown_file(path)),
        }
    }
}

fn insert<K: Ord + AsRef<str>, R: Resource>(
    path: &str,
    file: &str,
    text: &str,
    into: &mut BTreeMap<K, R>,
    id: impl Fn(&R) -> K,
    found: &mut Diagnostics,
) {
    match read_resource::<R>(path, text) {
        Ok(one) if id(&one).as_ref() != stem(file) => found.push(misplaced(path, id(&one).as_ref(), stem(file))),
        Ok(one) => {
            into.insert(id(&one), one);
        }
        Err(errors) => found.extend(errors),
    }
}

fn tenant_of(path: &str) -> Option<TenantId> {
    match *segments(path) {
        ["tenants", tenant, ..] => TenantId::parse(tenant).ok(),
        _ => None,
    }
}

fn misplaced(path: &str, id: &str, place: &str) -> Diagnostic {
    Diagnostic::new(path, format!("id `{id}` stands in a place named `{place}`"))
        .help("make the id and the file's name agree")
}

fn unknown_file(path: &str) -> Diagnostic {
    Diagnostic::new(path, "nothing reads a file of this name here").help(
        "known are `guard-rails/*.cedar` and, under `tenants/<id>/`: `tenant.toml`, `apps/*.toml`, `providers/*.toml`, \
         `groups/*.toml`, `clients/*.toml`, `policies/*.cedar`, `policies/tests.toml`",
    )
}

fn segments(path: &str) -> Box<[&str]> {
    path.split('/').collect()
}

fn stem(file: &str) -> &str {
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

fn to_toml(value: &impl Serialize) -> String {
    // Every resource is made of tables, lists, texts and numbers, all of which TOML can hold.
    toml::to_string_pretty(value).unwrap_or_else(|error| format!("# cannot be written: {error}\n"))
}
