//! The certificate that a client showed in its handshake: who that is, and for how long its connection may speak for it.
//!
//! INVARIANT: a handshake proves who somebody was at that moment, and a connection may stay open for days. So each request
//! looks whether the certificate holds yet, which compares two numbers, and a connection ends with its certificate.

use std::{sync::Arc, time::Duration};

use cardea_core::{Reason, Timestamp};
use rustls_pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

use crate::upstream::tls::{not_after, spiffe_id};

/// How long before its certificate a connection is told to end. Ten seconds: its client opens another one with its next
/// certificate, which it has had for half of this one's life, and no request of its is refused.
const AHEAD: Duration = Duration::from_secs(10);

/// A client's certificate, verified by the listener's TLS configuration.
#[derive(Debug)]
pub struct ClientCertificate {
    spiffe_id: Arc<str>,
    der: CertificateDer<'static>,
    until: Timestamp,
    ended: CancellationToken,
}

impl ClientCertificate {
    /// What a verified certificate says; none where it names nobody, or more than one.
    pub fn read(der: &CertificateDer<'_>) -> Option<Self> {
        Some(Self {
            spiffe_id: spiffe_id(der)?.into(),
            until: Timestamp::from_secs(i64::try_from(not_after(der)?).ok()?),
            der: der.clone().into_owned(),
            ended: CancellationToken::new(),
        })
    }

    /// Whom it names.
    pub fn spiffe_id(&self) -> &Arc<str> {
        &self.spiffe_id
    }

    /// As it was shown.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Whether it holds at `now`. The first no ends the connection.
    pub(crate) fn holds(&self, now: Timestamp) -> Result<(), Reason> {
        if now <= self.until {
            return Ok(());
        }
        self.ended.cancel();
        Err(Reason::CertificateEnded)
    }

    /// Whether a request came after its end.
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Waits until its connection has to end, from `now`: a little ahead of its own end, or once a request came after it,
    /// as where the clock was set.
    pub(super) async fn ending(&self, now: Timestamp) {
        let left = self.until.since(now);
        tokio::select! {
            () = tokio::time::sleep(left - AHEAD.min(left / 2)) => {}
            () = self.ended.cancelled() => {}
        }
    }
}
