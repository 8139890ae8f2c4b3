//! Reads a resource or the configuration from TOML, with a place and a way out for each mistake.

use crate::{Diagnostic, Diagnostics, diagnostic::nearest};

use super::Resource;

/// Reads any value whose shape is its own check.
pub fn read_toml<T: serde::de::DeserializeOwned>(source: &str, text: &str) -> Result<T, Diagnostics> {
    toml::from_str(text).map_err(|error| shape_error(source, text, &error).into())
}

/// Reads one resource and checks its values.
pub(super) fn read_resource<R: Resource>(source: &str, text: &str) -> Result<R, Diagnostics> {
    let resource: R = read_toml(source, text)?;
    let mut found = resource.check(source);
    for one in &mut found.0 {
        place_by_value(one, text);
    }
    found.or_ok(resource)
}

fn shape_error(source: &str, text: &str, error: &toml::de::Error) -> Diagnostic {
    let message = error.message().replace('\n', " ");
    let mut found = Diagnostic::new(source, &message);
    if let Some(span) = error.span() {
        found = found.at(text, span.start, span.end);
    }
    if message.contains("relative URL without a base") {
        let value = error.span().and_then(|span| text.get(span)).unwrap_or_default().trim_matches(['"', '\'']);
        return found.help(format!("begin with the scheme: `https://{value}`, or `http://…` for what speaks no TLS"));
    }
    match unknown_key(&message) {
        Some((_, Some(known))) => found.help(format!("did you mean `{known}`?")),
        _ => found,
    }
}

/// From "unknown field `x`, expected one of `a`, `b`": the slip and the nearest known key.
fn unknown_key(message: &str) -> Option<(String, Option<String>)> {
    let rest = message.strip_prefix("unknown field ").or_else(|| message.strip_prefix("unknown variant "))?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let slip = quoted.next()?;
    let near = nearest(slip, quoted);
    Some((slip.to_owned(), near.map(str::to_owned)))
}

/// A value check names the offending value, or the table, in backticks; if that stands in the text, it gives the place.
pub fn place_by_value(found: &mut Diagnostic, text: &str) {
    if found.line.is_some() {
        return;
    }
    let place = found.message.split('`').skip(1).step_by(2).find_map(|value| {
        let quoted = format!("\"{value}\"");
        text.find(&quoted).map(|at| (at, at + quoted.len())).or_else(|| table(text, value))
    });
    if let Some((start, end)) = place {
        *found = found.clone().at(text, start, end);
    }
}

/// Where a table is opened, or one inside of it.
fn table(text: &str, header: &str) -> Option<(usize, usize)> {
    let name = header.strip_suffix(']').filter(|name| name.starts_with('['))?;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.strip_prefix(name).is_some_and(|rest| rest.starts_with([']', '.'])) {
            return Some((at, at + line.trim_end().len()));
        }
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::AppSpec;
    use super::*;

    #[test]
    fn an_unknown_key_names_the_nearest_known_one_and_its_place() {
        let text = "id = \"records\"\nname = \"Records\"\nhost = [\"r.localhost\"]\n";
        let found = read_toml::<AppSpec>("apps/records.toml", text).unwrap_err();
        let one = &found.0[0];
        assert_eq!(one.line, Some(3));
        assert_eq!(one.help.as_deref(), Some("did you mean `hosts`?"));
    }

    #[test]
    fn a_url_without_its_scheme_is_told_with_it() {
        for (line, place) in [("url = \"10.0.0.7:8443\"", (5, 7)), ("urls = [\"10.0.0.7:8443\"]", (5, 9))] {
            let text = format!("id = \"r\"\nname = \"R\"\nhosts = [\"r.localhost\"]\n[upstream]\n{line}\n");
            let found = read_toml::<AppSpec>("apps/r.toml", &text).unwrap_err();
            let one = &found.0[0];
            assert_eq!((one.line, one.column), (Some(place.0), Some(place.1)), "{found}");
            assert!(found.to_string().contains("help: begin with the scheme: `https://10.0.0.7:8443`"), "{found}");
        }
    }

    #[test]
    fn an_app_without_upstream_is_named_with_its_place() {
        let text = "id = \"records\"\nname = \"Records\"\nhosts = [\"r.localhost\"]\n";
        let found = read_resource::<AppSpec>("apps/records.toml", text).unwrap_err();
        assert!(found.to_string().contains("upstream"), "{found}");
    }
}
