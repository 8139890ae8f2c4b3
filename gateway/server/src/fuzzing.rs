//! What must hold for every `cardea.toml`, as a function of bytes that panics where it does not. The fuzz target `config`
//! (`tests/fuzz`), its kept corpus and the property test below call it; no build that is handed out holds it.

use cardea_core::{Diagnostic, Timestamp};

use crate::config::{Config, keys_between, same_doors};

/// By which the target's inputs are told from resources.
pub const MARK: &[u8] = b"cardea.toml\n";

const SOURCE: &str = "cardea.toml";
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A configuration, and after a line of `%` another one that is to take its place. Every mistake has a place and words;
/// reading is the same each time; what is said to wait for a restart does, and all else is taken over.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (first, second) = text.split_once("\n%\n").unwrap_or((text, text));
    let (Some(first), Some(second)) = (read(first), read(second)) else { return };
    assert!(first.waits_for_restart(&first).is_empty() && keys_between(&first.text, &first.text, true).is_empty());
    let keys = keys_between(&first.text, &second.text, same_doors(&first.text, &second.text));
    let waiting = first.waits_for_restart(&second);
    let taken = first.with_changes_of(second.clone());
    assert_eq!(taken.waits_for_restart(&second), waiting, "what waits goes on waiting");
    if keys.iter().any(|key| key.waits_for_restart) {
        return;
    }
    assert!(waiting.is_empty(), "{waiting:?} wait, and no key says so: {keys:?}");
    assert_eq!(format!("{taken:?}"), format!("{second:?}"), "a part was not taken over");
}

fn read(text: &str) -> Option<Config> {
    match Config::parse_nowhere(SOURCE, text, NOW) {
        Ok(config) => {
            let again = Config::parse_nowhere(SOURCE, text, NOW).map(|again| format!("{again:?}"));
            assert_eq!(again, Ok(format!("{config:?}")), "it reads differently each time");
            let limits = config.settings().limits;
            assert!(limits.concurrency > 0 && limits.reserved_percent < 100 && limits.connections > 0, "{limits:?}");
            assert!(url::Url::parse(&config.origin("acme.localhost")).is_ok(), "{}", config.origin("acme.localhost"));
            Some(config)
        }
        Err(found) => {
            assert!(!found.0.is_empty(), "a no without a reason");
            found.0.iter().for_each(|one| check(one, text));
            None
        }
    }
}

fn check(one: &Diagnostic, text: &str) {
    assert!(!one.message.trim().is_empty() && one.source == SOURCE, "{one:?} says nothing");
    let (Some(line), Some(column), Some((start, end))) = (one.line, one.column, one.span) else {
        assert!(one.line.is_none() && one.span.is_none(), "{one:?}");
        return;
    };
    assert!(start <= end && text.is_char_boundary(start), "{one:?} is no place in {text:?}");
    let before = &text[..start];
    let last = before.rsplit('\n').next().unwrap_or_default();
    assert_eq!(usize::try_from(line).ok(), Some(before.matches('\n').count() + 1), "{one:?}");
    assert_eq!(usize::try_from(column).ok(), Some(last.chars().count() + 1), "{one:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fuzzing_found_still_holds() {
        let folder = format!("{}/../../tests/fuzz/corpus/config", env!("CARGO_MANIFEST_DIR"));
        let kept = std::fs::read_dir(&folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
        let kept: Vec<_> = kept.filter_map(|data| data.strip_prefix(MARK).map(<[u8]>::to_vec)).collect();
        assert!(kept.len() > 5, "{folder} holds no configuration");
        kept.iter().for_each(|data| configuration(data));
    }

    #[test]
    fn each_key_alone_waits_or_is_taken_over() {
        let least = "[state]\ndir = \"s\"\n[[listeners]]\naddress = \"127.0.0.1:1\"\nplain = true\n";
        for more in [
            "public_port = 7\n",
            "public_scheme = \"https\"\n",
            "trust_domain = \"a.b\"\n",
            "trusted_proxies = [\"10.0.0.0/8\"]\n",
            "forwarded = \"forwarded\"\n",
        ] {
            configuration(format!("{least}\n%\n{more}{least}").as_bytes());
            configuration(format!("{more}{least}\n%\n{least}").as_bytes());
        }
        let in_memory = least.replace("dir = \"s\"", "dir = \"s\"\nsessions = \"memory\"");
        configuration(format!("{least}\n%\n{in_memory}").as_bytes());
        configuration(format!("{in_memory}\n%\n{least}").as_bytes());
        for more in [
            "[tls]\nwatch = false\n",
            "[ops]\naddress = \"127.0.0.1:7\"\n",
            "[machines]\naddress = \"127.0.0.1:7\"\n",
            "[ext_authz]\naddress = \"127.0.0.1:7\"\n",
            "[redis]\nurl = \"redis://127.0.0.1\"\n",
            "[redis]\ncluster = [\"redis://127.0.0.1\"]\n",
            "[limits]\nin_flight = 7\n",
            "[limits]\nsessions_cached = 7\n",
            "[limits]\ndrain_seconds = 7\n",
            "[log]\nlevel = \"debug\"\n",
            "[access_log]\nformat = \"json\"\n",
            "[traces]\nendpoint = \"http://127.0.0.1:7\"\n",
        ] {
            configuration(format!("{least}\n%\n{least}{more}").as_bytes());
            configuration(format!("{least}{more}\n%\n{least}").as_bytes());
        }
    }
}
