//! What people write wrong is named with its place and the way out, and changes nothing; what services do wrong is
//! told as what it is.

use std::time::Duration;

use anyhow::Context;
use cardea_tests::{Client, Gateway, Installation, Plan, Story, Upstream, process::run, python};

async fn written() -> anyhow::Result<(Upstream, Installation)> {
    let upstream = Upstream::start().await?;
    let on = Plan::before(upstream.port).write()?;
    Ok((upstream, on))
}

/// What is changed in which file, where the mistake then is, and what is said of it.
struct Mistake {
    file: &'static str,
    from: &'static str,
    to: &'static str,
    place: &'static str,
    words: &'static [&'static str],
}

const fn mistake(
    file: &'static str,
    from: &'static str,
    to: &'static str,
    place: &'static str,
    words: &'static [&'static str],
) -> Mistake {
    Mistake { file, from, to, place, words }
}

const CONFIG: &str = "cardea.toml";
const APP: &str = "resources/tenants/acme/apps/echo.toml";
const TENANT: &str = "resources/tenants/acme/tenant.toml";
const POLICY: &str = "resources/tenants/acme/policies/echo.cedar";

const MISTAKES: &[Mistake] = &[
    // The configuration.
    mistake(CONFIG, "[state]", "[sate]", "cardea.toml:1:", &["`sate`", "did you mean `state`?"]),
    mistake(CONFIG, "dir = ", "dir = [", "cardea.toml:4:", &["expected `,`"]),
    mistake(
        CONFIG,
        "plain = true",
        "plain = true\ntls = { certificate = \"none.pem\", key = \"none.key\" }",
        "cardea.toml:",
        &["both plain and TLS", "remove `plain` or `tls`"],
    ),
    mistake(
        CONFIG,
        "plain = true",
        "tls = { certificate = \"none.pem\", key = \"none.key\" }",
        "cardea.toml:6:",
        &["none.pem"],
    ),
    mistake(
        CONFIG,
        "[state]",
        "trusted_proxies = [\"proxy\"]\n[state]",
        "cardea.toml:1:20",
        &["`proxy` is no network", "such as `10.0.0.7`"],
    ),
    mistake(CONFIG, "plain = true", "", "cardea.toml:", &["neither TLS nor plain"]),
    mistake(CONFIG, "address = \"127.0.0.1", "address = \"0.0.0.0", "cardea.toml:5:", &["in the clear", "loopback"]),
    mistake(
        CONFIG,
        "certificate_minutes = 60",
        "certificate_minutes = 0",
        "cardea.toml:13:",
        &["cannot live 0 minutes"],
    ),
    mistake(CONFIG, "certificate_minutes = 60", "certificate_minutes = \"an hour\"", "cardea.toml:13:", &[]),
    mistake(
        CONFIG,
        "certificate_minutes = 60",
        "[log]\nlevl = \"info\"",
        "cardea.toml:14:",
        &["`levl`", "did you mean `level`?"],
    ),
    mistake(
        CONFIG,
        "certificate_minutes = 60",
        "[redis]\nurl = \"redis://me:secret@host\"",
        "cardea.toml:14:",
        &["holds a password", "file ="],
    ),
    // Resources.
    mistake(APP, "name =", "nmae =", "apps/echo.toml:2:", &["`nmae`", "did you mean `name`?"]),
    mistake(APP, "[upstream]\nurl", "[[resources]]\nurl", "apps/echo.toml:", &[]),
    mistake(APP, "http://127.0.0.1", "ftp://127.0.0.1", "apps/echo.toml:", &["neither http nor https"]),
    mistake(APP, "http://127.0.0.1", "127.0.0.1", "apps/echo.toml:7:", &["begin with the scheme: `https://127.0.0.1:"]),
    mistake(
        APP,
        "[upstream]",
        "[forward_auth]\ndialect = \"nginx\"\n[upstream]",
        "acme/apps/echo.toml:6:",
        &["no `trusted_proxies`", "above its first table"],
    ),
    mistake(
        APP,
        "[upstream]",
        "[forward_auth]\ndialect = \"envoy\"\n[upstream]",
        "acme/apps/echo.toml:6:",
        &["no `[ext_authz]`"],
    ),
    mistake(APP, "{*rest}", "{*rest", "apps/echo.toml:", &["not a path pattern"]),
    mistake(APP, "Remote-User", "X-Forwarded-For", "apps/echo.toml", &["belongs to the gateway"]),
    mistake(APP, "echo.acme.localhost", "Echo.acme.localhost", "apps/echo.toml:3:", &["not a host name", "lower case"]),
    mistake(APP, "echo.acme.localhost", "acme.localhost", "acme/apps/echo.toml:3:", &["sign-in host of tenant `acme`"]),
    mistake(
        APP,
        "echo.acme.localhost",
        "echo.north.localhost",
        "north/apps/echo.toml:3:",
        &["app `echo` of tenant `acme`"],
    ),
    mistake(TENANT, "id = \"acme\"", "id = \"other\"", "acme/tenant.toml", &["other"]),
    mistake(
        TENANT,
        "sign_in_host = \"acme.localhost\"",
        "sign_in_host = \"acme.localhost\"\naccent = \"green\"",
        "acme/tenant.toml:4:",
        &["`green`", "#rrggbb"],
    ),
    mistake(
        TENANT,
        "sign_in_host = \"acme.localhost\"",
        "sign_in_host = \"acme.localhost\"\nlanguage = \"german\"",
        "acme/tenant.toml:4:",
        &["`german`", "`en`", "`de`"],
    ),
    mistake(TENANT, "name = \"acme Laboratories\"\n", "", "acme/tenant.toml", &["name"]),
    // Policies.
    mistake(POLICY, "permit (principal, action", "permit (principal action", "policies/echo.cedar:2:", &[]),
    mistake(POLICY, "context.assurance", "context.asurance", "policies/echo.cedar:9:", &["asurance"]),
    // Fewer than overflow the parser of an unoptimised build.
    mistake(
        POLICY,
        "context.assurance",
        "!!(((((((((((((((((((((((((context.assurance",
        "policies/echo.cedar:9:",
        &["brackets stand more than 24 deep", "policies of their own"],
    ),
    mistake(POLICY, "is PublicPage", "is PublicPag", "policies/echo.cedar:2:", &["PublicPag"]),
    mistake(POLICY, "Group::\"readers\"", "Group::\"redaers\"", "policies/echo.cedar:5:", &["redaers"]),
    mistake(
        POLICY,
        "App::\"echo\");\n\n@id(\"secrets",
        "App::\"north\");\n\n@id(\"secrets",
        "policies/echo.cedar:5:",
        &["north"],
    ),
];

