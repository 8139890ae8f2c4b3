//! What a file that explains by example must show: every key that its shape knows, in the table where it belongs, so that a
//! key cannot come without its explanation.

use std::collections::BTreeSet;

use cardea_core::resources::read_toml;
use serde::de::DeserializeOwned;

/// The keys of `T`, each with the way to it (`upstream.health.path`), that `text` shows neither in force nor commented out.
pub(crate) fn unshown<T: DeserializeOwned>(text: &str) -> Vec<String> {
    let shown = shown(text);
    keys::<T>().into_iter().filter(|key| !shown.contains(key)).collect()
}

/// Every key of `T`, by asking what stands beside one that nobody knows.
pub(crate) fn keys<T: DeserializeOwned>() -> Vec<String> {
    let mut found = Vec::new();
    walk::<T>("", "", &mut found);
    found
}

/// `above` opens the table at `way` in a text that holds nothing else.
fn walk<T: DeserializeOwned>(above: &str, way: &str, found: &mut Vec<String>) {
    for key in beside::<T>(above) {
        let inside = join(way, &key);
        found.push(inside.clone());
        // A list is read as a table of its first field: only where there is no such table is it one.
        let before = found.len();
        for opened in [format!("{above}[{inside}]\n"), format!("{above}[[{inside}]]\n")] {
            if found.len() == before {
                walk::<T>(&opened, &inside, found);
            }
        }
    }
}

/// What may stand in a table; nothing where it is none, or takes whatever is written in it.
fn beside<T: DeserializeOwned>(above: &str) -> Vec<String> {
    let Err(told) = read_toml::<T>("example", &format!("{above}nobody_s = 0\n")) else { return Vec::new() };
    let told = told.0.first().map(|one| one.message.clone()).unwrap_or_default();
    let Some(known) = told.strip_prefix("unknown field `nobody_s`, expected ") else { return Vec::new() };
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Each key of a text with the way to it, comments read as what they would be without their `#`.
fn shown(text: &str) -> BTreeSet<String> {
    let (mut table, mut found) = (String::new(), BTreeSet::new());
    for line in text.lines().map(|line| line.trim_start_matches(['#', ' '])) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            table = name.trim_matches(['[', ']']).to_owned();
            found.insert(table.clone());
        } else if let Some((key, value)) = line.split_once(" = ") {
            let way = join(&table, key);
            for inner in value.split(['{', ',']).filter_map(|part| part.split_once(" = ")) {
                found.insert(join(&way, inner.0.trim()));
            }
            found.insert(way);
        }
    }
    found
}

fn join(way: &str, key: &str) -> String {
    if way.is_empty() { key.to_owned() } else { format!("{way}.{key}") }
}

#[test]
fn a_key_that_is_not_shown_is_named() {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its shape is read")]
    struct Shape {
        name: String,
        inner: Vec<Inner>,
    }
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its shape is read")]
    struct Inner {
        size: u8,
        colour: Option<String>,
    }
    assert_eq!(keys::<Shape>(), ["name", "inner", "inner.size", "inner.colour"]);
    assert_eq!(unshown::<Shape>("# name = \"x\"\n[[inner]]\nsize = 1\n"), ["inner.colour"]);
    assert_eq!(unshown::<Shape>("name = \"x\"\ncolour = \"red\"\ninner = [{ size = 1 }]\n"), ["inner.colour"]);
}
