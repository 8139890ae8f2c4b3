//! Renders every page with sample data into a folder, for designers and for checks in a browser:
//! `cargo run -p cardea --example pages -- <folder>`.

use std::{env, error::Error, fs, path::Path, time::Duration};

use cardea::pages::{
    AccessKeyMade, AccessKeyRow, Activity, ActivityRow, AppCard, AppChoice, Code, Consent, DeviceCode, DeviceDone,
    DeviceRow, EnrolPasskey, EnrolRecovery, EnrolTotp, FactorLink, FactorRow, Factors, Failure, Invitation,
    LinkAccount, Look, MailCode, NameFactor, NewAccessKey, Onward, Page, Password, Person, Portal, Problem, ProgramRow,
    Programs, ProviderButton, Recovery, RemoveFactor, SecondFactor, SessionRow, Sessions, SignIn, SignedOut, StepUp,
    activity::Tone, assets, factors::FactorKind, step_up::Need, totp, when::When,
};
use cardea_core::{Assurance, Language, Reason, Timestamp};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args().nth(1).ok_or("name the folder to write to")?;
    let out = Out { folder: Path::new(&folder) };
    out.assets()?;
    let north = look("North Laboratory", Some("#6a3fb5"));
    let plain = look("Cardea Demo", None);
    let german = look("Cardea Demo", None).speaking(Language::German);
    let long = look(LONG, Some("#ffe14d"));
    for (name, look, person) in [
        ("", &plain, ADA),
        ("de-", &german, ADA),
        ("tinted-", &north, ADA),
        ("long-", &long, LONG_PERSON),
        ("rtl-", &plain, RTL),
    ] {
        sign_in(&out, name, look, person)?;
        home(&out, name, look, person)?;
    }
    failures(&out, "", &north)?;
    failures(&out, "de-", &north.speaking(Language::German))
}

const LONG: &str = "The Royal Institute for Records of Clinical, Analytical and Quality Laboratories";
const ADA: Person<'static> = Person { name: "Ada Lovell", email: "ada@north.example" };
const RTL: Person<'static> = Person { name: "نور الدين", email: "nour@north.example" };
const LONG_PERSON: Person<'static> = Person {
    name: "Wolfeschlegelsteinhausenbergerdorff-Featherstonehaugh of Marjoribanks-Cholmondeley",
    email: "wolfeschlegelsteinhausenbergerdorff.featherstonehaugh@laboratories.royal-institute.example",
};
const CARRIED: &[(&str, &str)] = &[("to", "https://records.north.example/studies?a=1&b=2"), ("flow", "abc")];

fn look(name: &str, accent: Option<&str>) -> Look {
    Look::new(name, accent, &["https://records.north.example".to_owned()])
}

fn providers() -> Vec<ProviderButton<'static>> {
    ["North University", "Example Workspace"]
        .map(|name| ProviderButton { name, href: "/sign-in/with/x?to=y".to_owned() })
        .into()
}

