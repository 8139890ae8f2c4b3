//! What the operator does at the command line: what does not come back is asked for, what was recorded is shown, and what is
//! wrong is told at once.

use std::path::Path;

use anyhow::Context;
use cardea_tests::{
    Gateway, Plan, Story, Upstream,
    process::{self, run},
    python,
};
use serde_json::Value;

const MIRA: &str = "mira@acme.example";
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway/server/example");

async fn house() -> anyhow::Result<(Upstream, Gateway)> {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    Ok((upstream, gateway))
}

/// Runs a command at a terminal of its own, at which somebody types a line.
const AT_A_TERMINAL: &str = r"
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
os.write(terminal, (sys.argv[1] + '\n').encode())
said = b''
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    said += part
sys.stdout.write(said.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

async fn typing(gateway: &Gateway, line: &str, rest: &[&str]) -> anyhow::Result<(i32, String)> {
    let mut command = python("python");
    command
        .args(["-c", AT_A_TERMINAL, line])
        .arg(process::binary())
        .arg("--config")
        .arg(gateway.on.path("cardea.toml"));
    command.args(rest);
    let (status, out, err) = run(command).await?;
    Ok((status, out + &err))
}

async fn is_there(gateway: &Gateway) -> anyhow::Result<bool> {
    Ok(gateway.on.does(&["user", "--tenant", "acme", "list"]).await?.contains(MIRA))
}

#[tokio::test]
async fn what_does_not_come_back_is_asked_for_at_a_terminal_and_wants_a_word_elsewhere() -> Story {
    let (_upstream, gateway) = house().await?;
    gateway.person(MIRA, &["readers"]).await?;
    for act in ["delete", "reset"] {
        let asked = ["user", "--tenant", "acme", act, MIRA];
        let (status, _, err) = gateway.on.cardea(&asked).await?;
        assert!(
            status == 2 && err.contains("nothing was changed") && err.contains("say `--yes`"),
            "{act}: {status} {err}"
        );
        let (status, said) = typing(&gateway, "y", &asked).await?;
        assert!(status == 1 && said.contains(&format!("type `{MIRA}` to go on:")), "{act}: {status} {said}");
        let listed = gateway.on.does(&["user", "--tenant", "acme", "list"]).await?;
        assert!(listed.contains(MIRA) && listed.contains(" active "), "{act}: {listed}");
    }
    let (status, said) = typing(&gateway, MIRA, &["user", "--tenant", "acme", "reset", MIRA]).await?;
    assert!(status == 0 && said.contains("starts over: 1 factor and 1 session ended"), "{status} {said}");
    let (status, said) = typing(&gateway, MIRA, &["user", "--tenant", "acme", "delete", MIRA]).await?;
    assert!(
        status == 0 && said.contains("is deleted; 0 sessions ended") && !is_there(&gateway).await?,
        "{status} {said}"
    );
    Ok(())
}

#[tokio::test]
async fn whoever_is_not_there_is_told_with_what_would_be_right() -> Story {
    let (_upstream, gateway) = house().await?;
    gateway.person(MIRA, &["readers"]).await?;
    let refused = async |arguments: &[&str]| {
        let (status, _, err) = gateway.on.cardea(arguments).await?;
        anyhow::ensure!(status == 1, "{arguments:?}: {status} {err}");
        anyhow::Ok(err)
    };
    let err = refused(&["user", "--tenant", "acme", "enrol", "mria@acme.example"]).await?;
    for told in
        ["tenant `acme` has nobody with the address `mria@acme.example`", "help: `cardea user list` shows who is there"]
    {
        assert!(err.contains(told), "{err}");
    }
    let err = refused(&["user", "--tenant", "north", "enrol", MIRA]).await?;
    assert!(err.contains("help: `acme` has: say `--tenant acme`"), "{err}");
    Ok(())
}

#[tokio::test]
async fn the_log_is_shown_by_tenant_person_and_time() -> Story {
    let (_upstream, gateway) = house().await?;
    let mira = gateway.person(MIRA, &["readers"]).await?;
    mira.opens(&gateway.at("echo.acme", "/x")?).await?;
    gateway.person("ben@acme.example", &["readers"]).await?;
    gateway.on.does(&["user", "--tenant", "acme", "suspend", MIRA]).await?;
    for act in ["list", "export"] {
        let (status, _, err) = gateway.on.cardea(&["audit", act]).await?;
        assert!(status == 2 && err.contains("say `--tenant` with one of acme, north"), "{act}: {status} {err}");
    }

    let list = async |rest: &[&str]| gateway.on.does(&[&["audit", "list", "--tenant", "acme"], rest].concat()).await;
    let all = list(&[]).await?;
    let first = all.lines().next().context("nothing is shown")?;
    for told in ["user-suspended", "operator", &format!("user={MIRA}")] {
        assert!(first.contains(told), "{told}: {first}");
    }
    assert!(all.contains("user=ben@acme.example") && all.contains("GET echo.acme.localhost/x 200"), "{all}");
    // What she did, and what was done about her; of nobody else.
    let hers = list(&["--person", MIRA, "--since", "1h"]).await?;
    assert!(hers.contains("user-suspended") && hers.contains("sign-in "), "{hers}");
    assert!(hers.contains("GET echo.acme.localhost/x 200") && !hers.contains("ben@"), "{hers}");
    assert_eq!(list(&["--limit", "2"]).await?.lines().count(), 2);
    assert_eq!(list(&["--since", "2199-01-01"]).await?, "");
    let told: Value = serde_json::from_str(&list(&["--limit", "1", "--format", "json"]).await?)?;
    assert_eq!((&told["event"]["kind"], &told["event"]["user"]["email"]), (&"user-suspended".into(), &MIRA.into()));

    // Where there is one tenant, it is the one that is meant.
    std::fs::remove_dir_all(gateway.on.path("resources/tenants/north"))?;
    gateway.on.does(&["apply", "resources", "--yes", "--delete-tenant", "north"]).await?;
    assert!(gateway.on.does(&["audit", "export"]).await?.contains("user-suspended"));
    assert!(gateway.on.does(&["audit", "list", "--person", MIRA]).await?.contains("user-suspended"));
    Ok(())
}

#[tokio::test]
async fn what_somebody_signs_in_with_is_shown() -> Story {
    let (_upstream, gateway) = house().await?;
    let tenant = gateway.on.read("resources/tenants/acme/tenant.toml")?;
    gateway.on.write("resources/tenants/acme/tenant.toml", &format!("{tenant}[factors]\nmust_enrol = true\n"))?;
    gateway.on.apply().await?;
    gateway.person(MIRA, &["readers"]).await?;
    let card = gateway.on.does(&["user", "--tenant", "acme", "show", MIRA]).await?;
    for told in
        [MIRA, "status   active", "groups   readers", "factor   password", "no second factor, which the tenant wants"]
    {
        assert!(card.contains(told), "{told}: {card}");
    }
    let (mut ada, _) = gateway.person_with_codes("ada@acme.example", &["administrators"]).await?;
    let find = gateway.at("acme", "/api/v1/users?without_second_factor=true")?;
    let listed = ada.get(&find).await?.json()?;
    let items = listed["items"].as_array().context("no list")?;
    assert_eq!(items.len(), 1, "{listed}");
    assert_eq!((&items[0]["email"], &items[0]["lacks_second_factor"]), (&MIRA.into(), &true.into()), "{listed}");
    Ok(())
}

#[tokio::test]
async fn a_check_tells_all_that_is_wrong() -> Story {
    let (_upstream, gateway) = house().await?;
    let on = &gateway.on;
    on.edit("cardea.toml", "certificate_minutes = 60", "certificate_minutes = 0")?;
    on.edit("resources/tenants/acme/groups/readers.toml", "name", "nmae")?;
    on.edit("resources/tenants/north/policies/echo.cedar", "App::\"echo\"", "App::\"ehco\"")?;
    on.write("resources/tenants/acme/policies/torn.cedar", "permit(principal, action resource);")?;
    let (status, _, err) = on.cardea(&["check", "resources"]).await?;
    for told in
        ["cardea.toml:", "acme/groups/readers.toml:2:", "acme/policies/torn.cedar:1:", "north/policies/echo.cedar:"]
    {
        assert!(status == 1 && err.contains(told), "{told}: {status} {err}");
    }
    // The folder may be named in the file that is wrong itself.
    on.write("cardea.toml", &format!("resources = \"resources\"\n{}", on.read("cardea.toml")?))?;
    let (status, out, _) = on.cardea(&["--format", "json", "check"]).await?;
    let told: Value = serde_json::from_str(&out)?;
    assert!(status == 1 && told["diagnostics"].as_array().is_some_and(|all| all.len() >= 4), "{told}");
    Ok(())
}

#[tokio::test]
async fn the_example_to_copy_passes_the_check_as_it_is() -> Story {
    let mut check = process::cardea();
    check.current_dir(Path::new(EXAMPLE)).arg("check");
    let (status, out, err) = run(check).await?;
    assert_eq!((status, out.trim(), err.trim()), (0, "1 tenant and 5 policy tests are fine", ""));
    assert!(!Path::new(EXAMPLE).join("state").exists(), "a check makes nothing");
    Ok(())
}
