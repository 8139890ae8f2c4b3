//! How many requests may come in how much time, counted in memory; gateways of one house tell each other in the background what
//! each admitted ([`Rates::unsaid`], [`Rates::hear`]), and no request waits for that.
//!
//! Until a gateway has heard of the others it admits by what it knows. So beyond a rate comes at most what the others admit
//! between two rounds, each no more than the rate lets come at once; and what was too much is paid back, since all of it is
//! counted: over any longer time the sum is the rate.

mod level;
mod table;
mod told;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use aws_lc_rs::hmac;
use cardea_core::{AppId, Caller, TenantId, Timestamp, resources::Rate};

use crate::listener::counted_as;
pub use level::Level;
use table::Table;
pub(crate) use told::{Standing, worth_trying_in};

/// All that is counted. One per process.
pub struct Rates {
    /// Names are marks under it: whoever reads what gateways tell each other learns no address.
    key: hmac::Key,
    table: Table,
    /// What the others admit is not heard of now.
    alone: AtomicBool,
}

/// What a rate is of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of<'a> {
    /// An app's rate of an address.
    Address(&'a AppId, IpAddr),
    /// An app's rate of a caller; one who is not known, at that address.
    Caller(&'a AppId, &'a Caller, IpAddr),
    /// An app's rate of all callers together.
    App(&'a AppId),
    /// A tenant's.
    Tenant,
}

/// What was admitted here under one name since it was last said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Whose rate it is.
    pub tenant: TenantId,
    /// A mark of what the rate is of.
    pub name: u128,
    /// The rate.
    pub rate: Rate,
    /// Millionths of a request.
    pub used: i64,
}

/// What all gateways together have used under one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// How much of it is used now.
    pub level: Level,
    /// How much was ever used, whatever has come back: by it a gateway knows what its share was.
    pub ever: i64,
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rates(***)")
    }
}

impl Rates {
    /// Nothing is counted yet. Gateways that count together have the same secret.
    pub fn new(secret: &[u8; 32]) -> Arc<Self> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Arc::new(Self { key, table: Table::default(), alone: AtomicBool::new(false) })
    }

    /// Counts a request under a rate, or tells that it may not come.
    pub(crate) fn take(&self, (tenant, of): (&TenantId, Of<'_>), rate: Rate, now: Timestamp) -> Standing {
        let alone = self.alone.load(Ordering::Relaxed);
        let taken = self.table.take((self.mark(tenant, of), tenant), rate, now.as_micros(), alone);
        Standing::new(of, rate, taken)
    }

    /// Takes back what was counted of a request that another rate refused.
    pub(crate) fn give_back(&self, (tenant, of): (&TenantId, Of<'_>)) {
        self.table.give_back(self.mark(tenant, of));
    }

    /// What was admitted here since the last call, for the others to hear of: some thousand names at the most, the rest next time.
    pub fn unsaid(&self, now: Timestamp) -> Vec<Use> {
        self.table.unsaid(now.as_micros())
    }

    /// What all gateways together have used of each of `uses`, in that order, as it was told when they were said.
    pub fn hear(&self, uses: &[Use], all: &[Heard], now: Timestamp) {
        self.alone.store(false, Ordering::Relaxed);
        self.table.learn(uses, all, now.as_micros());
    }

    /// Nobody could be told. It is told next time; until then each gateway keeps to the share of a rate that it last had, so that
    /// all together stay within it.
    pub fn unheard(&self, uses: &[Use]) {
        self.alone.store(true, Ordering::Relaxed);
        self.table.keep_unsaid(uses);
    }

    /// 128 bits, by which nobody can aim at the place of another.
    fn mark(&self, tenant: &TenantId, of: Of<'_>) -> u128 {
        let mut mark = hmac::Context::with_key(&self.key);
        let (what, app) = match of {
            Of::Address(app, _) => ("address", app.as_str()),
            Of::Caller(app, Caller::Visitor, _) => ("visitor", app.as_str()),
            Of::Caller(app, ..) => ("caller", app.as_str()),
            Of::App(app) => ("app", app.as_str()),
            Of::Tenant => ("tenant", ""),
        };
        // None of these holds a zero byte, so nothing is told in two ways.
        for part in [tenant.as_str(), what, app] {
            mark.update(part.as_bytes());
            mark.update(&[0]);
        }
        match of {
            Of::Address(_, client) | Of::Caller(_, Caller::Visitor, client) => mark.update(&octets(client)),
            Of::Caller(_, caller, _) => mark.update(caller.label().as_bytes()),
            Of::App(_) | Of::Tenant => {}
        }
        let tag = mark.sign();
        tag.as_ref().iter().take(16).fold(0, |mark, byte| mark << 8 | u128::from(*byte))
    }
}

impl Of<'_> {
    /// As answers and `[rates]` name it.
    const fn name(&self) -> &'static str {
        match self {
            Self::Address(..) => "address",
            Self::Caller(..) => "caller",
            Self::App(_) => "app",
            Self::Tenant => "tenant",
        }
    }
}

fn octets(client: IpAddr) -> [u8; 16] {
    match counted_as(client) {
        IpAddr::V4(client) => client.to_ipv6_mapped().octets(),
        IpAddr::V6(network) => network.octets(),
    }
}

#[cfg(test)]
mod tests;
