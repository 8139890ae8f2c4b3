//! What holds for every page: nothing that somebody typed becomes markup, nothing is inline, nothing is forgotten.

use std::{fs, path::Path, time::Duration};

use askama::Template;
use cardea_core::{Language, Timestamp};

use super::*;
use crate::pages::{factors::FactorKind, when::When};

const HOSTILE: &str = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>{{7*7}}";

fn look(language: Language) -> Look {
    Look::new(HOSTILE, Some("#ffee00"), &[]).speaking(language)
}

fn when() -> When {
    When::new(Timestamp::from_secs(1), Timestamp::from_secs(5000))
}

fn factor() -> FactorRow {
    FactorRow {
        id: HOSTILE.to_owned(),
        kind: FactorKind::Passkey,
        name: HOSTILE.to_owned(),
        added: Some(when()),
        used: None,
        left: Some(3),
        removable: true,
    }
}

/// Every page, wherever it shows a text that somebody else chose.
fn hostile_pages(look: &Look) -> Vec<(&'static str, String)> {
    let person = Person { name: HOSTILE, email: HOSTILE };
    let carried: Carried<'_> = &[(HOSTILE, HOSTILE)];
    let provider = || vec![ProviderButton { name: HOSTILE, href: HOSTILE.to_owned() }];
    let problem = Some(Problem::TooMany(Duration::from_secs(9)));
    let qr = totp::qr_svg(HOSTILE).unwrap();
    let app = AppCard {
        name: HOSTILE.to_owned(),
        description: HOSTILE.to_owned(),
        host: HOSTILE.to_owned(),
        href: HOSTILE.to_owned(),
        asks_more: true,
    };
    let session = SessionRow {
        id: HOSTILE.to_owned(),
        current: false,
        browser: HOSTILE.to_owned(),
        address: HOSTILE.to_owned(),
        assurance: 2,
        since: when(),
        seen: Some(when()),
    };
    let device = DeviceRow {
        id: HOSTILE.to_owned(),
        current: true,
        browser: HOSTILE.to_owned(),
        address: HOSTILE.to_owned(),
        since: when(),
        used: Some(when()),
    };
    let sign_in = SignIn {
        look,
        email: HOSTILE,
        problem,
        over: false,
        carried,
        app: Some(HOSTILE),
        passkey: true,
        pool: true,
        providers: provider(),
    };
    let step_up = StepUp {
        look,
        person,
        need: Need::Two,
        app: Some(HOSTILE),
        passkey: true,
        code: true,
        password: true,
        mail: true,
        recovery: true,
        needs_link: true,
        providers: provider(),
        problem,
        carried,
        back: HOSTILE,
    };
    let invitation = Invitation {
        look,
        person,
        action: HOSTILE,
        passkey_options: Some(HOSTILE),
        passkey_finish: HOSTILE,
        password: true,
        mail: Some(HOSTILE),
        password_least: 12,
        problem,
        carried,
    };
    let portal = Portal {
        look,
        person,
        apps: vec![app],
        assurance: 3,
        since: when(),
        administrator: true,
        offer_second: true,
        needs_link: true,
        must: false,
        recovery_used: Some(when()),
        copied: Some("Work key".to_owned()),
        done: Some(HOSTILE.to_owned()),
    };
    let factors = Factors {
        look,
        person,
        factors: vec![factor()],
        may_add_totp: true,
        may_add_passkey: true,
        may_link: provider(),
        offer_recovery: true,
        may_renew_recovery: true,
        needs_link: true,
        recovering: true,
        owed: true,
        done: Some(HOSTILE.to_owned()),
        problem,
    };
    let notice = Failure { app: Some(HOSTILE), ..Failure::new(look, cardea_core::Reason::UpstreamBroken) }.notice();
    let key = HOSTILE;
    let codes = [HOSTILE.to_owned()];
    type Draw<'a> = Box<dyn Fn() -> askama::Result<String> + 'a>;
    let all: [(&'static str, Draw<'_>); 29] = [
        ("sign-in", Box::new(move || sign_in.render())),
        ("password", {
            let page = Password { look, email: HOSTILE, problem, carried, passkey: true, mail: true, back: HOSTILE };
            Box::new(move || page.render())
        }),
        ("email", {
            let page = MailCode { look, email: HOSTILE, problem, carried, password: true, back: Some(HOSTILE) };
            Box::new(move || page.render())
        }),
        ("code", {
            let (passkey, recovery, remember, remembered) = (true, true, Some(30), true);
            let page =
                Code { look, email: HOSTILE, problem, carried, passkey, recovery, remember, remembered, back: HOSTILE };
            Box::new(move || page.render())
        }),
        ("recovery", {
            let (back, other) = (Some(HOSTILE), Some(HOSTILE));
            let page = Recovery { look, email: HOSTILE, problem, carried, back, other };
            Box::new(move || page.render())
        }),
        ("enrol-recovery", {
            let page = EnrolRecovery { look, person, codes: &codes, replaces: true, carried, back: HOSTILE };
            Box::new(move || page.render())
        }),
        ("step-up", Box::new(move || step_up.render())),
        ("invitation", Box::new(move || invitation.render())),
        ("second-factor", {
            let page = SecondFactor { look, person, totp: true, passkey: true, onward: HOSTILE, must: false };
            Box::new(move || page.render())
        }),
        ("enrol-totp", {
            let page = EnrolTotp { look, person, qr: &qr, key, problem, carried, back: HOSTILE };
            Box::new(move || page.render())
        }),
        ("enrol-passkey", {
            let page = EnrolPasskey { look, person, problem, carried, back: HOSTILE };
            Box::new(move || page.render())
        }),
        ("factors", Box::new(move || factors.render())),
        ("link-account", {
            let page = LinkAccount { look, person, provider: HOSTILE, action: HOSTILE };
            Box::new(move || page.render())
        }),
        ("factor-link", {
            let page = FactorLink { look, person, action: HOSTILE };
            Box::new(move || page.render())
        }),
        ("remove-factor", {
            let page = RemoveFactor { look, person, factor: factor(), weakens: true };
            Box::new(move || page.render())
        }),
        ("name-factor", {
            let page = NameFactor { look, person, factor: factor(), problem };
            Box::new(move || page.render())
        }),
        ("sessions", {
            let (sessions, devices) = (vec![session], vec![device]);
            let page = Sessions { look, person, sessions, devices, done: Some(HOSTILE.to_owned()) };
            Box::new(move || page.render())
        }),
        ("programs", {
            let (text, used) = (|| HOSTILE.to_owned(), when());
            let (id, name, scope, apps, from, since) = (text(), text(), text(), text(), text(), when());
            let program = ProgramRow { id, name, scope, apps, from, since, used };
            let (id, name, scope, apps, expires) = (text(), text(), text(), text(), when());
            let key = AccessKeyRow { id, name, scope, apps, is_over: true, expires, used: Some(when()) };
            let (programs, keys) = (vec![program], vec![key]);
            let page = Programs { look, person, programs, keys, makes_keys: true, done: Some(text()) };
            Box::new(move || page.render())
        }),
        ("consent", {
            let (apps, scope) = (vec![HOSTILE.to_owned()], vec![HOSTILE.to_owned()]);
            let carried = vec![(HOSTILE.to_owned(), HOSTILE.to_owned())];
            let (client, days, device, action) = (HOSTILE, 30, true, "/oauth2/device");
            let page = Consent { look, person, client, apps, scope, days, device, action, carried };
            Box::new(move || page.render())
        }),
        ("device-code", {
            let page = DeviceCode { look, person, code: HOSTILE.to_owned(), problem: Some(Problem::NoDevice) };
            Box::new(move || page.render())
        }),
        ("device-done", {
            let page = DeviceDone { look, person, client: HOSTILE, allowed: true };
            Box::new(move || page.render())
        }),
        ("new-access-key", {
            let apps = vec![AppChoice { id: "records".to_owned(), name: HOSTILE.to_owned() }];
            let page = NewAccessKey { look, person, apps, days: vec![7, 30], problem: Some(Problem::NothingChosen) };
            Box::new(move || page.render())
        }),
        ("access-key-made", {
            let page = AccessKeyMade { look, person, name: HOSTILE, key: HOSTILE };
            Box::new(move || page.render())
        }),
        ("activity", {
            let row = ActivityRow {
                what: HOSTILE.to_owned(),
                tone: activity::Tone::Mind,
                at: when(),
                times: 2,
                by_administrator: true,
                browser: HOSTILE.to_owned(),
                address: HOSTILE.to_owned(),
            };
            let page = Activity { look, person, rows: vec![row], newer: Some(1), older: Some(3) };
            Box::new(move || page.render())
        }),
        ("portal", Box::new(move || portal.render())),
        ("onward", {
            let page = Onward { look, to: HOSTILE };
            Box::new(move || page.render())
        }),
        ("signed-out", {
            let page = SignedOut { look, everywhere: false, sign_in: HOSTILE };
            Box::new(move || page.render())
        }),
        ("notice", Box::new(move || notice.render())),
        ("bare", {
            let bare = Look::bare().speaking(look.w.language);
            Box::new(move || {
                Failure { app: Some(HOSTILE), ..Failure::new(&bare, cardea_core::Reason::UpstreamBroken) }
                    .notice()
                    .render()
            })
        }),
    ];
    all.into_iter().map(|(name, render)| (name, render().unwrap())).collect()
}

