//! Whether a bundle of resources would work: its policies validate, their tests pass, and its apps can be served.

mod ground;

use std::collections::BTreeSet;

use cardea_core::{
    Diagnostic, Diagnostics, TenantId, Timestamp,
    resources::{Bundle, PolicySet, PolicyText, TenantBundle},
};
use cardea_identity::factors::passkey;
use cardea_policy::{Engine, Sources, TestOutcome, run_tests};
use cardea_proxy::upstream::Standing;
use serde::Serialize;

use crate::{config::Config, house, state};

pub use ground::Ground;

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct Checked {
    /// Mistakes, with their places.
    pub diagnostics: Diagnostics,
    /// What may be meant so, and seldom is.
    pub warnings: Diagnostics,
    /// The tests of policies that validate.
    pub tests: Vec<TenantTests>,
}

/// How the tests of one tenant went.
#[derive(Debug, Serialize)]
pub struct TenantTests {
    /// The tenant.
    pub tenant: TenantId,
    /// Each test.
    pub tests: Vec<TestOutcome>,
}

impl Checked {
    /// Whether nothing was found.
    pub fn passed(&self) -> bool {
        self.diagnostics.0.is_empty() && self.failed().next().is_none()
    }

    /// The tests that did not come out as they should.
    pub fn failed(&self) -> impl Iterator<Item = (&TenantId, &TestOutcome)> {
        self.tests.iter().flat_map(|one| one.tests.iter().filter(|test| !test.passed).map(|test| (&one.tenant, test)))
    }

    /// How many tests there were.
    pub fn count(&self) -> usize {
        self.tests.iter().map(|one| one.tests.len()).sum()
    }
}

/// Checks every tenant of a bundle that has been read, and holds it against the configuration; where that is not known, no
/// file that the resources name is read.
pub fn bundle(bundle: &Bundle, config: Option<&Config>, now: Timestamp) -> Checked {
    gathered(bundle, &BTreeSet::new(), config, now)
}

/// The same of what could be read of a folder. Of tenants that are `torn`, in which something could not, only what stands by
/// itself is checked: policies would seem to name what is not there.
pub fn gathered(bundle: &Bundle, torn: &BTreeSet<TenantId>, config: Option<&Config>, now: Timestamp) -> Checked {
    let ground = config.map(|config| Ground::of(config, bundle.tenants.values())).unwrap_or_default();
    let mut checked = Checked { diagnostics: ground.mistakes, warnings: ground.doubts, tests: Vec::new() };
    for (id, tenant) in &bundle.tenants {
        let (found, tests) = match torn.contains(id) {
            true => (by_itself(tenant, &bundle.guard_rails, config), None),
            false => self::tenant(tenant, &bundle.guard_rails, config, now),
        };
        checked.tests.extend(tests.map(|tests| TenantTests { tenant: id.clone(), tests }));
        for mut one in found.0 {
            one.source = path_of(id, &one.source);
            // A guard-rail's mistake shows in every tenant; it is told once.
            if !checked.diagnostics.0.contains(&one) {
                checked.diagnostics.push(one);
            }
        }
    }
    checked
}

/// Checks one tenant, as far as one thing does not hang on another that is wrong; its tests run if its policies validate.
fn tenant(
    tenant: &TenantBundle,
    guard_rails: &[PolicyText],
    config: Option<&Config>,
    now: Timestamp,
) -> (Diagnostics, Option<Vec<TestOutcome>>) {
    let engine = match Engine::compile(&Sources::of(tenant, guard_rails)) {
        Ok(engine) => engine,
        Err(mut found) => {
            found.extend(by_itself(tenant, guard_rails, config));
            return (found, None);
        }
    };
    let mut found = makes(tenant);
    found.extend(apps(tenant, &engine, config));
    let tests = run_tests(&engine, &tenant.policies.tests, now);
    (found, Some(tests))
}

/// Checks what of a tenant stands by itself: its policies as texts, and its apps whatever the policies say.
fn by_itself(tenant: &TenantBundle, guard_rails: &[PolicyText], config: Option<&Config>) -> Diagnostics {
    let mut found = makes(tenant);
    found.extend(Engine::unreadable(&Sources::of(tenant, guard_rails)));
    let bare = TenantBundle { policies: PolicySet::default(), ..tenant.clone() };
    if let Ok(engine) = Engine::compile(&Sources::of(&bare, &[])) {
        found.extend(apps(tenant, &engine, config));
    }
    found
}

