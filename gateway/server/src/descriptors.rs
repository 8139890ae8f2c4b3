//! How many files and connections the process may have open, held against what its configuration lets in: whoever runs out
//! of them accepts nobody, opens no service, and cannot even read a renewed certificate.

use cardea_core::resources::TenantBundle;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is open beside connections: the store and its log, listeners, watched files, calls of our own, lookups of names. 256:
/// several times what a busy gateway was seen with.
const BESIDE: u64 = 256;

/// What is wished where nothing forbids it: as many as Linux gives a process unless it is told otherwise (`fs.nr_open`).
const WISHED: u64 = 1 << 20;

/// Raises what may be open at once to all that the system allows this process, and gives how much that is.
pub(crate) fn raise() -> u64 {
    let before = getrlimit(Resource::Nofile);
    let wished = before.maximum.unwrap_or(WISHED);
    if before.current.is_some_and(|now| now < wished) {
        // Where it is refused, what there was stays, and is what is told of.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wished), maximum: before.maximum });
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// What must be open at once where as many clients come as may, each with one request at a service.
pub(crate) fn needed<'a>(connections: usize, tenants: impl IntoIterator<Item = &'a TenantBundle>) -> u64 {
    let clients = u64::try_from(connections).unwrap_or(u64::MAX);
    let services = tenants.into_iter().map(|tenant| {
        let apps = tenant.apps.values().filter_map(|app| app.upstream.as_ref());
        let all: u64 = apps.map(|upstream| u64::from(upstream.connections)).sum();
        all.min(tenant.tenant.upstreams.connections.into())
    });
    clients.saturating_add(services.sum::<u64>().min(clients)).saturating_add(BESIDE)
}

/// Says in the log where it does not suffice.
pub(crate) fn log(allowed: u64, needed: u64, connections: usize) {
    if allowed < needed {
        tracing::warn!(
            allowed,
            needed,
            connections,
            "fewer files may be open at once than `limits.connections` needs: allow more (`LimitNOFILE=` in the service's \
             unit, `ulimit -Hn`), or lower `limits.connections`"
        );
    }
}

#[cfg(test)]
mod tests {
    use cardea_core::resources::Bundle;

    use super::*;

    #[test]
    fn clients_and_what_they_ask_of_services_are_counted() {
        let tenant = |id: &str, most: &str, services: &[&str]| {
            let tenant = format!("id = \"{id}\"\nname = \"T\"\nsign_in_host = \"{id}.localhost\"\n{most}");
            let mut files = vec![(format!("tenants/{id}/tenant.toml"), tenant)];
            for (nth, more) in services.iter().enumerate() {
                let app = format!(
                    "id = \"a{nth}\"\nname = \"A\"\nhosts = [\"a{nth}.{id}.localhost\"]\n[upstream]\nurl = \"http://127.0.0.1:1\"\n{more}"
                );
                files.push((format!("tenants/{id}/apps/a{nth}.toml"), app));
            }
            Bundle::read(&files.into_iter().collect()).unwrap().tenants.into_values().next().unwrap()
        };
        let two = tenant("acme", "", &["connections = 30\n", "connections = 40\n"]);
        let bounded = tenant("beta", "[upstreams]\nconnections = 5\n", &["", ""]);
        let usual = tenant("north", "", &[""]);
        for (connections, tenants, expected) in [
            (1_000, &[][..], 1_000),
            (1_000, &[&two], 1_070),
            (1_000, &[&two, &bounded], 1_075),
            (1_000, &[&usual], 2_000),
            (16_384, &[&usual, &usual], 2 * 16_384),
        ] {
            assert_eq!(needed(connections, tenants.iter().copied()), expected + BESIDE, "{connections}");
        }
        assert_eq!(needed(usize::MAX, [&usual]), u64::MAX);
    }

    #[test]
    fn what_may_be_open_is_all_that_the_system_allows() {
        let allowed = raise();
        let now = getrlimit(Resource::Nofile);
        assert_eq!(now.current.unwrap_or(u64::MAX), allowed);
        assert!(now.maximum.is_none_or(|most| most == allowed), "{now:?}");
    }
}