#[test]
fn nothing_that_somebody_typed_becomes_markup() {
    for (name, html) in Language::ALL.into_iter().flat_map(|language| hostile_pages(&look(language))) {
        for markup in ["<script>", "<img", "onerror='"] {
            assert!(!html.contains(markup), "{name} holds {markup}");
        }
        assert!(html.contains("&#60;script&#62;"), "{name} does not show the text at all");
        assert!(html.contains("{{7*7}}"), "{name} reads a text as a template");
    }
}

#[test]
fn every_page_says_its_language_its_title_and_its_one_heading() {
    for language in Language::ALL {
        let begin = format!("<!doctype html>\n<html lang=\"{}\" dir=\"ltr\">", language.tag());
        for (name, html) in hostile_pages(&look(language)) {
            assert!(html.starts_with(&begin), "{name}");
            assert_eq!(html.matches("<h1>").count(), 1, "{name}");
            assert_eq!(html.matches("<main ").count(), 1, "{name}");
            assert_eq!(html.matches("<title>").count(), 1, "{name}");
            assert!(html.matches(" autofocus").count() <= 1, "{name} wants the focus twice");
            assert!(html.len() < 16 * 1024, "{name} is {} bytes", html.len());
        }
    }
}

#[test]
fn no_page_mixes_languages() {
    let english = Words::of(Language::English).all();
    let foreign = |(_, text): &(String, words::Text)| text.0.contains(' ') && !text.0.contains("{}");
    let foreign: Vec<_> = english.into_iter().filter(foreign).collect();
    for (page, html) in hostile_pages(&look(Language::German)) {
        for (name, text) in &foreign {
            assert!(!html.contains(text.0), "{page} says `{name}` in English");
        }
    }
}

