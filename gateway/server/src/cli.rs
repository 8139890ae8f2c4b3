//! The command line: which commands there are and how they end. `cardea --help` is its reference.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Parser, Subcommand, ValueEnum};

use crate::{
    commands::{self, Context, Ended},
    system::{SystemClock, SystemEntropy},
};

/// A zero-trust gateway for records services: one sign-in for all of a tenant's applications, every request decided by
/// policy, recorded, and forwarded with a signed identity.
#[derive(Debug, Parser)]
#[command(name = "cardea", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit status: 0 done; 1 the answer is no, or a check failed; 2 wrong use.\n\
                        Start with `cardea demo`: it needs nothing else.")]
pub struct Cli {
    /// The configuration file; `cardea.toml` in the current folder where not given.
    #[arg(long, global = true, value_name = "FILE", env = "CARDEA_CONFIG")]
    config: Option<PathBuf>,
    /// How answers are written.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For scripts.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show it all at work: a gateway, two tenants, a records service and people to sign in as.
    #[cfg(feature = "demo")]
    Demo(commands::demo::Arguments),
    /// Run the gateway.
    Serve(commands::serve::Arguments),
    /// Check configuration, resources, policies and their tests, without changing anything.
    Check(commands::check::Arguments),
    /// Make the store hold what a folder of resources says; shows the plan first.
    Apply(commands::apply::Arguments),
    /// Write what the store holds as a folder of resources.
    Export(commands::export::Arguments),
    /// Test policies, or explain a decision.
    Policy(commands::policy::Arguments),
    /// Invite, list, show, suspend, reset and delete people; end their sessions.
    User(commands::user::Arguments),
    /// List clients, programs that obtain tokens; make the secrets of those that have one.
    Client(commands::client::Arguments),
    /// Move what is kept from the state folder's file to the PostgreSQL database of the configuration.
    Store(commands::store::Arguments),
    /// Put other keys into the place of those that seal what is kept; seal the first under a passphrase.
    Keys(commands::keys::Arguments),
    /// Issue enrolment tokens; list certificates and roots.
    Cert(commands::cert::Arguments),
    /// Run beside a service: obtain its certificate, renew it in time, write the files.
    Agent(commands::agent::Arguments),
    /// Show what was recorded (`list`), check that nothing of it was changed (`verify`), and write it out (`export`).
    Audit(commands::audit::Arguments),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let context = Context {
        config_file: cli.config,
        format: cli.format,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    };
    // Every TLS side uses aws-lc; a second installation would only say that the first is there.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return commands::tell(&context, Err(anyhow::Error::from(error).into())),
    };
    let ended = runtime.block_on(run(cli.command, &context));
    commands::tell(&context, ended)
}

/// Room for the deepest policy that may be evaluated, ten times over; unoptimised it just fits. Of what is not used, only
/// addresses are taken.
const STACK: usize = 16 * 1024 * 1024;

async fn run(command: Command, context: &Context) -> Ended {
    match command {
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => Box::pin(commands::demo::run(arguments, context)).await,
        Command::Serve(arguments) => Box::pin(commands::serve::run(arguments, context)).await,
        Command::Check(arguments) => Box::pin(commands::check::run(arguments, context)).await,
        Command::Apply(arguments) => Box::pin(commands::apply::run(arguments, context)).await,
        Command::Export(arguments) => Box::pin(commands::export::run(arguments, context)).await,
        Command::Policy(arguments) => Box::pin(commands::policy::run(arguments, context)).await,
        Command::Client(arguments) => Box::pin(commands::client::run(arguments, context)).await,
        Command::Keys(arguments) => Box::pin(commands::keys::run(arguments, context)).await,
        Command::Store(arguments) => Box::pin(commands::store::run(arguments, context)).await,
        Command::User(arguments) => Box::pin(commands::user::run(arguments, context)).await,
        Command::Cert(arguments) => Box::pin(commands::cert::run(arguments, context)).await,
        Command::Agent(arguments) => Box::pin(commands::agent::run(arguments, context)).await,
        Command::Audit(arguments) => Box::pin(commands::audit::run(arguments, context)).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
