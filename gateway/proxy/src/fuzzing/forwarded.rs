//! Nobody but a listed proxy says where a request comes from, and of what such a proxy says the right-most address
//! that is not itself listed counts.

use std::{net::IpAddr, sync::Arc};

use super::{head, headers};
use crate::{Canonical, Connection, Door, Settings, Snapshot};

/// A byte that picks the peer, then headers, one to a line.
pub fn forwarded(data: &[u8]) {
    let Some((&peer, lines)) = data.split_first() else { return };
    let peers = ["203.0.113.5", "10.0.0.5", "::ffff:10.0.0.5", "2001:db8::5", "2001:db9::5"];
    let Ok(peer) = peers[usize::from(peer) % peers.len()].parse::<IpAddr>() else { return };
    let Some(mut head) = head(http::Uri::from_static("/x"), b"a.test") else { return };
    for (name, value) in &headers(lines) {
        if !["host", "content-length", "transfer-encoding"].contains(&name.as_str()) {
            head.headers.append(name, value.clone());
        }
    }
    let connection = Connection::plain((peer, 1).into(), Door::Public);
    let trusted_proxies = ["10.0.0.0/8", "2001:db8::/32"].iter().filter_map(|net| net.parse().ok()).collect();
    let settings = Settings { trusted_proxies, ..Settings::default() };
    let snapshot = Snapshot { settings: Arc::new(settings), ..Snapshot::default() };
    let read = Canonical::read(&head, &connection, &snapshot).map(|(canonical, _)| canonical);
    let listed = is_listed(peer);
    match read {
        Ok(canonical) if !listed => {
            assert_eq!((canonical.client(), canonical.tls()), (peer, false), "a stranger was believed");
        }
        Ok(canonical) => {
            let client = canonical.client();
            assert_eq!(client, client.to_canonical());
            assert!(
                client == peer.to_canonical() || said(&head.headers).contains(&Some(client)),
                "{client}: nobody said so"
            );
            if !head.headers.contains_key(http::header::FORWARDED) {
                let first_stranger = said(&head.headers).into_iter().rev().find(|hop| !hop.is_some_and(is_listed));
                assert!(first_stranger.is_none_or(|hop| hop == Some(client)), "{client}, not {first_stranger:?}");
            }
        }
        Err(_) => assert!(listed || head.headers.contains_key("expect"), "a stranger's word ended a request"),
    }
}

/// What the headers of the kind name, from left to right; nothing for what is no address.
fn said(headers: &http::HeaderMap) -> Vec<Option<IpAddr>> {
    let hops = headers.get_all("x-forwarded-for").iter().flat_map(|value| value.as_bytes().split(|&b| b == b','));
    let address = |hop: &[u8]| std::str::from_utf8(hop).ok()?.trim().parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    hops.map(address).collect()
}

fn is_listed(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets()[0] == 10,
        IpAddr::V6(address) => address.segments()[..2] == [0x2001, 0xdb8],
    }
}
