//! How many connections each client has, and who flooded: counted when one is taken and when it ends, never on a request.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::room;

/// What the next connections of a client wait that has just flooded. A quarter of a second: it costs a flood nearly all of its
/// force, which lies in coming again at once, and those who share its address little.
const PAUSE: Duration = Duration::from_millis(250);

/// How long a client's connections wait after its last flood.
const CALMING: Duration = Duration::from_secs(10);

/// Floods that are remembered. A thousand: some 50 KiB. Beyond them, and until some are forgotten, who floods waits no more.
const REMEMBERED: usize = 1_024;

/// The clients that are connected now, and those that flooded a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    clients: Mutex<HashMap<IpAddr, usize>>,
    /// By client, until when its connections wait.
    flooded: Mutex<HashMap<IpAddr, Instant>>,
}

/// A client's part in the crowd, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    crowd: Arc<Crowd>,
    client: IpAddr,
}

/// A connection's place among those that are allowed at once, held by whatever still uses it: a tunnel, too.
#[derive(Debug)]
pub(crate) struct Place {
    /// Among all.
    #[allow(dead_code, reason = "it is held, and never read")]
    pub(crate) room: room::Place,
    /// Among those of one client; a listed proxy has none, since it speaks for many.
    pub(crate) seat: Option<Seat>,
}

impl Crowd {
    /// One more of this client's, if it has fewer than `most`.
    pub(crate) fn admit(self: &Arc<Self>, client: IpAddr, most: usize) -> Option<Seat> {
        let client = counted_as(client);
        let mut clients = lock(&self.clients);
        let count = clients.entry(client).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Seat { crowd: Arc::clone(self), client })
    }
}

impl Seat {
    /// Its client flooded: its next connections wait.
    pub(crate) fn flooded(&self, now: Instant) {
        let mut flooded = lock(&self.crowd.flooded);
        if flooded.len() >= REMEMBERED {
            flooded.retain(|_, until| *until > now);
        }
        if flooded.len() < REMEMBERED || flooded.contains_key(&self.client) {
            flooded.insert(self.client, now + CALMING);
        }
    }

    /// What it waits before it is served: something only where its client has just flooded.
    pub(crate) fn pause(&self, now: Instant) -> Option<Duration> {
        let mut flooded = lock(&self.crowd.flooded);
        if *flooded.get(&self.client)? > now {
            return Some(PAUSE);
        }
        flooded.remove(&self.client);
        None
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut clients = lock(&self.crowd.clients);
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
    use std::net::Ipv4Addr;

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
        assert!(lock(&crowd.clients).is_empty(), "nobody is remembered who has left");
    }

    #[test]
    fn who_flooded_waits_with_the_next_connections_and_nobody_else_does() {
        let crowd = Arc::<Crowd>::default();
        let admit = |client: &str| crowd.admit(client.parse().unwrap(), 8).unwrap();
        let now = Instant::now();
        let (flooder, other) = (admit("192.0.2.1"), admit("192.0.2.2"));
        assert_eq!(flooder.pause(now), None, "nobody flooded yet");
        flooder.flooded(now);
        drop(flooder);
        let later = now + CALMING - Duration::from_millis(1);
        assert_eq!((admit("192.0.2.1").pause(later), other.pause(later)), (Some(PAUSE), None));
        assert_eq!(admit("192.0.2.1").pause(now + CALMING), None, "not for ever");
        assert!(lock(&crowd.flooded).is_empty(), "what is over is forgotten");
    }

    #[test]
    fn so_many_floods_are_remembered_and_no_more() {
        let (crowd, now) = (Arc::<Crowd>::default(), Instant::now());
        let flood = |from: u32, now| crowd.admit(Ipv4Addr::from_bits(from).into(), 8).unwrap().flooded(now);
        for nth in 0..u32::try_from(REMEMBERED).unwrap() + 10 {
            flood(nth, now);
        }
        assert_eq!(lock(&crowd.flooded).len(), REMEMBERED);
        flood(u32::MAX, now + CALMING);
        assert_eq!(lock(&crowd.flooded).len(), 1, "those that are over made room");
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
