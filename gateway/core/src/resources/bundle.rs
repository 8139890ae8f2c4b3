//! All resources together, and what contradicts what among them.

mod files;

pub use files::Gathered;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AppSpec, ClientSpec, GroupSpec, PolicySet, PolicyText, ProviderSpec, TenantSpec};
use crate::{AppId, ClientId, Diagnostic, Diagnostics, GroupId, ProviderId, TenantId, diagnostic::nearest};

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
    /// Its clients.
    #[serde(default)]
    pub clients: BTreeMap<ClientId, ClientSpec>,
    /// Its policies and their tests.
    pub policies: PolicySet,
}

impl Bundle {
    /// Contradictions between resources: hosts claimed twice, names that nothing bears.
    pub fn check(&self) -> Diagnostics {
        self.check_but(&|_, _| false)
    }

    /// The same, but for groups of which it is known elsewhere that they are there.
    fn check_but(&self, is_there: &dyn Fn(&TenantId, &GroupId) -> bool) -> Diagnostics {
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
            found.extend(tenant.check_but(&|group| is_there(id, group)));
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
            clients: BTreeMap::new(),
            policies: PolicySet::default(),
        }
    }

    /// Contradictions within the tenant.
    pub fn check(&self) -> Diagnostics {
        self.check_but(&|_| false)
    }

    fn check_but(&self, is_there: &dyn Fn(&GroupId) -> bool) -> Diagnostics {
        let mut found = Diagnostics::default();
        let missing = |group: &GroupId| !self.groups.contains_key(group) && !is_there(group);
        let id = &self.tenant.id;
        for group in self.groups.values() {
            for parent in &group.parents {
                if missing(parent) {
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
                if missing(group) {
                    found.push(Diagnostic::new(
                        format!("tenants/{id}/providers/{}.toml", provider.id),
                        format!("there is no group `{group}`"),
                    ));
                }
            }
        }
        self.check_clients(&missing, &mut found);
        found
    }

    fn check_clients(&self, missing: &dyn Fn(&GroupId) -> bool, found: &mut Diagnostics) {
        for client in self.clients.values() {
            let source = format!("tenants/{}/clients/{}.toml", self.tenant.id, client.id);
            for group in client.groups.iter().filter(|group| missing(group)) {
                found.push(Diagnostic::new(&source, format!("there is no group `{group}`")));
            }
            let apps = client.apps.iter().filter_map(|app| self.apps.get(app));
            let named = apps.flat_map(|app| app.actions.iter().map(|rule| rule.action.as_str()));
            let known: Vec<_> = ["read", "write"].into_iter().chain(named).collect();
            for scope in client.scope.iter().filter(|scope| !known.contains(&scope.as_str())) {
                let one = Diagnostic::new(&source, format!("its apps have no action `{scope}`"));
                let near = nearest(scope, known.iter().copied());
                found.push(match near {
                    Some(near) => one.help(format!("did you mean `{near}`?")),
                    None => one.help(format!("they have {}", known.join(", "))),
                });
            }
            for app in client.apps.iter().filter(|app| !self.apps.contains_key(*app)) {
                let one = Diagnostic::new(&source, format!("there is no app `{app}`"));
                let near = nearest(app.as_str(), self.apps.keys().map(AppId::as_str));
                found.push(match near {
                    Some(near) => one.help(format!("did you mean `{near}`?")),
                    None => one,
                });
            }
        }
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
    fn a_tenants_language_is_written_where_it_is_another_than_the_first() {
        let mut files = folder();
        let at = "tenants/acme/tenant.toml".to_owned();
        assert!(!Bundle::read(&files).unwrap().write()[&at].contains("language"));
        files.get_mut(&at).unwrap().push_str("language = \"de\"\n");
        let bundle = Bundle::read(&files).unwrap();
        assert!(bundle.write()[&at].contains("language = \"de\""));
        assert_eq!(Bundle::read(&bundle.write()).unwrap(), bundle);
    }

    /// An issuer is compared letter by letter, and whoever reads what was exported looks for what they wrote.
    #[test]
    fn an_address_is_written_as_it_was_read() {
        let provider =
            |issuer: &str| format!("id = \"work\"\nname = \"W\"\nclient_id = \"c\"\nissuer = \"{issuer}\"\n");
        let at = "tenants/acme/providers/work.toml";
        for issuer in ["https://login.acme.example", "https://login.acme.example/", "https://Login.acme.example/a/"] {
            let files = folder().into_iter().chain([(at.to_owned(), provider(issuer))]).collect();
            let written = Bundle::read(&files).unwrap().write();
            assert!(written[at].contains(&format!("issuer = \"{issuer}\"\n")), "{}", written[at]);
            assert!(written["tenants/acme/apps/records.toml"].contains("url = \"https://127.0.0.1:9443\"\n"));
        }
    }

    #[test]
    fn a_mistake_in_one_file_hides_none_in_another_and_makes_none_up() {
        let mut files = folder();
        let slip = |path: &str, from: &str, to: &str, files: &mut BTreeMap<String, String>| {
            let text = files[path].replace(from, to);
            files.insert(path.to_owned(), text);
        };
        // A group that cannot be read is there; one that is named by a slip is not.
        slip("tenants/acme/groups/staff.toml", "name", "nmae", &mut files);
        slip("tenants/acme/apps/records.toml", "hosts", "host", &mut files);
        let lab = "id = \"lab\"\nname = \"L\"\nparents = [\"stuff\"]\n";
        files.insert("tenants/acme/groups/lab.toml".to_owned(), lab.to_owned());
        let gathered = Bundle::gather(&files);
        let told: Vec<_> = gathered.found.0.iter().map(|one| one.source.as_str()).collect();
        let each =
            ["apps/records.toml", "groups/staff.toml", "groups/lab.toml"].map(|file| format!("tenants/acme/{file}"));
        assert_eq!(told, each, "{}", gathered.found);
        assert_eq!(gathered.torn, [TenantId::parse("acme").unwrap()].into());
        assert_eq!(gathered.bundle.tenants.len(), 1);
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
            (
                "tenants/acme/clients/tool.toml",
                "id = \"tool\"\nname = \"T\"\ngrants = [\"device_code\"]\napps = [\"record\"]\nscope = [\"read\"]\n",
                "did you mean `records`",
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