#[tokio::test]
async fn every_mistake_is_named_with_its_place_and_the_way_out() -> Story {
    let (_upstream, on) = written().await?;
    let (fine, out, err) = on.cardea(&["check", "resources"]).await?;
    assert_eq!(fine, 0, "{out}{err}");
    let mut untold = Vec::new();
    for one in MISTAKES {
        let before = on.read(one.file)?;
        on.edit(one.file, one.from, one.to)?;
        let (status, out, err) = on.cardea(&["check", "resources"]).await?;
        on.write(one.file, &before)?;
        let told = status == 1 && err.contains(one.place) && one.words.iter().all(|word| err.contains(word));
        if !told {
            untold.push(format!(
                "{} `{}`: {status}, not at {} {:?}:\n{out}{err}",
                one.file, one.to, one.place, one.words
            ));
        }
    }
    assert!(untold.is_empty(), "{}", untold.join("\n"));
    Ok(())
}

/// Writes a key and a certificate of the past.
const EXPIRED: &str = r#"
import sys, datetime as time
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization as form
from cryptography.hazmat.primitives.asymmetric import ec
key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
    .not_valid_before(time.datetime(2020, 1, 1)).not_valid_after(time.datetime(2020, 1, 2))
    .add_extension(x509.SubjectAlternativeName([x509.DNSName("acme.localhost")]), critical=True).sign(key, hashes.SHA256()))
