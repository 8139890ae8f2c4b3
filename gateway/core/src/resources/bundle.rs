//! All resources together, as a folder of files and back: `read` of what `write` made is the same bundle.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    AppSpec, GroupSpec, PolicySet, PolicyText, ProviderSpec, Resource, TenantSpec, TestSpec,
    read::{place_by_value, read_resource},
    read_toml,
};
use crate::{AppId, Diagnostic, Diagnostics, GroupId, ProviderId, TenantId, diagnostic::nearest};

/// Everything that `cardea apply` applies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bundle {
    /// The operator's guard-rails: `forbid` only, over every tenant.
    pub guard_rails: Vec<PolicyText>,
    /// The tenants.
    pub tenants: BTreeMap<TenantId, TenantBundle>,
}

/// One tenant with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantBundle {
    /// The tenant itself.
    pub tenant: TenantSpec,
    /// Its apps.
    pub apps: BTreeMap<AppId, AppSpec>,
    /// Its providers.
    pub providers: BTreeMap<ProviderId, ProviderSpec>,
    /// Its groups.
    pub groups: BTreeMap<GroupId, GroupSpec>,
    /// Its policies and their tests.
    pub policies: PolicySet,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TestFile {
    #[serde(default)]
    test: Vec<TestSpec>,
}

impl Bundle {
    /// Reads a folder given as relative path (with `/`) and text. All mistakes of all files come back together.
    pub fn read(files: &BTreeMap<String, String>) -> Result<Self, Diagnostics> {
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
        let mut contradictions = bundle.check();
        for one in &mut contradictions.0 {
            if let Some(text) = files.get(&one.source) {
                place_by_value(one, text);
            }
        }
        found.extend(contradictions);
        found.or_ok(bundle)
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

    /// Contradictions between resources: hosts claimed twice, names that nothing bears.
    pub fn check(&self) -> Diagnostics {
        let mut found = Diagnostics::default();
        let mut hosts: BTreeMap<&str, String> = BTreeMap::new();
        for (id, tenant) in &self.tenants {
            let sign_in = format!("the sign-in host of tenant `{id}`");
            let own = std::iter::once((&tenant.tenant.sign_in_host, sign_in, "tenant.toml".to_owned()));
            let apps = tenant.apps.values().flat_map(|app| {
                let (owner, file) = (format!("app `{}` of tenant `{id}`", app.id), format!("apps/{}.toml", app.id));
                app.hosts.iter().map(move |host| (host, owner.clone(), file.clone()))
            });
            for (host, owner, file) in own.chain(apps) {
                if let Some(first) = hosts.insert(host, owner.clone()) {
                    found.push(
                        Diagnostic::new(
                            format!("tenants/{id}/{file}"),
                            format!("host `{host}` belongs to {first} and to {owner}"),
                        )
                        .help("give each app and each sign-in page a host of its own"),
                    );
                }
            }
            found.extend(tenant.check());
        }
        found
    }
}

impl TenantBundle {
    /// A tenant with nothing in it yet.
    pub fn new(tenant: TenantSpec) -> Self {
        Self {
            tenant,
            apps: BTreeMap::new(),
            providers: BTreeMap::new(),
            groups: BTreeMap::new(),
            policies: PolicySet::default(),
        }
    }

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

    /// Contradictions within the tenant.
    pub fn check(&self) -> Diagnostics {
        let mut found = Diagnostics::default();
        let id = &self.tenant.id;
        for group in self.groups.values() {
            for parent in &group.parents {
                if !self.groups.contains_key(parent) {
                    let near = nearest(parent.as_str(), self.groups.keys().map(GroupId::as_str));
                    let one = Diagnostic::new(
                        format!("tenants/{id}/groups/{}.toml", group.id),
                        format!("there is no group `{parent}`"),
                    );
                    found.push(match near {
                        Some(near) => one.help(format!("did you mean `{near}`?")),
                        None => one,
                    });
                }
            }
            if self.ancestors(&group.id).contains(&group.id) {
                found.push(Diagnostic::new(
                    format!("tenants/{id}/groups/{}.toml", group.id),
                    format!("group `{}` is, through its parents, part of itself", group.id),
                ));
            }
        }
        for provider in self.providers.values() {
            for group in provider.groups.values() {
                if !self.groups.contains_key(group) {
                    found.push(Diagnostic::new(
                        format!("tenants/{id}/providers/{}.toml", provider.id),
                        format!("there is no group `{group}`"),
                    ));
                }
            }
        }
        found
    }

