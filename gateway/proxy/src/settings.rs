//! What configuration decides for the data plane. It is part of every [`crate::Snapshot`]: swapped whole, with the routes
//! and policies, so that a request sees one generation of all of it from start to end.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;

use crate::{ForwardedBy, Limits, certificates::Certificate, observe::Observers};

/// One generation of the configuration, as far as it can change while the gateway runs.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How much at once, and how long. A change counts for what begins after it: a connection keeps the limits that it was
    /// accepted under, a request those that it began under, and nothing that is open is closed because there is room for less.
    pub limits: Limits,
    /// Proxies whose word about the client's address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The header by which they tell it.
    pub forwarded: ForwardedBy,
    /// The certificates of each TLS listener, in the order of the listeners.
    pub certificates: Vec<Vec<Arc<Certificate>>>,
    /// Who is told of each request's end.
    pub observers: Observers,
}

impl Settings {
    /// Whether `address` is a proxy whose word is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies.iter().any(|net| net.contains(&address))
    }
}
