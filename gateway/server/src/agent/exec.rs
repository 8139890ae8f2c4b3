//! The command after a new certificate, bounded in time.

use std::{process::Stdio, time::Duration};

use tokio::process::Command;

/// A minute: what makes a service read its files takes less; what takes more would hold up the next renewal.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

/// Runs a command in the shell; `Err` says why it did not succeed. What takes longer than `limit` is ended.
pub(super) async fn run(command: &str, limit: Duration) -> Result<(), String> {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).stdin(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(limit, shell.status()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("it ended with {status}")),
        Ok(Err(error)) => Err(format!("it cannot be run: {error}")),
        Err(_) => Err(format!("it was ended after {} s", limit.as_secs())),
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
}
