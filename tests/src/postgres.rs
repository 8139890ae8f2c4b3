//! A PostgreSQL of a story's own, which forgets nothing when it is killed.

use std::{
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context, ensure};

use crate::{
    Process,
    process::{Folder, free_port},
};

/// A running PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    /// Its port.
    pub port: u16,
    folder: Folder,
    process: Option<Process>,
}

impl Postgres {
    /// Starts it on a port that the system picks.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = Folder::new("postgres")?;
        if is_root()? {
            // It refuses to be root: Debian's package brings it a user of its own, who is to reach its folder.
            let above = folder.path().parent().context("no folder above")?;
            let mode = std::fs::metadata(above)?.mode() | 0o011;
            std::fs::set_permissions(above, std::fs::Permissions::from_mode(mode))?;
            let status = Command::new("chown").arg("postgres").arg(folder.path()).status()?;
            ensure!(status.success(), "there is no user `postgres`");
        }
        let made = server("initdb")?
            .args(["--username=cardea", "--auth=trust", "--no-sync", "--encoding=UTF8", "--pgdata"])
            .arg(folder.path().join("data"))
            .current_dir(folder.path())
            .output()?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut postgres = Self { port: free_port()?, folder, process: None };
        postgres.start_again().await?;
        Ok(postgres)
    }

    /// The address of its one database.
    pub fn url(&self) -> String {
        format!("postgres://cardea@127.0.0.1:{}/postgres", self.port)
    }

    /// Kills it without warning.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("it does not run")?.kill().await
    }

    /// Stops all of it as it stands (`STOP`), or lets it go on (`CONT`).
    pub async fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let own = self.process.as_ref().and_then(Process::id).context("it does not run")?.to_string();
        let mut all = Command::new("sh");
        // Those that it started first: what has stopped starts no more.
        all.args(["-c", r#"kill -s "$0" "$1" $(ps -o pid= --ppid "$1")"#, signal, &own]);
        let (status, _, err) = crate::process::run(all).await?;
        ensure!(status == 0, "kill: {err}");
        Ok(())
    }

    /// Starts it where it was killed, with what it knew.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let log = self.folder.path().join("postgres.log");
        let ready = |log: &PathBuf| {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            text.matches("ready to accept connections").count()
        };
        let before = ready(&log);
        // What served the one that was killed may be there for a moment, and then the next refuses to start.
        for last in [false, false, false, true] {
            let mut command = server("postgres")?;
            command.current_dir(self.folder.path()).arg("-D").arg(self.folder.path().join("data"));
            let port = format!("port={}", self.port);
            for setting in [&*port, "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300"] {
                command.args(["-c", setting]);
            }
            let mut process = Process::start(command, &log)?;
            match process.until(async || ready(&log) > before).await {
                Ok(()) => {
                    self.process = Some(process);
                    return Ok(());
                }
                Err(error) if last => return Err(error),
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(200)).await,
            }
        }
        Ok(())
    }
}

fn is_root() -> anyhow::Result<bool> {
    Ok(std::fs::metadata("/proc/self")?.uid() == 0)
}

/// A program of the server's: beside the others, or where Debian keeps them, by version.
fn server(name: &str) -> anyhow::Result<Command> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    let mut places: Vec<_> = versions.into_iter().flatten().map(|version| version.path().join("bin")).collect();
    places.sort();
    let newest = places.into_iter().rev().map(|place| place.join(name)).find(|path| path.exists());
    let path = newest.unwrap_or_else(|| PathBuf::from(name));
    if !is_root()? {
        return Ok(Command::new(path));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(path);
    Ok(command)
}
