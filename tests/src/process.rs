//! Processes that end with the story, whatever becomes of it.

use std::{
    fs::OpenOptions,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout},
    time::timeout,
};

/// Longest wait for a process to say that it is ready. Generous, since a debug build on a busy machine is slow; a
/// story fails by it, and never passes by it.
pub(crate) const READY: Duration = Duration::from_secs(60);

/// Where ports are taken from: Linux gives out those from 32768 by itself.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A running process; killed on drop, with the workers that it started.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts `command`, whose standard output is then read line by line; what it says on standard error goes to the
    /// end of `log`.
    pub fn start(command: Command, log: &Path) -> anyhow::Result<Self> {
        let name = format!("{command:?}");
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let mut child = tokio::process::Command::from(command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let stdout = child.stdout.take().context("no standard output")?;
        Ok(Self { child, lines: BufReader::new(stdout).lines() })
    }

    /// The first line that `wanted` takes.
    pub async fn line<T>(&mut self, mut wanted: impl FnMut(&str) -> Option<T>) -> anyhow::Result<T> {
        let read = async {
            while let Some(line) = self.lines.next_line().await? {
                if let Some(found) = wanted(&line) {
                    return Ok(found);
                }
            }
            bail!("the process ended before it said what was awaited")
        };
        timeout(READY, read).await.context("the process did not say what was awaited in time")?
    }

    /// Waits until `holds`; ends early if the process does.
    pub async fn until(&mut self, holds: impl AsyncFn() -> bool) -> anyhow::Result<()> {
        let asked = async {
            while !holds().await {
                if let Some(status) = self.child.try_wait()? {
                    bail!("the process ended with {status}");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        };
        timeout(READY, asked).await.context("the process is not ready in time")?
    }

    /// Ends it as a power cut would: SIGKILL.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.kill_all();
        self.child.wait().await?;
        Ok(())
    }

    /// Kills it and whatever it has started: a server that is killed cannot end its workers.
    fn kill_all(&self) {
        if let Some(pid) = self.child.id() {
            let _ = Command::new("kill").args(["-KILL", "--", &format!("-{pid}")]).stderr(Stdio::null()).status();
        }
    }

    /// Asks it to end (SIGTERM) and waits for it; the exit status says whether it did so in good order.
    pub async fn stop(mut self) -> anyhow::Result<std::process::ExitStatus> {
        let pid = self.child.id().context("it has ended already")?;
        Command::new("kill").arg(pid.to_string()).status()?;
        self.ends().await
    }

    /// Waits until it ends.
    pub async fn ends(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        timeout(READY, self.child.wait()).await.context("it does not end")?.map_err(Into::into)
    }

    /// Its process id.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// A port at 127.0.0.1 for a server of the tests. Nobody else is given it while this process lives: it lies below those that
/// the system gives out by itself, and a socket at another loopback address, which `tests/browser/lib/places.mjs` asks for
/// too, holds it against the other tests.
pub fn free_port() -> anyhow::Result<u16> {
    static HELD: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    // Processes begin apart from each other, so that they seldom meet.
    let first = std::process::id().wrapping_mul(97) + u32::try_from(held.len())?;
    for step in 0..u32::from(PORTS.end - PORTS.start) {
        let port = PORTS.start + u16::try_from((first.wrapping_add(step)) % u32::from(PORTS.end - PORTS.start))?;
        let Ok(hold) = UdpSocket::bind((Ipv4Addr::new(127, 77, 0, 1), port)) else { continue };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
            && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        {
            held.push(hold);
            return Ok(port);
        }
    }
    bail!("no port is free between {} and {}", PORTS.start, PORTS.end)
}

/// The binary under test.
pub fn cardea() -> Command {
    Command::new(binary())
}

/// Where the binary under test is: what `tests/run` built, or else beside this test.
pub fn binary() -> PathBuf {
    std::env::var_os("CARDEA_TEST_BIN").map_or_else(
        || {
            let test = std::env::current_exe().unwrap_or_default();
            let folder = test.parent().and_then(Path::parent).map(PathBuf::from).unwrap_or_default();
            folder.join("cardea")
        },
        PathBuf::from,
    )
}

/// A Python program of the tests' own environment (`tests/requirements.txt`).
pub fn python(program: &str) -> Command {
    let folder = std::env::var_os("CARDEA_TEST_PYTHON").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tests-python/bin")),
        PathBuf::from,
    );
    Command::new(folder.join(program))
}

/// A service of the tests that is a program of its own (`tests/services`).
pub fn service_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("services").join(name)
}

/// Runs a command to its end: its exit code, standard output and standard error.
pub async fn run(command: Command) -> anyhow::Result<(i32, String, String)> {
    let name = format!("{command:?}");
    let done = tokio::process::Command::from(command)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("cannot run {name}"))?;
    Ok((
        done.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&done.stdout).into_owned(),
        String::from_utf8_lossy(&done.stderr).into_owned(),
    ))
}

/// A folder for one story, gone with it.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes an empty folder.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("cardea-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
