//! What must hold for every resource that somebody writes, as a function of bytes that panics where it does not. The
//! fuzz target `config` (`tests/fuzz`), its kept corpus and the property test below call it; no build that is handed
//! out holds it.

use std::collections::BTreeMap;

use crate::{Diagnostic, TenantId, resources::Bundle};

/// Where a text may stand in a folder of resources.
const PLACES: [&str; 8] = [
    "tenants/acme/tenant.toml",
    "tenants/acme/apps/records.toml",
    "tenants/acme/providers/hospital.toml",
    "tenants/acme/groups/staff.toml",
    "tenants/acme/policies/tests.toml",
    "tenants/acme/policies/readers.cedar",
    "guard-rails/base.cedar",
    "tenants/none/groups/staff.toml",
];

const TENANT: &str = "id = \"acme\"\nname = \"Acme\"\nsign_in_host = \"acme.localhost\"\n";

/// Texts of a folder, separated by lines of `%`; the first sign of each picks its place. Every mistake has a place and
/// words, and what is accepted reads back the same from what is written of it.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut files = BTreeMap::from([(PLACES[0].to_owned(), TENANT.to_owned())]);
    for one in text.split("\n%\n").take(PLACES.len()) {
        let mut signs = one.chars();
        let Some(place) = signs.next().and_then(|sign| PLACES.get(sign as usize % PLACES.len())) else { continue };
        files.insert((*place).to_owned(), signs.as_str().to_owned());
    }
    match Bundle::read(&files) {
        Ok(bundle) => {
            assert_eq!(Bundle::read(&bundle.write()), Ok(bundle.clone()), "what is exported applies as it was");
            assert!(TenantId::parse("acme").is_ok_and(|id| bundle.tenants.contains_key(&id)));
        }
        Err(found) => {
            assert!(!found.0.is_empty(), "a no without a reason");
            for one in &found.0 {
                check(one, &files);
            }
        }
    }
}

fn check(one: &Diagnostic, files: &BTreeMap<String, String>) {
    assert!(!one.message.trim().is_empty() && one.source.contains('/'), "{one:?} says nothing");
    assert_eq!(one.line.is_some(), one.span.is_some(), "{one:?}");
    let (Some(line), Some(column), Some((start, end))) = (one.line, one.column, one.span) else { return };
    let Some(text) = files.get(&one.source) else { return };
    assert!(start <= end && text.is_char_boundary(start), "{one:?} is no place in {text:?}");
    let before = &text[..start];
    let last = before.rsplit('\n').next().unwrap_or_default();
    assert_eq!(usize::try_from(line).ok(), Some(before.matches('\n').count() + 1), "{one:?}");
    assert_eq!(usize::try_from(column).ok(), Some(last.chars().count() + 1), "{one:?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*, sample::select};

    #[test]
    fn what_fuzzing_found_still_holds() {
        let folder = format!("{}/../../tests/fuzz/corpus/config", env!("CARGO_MANIFEST_DIR"));
        let kept: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!kept.is_empty(), "{folder} is empty");
        for path in kept {
            config(&std::fs::read(path).unwrap());
        }
    }

    /// An app's lines, good and bad, which a case takes some of.
    const LINES: &[&str] = &[
        "1id = \"records\"\n",
        "id = \"records\"\n",
        "name = \"Records\"\n",
        "hosts = [\"r.localhost\"]\n",
        "hosts = [\"R.localhost\", \"acme.localhost\"]\n",
        "[upstream]\n",
        "url = \"http://127.0.0.1:1\"\n",
        "url = \"ftp://é\"\n",
        "[[resources]]\n",
        "pattern = \"/{*rest}\"\n",
        "pattern = \"/{a}/{a}\"\n",
        "type = \"Page\"\n",
        "type = \"é\"\n",
        "[[actions]]\n",
        "method = \"GET\"\n",
        "action = \"read\"\n",
        "\n%\n",
        "3id = \"staff\"\nname = \"Staff\"\n",
        "parents = [\"staff\"]\n",
        "headers = { Remote-User = \"email\" }\n",
        "headers = { Host = \"sub\" }\n",
        "nmae = 1\n",
        "= \n",
        "\"",
        "audit = \"before\"\n",
        "start_path = \"x\"\n",
        "encoded_slashes = true\n",
        "ü = \"",
        "'''\n",
        "5permit(principal, action, resource);",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_mistake_has_a_place_and_what_is_accepted_reads_back(lines in vec(select(LINES), 0..14)) {
            config(format!("1{}", lines.concat()).as_bytes());
            config(lines.concat().as_bytes());
        }
    }
}
