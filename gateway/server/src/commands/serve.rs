//! `cardea serve`: the gateway, until it is told to stop.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Context, Ended, Outcome};
use crate::{
    House, checks, descriptors, logging, reload,
    running::{Running, StartFault},
};

/// Run the gateway until it is told to stop (SIGTERM, SIGINT): then it says that it is not ready and serves on for
/// `limits.leave_seconds` (told again: not any longer), takes no new work, and requests under way may end within
/// `limits.drain_seconds`. SIGHUP reads the configuration anew.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Runs the command.
pub async fn run(_arguments: Arguments, context: &Context) -> Ended {
    let begun = Instant::now();
    let config = context.config()?;
    let level = logging::start(&config.log);
    let allowed = descriptors::raise();
    let house = House::open(config, context.clock.clone(), context.entropy.clone()).await.map_err(open_failure)?;
    // Before anybody can ask whether it is ready: from here on it drains where it is told to end.
    let mut signals = Signals::heard().map_err(anyhow::Error::from)?;
    let running = Running::start(house).await.map_err(start_failure)?;
    announce(&running, begun.elapsed());
    doubt(&running.house, allowed).await;
    until_told_to_stop(&running, (context, allowed), &mut signals, &level).await;
    tracing::info!(seconds = running.house.limits().leave.as_secs(), "leaving");
    running.leave(signals.stop()).await;
    tracing::info!("draining");
    running.finish().await;
    tracing::info!("stopped");
    Ok(Outcome::Done)
}

/// Mistakes in what the store holds are shown as mistakes, with their places; all else is a failure.
pub(super) fn open_failure(fault: crate::house::OpenFault) -> super::Failure {
    match fault {
        crate::house::OpenFault::Resources(found) => found.into(),
        other => anyhow::Error::from(other).into(),
    }
}

/// What keeps a gateway from starting, with what would help.
pub(super) fn start_failure(fault: StartFault) -> super::Failure {
    match fault.help() {
        Some(help) => anyhow::anyhow!("{fault}\n  help: {help}").into(),
        None => anyhow::Error::from(fault).into(),
    }
}

fn announce(running: &Running, took: Duration) {
    for address in &running.public {
        tracing::info!(%address, scheme = running.house.config.scheme(), "listening");
    }
    if let Some(address) = running.machines {
        tracing::info!(%address, "listening for machines");
    }
    let state = running.house.state.load();
    tracing::info!(ops = %running.ops, tenants = state.tenants.len(), millis = took.as_millis(), "ready");
    if state.tenants.is_empty() {
        tracing::warn!("there is no tenant yet: `cardea apply DIR` makes one");
    }
    for (id, tenant) in &state.tenants {
        if tenant.engine.open_policies() > OPEN_POLICIES {
            let count = tenant.engine.open_policies();
            tracing::warn!(tenant = %id, count, "policies without a scope cost time on every request");
        }
    }
}

/// Says what will not work although it runs: what resources need and the configuration does not give, and connections that
/// the system does not allow.
async fn doubt(house: &House, allowed: u64) {
    let (state, config) = (house.state.load_full(), house.in_force());
    let look = move || {
        let bundles = || state.tenants.values().map(|tenant| &tenant.bundle);
        checks::Ground::of(&config, bundles()).log();
        let connections = config.limits.edge.connections;
        descriptors::log(allowed, descriptors::needed(connections, bundles()), connections);
    };
    // Files of secrets are read: they may lie on a slow disk.
    if let Err(broken) = tokio::task::spawn_blocking(look).await {
        tracing::error!(%broken, "what will not work could not be looked for");
    }
}

/// Twenty: together they cost about as much as all the rest of a decision.
const OPEN_POLICIES: usize = 20;

/// What the process is told by its operator.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From here on they are heard, and none ends the process by itself.
    fn heard() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Whether the next one says to stop; else it says to read the configuration anew.
    async fn next(&mut self) -> bool {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => true,
            _ = self.hangup.recv() => false,
        }
    }

    /// The next one that says to stop.
    async fn stop(&mut self) {
        while !self.next().await {}
    }
}

async fn until_told_to_stop(
    running: &Running,
    (context, allowed): (&Context, u64),
    signals: &mut Signals,
    level: &logging::LogLevel,
) {
    while !signals.next().await {
        let reloaded = reload::configuration(&running.house, &context.config_path(), level).await;
        if reloaded.is_ok() {
            doubt(&running.house, allowed).await;
        }
        match reloaded {
            Ok(waiting) if waiting.is_empty() => tracing::info!("configuration reloaded"),
            Ok(waiting) => {
                tracing::warn!(waiting = waiting.join(", "), "configuration reloaded; these wait for a restart");
            }
            Err(found) => tracing::error!(%found, "the configuration was not reloaded; the old one stays"),
        }
    }
}