fn sign_in(out: &Out<'_>, name: &str, look: &Look, person: Person<'static>) -> Result<(), Box<dyn Error>> {
    let plain = SignIn {
        look,
        email: "",
        problem: None,
        over: false,
        carried: CARRIED,
        app: None,
        passkey: true,
        pool: true,
        providers: providers(),
    };
    out.page(name, "sign-in", &plain)?;
    out.page(
        name,
        "sign-in-wrong",
        &SignIn { app: Some("Study Records"), email: "ada@", problem: Some(Problem::BadEmail), ..plain },
    )?;
    let password = Password {
        look,
        email: person.email,
        problem: Some(Problem::WrongPassword),
        carried: CARRIED,
        passkey: true,
        mail: true,
        back: "/sign-in",
    };
    out.page(name, "password", &password)?;
    let mail =
        MailCode { look, email: person.email, problem: None, carried: CARRIED, password: true, back: Some("/sign-in") };
    out.page(name, "email", &mail)?;
    out.page(
        name,
        "email-wrong",
        &MailCode { problem: Some(Problem::SpentMailCode), password: false, back: None, ..mail },
    )?;
    let code = Code {
        look,
        email: person.email,
        problem: None,
        carried: CARRIED,
        passkey: false,
        recovery: false,
        remember: Some(30),
        remembered: false,
        back: "/sign-in",
    };
    out.page(name, "code", &code)?;
    let waiting = Some(Problem::TooMany(Duration::from_secs(130)));
    out.page(name, "code-wrong", &Code { problem: waiting, passkey: true, recovery: true, ..code })?;
    let (back, other) = (Some("/sign-in"), Some("/sign-in/totp"));
    let recovery = Recovery { look, email: person.email, problem: None, carried: CARRIED, back, other };
    out.page(name, "recovery", &recovery)?;
    let wrong = Some(Problem::WrongRecovery);
    out.page(name, "recovery-wrong", &Recovery { problem: wrong, back: None, ..recovery })?;
    let step_up = |need, passkey, code| StepUp {
        look,
        person,
        need,
        app: Some("Study Records"),
        passkey,
        code,
        password: false,
        mail: false,
        recovery: need == Need::Two,
        needs_link: false,
        providers: Vec::new(),
        problem: None,
        carried: CARRIED,
        back: "/",
    };
    out.page(name, "step-up", &step_up(Need::Two, true, true))?;
    out.page(name, "step-up-code", &step_up(Need::Fresh, false, true))?;
    out.page(name, "step-up-none", &step_up(Need::Unavailable, false, false))?;
    let invitation = Invitation {
        look,
        person,
        action: "/sign-in/invitation/x",
        passkey_options: Some("/sign-in/invitation/x/passkey/options"),
        passkey_finish: "/sign-in/invitation/x/passkey",
        password: true,
        mail: Some("/sign-in/invitation/x/email"),
        password_least: 12,
        problem: None,
        carried: &[],
    };
    out.page(name, "invitation", &invitation)?;
    let short = Some(Problem::PasswordShort(12));
    out.page(
        name,
        "invitation-wrong",
        &Invitation { passkey_options: None, mail: None, problem: short, ..invitation },
    )?;
    out.page(
        name,
        "second-factor",
        &SecondFactor { look, person, totp: true, passkey: true, onward: "/", must: false },
    )?;
    out.page(
        name,
        "second-factor-must",
        &SecondFactor { look, person, totp: true, passkey: true, onward: "/", must: true },
    )?;
    out.page(name, "onward", &Onward { look, to: "https://records.north.example/.cardea/callback?code=x&to=%2F" })?;
    out.page(name, "signed-out", &SignedOut { look, everywhere: true, sign_in: "/sign-in" })?;
    let qr =
        totp::qr_svg("otpauth://totp/North:ada%40north.example?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=North")
            .ok_or("no qr")?;
    let key = totp::grouped_key("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP");
    out.page(
        name,
        "enrol-totp",
        &EnrolTotp { look, person, qr: &qr, key: &key, problem: None, carried: &[("seed", "x")], back: "/factors" },
    )?;
    let groups = ["9K3M", "P0QZ", "VV1T", "4J7C", "MMMM", "1111", "XW2H", "D4ZA", "77QP", "B8EN"];
    let codes = groups.map(|group| format!("{group}-7XW2-H4DJ-{group}"));
    let codes = EnrolRecovery { look, person, codes: &codes, replaces: true, carried: &[], back: "/factors" };
    out.page(name, "enrol-recovery", &codes)?;
    out.page(name, "enrol-passkey", &EnrolPasskey { look, person, problem: None, carried: &[], back: "/factors" })
}

