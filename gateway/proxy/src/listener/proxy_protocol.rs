//! The PROXY protocol, version 2: what a proxy that passes on bytes says of the client before the client's first byte
//! (haproxy.org/download/3.0/doc/proxy-protocol.txt, section 2.2). Only listed proxies are asked for it, and it is never
//! guessed: on a listener that expects it, whatever does not begin with it is no connection.
//!
//! Forty lines of ours rather than a library: nothing of it is needed but two addresses.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::io::{AsyncRead, AsyncReadExt as _};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Longest rest. Addresses take 36 bytes, and what load balancers add to them some hundred.
const REST_MAX: usize = 1024;

/// Why a proxy's word cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("the connection ended within the PROXY header: {0}")]
    Broken(#[from] io::Error),
    #[error("this is version 1 of the PROXY protocol: configure version 2 (`send-proxy-v2`, `proxy_protocol v2`)")]
    Version1,
    #[error("there is no PROXY header of version 2")]
    Absent,
    #[error("the PROXY header is {0} bytes long; {REST_MAX} are read")]
    TooLong(usize),
    #[error("the PROXY header says something unknown (command and family {0:#04x} {1:#04x})")]
    Unknown(u8, u8),
}

/// Reads a proxy's word, and not a byte more: who its client is; nobody but itself where it says so, as in a check of
/// whether we are well.
pub(super) async fn client(io: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, Unusable> {
    let mut head = [0; 16];
    // Version 1 is text, and may be as short as this.
    io.read_exact(&mut head[..12]).await?;
    if head.starts_with(b"PROXY ") {
        return Err(Unusable::Version1);
    }
    if head[..12] != SIGNATURE {
        return Err(Unusable::Absent);
    }
    io.read_exact(&mut head[12..]).await?;
    let [.., command, family, high, low] = head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > REST_MAX {
        return Err(Unusable::TooLong(length));
    }
    let mut rest = vec![0; length];
    io.read_exact(&mut rest).await?;
    match (command, family) {
        (0x20, _) => Ok(None),
        // Unspecified: the proxy does not know, and the protocol says to take the connection as it is: nobody's.
        (0x21, 0x00) => Ok(None),
        (0x21, 0x11) => v4(&rest).map(Some).ok_or(Unusable::Unknown(command, family)),
        (0x21, 0x21) => v6(&rest).map(Some).ok_or(Unusable::Unknown(command, family)),
        _ => Err(Unusable::Unknown(command, family)),
    }
}

/// Source address, destination address, source port, destination port.
fn v4(rest: &[u8]) -> Option<SocketAddr> {
    let (address, port) = (rest.first_chunk::<4>()?, rest.get(8..12)?.first_chunk()?);
    Some((Ipv4Addr::from(*address), u16::from_be_bytes(*port)).into())
}

fn v6(rest: &[u8]) -> Option<SocketAddr> {
    let (address, port) = (rest.first_chunk::<16>()?, rest.get(32..36)?.first_chunk()?);
    Some((Ipv6Addr::from(*address).to_canonical(), u16::from_be_bytes(*port)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x1f, 0x90, 1, 0xbb];

    #[tokio::test]
    async fn a_proxy_names_its_client_and_nothing_after_it_is_read() {
        let v6 = {
            let mut rest = [0; 36];
            rest[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
            rest[15] = 9;
            rest[33] = 80;
            rest
        };
        let with_more = [&V4[..], &[4, 0, 3, 1, 2, 3]].concat();
        for (said, client_of) in [
            (header(0x21, 0x11, &V4), Some("192.0.2.7:8080")),
            (header(0x21, 0x11, &with_more), Some("192.0.2.7:8080")),
            (header(0x21, 0x21, &v6), Some("[2001:db8::9]:80")),
            (header(0x20, 0x00, &[]), None),
            (header(0x20, 0x11, &V4), None),
            (header(0x21, 0x00, &[]), None),
        ] {
            let bytes = [said, b"GET /".to_vec()].concat();
            let mut rest = &bytes[..];
            let found = client(&mut rest).await.unwrap();
            assert_eq!(found, client_of.map(|text| text.parse().unwrap()));
            assert_eq!(rest, b"GET /");
        }
    }

    #[tokio::test]
    async fn what_is_not_exactly_that_is_refused() {
        for (said, why) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(), "version 1"),
            (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "there is no PROXY header"),
            (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03abcdef".to_vec(), "there is no PROXY header"),
            (header(0x21, 0x11, &V4)[..20].to_vec(), "ended within"),
            (header(0x21, 0x11, &V4[..8]), "unknown"),
            (header(0x21, 0x21, &V4), "unknown"),
            (header(0x21, 0x12, &V4), "unknown"),
            (header(0x21, 0x31, &[0; 216]), "unknown"),
            (header(0x11, 0x11, &V4), "unknown"),
            (header(0x22, 0x11, &V4), "unknown"),
            (header(0x21, 0x11, &[0; 1025]), "1025 bytes long"),
        ] {
            let found = client(&mut &said[..]).await.unwrap_err().to_string();
            assert!(found.contains(why), "{found}");
        }
    }
}
