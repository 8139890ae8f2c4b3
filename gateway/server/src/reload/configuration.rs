//! How another configuration takes the place of the one in force: read anew on SIGHUP, and by itself where certificate files
//! were replaced. What cannot be read changes nothing, and is told.

use std::{path::Path, sync::Arc, time::Duration};

use cardea_audit::Event;
use cardea_core::{Diagnostic, Diagnostics, TenantId};

use crate::{
    House,
    config::{Certificate, Config, InForce, keys_between, same_doors},
    figures::What,
    house::{Doer, with_causes},
    logging::LogLevel,
};

/// Between two looks at certificate files. Ten seconds: renewal comes days before the end, and a look is a system call or
/// two for each certificate.
const LOOK: Duration = Duration::from_secs(10);

/// Reads the configuration anew and takes over what can change while running, all of it at once: limits, trusted proxies,
/// certificates, and how the gateway tells what it does. Anything else that differs is named; it waits for a restart. A bad
/// file changes nothing. Whatever it says, the access log is opened anew, and roots of services that were replaced are read.
pub async fn configuration(
    house: &Arc<House>,
    path: &Path,
    level: &LogLevel,
) -> Result<Vec<&'static str>, Diagnostics> {
    // First, since whoever moved the file away waits for nothing else: a mistake or a full disk holds up all that follows.
    house.observing.reopen();
    let _one_at_a_time = house.reloading.lock().await;
    let read = Config::read(path, house.now());
    let done = match read {
        Ok(new) => taken_over(house, new, level).await,
        Err(found) => Err(found),
    };
    if let Err(found) = &done {
        refused(house, found).await;
    }
    house.reloads.count(What::Configuration, done.is_ok());
    renew_roots(house).await;
    done
}

async fn taken_over(house: &Arc<House>, new: Config, level: &LogLevel) -> Result<Vec<&'static str>, Diagnostics> {
    let waiting = house.config.waits_for_restart(&new);
    let (before, log) = (house.in_force(), new.log.clone());
    let next = before.with_changes_of(new);
    let named = waiting.iter().map(|key| (*key).to_owned()).collect();
    let event = Event::ConfigurationChanged { changes: changes(&before, &next), waiting: named };
    in_its_place(house, next, event).await?;
    level.change(&log);
    Ok(waiting)
}

/// Puts a configuration in force, once its entry is on disk.
async fn in_its_place(house: &Arc<House>, next: Config, event: Event) -> Result<(), Diagnostics> {
    let prepared = house.observing.open(&next)?;
    house
        .record_own(&Doer::gateway(), event)
        .await
        .map_err(|fault| Diagnostic::new(&next.source, format!("its entry cannot be written: {fault}")))?;
    house.configure(next, prepared).await;
    say(house).await;
    Ok(())
}

/// Writes down that a change was not taken, before anybody is told.
async fn refused(house: &Arc<House>, why: &Diagnostics) {
    let event = Event::ConfigurationRefused { detail: why.to_string() };
    if let Err(fault) = house.record_own(&Doer::gateway(), event).await {
        tracing::error!(%fault, %why, "the entry of a refused configuration cannot be written");
    }
}

/// Says in the state folder what is in force now.
pub(crate) async fn say(house: &Arc<House>) {
    // One after the other: whoever says it last says what is in force last.
    let _turn = house.saying.lock().await;
    let state = house.state.load_full();
    let roots = state.tenants.values().flat_map(|tenant| tenant.roots.fingerprints(&house.config.folder)).collect();
    let (said, dir) = (InForce::of(&house.config, &house.in_force(), roots), house.config.state_dir.clone());
    let written = tokio::task::spawn_blocking(move || said.write(&dir)).await;
    if let Ok(Err(error)) = written {
        tracing::warn!(%error, "what is in force cannot be told: `cardea check --diff` may be wrong");
    }
}