fn home(out: &Out<'_>, name: &str, look: &Look, person: Person<'static>) -> Result<(), Box<dyn Error>> {
    let now = Timestamp::from_secs(1_795_350_000);
    let ago = |seconds| When::new(now.minus(Duration::from_secs(seconds)), now);
    let app = |name: &str, description: &str, host: &str, asks_more| AppCard {
        name: name.to_owned(),
        description: description.to_owned(),
        host: host.to_owned(),
        href: format!("https://{host}/"),
        asks_more,
    };
    let apps = vec![
        app("Study Records", "Studies, samples and their approvals.", "records.north.example", false),
        app("Instrument Calendar", "Who measures when.", "calendar.north.example", false),
        app("Quality Manual", "", "manual.north.example", true),
        app(
            LONG,
            "Everything that a very long name can do to a card, and a description that runs over more than one line as well.",
            "a-very-long-host-name-of-a-department.laboratories.royal-institute.example",
            true,
        ),
    ];
    let portal = Portal {
        look,
        person,
        apps,
        assurance: 2,
        since: ago(7300),
        administrator: true,
        offer_second: false,
        needs_link: false,
        must: false,
        recovery_used: Some(ago(400)),
        copied: Some("Work key".to_owned()),
        done: None,
    };
    out.page(name, "portal", &portal)?;
    let empty =
        Portal { apps: Vec::new(), assurance: 1, since: ago(10), administrator: false, offer_second: true, ..portal };
    out.page(name, "portal-empty", &empty)?;
    out.page(name, "portal-must", &Portal { must: true, ..empty })?;
    let row = |kind, called: &str, used, removable| FactorRow {
        id: "019ab000-0000-7000-8000-000000000001".to_owned(),
        kind,
        name: called.to_owned(),
        added: Some(ago(9_000_000)),
        used,
        left: (kind == FactorKind::Recovery).then_some(9),
        removable,
    };
    let rows = vec![
        row(FactorKind::Password, "", Some(ago(40)), false),
        row(FactorKind::Passkey, "Work laptop", Some(ago(90_000)), true),
        row(FactorKind::Passkey, LONG, None, true),
        row(FactorKind::Totp, "", Some(ago(400)), true),
        row(FactorKind::Recovery, "", Some(ago(400)), true),
        row(FactorKind::Provider, "North University", None, false),
        row(FactorKind::Linked, "South College", Some(ago(90_000)), true),
    ];
    let factors = Factors {
        look,
        person,
        factors: rows.clone(),
        may_add_totp: true,
        may_add_passkey: true,
        may_link: vec![ProviderButton { name: "South College", href: "/factors/with/south".to_owned() }],
        offer_recovery: false,
        may_renew_recovery: true,
        needs_link: true,
        recovering: true,
        owed: true,
        done: Some(look.w.factors.done_added.to_string()),
        problem: None,
    };
    out.page(name, "factors", &factors)?;
    out.page(
        name,
        "factors-empty",
        &Factors {
            factors: Vec::new(),
            offer_recovery: true,
            recovering: false,
            owed: false,
            done: None,
            problem: Some(Problem::LastFactor),
            ..factors
        },
    )?;
    let provider = "South College";
    out.page(name, "link-account", &LinkAccount { look, person, provider, action: "/factors/with/south" })?;
    out.page(name, "factor-link", &FactorLink { look, person, action: "/factors/link/x" })?;
    out.page(name, "remove-factor", &RemoveFactor { look, person, factor: rows[1].clone(), weakens: true })?;
    out.page(
        name,
        "name-factor",
        &NameFactor { look, person, factor: rows[1].clone(), problem: Some(Problem::BadName) },
    )?;
    let scope = vec![look.w.programs.read.to_string(), look.w.programs.act.with("approve")];
    let consent = Consent {
        look,
        person,
        client: "Laboratory notebook",
        apps: vec!["Records".to_owned(), LONG.to_owned()],
        scope,
        days: 30,
        device: false,
        action: "/oauth2/authorize",
        carried: Vec::new(),
    };
    out.page(name, "consent", &consent)?;
    out.page(name, "consent-device", &Consent { device: true, action: "/oauth2/device", ..consent })?;
    let (code, problem) = ("WDJB-MJHT".to_owned(), Some(Problem::NoDevice));
    out.page(name, "device-code", &DeviceCode { look, person, code, problem })?;
    out.page(name, "device-done", &DeviceDone { look, person, client: "Laboratory notebook", allowed: true })?;
    let program = |name: &str| ProgramRow {
        id: "x".to_owned(),
        name: name.to_owned(),
        scope: "approve read".to_owned(),
        apps: "Records".to_owned(),
        from: "Firefox on Linux".to_owned(),
        since: ago(90_000),
        used: ago(300),
    };
    let key = |name: &str, is_over| AccessKeyRow {
        id: "x".to_owned(),
        name: name.to_owned(),
        scope: "read".to_owned(),
        apps: "Records".to_owned(),
        is_over,
        expires: ago(0),
        used: is_over.then(|| ago(4_000)),
    };
    let (programs, keys) =
        (vec![program("Laboratory notebook"), program(LONG)], vec![key("Export", false), key(LONG, true)]);
    let lists = Programs { look, person, programs, keys, makes_keys: true, done: None };
    out.page(name, "programs", &lists)?;
    out.page(name, "programs-empty", &Programs { programs: Vec::new(), keys: Vec::new(), ..lists })?;
    let apps = ["Records", LONG].map(|name| AppChoice { id: "records".to_owned(), name: name.to_owned() });
    out.page(
        name,
        "new-access-key",
        &NewAccessKey { look, person, apps: apps.to_vec(), days: vec![7, 30, 90], problem: None },
    )?;
    let key = "cardea_key_f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    out.page(name, "access-key-made", &AccessKeyMade { look, person, name: "Export", key })?;
    let activity = |what: String, tone, seconds, times, by_administrator| ActivityRow {
        what,
        tone,
        at: ago(seconds),
        times,
        by_administrator,
        browser: if by_administrator { String::new() } else { look.w.browser("Firefox on Linux") },
        address: if by_administrator { String::new() } else { "2001:db8:1234:5678:9abc:def0:1234:5678".to_owned() },
    };
    let a = &look.w.activity;
    let happened = vec![
        activity(a.signed_in.with(look.w.factors.passkey), Tone::Good, 30, 1, false),
        activity(a.refused_with.with(look.w.factors.password), Tone::Mind, 400, 12, false),
        activity(a.added.with(LONG), Tone::Plain, 90_000, 1, false),
        activity(a.groups.to_string(), Tone::Plain, 200_000, 1, true),
    ];
    out.page(name, "activity", &Activity { look, person, rows: happened, newer: None, older: Some(2) })?;
    let session = |current, browser: &str, address: &str, assurance, seen| SessionRow {
        id: "019ab000-0000-7000-8000-000000000002".to_owned(),
        current,
        browser: browser.to_owned(),
        address: address.to_owned(),
        assurance,
        since: ago(7300),
        seen,
    };
    let sessions = vec![
        session(true, &look.w.browser("Firefox on Linux"), "192.0.2.7", Assurance::Two.level(), Some(ago(3))),
        session(
            false,
            &look.w.browser("Safari on iPhone"),
            "2001:db8:1234:5678:9abc:def0:1234:5678",
            Assurance::Three.level(),
            Some(ago(5000)),
        ),
        session(false, &look.w.browser(""), "", Assurance::One.level(), None),
    ];
    let device = |current, browser: &str, used| DeviceRow {
        id: "1".to_owned(),
        current,
        browser: browser.to_owned(),
        address: "192.0.2.7".to_owned(),
        since: ago(9 * 24 * 3600),
        used,
    };
    let devices = vec![device(true, "Firefox on Linux", Some(ago(7300))), device(false, "Chrome on macOS", None)];
    out.page(name, "sessions", &Sessions { look, person, sessions, devices, done: None })
}

