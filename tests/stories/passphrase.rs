//! A passphrase on the operator's key: while the gateway is off, nothing that lies on the disk opens what it keeps.

use std::{process::Stdio, time::Duration};

use anyhow::Context;
use cardea_tests::{Client, Gateway, Installation, Plan, Story, Upstream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{ChildStdin, ChildStdout},
    time::timeout,
};

const RIGHT: &str = "a heron stands in the shallow water";
const WRONG: &str = "a heron stands in the hollow willow";

/// Every file of the state folder that holds this text.
fn holding(on: &Installation, text: &str) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(on.path("state"))? {
        let entry = entry?;
        if entry.file_type()?.is_file()
            && std::fs::read(entry.path())?.windows(text.len()).any(|part| part == text.as_bytes())
        {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

/// That a command is refused, and says why.
async fn refused(on: &Installation, arguments: &[&str], why: &str) -> Story {
    let (status, out, err) = on.cardea(arguments).await?;
    assert!(status == 1 && err.contains(why), "{arguments:?}: {status}\n{out}{err}");
    assert!(!err.contains("heron"), "{err}");
    Ok(())
}

async fn opens(gateway: &Gateway, client: &mut Client) -> Story {
    assert_eq!(client.get(&gateway.at("echo.acme", "/secret/plan")?).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn the_key_on_the_disk_opens_nothing_without_the_passphrase() -> Story {
    let upstream = Upstream::start().await?;
    let gateway = Plan::before(upstream.port).start().await?;
    let (mut client, mira) = gateway.person_with_codes("mira@acme.example", &["readers"]).await?;
    client.open(&gateway.at("echo.acme", "/secret/plan")?).await?;
    let open = gateway.on.read("state/operator.key")?.trim().to_owned();
    gateway.on.does(&["keys", "rotate"]).await?;
    let second = gateway.on.read("state/operator.key")?.trim().to_owned();

    // While it runs: it goes on. Nothing that is read from the disk is a key any more, the one before included.
    gateway.on.write("short", "too short\n")?;
    refused(&gateway.on, &["keys", "protect", "--passphrase-file", "short"], "at least 15 characters").await?;
    gateway.on.write("right", &format!("{RIGHT}\n"))?;
    let said = gateway.on.does(&["keys", "protect", "--passphrase-file", "right"]).await?;
    assert!(said.contains("the operator's key is sealed under a passphrase"), "{said}");
    for key in [&open, &second] {
        assert_eq!(holding(&gateway.on, key)?, Vec::<String>::new());
    }
    opens(&gateway, &mut client).await?;
    let on = gateway.stop().await?;

    // Whoever has all of the disk, and not the passphrase.
    let sealed = on.read("state/operator.key")?;
    assert!(sealed.starts_with("$argon2id$v=19$m=65536,t=3,p=4$"), "{sealed}");
    for arguments in [&["serve"][..], &["user", "--tenant", "acme", "list"], &["audit", "export", "--tenant", "acme"]] {
        refused(&on, arguments, "nobody can be asked").await?;
    }
    let (_, _, told) = on.cardea(&["check"]).await?;
    assert!(told.contains("which is asked for at the terminal"), "{told}");
    on.write("cardea.toml", &format!("{}\n[keys]\npassphrase = {{ file = \"told\" }}\n", on.read("cardea.toml")?))?;
    refused(&on, &["serve"], "told` cannot be read").await?;
    on.write("told", WRONG)?;
    for arguments in [&["serve"][..], &["keys", "rotate"], &["keys", "unprotect"]] {
        refused(&on, arguments, "the passphrase is another one").await?;
    }
    assert_eq!(on.read("state/operator.key")?, sealed, "a wrong passphrase changed something");

    // Told the right one, it is as it was; and so are the commands beside it, which are told the same.
    on.write("told", &format!("{RIGHT}\n"))?;
    let (_, _, told) = on.cardea(&["check"]).await?;
    assert!(told.contains("which is read from `told`"), "{told}");
    let gateway = on.start().await?;
    opens(&gateway, &mut client).await?;
    assert_eq!(mira.opens(&gateway.at("acme", "/")?).await?.1.status, 200);
    // The key from before the last time is destroyed by it, which is asked for.
    let (status, _, err) = gateway.on.cardea(&["keys", "rotate"]).await?;
    assert!(status == 2 && err.contains("operator.key.before` is overwritten") && err.contains("say `--yes`"), "{err}");
    let said = gateway.on.does(&["keys", "rotate", "--yes"]).await?;
    assert!(said.contains("the operator's key is another one"), "{said}");
    gateway.on.does(&["keys", "rotate", "--all-tenants"]).await?;
    assert_ne!(gateway.on.read("state/operator.key")?, sealed);
    assert_eq!(gateway.on.read("state/operator.key.before")?, sealed);
    // It reads the key that took the place of its own, without being told again.
    gateway.on.write("told", WRONG)?;
    let ben = gateway.on.cardea(&["user", "--tenant", "acme", "invite", "ben@acme.example"]).await?;
    assert!(ben.0 == 1 && ben.2.contains("the passphrase is another one"), "{}{}", ben.1, ben.2);
    opens(&gateway, &mut client).await?;
    assert_eq!(mira.opens(&gateway.at("acme", "/")?).await?.1.status, 200);
    let on = gateway.kill().await?;
    on.write("told", RIGHT)?;
    let gateway = on.start().await?;
    opens(&gateway, &mut client).await?;
    let log = cardea_tests::gateway::entries(&gateway.on.does(&["audit", "export", "--operator"]).await?)?;
    assert!(serde_json::to_string(&log)?.contains("~ operator.key: sealed under a passphrase"), "no entry");
    let said = gateway.on.does(&["keys", "unprotect"]).await?;
    assert!(said.contains("lies open"), "{said}");
    gateway.on.does(&["audit", "verify"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_key_is_sealed_from_the_first_start_and_the_passphrase_comes_from_systemd_or_the_environment() -> Story {
    let upstream = Upstream::start().await?;
    let handed = Plan::before(upstream.port).environment("CREDENTIALS_DIRECTORY", "handed").write()?;
    handed.write("handed/cardea-passphrase", &format!("{RIGHT}\n"))?;
    handed.does(&["keys", "protect"]).await?;
    assert!(handed.read("state/operator.key")?.starts_with("$argon2id$"));
    handed.apply().await?;
    let gateway = handed.start().await?;
    gateway.person("mira@acme.example", &["readers"]).await?;
    let said = gateway.on.read("gateway.log")?;
    assert!(!said.contains("heron"), "{said}");

    let named = Plan::before(upstream.port)
        .environment("SAID", RIGHT)
        .config("[keys]\npassphrase = { env = \"SAID\" }\n")
        .start()
        .await?;
    assert!(named.on.read("state/operator.key")?.starts_with("$argon2id$"));
    assert!(holding(&named.on, "heron")?.is_empty());
    Ok(())
}

/// A terminal of its own, made by `script`, at which somebody sits.
struct Terminal {
    shown: String,
    from: ChildStdout,
    to: ChildStdin,
    child: tokio::process::Child,
}

impl Terminal {
    fn run(on: &Installation, arguments: &str) -> anyhow::Result<Self> {
        let plain = on.command(&[]);
        let line = format!("{} {arguments}", plain.get_program().to_string_lossy());
        let mut command = tokio::process::Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).current_dir(on.path("")).kill_on_drop(true);
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (from, to) = (child.stdout.take().context("no output")?, child.stdin.take().context("no input")?);
        Ok(Self { shown: String::new(), from, to, child })
    }

    /// Waits for a question, and types an answer.
    async fn answers(&mut self, question: &str, answer: &str) -> Story {
        let awaited = async {
            while !self.shown.contains(question) {
                let mut some = [0; 1024];
                let length = self.from.read(&mut some).await?;
                anyhow::ensure!(length > 0, "it ended:\n{}", self.shown);
                self.shown.push_str(&String::from_utf8_lossy(&some[..length]));
            }
            anyhow::Ok(())
        };
        timeout(Duration::from_secs(60), awaited).await.with_context(|| self.shown.clone())??;
        self.shown = self.shown.replacen(question, "", 1);
        self.to.write_all(format!("{answer}\n").as_bytes()).await?;
        Ok(self.to.flush().await?)
    }

    /// What else was shown, and how it ended.
    async fn ends(mut self) -> anyhow::Result<(bool, String)> {
        timeout(Duration::from_secs(60), self.from.read_to_string(&mut self.shown)).await??;
        Ok((self.child.wait().await?.success(), self.shown))
    }
}

#[tokio::test]
async fn whoever_sits_at_the_terminal_is_asked_and_what_they_type_is_not_shown() -> Story {
    let upstream = Upstream::start().await?;
    let on = Plan::before(upstream.port).write()?;
    on.apply().await?;
    let open = on.read("state/operator.key")?;
    let mut terminal = Terminal::run(&on, "keys protect")?;
    terminal.answers("new passphrase: ", RIGHT).await?;
    terminal.answers("the same once more: ", WRONG).await?;
    let (done, shown) = terminal.ends().await?;
    assert!(!done && shown.contains("these were two passphrases") && !shown.contains("heron"), "{shown}");
    assert_eq!(on.read("state/operator.key")?, open);

    let mut terminal = Terminal::run(&on, "keys protect")?;
    terminal.answers("new passphrase: ", RIGHT).await?;
    terminal.answers("the same once more: ", RIGHT).await?;
    let (done, shown) = terminal.ends().await?;
    assert!(done && shown.contains("sealed under a passphrase") && !shown.contains("heron"), "{shown}");

    for (typed, works) in [(WRONG, false), (RIGHT, true)] {
        let mut terminal = Terminal::run(&on, "user --tenant acme list")?;
        terminal.answers("operator.key`: ", typed).await?;
        let (done, shown) = terminal.ends().await?;
        assert!(done == works && !shown.contains("heron"), "{typed}: {shown}");
    }
    Ok(())
}