#[test]
fn a_page_says_its_language_to_whoever_keeps_it() {
    for language in Language::ALL {
        let look = look(language);
        let answer = SignedOut { look: &look, everywhere: false, sign_in: "/sign-in" }.respond();
        assert_eq!(answer.headers()["content-language"], language.tag());
        assert_eq!(answer.headers()["vary"], "Accept-Language");
    }
}

#[test]
fn every_template_has_its_page_among_these() {
    let known: Vec<_> = hostile_pages(&look(Language::English)).into_iter().map(|(name, _)| name).collect();
    for (file, _) in templates() {
        let name = file.trim_end_matches(".html");
        let frame = matches!(name, "base" | "home") || file.contains('/');
        assert!(frame || known.contains(&name), "no test shows `{file}`");
    }
}

/// The two exceptions: a drawing that we made ourselves, and a style sheet that is ours.
const OUR_OWN_MARKUP: [&str; 2] = ["qr.markup()|safe", "look.bare_style()|safe"];

/// Whoever is signed in here alone may have left another device that is remembered.
#[test]
fn what_ends_all_else_stands_where_there_is_something_else() {
    let (look, person) = (&look(Language::English), Person { name: "Ada", email: "ada@acme.example" });
    let (id, browser, address) = (String::new, || "Firefox".to_owned(), String::new);
    let session = |current| SessionRow {
        id: id(),
        current,
        browser: browser(),
        address: address(),
        assurance: 2,
        since: when(),
        seen: None,
    };
    let device =
        |current| DeviceRow { id: id(), current, browser: browser(), address: address(), since: when(), used: None };
    for (sessions, devices, stands, forgets) in [
        (vec![session(true)], vec![], false, false),
        (vec![session(true)], vec![device(true)], false, false),
        (vec![session(true), session(false)], vec![], true, false),
        (vec![session(true), session(false)], vec![device(true)], true, true),
        (vec![session(true)], vec![device(true), device(false)], true, true),
    ] {
        let page = Sessions { look, person, sessions, devices, done: None }.render().unwrap();
        let words = &look.w.sessions;
        assert_eq!(page.contains("/sessions/end-others"), stands, "{page}");
        assert_eq!(page.contains(words.end_others_and_forget.0), forgets, "{page}");
    }
}

