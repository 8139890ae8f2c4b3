//! Apps that contradict themselves or each other, and what their addresses mean.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use cardea_core::resources::AppSpec;
use cardea_policy::{AppModel, Engine, Sources};

fn app(id: &str, rest: &str) -> AppSpec {
    let text = format!(
        "id = \"{id}\"\nname = \"N\"\nhosts = [\"{id}.localhost\"]\n[upstream]\nurl = \"http://127.0.0.1:9\"\n{rest}"
    );
    toml::from_str(&text).unwrap()
}

fn resource(pattern: &str, kind: &str) -> String {
    format!("[[resources]]\npattern = \"{pattern}\"\ntype = \"{kind}\"\n")
}

fn action(method: &str, pattern: &str, name: &str) -> String {
    format!("[[actions]]\nmethod = \"{method}\"\npattern = \"{pattern}\"\naction = \"{name}\"\n")
}

#[test]
fn contradictions_are_named() {
    let twice = resource("/a/{x}", "A") + &resource("/a/{y}", "B");
    let unlike = resource("/a/{x}", "A") + &resource("/b/{y}", "A");
    let taken = resource("/users/{user}", "User");
    let slashed = resource("/a", "A") + &resource("/a/", "B");
    let both = action("GET", "/sign", "sign") + &action("POST", "/sign", "sign");
    for (apps, says) in [
        (vec![app("one", &twice)], "fits the same addresses"),
        (vec![app("one", &slashed)], "fits the same addresses"),
        (vec![app("one", &unlike)], "has the attributes `y` here but `x` in app `one`"),
        (vec![app("one", &resource("/{x}", "A")), app("two", &resource("/{y}", "A"))], "in app `one`"),
        (vec![app("one", &taken)], "every tenant has"),
        (vec![app("one", &both)], "both a reading and a writing request"),
        (vec![app("cardea-console", "")], "is taken"),
    ] {
        let sources = Sources { apps: apps.iter().collect(), ..Sources::default() };
        let found = Engine::compile(&sources).err().map(|found| found.to_string()).unwrap_or_default();
        assert!(found.contains(says), "wanted `{says}`, got: {found}");
    }
}

#[test]
fn two_apps_may_share_a_type() {
    let apps = [app("one", &resource("/{x}", "A")), app("two", &resource("/deep/{x}", "A"))];
    let engine = Engine::compile(&Sources { apps: apps.iter().collect(), ..Sources::default() }).unwrap();
    assert!(engine.schema().contains("entity A in [App] { \"x\": String };"), "{}", engine.schema());
}

#[test]
fn an_address_has_one_meaning_the_most_specific() {
    let rules = resource("/studies/{study}", "Study")
        + &resource("/studies/new", "Draft")
        + &resource("/files/{*rest}", "File")
        + &action("POST", "/studies/{study}/sign", "sign")
        + &action("GET", "/reports/", "browse")
        + &action("GET", "/reports/{report}", "open")
        + &action("HEAD", "/reports/{any}", "probe");
    let model = AppModel::compile(&app("records", &rules)).unwrap();
    let located = |method: &str, path: &str| {
        let target = model.locate(method, path).unwrap();
        let attributes: Vec<_> = target.attributes().map(|(name, value)| format!("{name}={value}")).collect();
        (
            target.action().to_string(),
            format!("{}::{} {}", target.resource_type(), target.resource_id(), attributes.join(" ")),
        )
    };
    for (method, path, action, resource) in [
        ("GET", "/studies/S-1", "GET", "Study::records/studies/S-1 study=S-1"),
        ("GET", "/studies/new", "GET", "Draft::records/studies/new "),
        ("HEAD", "/studies/ü%2F \"x", "HEAD", "Study::records/studies/ü%2F \"x study=ü%2F \"x"),
        ("PUT", "/files/a/b/c", "PUT", "File::records/files/a/b/c rest=a/b/c"),
        ("POST", "/studies/S-1/sign", "sign", "App::records "),
        ("GET", "/studies/S-1/sign", "GET", "App::records "),
        ("DELETE", "/", "DELETE", "App::records "),
        ("GET", "/studies/", "GET", "App::records "),
        ("GET", "/studies/S-1/", "GET", "Study::records/studies/S-1 study=S-1"),
        ("POST", "/studies/S-1/sign/", "sign", "App::records "),
        ("POST", "/studies/S-1/SIGN", "POST", "App::records "),
        ("GET", "/Studies/S-1", "GET", "App::records "),
        ("GET", "/files/a/", "GET", "File::records/files/a rest=a"),
        ("GET", "/files/", "GET", "App::records "),
        ("GET", "/reports", "browse", "App::records "),
        ("GET", "/reports/", "browse", "App::records "),
        ("HEAD", "/reports", "browse", "App::records "),
        ("HEAD", "/reports/7", "probe", "App::records "),
        ("GET", "/reports/7", "open", "App::records "),
        ("OPTIONS", "/reports", "OPTIONS", "App::records "),
    ] {
        assert_eq!(located(method, path), (action.to_owned(), resource.to_owned()), "{method} {path}");
    }
    for method in ["get", "TRACE", "CONNECT", ""] {
        assert!(model.locate(method, "/").is_none(), "{method} has no action, so nobody may use it");
    }
}

#[test]
fn the_hash_names_the_texts() {
    let policies =
        |name: &str, text: &str| [cardea_core::resources::PolicyText { name: name.to_owned(), text: text.to_owned() }];
    let hash = |policies: &[_]| {
        let sources = Sources { policies, minimum: Some(cardea_core::Assurance::Two), ..Sources::default() };
        let hash = Engine::compile(&sources).unwrap().hash().to_owned();
        assert_eq!(sources.hash(), hash, "it is known before anything is compiled");
        hash
    };
    let one = hash(&policies("a", "permit(principal, action, resource);"));
    assert_eq!(one.len(), 64);
    assert_eq!(one, hash(&policies("a", "permit(principal, action, resource);")));
    assert_ne!(one, hash(&policies("a", "permit(principal, action, resource) ;")));
    assert_ne!(one, hash(&policies("b", "permit(principal, action, resource);")));
}
