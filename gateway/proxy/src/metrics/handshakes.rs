//! How TLS handshakes with clients end, by a closed list.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use rustls::Error;

/// The ends of a handshake.
pub(super) const ENDS: [&str; 8] =
    ["done", "timed-out", "gone", "not-tls", "nothing-in-common", "client-refused", "bad-certificate", "other"];

/// Counts of each.
#[derive(Debug, Default)]
pub(crate) struct Handshakes(pub(super) [AtomicU64; ENDS.len()]);

impl Handshakes {
    /// One is done, and who is there is known.
    pub(crate) fn done(&self) {
        self.count("done");
    }

    /// One took longer than it may.
    pub(crate) fn timed_out(&self) {
        self.count("timed-out");
    }

    /// A client showed a certificate that names no service.
    pub(crate) fn unnamed(&self) {
        self.count("bad-certificate");
    }

    /// One failed.
    pub(crate) fn failed(&self, error: &io::Error) {
        let why = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        self.count(match why {
            None => "gone",
            Some(Error::InvalidMessage(_) | Error::InappropriateMessage { .. }) => "not-tls",
            Some(Error::PeerIncompatible(_)) => "nothing-in-common",
            Some(Error::AlertReceived(_)) => "client-refused",
            Some(Error::InvalidCertificate(_) | Error::NoCertificatesPresented) => "bad-certificate",
            Some(_) => "other",
        });
    }

    /// One failed over QUIC, whose codes from 256 on are TLS alerts (RFC 9001 section 4.8).
    #[cfg(feature = "http3")]
    pub(crate) fn failed_over_quic(&self, error: &quinn::ConnectionError) {
        use quinn::ConnectionError as Ended;
        self.count(match error {
            Ended::TimedOut => "timed-out",
            Ended::ConnectionClosed(_) => "client-refused",
            Ended::ApplicationClosed(_) | Ended::Reset | Ended::LocallyClosed => "gone",
            Ended::VersionMismatch => "nothing-in-common",
            // Handshake failure, protocol version, no application protocol.
            Ended::TransportError(error) if [0x128, 0x146, 0x178].contains(&u64::from(error.code)) => {
                "nothing-in-common"
            }
            Ended::TransportError(_) | Ended::CidsExhausted => "other",
        });
    }

    fn count(&self, end: &str) {
        if let Some(nth) = ENDS.iter().position(|one| *one == end) {
            self.0[nth].fetch_add(1, Ordering::Relaxed);
        }
    }
}