fn failures(out: &Out<'_>, language: &str, look: &Look) -> Result<(), Box<dyn Error>> {
    for reason in Reason::ALL {
        let failure = Failure {
            app: Some("Study Records"),
            signed_in_as: (*reason == Reason::Denied).then_some(ADA.email),
            challenge: Some("/sign-in/step-up?need=2"),
            request_id: Some("019ab1c2-3d4e-7f60-8a9b-0c1d2e3f4a5b".to_owned()),
            ..Failure::new(look, *reason)
        };
        out.page(&format!("{language}failure-"), reason.code(), &failure.notice())?;
    }
    let bare = Look::bare().speaking(look.w.language);
    let mut failure = Failure::new(&bare, Reason::UnknownHost);
    failure.request_id = Some("019ab1c2-3d4e-7f60-8a9b-0c1d2e3f4a5b".to_owned());
    out.page(&format!("{language}bare-"), "unknown-host", &failure.notice())
}

struct Out<'a> {
    folder: &'a Path,
}

impl Out<'_> {
    /// Writes a page, and beside it the policy that a browser must hold it to.
    fn page(&self, prefix: &str, name: &str, page: &impl Page) -> Result<(), Box<dyn Error>> {
        let mut html = page.render()?;
        if prefix == "rtl-" {
            html = html.replacen("dir=\"ltr\"", "dir=\"rtl\"", 1);
        }
        let file = self.folder.join(format!("{prefix}{name}.html"));
        fs::write(&file, html)?;
        fs::write(file.with_extension("csp"), page.look().content_security_policy().as_bytes())?;
        Ok(())
    }

    fn assets(&self) -> Result<(), Box<dyn Error>> {
        let folder = self.folder.join("assets");
        fs::create_dir_all(&folder)?;
        for (name, bytes) in assets::all() {
            fs::write(folder.join(name), bytes)?;
        }
        for accent in ["6a3fb5", "ffe14d"] {
            let sheet = assets::accent(accent).ok_or("no colour")?;
            fs::write(folder.join(format!("accent-{accent}.css")), sheet)?;
        }
        Ok(())
    }
}
