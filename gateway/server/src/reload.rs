//! How changes reach a running gateway: those of other processes through the store's feed, those of the configuration on
//! SIGHUP. What cannot be read changes nothing.

use std::{path::Path, sync::Arc, time::Duration};

use cardea_core::Diagnostics;
use cardea_storage::{Announced, Change};

use crate::{
    House,
    config::{Config, Scheme},
    house::with_causes,
    logging::LogLevel,
    running::Running,
};

/// A quarter of a second: what another process changes bites well within one.
const POLL: Duration = Duration::from_millis(250);
/// Half a minute: memory that is no longer of use does not stay much longer.
const SWEEP: Duration = Duration::from_secs(30);
/// Sweeps between two looks at keys and old changes: an hour.
const SWEEPS_AN_HOUR: u32 = 120;

/// Reads the feed of changes until the process ends.
pub async fn follow(house: Arc<House>) {
    let mut seq = house.seen();
    let mut failing = false;
    loop {
        tokio::time::sleep(POLL).await;
        let read = match house.store.changes_since(seq).await {
            Ok(changes) => {
                seq = changes.last().map_or(seq, |last| last.seq);
                take(&house, &changes).await;
                Ok(())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = &read
            && !failing
        {
            // Sessions are read anew after thirty seconds at the latest; what cannot be read then is a fault.
            tracing::error!(error = %with_causes(error), "the feed of changes cannot be read");
        }
        failing = read.is_err();
    }
}

async fn take(house: &Arc<House>, changes: &[Announced]) {
    let mut resources = false;
    for announced in changes {
        match announced.change {
            Change::Resources | Change::Policies | Change::Authority | Change::Keys => resources = true,
            Change::User(user) | Change::SessionsOf(user) => house.forget_user(user),
            Change::Session(session) => house.forget_session(session),
            Change::Sessions => house.forget_tenant(),
        }
    }
    if resources && let Err(error) = house.load_state().await {
        tracing::error!(%error, "what was changed cannot be used; the state before stays in force");
    }
}

/// Lets go of what is past its time, and makes keys ahead of theirs, until the process ends.
pub async fn housekeeping(house: Arc<House>) {
    for round in 1_u32.. {
        tokio::time::sleep(SWEEP).await;
        house.sweep();
        if let Err(error) = house.shared.sweep(house.now()).await {
            tracing::warn!(error = %with_causes(&error), "old sessions cannot be dropped now");
        }
        if round.is_multiple_of(SWEEPS_AN_HOUR) {
            hourly(&house).await;
        }
    }
}

async fn hourly(house: &Arc<House>) {
    let now = house.now();
    let state = house.state.load_full();
    if let Err(error) = house.prepare_keys(state.tenants.keys()).await {
        tracing::error!(%error, "assertion keys cannot be made ready");
    }
    let day = Duration::from_secs(24 * 3600);
    let dropped = async {
        house.store.drop_old_keys(now).await?;
        house.store.prune_changes(now.minus(day)).await
    };
    if let Err(error) = dropped.await {
        tracing::warn!(error = %with_causes(&error), "old keys and changes cannot be dropped now");
    }
}

/// Reads the configuration anew and takes over what can change while running: certificates and the log level. Anything
/// else that differs is named; it waits for a restart. A bad file changes nothing.
pub fn configuration(running: &Running, path: &Path, level: &LogLevel) -> Result<Vec<&'static str>, Diagnostics> {
    let new = Config::read(path, running.house.now())?;
    let waiting = waits_for_restart(&running.house.config, &new);
    if !waiting.contains(&"listeners") {
        let tls = new.listeners.iter().filter_map(|listener| match &listener.scheme {
            Scheme::Tls(certificates) => Some(certificates),
            Scheme::Plain => None,
        });
        for (resolver, certificates) in running.certificates.iter().zip(tls) {
            resolver.0.store(Arc::new(certificates.clone()));
        }
    }
    level.change(&new.log);
    Ok(waiting)
}

fn waits_for_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let doors = |config: &Config| -> Vec<_> {
        config.listeners.iter().map(|one| (one.address, matches!(one.scheme, Scheme::Plain))).collect()
    };
    [
        ("listeners", doors(old) != doors(new)),
        ("ops", old.ops != new.ops),
        ("machines", old.machines != new.machines || old.certificate_life != new.certificate_life),
        ("state", old.state_dir != new.state_dir),
        ("public_port", old.public_port != new.public_port),
        ("trust_domain", old.trust_domain != new.trust_domain),
        ("redis", old.redis != new.redis),
        ("trusted_proxies", old.trusted_proxies != new.trusted_proxies),
        ("limits", old.limits != new.limits),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}
