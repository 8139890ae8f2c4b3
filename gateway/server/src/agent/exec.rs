//! The command after a new certificate, bounded in time.

use std::{process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;

/// A minute: what makes a service read its files takes less; what takes more would hold up the next renewal.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// Runs a command in the shell; `Err` says why it did not succeed. What takes longer than `limit` is ended, with all that it
/// has started.
pub(super) async fn run(command: &str, limit: Duration) -> Result<(), String> {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    let mut shell = shell.spawn().map_err(|error| format!("it cannot be run: {error}"))?;
    match tokio::time::timeout(limit, shell.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("it ended with {status}")),
        Ok(Err(error)) => Err(format!("it cannot be waited for: {error}")),
        Err(_) => {
            // The shell was not waited for, so its number still names its group. One that is gone needs no ending.
            let group = shell.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
            let _ = group.map(|group| kill_process_group(group, Signal::KILL));
            Err(format!("it was ended after {} s", limit.as_secs()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_succeeds_fails_or_is_ended() {
        assert_eq!(run("exit 0", LIMIT).await, Ok(()));
        assert_eq!(run("exit 3", LIMIT).await, Err("it ended with exit status: 3".to_owned()));
        assert_eq!(run("exec sleep 600", Duration::from_millis(10)).await, Err("it was ended after 0 s".to_owned()));
    }

    /// What a shell has started outlived it, and each further try added one.
    #[tokio::test]
    async fn what_a_command_started_ends_with_it() {
        let pipe = std::env::temp_dir().join(format!("cardea-exec-{}", std::process::id()));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let command = format!("sleep 600 > '{}' & sleep 600; true", pipe.display());
        // Its end comes once nobody holds its other end any more.
        let source = pipe.clone();
        let all = tokio::task::spawn_blocking(move || std::fs::read(source));
        assert_eq!(run(&command, Duration::from_secs(2)).await, Err("it was ended after 2 s".to_owned()));
        assert_eq!(tokio::time::timeout(Duration::from_secs(10), all).await.unwrap().unwrap().unwrap(), b"");
        std::fs::remove_file(pipe).unwrap();
    }
}