/// One line for each thing that is another.
fn changes(before: &Config, after: &Config) -> Vec<String> {
    let same = same_doors(&before.text, &after.text);
    let keys = keys_between(&before.text, &after.text, same).into_iter().map(|one| {
        let told = |value: Option<String>| value.unwrap_or_else(|| "(not set)".to_owned());
        format!("~ {}: {} → {}", one.key, told(one.before), told(one.after))
    });
    keys.chain(renewed(before, after)).collect()
}

/// One line for each certificate that is another, of listeners that are the same.
fn renewed(before: &Config, after: &Config) -> Vec<String> {
    let other = |(was, is): &(&Arc<Certificate>, &Arc<Certificate>)| was.fingerprint != is.fingerprint;
    let line = |(was, is): (&Arc<Certificate>, &Arc<Certificate>)| {
        let (was, is) = (crate::config::Held::from(&**was), crate::config::Held::from(&**is));
        format!("~ certificate {}: {} → {}", is.path.display(), was.short(), is.short())
    };
    before.certificates().zip(after.certificates()).filter(other).map(line).collect()
}

/// Prepares the tenants anew whose services are checked by files of roots that were replaced. One that cannot be prepared is
/// behind, as after any other change, and is tried again.
async fn renew_roots(house: &Arc<House>) {
    let (state, folder) = (house.state.load_full(), house.config.folder.clone());
    let looked = tokio::task::spawn_blocking(move || -> Vec<String> {
        let line = |id: &TenantId, file: &str| format!("~ roots `{file}` of {id}'s services");
        let settled = state.tenants.iter().filter(|(id, _)| !state.behind.contains_key(*id));
        settled.flat_map(|(id, tenant)| tenant.roots.replaced(&folder).into_iter().map(|file| line(id, file))).collect()
    });
    let Ok(changes) = looked.await else { return };
    if changes.is_empty() {
        return;
    }
    let told = changes.join("; ");
    let event = Event::ConfigurationChanged { changes, waiting: Vec::new() };
    let taken = match house.record_own(&Doer::gateway(), event).await {
        Ok(()) => house.load_state().await.map_err(|fault| with_causes(&fault)),
        Err(fault) => Err(with_causes(&fault)),
    };
    house.reloads.count(What::Certificates, taken.is_ok());
    match taken {
        Ok(()) => {
            say(house).await;
            tracing::info!(changes = told, "roots of services were read anew");
        }
        Err(why) => tracing::error!(%why, changes = told, "replaced roots of services were not read"),
    }
}

/// Looks at the files of certificates until the process ends, if the configuration wants it.
pub async fn watch(house: Arc<House>) {
    let mut told = Diagnostics::default();
    loop {
        tokio::time::sleep(LOOK).await;
        told = look(&house, told).await;
    }
}

/// One look. Takes what was told of at the last one, and gives what was told of now: a file that stays broken is told once.
pub(crate) async fn look(house: &Arc<House>, told: Diagnostics) -> Diagnostics {
    let _one_at_a_time = house.reloading.lock().await;
    let (before, now) = (house.in_force(), house.now());
    if !before.watch_certificates {
        return Diagnostics::default();
    }
    renew_roots(house).await;
    let read = Arc::clone(&before);
    let Ok((next, wrong)) = tokio::task::spawn_blocking(move || read.with_renewed(now)).await else { return told };
    if !wrong.0.is_empty() && wrong != told {
        tracing::error!(%wrong, "a certificate was replaced and cannot be used; the one before stays");
        refused(house, &wrong).await;
        house.reloads.count(What::Certificates, false);
    }
    let Some(next) = next else { return wrong };
    let changes = renewed(&before, &next);
    let event = Event::ConfigurationChanged { changes: changes.clone(), waiting: Vec::new() };
    let done = in_its_place(house, next, event).await;
    house.reloads.count(What::Certificates, done.is_ok());
    match done {
        Ok(()) => tracing::info!(changes = changes.join("; "), "certificates were renewed"),
        Err(why) => tracing::error!(%why, "renewed certificates were not taken over"),
    }
    wrong
}
