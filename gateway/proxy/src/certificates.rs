//! The certificates that a listener shows, chosen by the name that the client asks for, of the generation in force at that
//! moment. A connection keeps the one that it began with.

use std::{fmt, sync::Arc};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::Proxy;

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The chain and its key.
    pub certified: Arc<CertifiedKey>,
    /// The DNS names that it speaks for, as written in it.
    pub names: Vec<String>,
}

impl Certificate {
    /// Whether it names `host` itself.
    pub fn names(&self, host: &str) -> bool {
        self.names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Whether it speaks for `host`, also by a wildcard of one label (RFC 6125 section 6.4.3).
    pub fn covers(&self, host: &str) -> bool {
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(rest) => host.split_once('.').is_some_and(|(_, parent)| parent.eq_ignore_ascii_case(rest)),
            None => name.eq_ignore_ascii_case(host),
        })
    }
}

/// What a TLS listener shows: its row of [`crate::Settings::certificates`], as it is when a client asks.
pub struct Shown {
    proxy: Arc<Proxy>,
    listener: usize,
}

impl Shown {
    /// For the listener whose certificates stand at that place.
    pub fn at(proxy: &Arc<Proxy>, listener: usize) -> Self {
        Self { proxy: Arc::clone(proxy), listener }
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shown").field(&self.listener).finish()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let settings = self.proxy.settings();
        let all = settings.certificates.get(self.listener)?;
        // One that names the host itself before one for all its neighbours, whichever stands first.
        let named = hello.server_name().and_then(|host| {
            all.iter().find(|one| one.names(host)).or_else(|| all.iter().find(|one| one.covers(host)))
        });
        // A client that names nobody of ours gets the first: a browser then shows whose it is.
        named.or(all.first()).map(|one| Arc::clone(&one.certified))
    }
}