#[test]
fn no_template_lets_markup_through() {
    for (file, text) in templates() {
        let rest = OUR_OWN_MARKUP.iter().fold(text, |text, ours| text.replace(ours, ""));
        for way in ["|safe", "| safe", "|escape(\"none\"", "autoescape"] {
            assert!(!rest.contains(way), "`{file}` uses `{way}`");
        }
    }
}

#[test]
fn no_template_has_inline_script_or_style() {
    for (file, text) in templates() {
        let text = text.replace("<style>{{ look.bare_style()|safe }}</style>", "");
        for inline in
            ["<style", " style=", "<script>", "javascript:", " onclick", " onsubmit", " onload", "http://", "https://"]
        {
            assert!(!text.contains(inline), "`{file}` holds `{inline}`");
        }
    }
}

#[test]
fn no_word_stands_in_a_template() {
    for (file, text) in templates() {
        let mut rest = text.as_str();
        // Between `>` and `<` only expressions, spaces and signs: letters belong to `words.rs`.
        while let Some((_, after)) = rest.split_once('>') {
            let (between, next) = after.split_once('<').unwrap_or((after, ""));
            let mut plain = String::new();
            let mut tail = between;
            while let Some((before, open)) = tail.split_once('{') {
                plain.push_str(before);
                tail = open.split_once('}').map_or("", |(_, after)| after.trim_start_matches('}'));
            }
            plain.push_str(tail);
            assert!(!plain.chars().any(char::is_alphabetic), "`{file}` says {plain:?} by itself");
            rest = next;
        }
    }
}

fn templates() -> Vec<(String, String)> {
    fn read(folder: &Path, prefix: &str, into: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
            if path.is_dir() {
                read(&path, &format!("{name}/"), into);
            } else {
                into.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut all = Vec::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("templates"), "", &mut all);
    assert!(all.len() > 15);
    all
}

/// Whoever put it off where two proofs are asked for could not sign in again.
#[test]
fn a_second_way_is_put_off_only_where_one_signs_in_without_it() {
    for language in [Language::English, Language::German] {
        let look = look(language);
        for must in [true, false] {
            let person = Person { name: "Ada", email: "ada@acme.example" };
            let page = SecondFactor { look: &look, person, totp: true, passkey: false, onward: "/later", must };
            let html = page.render().unwrap();
            assert_eq!(html.contains("/later"), !must, "{html}");
            assert_eq!(html.contains(look.w.invitation.second_must.0), must, "{html}");
            assert!(html.contains("/factors/totp") && !html.contains("/factors/passkey"), "{html}");
        }
    }
}
