//! The one view of a request: made once, at the edge, before anything reads it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::Method;

/// Which listener a connection came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// People and programs: every app and page.
    Public,
    /// Services with certificates: `/ca/…` only.
    Machines,
}

/// What is known of a connection before its first request.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The other end.
    pub peer: SocketAddr,
    /// Whether it is TLS.
    pub tls: bool,
    /// The name that the client asked a certificate for, lower case.
    pub sni: Option<Arc<str>>,
    /// The SPIFFE ID of the client's certificate, verified by the listener's TLS configuration.
    pub workload: Option<Arc<str>>,
    /// The listener.
    pub door: Door,
}

/// A request as everybody sees it: routing, policy, entry and upstream are all made from this.
#[derive(Debug, Clone)]
pub struct Canonical {
    method: Method,
    host: Arc<str>,
    path: Arc<str>,
    query: Option<Arc<str>>,
    client: IpAddr,
    tls: bool,
    websocket: bool,
    navigation: bool,
}

impl Canonical {
    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The host: lower case, without port or trailing dot.
    pub fn host(&self) -> &Arc<str> {
        &self.host
    }

    /// The decoded path. No segment holds a slash, so splitting it is unambiguous.
    pub fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// The decoded segments; a trailing slash is an empty last one.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').skip(1)
    }

    /// The query as it was sent, without `?`.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The client's address: the peer's, or what listed proxies say.
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// Whether the client spoke TLS to us.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// Whether it asks for a WebSocket.
    pub fn websocket(&self) -> bool {
        self.websocket
    }

    /// Whether a person's browser opens a page with it (GET that accepts HTML).
    pub fn navigation(&self) -> bool {
        self.navigation
    }
}