    /// Every group that `group` is part of, itself only if the parents run in a circle.
    pub fn ancestors(&self, group: &GroupId) -> std::collections::BTreeSet<GroupId> {
        let mut seen = std::collections::BTreeSet::new();
        let mut next: Vec<&GroupId> = self.groups.get(group).map(|g| g.parents.iter().collect()).unwrap_or_default();
        while let Some(parent) = next.pop() {
            if seen.insert(parent.clone())
                && let Some(spec) = self.groups.get(parent)
            {
                next.extend(&spec.parents);
            }
        }
        seen
    }

    /// `direct` and everything above, sorted: what a policy sees of a member.
    pub fn all_groups<'a>(&self, direct: impl IntoIterator<Item = &'a GroupId>) -> Vec<GroupId> {
        let mut all = std::collections::BTreeSet::new();
        for group in direct {
            all.extend(self.ancestors(group));
            all.insert(group.clone());
        }
        all.into_iter().collect()
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

fn misplaced(path: &str, id: &str, place: &str) -> Diagnostic {
    Diagnostic::new(path, format!("id `{id}` stands in a place named `{place}`"))
        .help("make the id and the file's name agree")
}

fn unknown_file(path: &str) -> Diagnostic {
    Diagnostic::new(path, "nothing reads a file of this name here").help(
        "known are `guard-rails/*.cedar` and, under `tenants/<id>/`: `tenant.toml`, `apps/*.toml`, `providers/*.toml`, \
         `groups/*.toml`, `policies/*.cedar`, `policies/tests.toml`",
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

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> BTreeMap<String, String> {
        [
            ("guard-rails/base.cedar", "forbid(principal, action, resource) when { false };"),
            ("tenants/acme/tenant.toml", "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n"),
            ("tenants/acme/groups/chemists.toml", "id = \"chemists\"\nname = \"Chemists\"\nparents = [\"staff\"]\n"),
            ("tenants/acme/groups/staff.toml", "id = \"staff\"\nname = \"Staff\"\n"),
            (
                "tenants/acme/apps/records.toml",
                "id = \"records\"\nname = \"Records\"\nhosts = [\"records.acme.localhost\"]\n\n[upstream]\nurl = \"https://127.0.0.1:9443\"\nspiffe_id = \"spiffe://acme.cardea.internal/service/records\"\n\n[[resources]]\npattern = \"/studies/{study}\"\ntype = \"Study\"\n",
            ),
            ("tenants/acme/policies/readers.cedar", "permit(principal, action, resource);"),
        ]
        .into_iter()
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .collect()
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let bundle = Bundle::read(&folder()).unwrap();
        assert_eq!(Bundle::read(&bundle.write()).unwrap(), bundle);
    }

    #[test]
    fn nested_groups_count_upwards() {
        let bundle = Bundle::read(&folder()).unwrap();
        let acme = &bundle.tenants[&TenantId::parse("acme").unwrap()];
        let chemists = GroupId::parse("chemists").unwrap();
        let all: Vec<_> = acme.all_groups([&chemists]).iter().map(ToString::to_string).collect();
        assert_eq!(all, ["chemists", "staff"]);
    }

    #[test]
    fn contradictions_are_named() {
        for (path, text, says) in [
            (
                "tenants/acme/apps/other.toml",
                "id = \"other\"\nname = \"O\"\nhosts = [\"acme.localhost\"]\n[upstream]\nurl = \"http://127.0.0.1:1\"\n",
                "belongs to",
            ),
            (
                "tenants/acme/apps/x.toml",
                "id = \"y\"\nname = \"O\"\nhosts = [\"y.localhost\"]\n[upstream]\nurl = \"http://127.0.0.1:1\"\n",
                "place named",
            ),
            ("tenants/none/groups/a.toml", "id = \"a\"\nname = \"A\"\n", "no tenant"),
            (
                "tenants/acme/groups/staff.toml",
                "id = \"staff\"\nname = \"S\"\nparents = [\"chemists\"]\n",
                "part of itself",
            ),
            (
                "tenants/acme/groups/b.toml",
                "id = \"b\"\nname = \"B\"\nparents = [\"chemist\"]\n",
                "did you mean `chemists`",
            ),
            ("tenants/acme/readme.md", "", "nothing reads"),
        ] {
            let mut files = folder();
            files.insert(path.to_owned(), text.to_owned());
            let found = Bundle::read(&files).unwrap_err().to_string();
            assert!(found.contains(says), "{path}: {found}");
        }
    }
}
