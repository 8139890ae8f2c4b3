//! `cardea agent`: runs beside a service and keeps its certificate.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use cardea_core::Secret;
use url::Url;

use super::{Context, Ended, Failure, Outcome, say, say_json};
use crate::{
    agent::{Agent, AgentFault, Options},
    config::{LogConfig, LogFormat},
    logging,
};

/// What the agent is told.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Writes cert.pem, key.pem and bundle.pem, and renews them half-way through the certificate's life.\n\
                        The first start needs a token (`cardea cert token`) and the root (`cardea cert root`)."
)]
pub struct Arguments {
    /// The gateway's machines listener at the tenant's sign-in host, such as `https://acme.example:8443`.
    #[arg(long, value_name = "URL")]
    server: Url,
    /// PEM file of whom to trust at first: what `cardea cert root` printed.
    #[arg(long, value_name = "FILE")]
    bundle: PathBuf,
    /// File that holds the enrolment token; read only while there is no valid certificate.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Folder for the three files.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Enrol, or renew if that is due, and end.
    #[arg(long)]
    once: bool,
    /// Command for the shell, run after each new certificate, for at most a minute; one that fails is tried again.
    #[arg(long, value_name = "CMD")]
    exec: Option<String>,
}

/// Keeps the certificate until it is stopped, or does what is due and ends.
pub async fn run(arguments: Arguments, context: &Context) -> Ended {
    let roots = std::fs::read_to_string(&arguments.bundle)
        .with_context(|| format!("`{}` cannot be read", arguments.bundle.display()))?;
    // A token that was used and thrown away is missed only when it is needed again.
    let token = match arguments.token_file.as_deref().map(|path| (path, std::fs::read_to_string(path))) {
        Some((_, Ok(text))) => Some(Secret::new(text)),
        Some((path, Err(error))) if !arguments.dir.join("cert.pem").exists() => {
            return Err(anyhow::Error::new(error)
                .context(format!("the token in `{}` cannot be read (`cardea cert token` makes one)", path.display()))
                .into());
        }
        Some((_, Err(_))) | None => None,
    };
    let agent = Agent::new(Options {
        server: arguments.server,
        roots,
        token,
        dir: arguments.dir,
        exec: arguments.exec,
        clock: Arc::clone(&context.clock),
        entropy: Arc::clone(&context.entropy),
    });
    if arguments.once {
        let done = agent.obtain().await.map_err(failed)?;
        tell(&done, context)?;
        return Ok(Outcome::Done);
    }
    let format = if context.is_json() { LogFormat::Json } else { LogFormat::Text };
    logging::start(&LogConfig { format, ..LogConfig::default() });
    Err(failed(agent.keep().await))
}

fn failed(fault: AgentFault) -> Failure {
    match fault.help() {
        Some(help) => anyhow::anyhow!("{fault}\n  help: {help}").into(),
        None => anyhow::Error::from(fault).into(),
    }
}

fn tell(done: &crate::agent::Obtained, context: &Context) -> Result<(), Failure> {
    let id = done.facts.spiffe_id.as_ref().map(ToString::to_string).unwrap_or_default();
    if context.is_json() {
        return say_json(&serde_json::json!({
            "spiffe_id": id, "serial": done.facts.serial, "not_after": done.facts.not_after.to_string(), "new": done.new,
        }));
    }
    let state = if done.new { "new" } else { "unchanged" };
    say(format_args!("{id}\n{state} certificate {}, valid until {}", done.facts.serial, done.facts.not_after));
    Ok(())
}
