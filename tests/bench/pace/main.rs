//! Sends so many requests a second, whether or not the earlier ones are answered, and tells in one line of JSON how long each took from
//! the moment at which it was due: one that waits because another is late waits in the figures, too. It also tells how late it was
//! itself, so that a round in which this machine was busy with something else is seen for what it is.
//!
//!     pace PORT HOST TARGET COOKIE CA RATE SECONDS CONNECTIONS ARRIVALS
//!
//! HTTP/1.1 over TLS on kept connections, by one thread that holds what it measures in memory taken beforehand. ARRIVALS is `even`, or
//! a number: the seed of a Poisson process, the same for everybody who is compared. Whoever starts it gives it its core.

mod arrivals;
mod clock;
mod connection;
mod sender;
mod tally;

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

use crate::arrivals::Arrivals;
use crate::connection::Service;
use crate::sender::Sender;
use crate::tally::Tally;

/// How long requests are sent before they count: until then connections to the service behind are opened and caches filled.
const LEAD_IN_MILLIS: u64 = 500;

fn main() -> Result<()> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [port, host, target, cookie, ca, rate, seconds, connections, arrivals] = given.as_slice() else {
        bail!("say: pace PORT HOST TARGET COOKIE CA RATE SECONDS CONNECTIONS ARRIVALS");
    };
    let service = Service {
        address: ([127, 0, 0, 1], port.parse()?).into(),
        name: ServerName::try_from(host.clone())?,
        tls: trusting(ca)?,
        request: format!("GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n").into_bytes(),
    };
    let rate: u64 = rate.parse()?;
    let (lead, counted) = (rate * LEAD_IN_MILLIS / 1_000, rate * seconds.parse::<u64>()?);
    let arrivals = Arrivals::new(rate, lead + counted, arrivals)?;
    let tally = Sender::open(service, connections.parse()?, Tally::new(lead, lead + counted))?.send(arrivals)?;
    writeln!(std::io::stdout(), "{}", tally.told())?;
    Ok(())
}

/// Trusts nobody but `ca`, which may be the service's own certificate.
fn trusting(ca: &str) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).with_context(|| format!("`{ca}` is no certificate"))?)?;
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