fn makes(tenant: &TenantBundle) -> Diagnostics {
    let source = || format!("tenants/{}/tenant.toml", tenant.tenant.id);
    let wrong = passkey::check_makes(&tenant.tenant.factors.attested).err();
    wrong.map(|error| Diagnostic::new(source(), error.to_string()).into()).unwrap_or_default()
}

fn apps(tenant: &TenantBundle, engine: &Engine, config: Option<&Config>) -> Diagnostics {
    let transports = |_: &_, upstream: &_| match config {
        Some(config) => house::tried(upstream, &config.folder),
        None => house::to_nobody(upstream),
    };
    state::apps(tenant, engine, &transports, &Standing::default(), None).err().unwrap_or_default()
}

/// The file that a policy or app lies in, from the name by which the engine knows it.
pub fn path_of(tenant: &TenantId, source: &str) -> String {
    match source.split_once('/') {
        Some(("tenants", _)) => source.to_owned(),
        Some(("guard-rail" | "guard-rails", name)) => format!("guard-rails/{}.cedar", name.trim_end_matches(".cedar")),
        Some(("apps", app)) => format!("tenants/{tenant}/apps/{}.toml", app.trim_end_matches(".toml")),
        Some(("policies", name)) => format!("tenants/{tenant}/policies/{}.cedar", name.trim_end_matches(".cedar")),
        Some(_) => source.to_owned(),
        None => format!("tenants/{tenant}/policies/{}.cedar", source.trim_end_matches(".cedar")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use cardea_core::resources::{AppSpec, ClientSpec, GroupSpec, ProviderSpec, TenantSpec, TestSpec};

    use super::*;
    use crate::folder;

    fn checked(policy: &str, tests: &str) -> Checked {
        with_app(policy, tests, "http://127.0.0.1:1", "", None)
    }

    fn with_app(policy: &str, tests: &str, url: &str, more: &str, folder: Option<&Path>) -> Checked {
        let app =
            format!("id = \"records\"\nname = \"R\"\nhosts = [\"r.localhost\"]\n[upstream]\nurl = \"{url}\"\n{more}");
        let files = [
            ("tenants/acme/tenant.toml", "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n"),
            ("tenants/acme/apps/records.toml", app.as_str()),
            ("tenants/acme/policies/readers.cedar", policy),
            ("tenants/acme/policies/tests.toml", tests),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
        let now = Timestamp::from_secs(1_800_000_000);
        let plain = "[state]\ndir = \"s\"\n[[listeners]]\naddress = \"127.0.0.1:1\"\nplain = true\n";
        let config = folder.map(|folder| Config::parse("cardea.toml", plain, folder, now).unwrap());
        bundle(&Bundle::read(&files).unwrap(), config.as_ref(), now)
    }

    const TEST: &str =
        "[[test]]\nname = \"anybody reads\"\napp = \"records\"\nrequest = \"GET /\"\nexpect = \"allow\"\n";

    #[test]
    fn a_set_that_works_passes() {
        let found = checked("permit(principal, action, resource in App::\"records\");", TEST);
        assert!(found.passed(), "{:?}", found.diagnostics);
        assert_eq!(found.count(), 1);
    }

    #[test]
    fn a_mistake_names_its_file_and_line() {
        let found = checked("permit(principal, action, resource)\nwhen { context.asurance > 1 };", TEST);
        let shown = found.diagnostics.to_string();
        assert!(shown.contains("tenants/acme/policies/readers.cedar:2:"), "{shown}");
        assert!(!found.passed() && found.tests.is_empty());
    }

    /// One thing that is wrong hides no other that does not hang on it.
    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let policy = "permit(principal, action, resource) when { context.asurance > 1 };";
        let header = "[headers]\n\"Remote User\" = \"email\"\n";
        let shown = with_app(policy, TEST, "http://127.0.0.1:1", header, None).diagnostics.to_string();
        assert!(shown.contains("asurance") && shown.contains("`Remote User` is not a header name"), "{shown}");
        // Tests are put to policies though an app of theirs cannot be served.
        let policy = "forbid(principal, action, resource in App::\"records\");";
        let found = with_app(policy, TEST, "http://127.0.0.1:1", header, None);
        assert_eq!((found.diagnostics.0.len(), found.failed().count()), (1, 1), "{}", found.diagnostics);

        // Where a file could not be read, policies are read as texts, and nothing is said of what they name.
        let files = [
            ("tenants/acme/tenant.toml", "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n"),
            ("tenants/acme/apps/records.toml", "id = \"records\"\n"),
            ("tenants/acme/policies/fine.cedar", "permit(principal, action, resource in App::\"records\");"),
            ("tenants/acme/policies/torn.cedar", "permit(principal, action resource);"),
        ];
        let torn = Bundle::gather(&files.map(|(path, text)| (path.to_owned(), text.to_owned())).into());
        assert!(torn.found.to_string().contains("apps/records.toml"), "{}", torn.found);
        let found = gathered(&torn.bundle, &torn.torn, None, Timestamp::from_secs(1_800_000_000)).diagnostics;
        assert_eq!(found.0.len(), 1, "{found}");
        assert_eq!((&*found.0[0].source, found.0[0].line), ("tenants/acme/policies/torn.cedar", Some(1)), "{found}");
    }

    #[test]
    fn a_failing_test_fails_the_check() {
        let found = checked("forbid(principal, action, resource in App::\"records\");", TEST);
        assert!(found.diagnostics.0.is_empty(), "{}", found.diagnostics);
        assert_eq!(found.failed().map(|(_, test)| test.name.as_str()).collect::<Vec<_>>(), ["anybody reads"]);
        assert!(!found.passed());
    }

    #[test]
    fn what_an_app_names_is_there_and_can_be_used() {
        let folder = std::env::temp_dir().join(format!("cardea-checks-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let ca = rcgen::generate_simple_self_signed(["records.example".to_owned()]).unwrap();
        std::fs::write(folder.join("roots.pem"), ca.cert.pem()).unwrap();
        std::fs::write(folder.join("empty.pem"), "none\n").unwrap();
        std::fs::write(folder.join("broken.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
            .unwrap();
        let look = |more: &str, folder: Option<&Path>| {
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            with_app("", "", "https://127.0.0.1:1", more, folder).diagnostics
        };
        let roots = |file: &str| look(&format!("ca_file = \"{file}\"\n"), Some(&folder));
        assert!(roots("roots.pem").0.is_empty(), "{}", roots("roots.pem"));
        for file in ["none.pem", "empty.pem", "broken.pem"] {
            let found = roots(file).to_string();
            for told in ["tenants/acme/apps/records.toml: ca_file `", file, "help: name a PEM file"] {
                assert!(found.contains(told), "{found}");
            }
        }
        // Where nobody knows from which folder, nothing is read; a service of the tenant's own needs no file.
        assert!(look("ca_file = \"none.pem\"\n", None).0.is_empty());
        let own = look("spiffe_id = \"spiffe://acme.cardea.internal/service/records\"\n", Some(&folder));
        assert!(own.0.is_empty(), "{own}");
        let header = look("[headers]\n\"Remote User\" = \"email\"\n", Some(&folder)).to_string();
        for told in ["tenants/acme/apps/records.toml: `Remote User` is not a header name", "help: use letters"] {
            assert!(header.contains(told), "{header}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_example_of_an_app_is_right_and_shows_every_default() {
        let text = include_str!("../app.example.toml");
        let read = |text: &str| {
            let tenant = "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.example\"\n";
            let files = [("tenants/acme/tenant.toml", tenant), ("tenants/acme/apps/records.toml", text)];
            let files = files.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
            Bundle::read(&files).unwrap_or_else(|found| panic!("{found}"))
        };
        let (plain, shown) = (read(text), read(&with_defaults(text)));
        let app = |bundle: &Bundle| bundle.tenants.values().next().unwrap().apps.values().next().unwrap().clone();
        assert_eq!(app(&plain), app(&shown), "a line with `#` in front shows the default");
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let found = bundle(&plain, None, Timestamp::from_secs(1_800_000_000));
        assert!(found.passed(), "{}", found.diagnostics);
        // Whatever an app may hold is explained, and told of in the API's description.
        let unshown = crate::examples::unshown::<AppSpec>(text);
        assert!(unshown.is_empty(), "not explained: {unshown:?}");
        let described = serde_json::to_value(crate::api::document()).unwrap();
        let described = described["components"]["schemas"]["App"]["properties"].as_object().unwrap();
        let known: Vec<_> = crate::examples::keys::<AppSpec>().into_iter().filter(|key| !key.contains('.')).collect();
        for key in &known {
            assert!(described.contains_key(key), "the API's description does not know `{key}`");
        }
        for key in described.keys() {
            assert!(known.contains(key), "the API's description has `{key}`, which no app has");
        }
    }

    #[test]
    fn the_example_of_a_tenant_is_right_and_shows_every_default() {
        let text = include_str!("../tenant.example.toml");
        let read = |text: &str| {
            let files = [("tenants/acme/tenant.toml".to_owned(), text.to_owned())].into();
            let bundle = Bundle::read(&files).unwrap_or_else(|found| panic!("{found}"));
            bundle.tenants.into_values().next().unwrap().tenant
        };
        let plain = read(text);
        assert_eq!(plain, read(&with_defaults(text)), "a line with `#` in front shows the default");
        let unshown = crate::examples::unshown::<TenantSpec>(text);
        assert!(unshown.is_empty(), "not explained: {unshown:?}");
    }

    /// All of them together are one tenant's, so what one names another explains.
    #[test]
    fn the_examples_of_a_provider_a_group_and_tests_are_right_together_and_show_every_key() {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Tests {
            #[allow(dead_code, reason = "only its shape is read")]
            test: Vec<TestSpec>,
        }
        let (provider, group) = (include_str!("../provider.example.toml"), include_str!("../group.example.toml"));
        let (client, tests) = (include_str!("../client.example.toml"), include_str!("../tests.example.toml"));
        // The policies that the tests hold with stand in their file.
        let policies: Vec<_> = tests.lines().filter_map(|line| line.strip_prefix("#   ")).collect();
        let (with_provider, with_group) = (with_defaults(provider), with_defaults(group));
        let read = |provider: &str, group: &str| {
            let files = [
                ("tenants/acme/tenant.toml", include_str!("../tenant.example.toml")),
                ("tenants/acme/apps/records.toml", include_str!("../app.example.toml")),
                ("tenants/acme/providers/work.toml", provider),
                ("tenants/acme/groups/reviewers.toml", group),
                ("tenants/acme/clients/nightly-import.toml", client),
                ("tenants/acme/policies/records.cedar", &policies.join("\n")),
                ("tenants/acme/policies/tests.toml", tests),
            ];
            // Each takes the place of the file of its name, so it fits what lies beside.
            let example = folder::read(Path::new(EXAMPLE)).unwrap_or_else(|found| panic!("{found}")).write();
            let files = example.into_iter().chain(files.map(|(path, text)| (path.to_owned(), text.to_owned())));
            Bundle::read(&files.collect()).unwrap_or_else(|found| panic!("{found}"))
        };
        let plain = read(provider, group);
        assert_eq!(plain, read(&with_provider, &with_group), "a line with `#` in front shows the default");
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let found = bundle(&plain, None, Timestamp::from_secs(1_800_000_000));
        assert!(found.passed(), "{} {:?}", found.diagnostics, found.failed().collect::<Vec<_>>());
        assert_eq!(found.count(), 7);
        let unshown = [
            crate::examples::unshown::<ProviderSpec>(provider),
            crate::examples::unshown::<GroupSpec>(group),
            crate::examples::unshown::<ClientSpec>(client),
            crate::examples::unshown::<Tests>(tests),
        ];
        assert_eq!(unshown.concat(), Vec::<String>::new(), "not explained");
    }

    #[test]
    fn the_example_to_copy_passes_as_it_is() {
        let folder = Path::new(EXAMPLE).parent().unwrap();
        let now = Timestamp::from_secs(1_800_000_000);
        let config = Config::read(&folder.join("cardea.toml"), now).unwrap_or_else(|found| panic!("{found}"));
        let example = folder::read(&config.resources.clone().unwrap()).unwrap_or_else(|found| panic!("{found}"));
        let found = bundle(&example, Some(&config), now);
        assert!(found.passed(), "{} {:?}", found.diagnostics, found.failed().collect::<Vec<_>>());
        assert!(found.warnings.0.is_empty() && found.count() == 5, "{}", found.warnings);
    }

    const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/example/resources");

    /// An example's text with its defaults written out.
    fn with_defaults(text: &str) -> String {
        let lines = text.lines().map(|line| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Whether a line begins with a key and its value.
    fn is_key(line: &str) -> bool {
        line.split_once(" = ").is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
    }
}
