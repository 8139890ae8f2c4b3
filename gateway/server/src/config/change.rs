//! What of a configuration can change while the gateway runs, and what waits for a restart.

use super::{Config, Scheme};

impl Config {
    /// This configuration with everything of `new` that can change while the gateway runs: limits, trusted proxies,
    /// certificates, and how it tells what it does. Where listeners are others, their certificates wait with them.
    pub fn with_changes_of(&self, new: Self) -> Self {
        let listeners = if self.same_doors(&new) { new.listeners } else { self.listeners.clone() };
        Self { listeners, trusted_proxies: new.trusted_proxies, limits: new.limits, log: new.log, ..self.clone() }
    }

    /// The keys in which `new` differs and which wait for a restart: addresses, stores and names.
    pub fn waits_for_restart(&self, new: &Self) -> Vec<&'static str> {
        [
            ("listeners", !self.same_doors(new)),
            ("ops", self.ops != new.ops),
            ("machines", self.machines != new.machines || self.certificate_life != new.certificate_life),
            ("state", self.state_dir != new.state_dir),
            ("public_port", self.public_port != new.public_port),
            ("trust_domain", self.trust_domain != new.trust_domain),
            ("redis", self.redis != new.redis),
        ]
        .into_iter()
        .filter_map(|(key, differs)| differs.then_some(key))
        .collect()
    }

    /// Whether both listen at the same addresses, in the same order and the same way.
    fn same_doors(&self, other: &Self) -> bool {
        let doors = |config: &Self| -> Vec<_> {
            config.listeners.iter().map(|one| (one.address, matches!(one.scheme, Scheme::Plain))).collect()
        };
        doors(self) == doors(other)
    }
}