open(sys.argv[1], "wb").write(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()))
open(sys.argv[2], "wb").write(made.public_bytes(form.Encoding.PEM))
"#;

#[tokio::test]
async fn an_app_without_upstream_and_an_expired_certificate_are_named() -> Story {
    let (_upstream, on) = written().await?;
    let app = on.read(APP)?;
    let without = app.split("[upstream]").next().unwrap_or_default();
    on.write(APP, without)?;
    let (status, _, err) = on.cardea(&["check", "resources"]).await?;
    assert!(status == 1 && err.contains("app `echo` has no upstream") && err.contains("[upstream]"), "{status} {err}");
    on.write(APP, &app)?;

    let mut expired = python("python");
    expired.args(["-c", EXPIRED]).arg(on.path("old.key")).arg(on.path("old.pem"));
    let (made, _, err) = run(expired).await?;
    assert_eq!(made, 0, "{err}");
    on.edit(CONFIG, "plain = true", "tls = { certificate = \"old.pem\", key = \"old.key\" }")?;
    for command in [&["check", "resources"][..], &["serve"][..]] {
        let (status, _, err) = on.cardea(command).await?;
        assert!(
            status == 1 && err.contains("cardea.toml:6:") && err.contains("old.pem"),
            "{command:?}: {status} {err}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn wrong_use_of_the_command_line_says_what_is_right() -> Story {
    let (_upstream, on) = written().await?;
    on.apply().await?;
    for (arguments, status, words) in [
        (&["srve"][..], 2, &["serve"][..]),
        (&["apply"][..], 2, &["DIR"][..]),
        (&["apply", "nowhere"][..], 1, &["nowhere", "no such folder"][..]),
        (&["user", "invite", "mira@acme.example"][..], 2, &["--tenant", "acme, north"][..]),
        (&["user", "--tenant", "acmee", "list"][..], 2, &["`acmee`", "did you mean `acme`?"][..]),
        (&["user", "--tenant", "acme", "invite", "no address"][..], 2, &["no address"][..]),
        (
            &["user", "--tenant", "acme", "invite", "a@b.example", "--group", "raeders"][..],
            1,
            &["raeders", "did you mean `readers`?", "there are `administrators`, `readers`"][..],
        ),
        (&["policy", "explain", "0"][..], 2, &["`0` is no entry id"][..]),
        (&["user", "--tenant", "acme", "suspend", "nobody@acme.example"][..], 1, &["user"][..]),
        (&["cert", "token", "--tenant", "nobody", "--service", "x"][..], 2, &["nobody"][..]),
        (&["cert", "token", "--tenant", "acme", "--service", "a/b"][..], 2, &["a/b"][..]),
        (&["cert", "token", "--tenant", "acme", "--service", "x", "--ttl", "9d"][..], 2, &["30m"][..]),
        (&["audit", "export", "--tenant", "nobody"][..], 2, &["nobody"][..]),
        (&["audit", "verify", "--file", "nowhere"][..], 1, &["nowhere"][..]),
        (&["policy", "explain", "not-an-id"][..], 2, &["not-an-id"][..]),
        (&["policy", "explain"][..], 2, &[][..]),
        (&["policy", "explain", "--tenant", "acme", "--app", "nothing", "--request", "GET /"][..], 1, &["nothing"][..]),
        (&["--config", "nowhere.toml", "serve"][..], 1, &["nowhere.toml", "--config"][..]),
    ] {
        let (ended, out, err) = on.cardea(arguments).await?;
        let told = words.iter().all(|word| err.contains(word));
        assert!(ended == status && told, "cardea {}: {ended}, not {status} {words:?}\n{out}{err}", arguments.join(" "));
    }
    Ok(())
}

#[tokio::test]
async fn a_bad_reload_keeps_the_old_state_and_says_so() -> Story {
    let (_upstream, on) = written().await?;
    on.apply().await?;
    let mut gateway = on.start().await?;
    let before = on.read(CONFIG)?;
    on.write(CONFIG, &format!("{before}\n[limits]\nin_flight = 0\n"))?;
    hang_up(&gateway)?;
    gateway.says("the old one stays").await?;
    assert_eq!(public(&gateway).await?, 200);
    on.write(CONFIG, &format!("{before}\n[log]\nlevel = \"debug\"\n"))?;
    hang_up(&gateway)?;
    gateway.says("configuration reloaded").await?;
    assert_eq!(public(&gateway).await?, 200);
    Ok(())
}

fn hang_up(gateway: &Gateway) -> Story {
    let pid = gateway.pid().context("it has ended")?;
    let sent = std::process::Command::new("kill").args(["-HUP", &pid.to_string()]).status()?;
    anyhow::ensure!(sent.success(), "no signal");
    Ok(())
}

async fn public(gateway: &Gateway) -> anyhow::Result<u16> {
    Ok(Client::program().get(&gateway.at("echo.acme", "/public/x")?).await?.status.as_u16())
}

/// Every failure of the service is told with its own reason and the id of its entry.
#[tokio::test]
async fn a_service_that_is_down_slow_or_breaks_off_is_told_as_what_it_is() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    let mut visitor = Client::program();
    let mut expected = Vec::new();
    for (what, status, reason) in [
        ("hang-up", 502, "upstream-broken"),
        ("speak-no-http", 502, "upstream-broken"),
        ("answer-never", 504, "upstream-timeout"),
    ] {
        let reply = visitor.get(&gateway.at("echo.acme", &format!("/public/does/{what}"))?).await?;
        let problem = reply.json()?;
        assert_eq!((reply.status.as_u16(), problem["reason"].as_str()), (status, Some(reason)), "{what}");
        assert_eq!(problem["request_id"].as_str(), reply.header("x-request-id"), "{what}");
        expected.push((reply.header("x-request-id").unwrap_or_default().to_owned(), reason));
    }
    // Half an answer is not passed off as a whole one.
    let broken = visitor.get(&gateway.at("echo.acme", "/public/does/break-off")?).await;
    assert!(broken.is_err(), "{broken:?}");

    upstream.stop().await;
    let url = gateway.at("echo.acme", "/public/x")?;
    let reply = visitor.get(&url).await?;
    assert_eq!((reply.status.as_u16(), reply.json()?["reason"].as_str()), (502, Some("upstream-unreachable")));
    expected.push((reply.header("x-request-id").unwrap_or_default().to_owned(), "upstream-unreachable"));
    // A person gets a page with the same id.
    let page = Client::browser().get(&url).await?;
    assert_eq!(page.status, 502);
    assert!(page.body.contains(page.header("x-request-id").unwrap_or("?")), "{}", page.body);

    let on = gateway.stop().await?;
    let log = on.log("acme").await?;
    for (id, reason) in expected {
        let entry = log.iter().find(|entry| entry["id"] == id.as_str()).with_context(|| format!("no entry {id}"))?;
        assert_eq!(entry["event"]["reason"], reason, "{entry}");
    }
    let cut = |entry: &serde_json::Value| entry["event"]["path"] == "/public/does/break-off";
    assert!(log.iter().any(cut), "the answer that broke off has no entry");
    Ok(())
}

#[tokio::test]
async fn a_slow_service_does_not_hold_up_another() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    let slow = gateway.at("echo.acme", "/public/does/answer-never")?;
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let url = slow.clone();
            tokio::spawn(async move { Client::program().get(&url).await })
        })
        .collect();
    let quick = tokio::time::timeout(Duration::from_secs(1), public(&gateway)).await.context("it waits")??;
    assert_eq!(quick, 200);
    for one in waiting {
        assert_eq!(one.await??.status, 504);
    }
    Ok(())
}
