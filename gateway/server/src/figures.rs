//! What the gateway counts of itself, beside what the data plane counts of requests: reloads, the ends of its certificates,
//! its build, and what it takes of the machine. Every label is from a closed list or a name from the configuration.

mod outcomes;

use std::sync::{Arc, Weak};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::{Registry, Unit},
};

use crate::House;

pub(crate) use outcomes::Outcomes;

/// What can take another's place while the gateway runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Tenants, apps, policies and keys.
    Resources,
    /// `cardea.toml`.
    Configuration,
    /// Certificate files that were replaced.
    Certificates,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    what: &'static str,
    outcome: &'static str,
}

/// How often something took another's place, and how often it was refused.
#[derive(Debug, Clone)]
pub(crate) struct Reloads(Outcomes<ReloadLabels>);

impl Default for Reloads {
    fn default() -> Self {
        let all = [What::Resources, What::Configuration, What::Certificates];
        Self(Outcomes::of(all.into_iter().flat_map(|what| [(what, true), (what, false)])))
    }
}

impl Reloads {
    /// Counts one that was taken over, or refused.
    pub(crate) fn count(&self, what: What, taken: bool) {
        self.0.count((what, taken));
    }
}

impl From<(What, bool)> for ReloadLabels {
    fn from((what, taken): (What, bool)) -> Self {
        let what = match what {
            What::Resources => "resources",
            What::Configuration => "configuration",
            What::Certificates => "certificates",
        };
        Self { what, outcome: if taken { "taken" } else { "refused" } }
    }
}

/// Registers everything in here.
pub(crate) fn register(house: &Arc<House>, registry: &mut Registry) {
    house.observing.counts().register(registry);
    house.mail.counts.register(registry, "cardea_mail", "Letters to people, by what became of them");
    let help = "Apps told that a session is over, by what became of it";
    house.logouts.counts.register(registry, "cardea_logout_tokens", help);
    house.rate_rounds.register(registry);
    house.reloads.0.register(registry, "cardea_reloads", "Changes taken over, or refused, while running");
    let help = "Processor time spent on hashing passwords and comparing them";
    registry.register_with_unit("cardea_hashing", help, Unit::Seconds, crate::sign_in::hashed());
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("cardea_build", "The version that runs", build);
    registry.register_collector(Box::new(Ends(Arc::downgrade(house))));
    registry.register_collector(Box::new(Process { started: house.now().as_secs() }));
}

/// When the certificates of listeners end, by their first name. Weak: the house outlives nobody who scrapes it.
struct Ends(Weak<House>);

impl std::fmt::Debug for Ends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ends")
    }
}

impl Collector for Ends {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let Some(house) = self.0.upgrade() else { return Ok(()) };
        let config = house.in_force();
        let mut ends = std::collections::BTreeMap::new();
        for one in config.certificates() {
            let name = one.ready.names.first().map_or("", String::as_str);
            // The same name twice: the one that ends first is the one to look after.
            let end = ends.entry(name).or_insert(one.expires);
            *end = one.expires.min(*end);
        }
        let help = "When a listener's certificate ends, in seconds since 1970";
        let kind = ConstGauge::new(0_i64).metric_type();
        let mut family = encoder.encode_descriptor("cardea_certificate_end", help, Some(&Unit::Seconds), kind)?;
        for (name, end) in ends {
            let gauge = ConstGauge::new(end.as_secs());
            gauge.encode(family.encode_family(&[("name", name)])?)?;
        }
        Ok(())
    }
}

/// What the process takes, under the names that every client library uses. Read from the system when somebody asks.
#[derive(Debug)]
struct Process {
    started: i64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        #[allow(clippy::cast_precision_loss, reason = "a process does not live for so many seconds")]
        let cpu = ConstCounter::new(cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
        let help = "Processor time used";
        cpu.encode(encoder.encode_descriptor("process_cpu", help, Some(&Unit::Seconds), cpu.metric_type())?)?;
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let figures = [
            ("process_resident_memory", "Memory in use", Some(Unit::Bytes), resident()),
            (
                "process_start_time",
                "When the process started, in seconds since 1970",
                Some(Unit::Seconds),
                Some(self.started),
            ),
            ("process_open_fds", "Open file descriptors", None, open_files()),
            ("process_max_fds", "Most file descriptors", None, limit.and_then(|most| i64::try_from(most).ok())),
        ];
        for (name, help, unit, value) in figures {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, unit.as_ref(), gauge.metric_type())?)?;
        }
        Ok(())
    }
}

fn resident() -> Option<i64> {
    let pages: i64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    i64::try_from(rustix::param::page_size()).ok().map(|size| pages * size)
}

fn open_files() -> Option<i64> {
    // Less the one that this look itself opens.
    i64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok().map(|count| count - 1)
}
