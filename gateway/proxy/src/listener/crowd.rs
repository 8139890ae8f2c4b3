//! How many connections each client has: counted when one is taken and when it ends, never on a request.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use crate::room;

/// The clients that are connected now.
#[derive(Debug, Default)]
pub(crate) struct Crowd(Mutex<HashMap<IpAddr, usize>>);

/// A client's part in the crowd, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    crowd: Arc<Crowd>,
    client: IpAddr,
}

/// A connection's place among those that are allowed at once, held by whatever still uses it: a tunnel, too.
#[derive(Debug)]
#[allow(dead_code, reason = "it is held, and never read")]
pub(crate) struct Place {
    /// Among all.
    pub(crate) room: room::Place,
    /// Among those of one client; a listed proxy has none, since it speaks for many.
    pub(crate) seat: Option<Seat>,
}

impl Crowd {
    /// One more of this client's, if it has fewer than `most`.
    pub(crate) fn admit(self: &Arc<Self>, client: IpAddr, most: usize) -> Option<Seat> {
        let client = counted_as(client);
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = clients.entry(client).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Seat { crowd: Arc::clone(self), client })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut clients = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = clients.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

/// Whoever has an IPv6 network has all of its 2^64 addresses: they count as one.
pub(crate) fn counted_as(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_share_and_gets_back_what_it_leaves() {
        let crowd = Arc::<Crowd>::default();
        let admit = |client: &str| crowd.admit(client.parse().unwrap(), 2);
        let (first, second) = (admit("192.0.2.1").unwrap(), admit("::ffff:192.0.2.1").unwrap());
        assert!(admit("192.0.2.1").is_none(), "the same client in another spelling");
        let other = admit("192.0.2.2").unwrap();
        drop(first);
        let third = admit("192.0.2.1").unwrap();
        drop((second, third, other));
        assert!(crowd.0.lock().unwrap().is_empty(), "nobody is remembered who has left");
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let crowd = Arc::<Crowd>::default();
        let admit = |client: &str| crowd.admit(client.parse().unwrap(), 1);
        let _one = admit("2001:db8:1:2::1").unwrap();
        assert!(admit("2001:db8:1:2:ffff::9").is_none());
        assert!(admit("2001:db8:1:3::1").is_some());
    }
}
