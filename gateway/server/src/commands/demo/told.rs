//! What the demonstration says once it is ready: for people what to open and try, for scripts one line of JSON.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use cardea_demo::seed::Attempt;
use serde_json::json;

use super::place::Place;
use crate::{
    commands::{Context, Failure, say, say_json},
    running::Running,
};

/// Says that everything serves.
pub(super) fn ready(context: &Context, place: &Place, running: &Running, attempts: &[Attempt]) -> Result<(), Failure> {
    let origin = |host: &str| running.house.config.origin(host);
    let acme = origin("acme.localhost");
    if context.is_json() {
        let people = place.people.iter().map(|person| {
            json!({ "tenant": person.tenant, "email": person.email, "password": person.password, "totp": person.totp })
        });
        return say_json(&json!({
            "sign_in": format!("{acme}/"),
            "console": format!("{acme}/admin/"),
            "ops": format!("http://{}", running.ops),
            "people": people.collect::<Vec<_>>(),
            "try": attempts,
            "letters": place.letters(),
        }));
    }
    say("\nCardea is ready. Open in a browser:\n");
    let (acme_records, north_records) = (origin("records.acme.localhost"), origin("records.north.localhost"));
    say(format_args!("  {acme_records}/   Acme's records: its own pool, password and one-time code"));
    say(format_args!("  {north_records}/  Northwind's records: sign-in by an OpenID provider"));
    say(format_args!("  {acme}/           the portal: one's apps, factors and sessions"));
    say(format_args!("  {acme}/admin/     the console: people, apps, policies, log"));
    say("\nSign in as:\n");
    for person in &place.people {
        let code = person
            .totp
            .as_ref()
            .map_or_else(|| "at the provider".to_owned(), |secret| format!("one-time code from secret {secret}"));
        say(format_args!("  {:<20} {}   {code}", person.email, person.password));
    }
    say(format_args!(
        "\nAcme's people may have a code sent by e-mail, too; letters go to `{}`.",
        shown(&place.letters())
    ));
    say("\nA code for a secret: put it into any authenticator app, or run `oathtool --totp -b SECRET`.\n\nTry:\n");
    for attempt in attempts {
        let by = attempt.by.as_deref().unwrap_or("nobody");
        say(format_args!("  {} {} as {by}: {} ({})", attempt.method, attempt.url, attempt.expect, attempt.why));
    }
    let config = shown(&place.config_file());
    say("\nEvery answer names its request. Why it came out so, in the console's log or by:\n");
    let cardea = started_as(std::env::args_os().next());
    say(format_args!("  {cardea} policy explain REQUEST_ID --config {config}"));
    say(format_args!(
        "  {cardea} policy explain --config {config} --tenant acme --app records --request \"POST /studies/S-12/records/R-2/approve\" --as ada@acme.example"
    ));
    say(format_args!(
        "\nMetrics: http://{}/metrics. Everything lies in `{}`. Ctrl-C stops it.",
        running.ops,
        shown(&place.dir)
    ));
    Ok(())
}

/// The program as it was called, so that what is shown can be typed: it need not be where a shell looks.
fn started_as(name: Option<OsString>) -> String {
    name.map(PathBuf::from).map_or_else(|| "cardea".to_owned(), |path| shown(&path))
}

/// A path as one would type it here.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok().map(ToOwned::to_owned));
    let text = here.unwrap_or_else(|| path.to_owned()).display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_typed_names_the_program_as_it_was_called() {
        let here = std::env::current_dir().unwrap();
        for (called, typed) in [
            (PathBuf::from("target/debug/cardea"), "target/debug/cardea"),
            (here.join("target/debug/cardea"), "target/debug/cardea"),
            ("/opt/cardea".into(), "/opt/cardea"),
            ("cardea".into(), "cardea"),
            ("/home/it's mine/cardea".into(), r"'/home/it'\''s mine/cardea'"),
        ] {
            assert_eq!(started_as(Some(called.into_os_string())), typed);
        }
        assert_eq!(started_as(None), "cardea");
    }
}
