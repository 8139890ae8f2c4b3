//! The data plane over real sockets: what arrives at a service, compared with what was decided.

mod caller;
mod cut;
mod drain;
mod fail_open;
mod framing;
mod house;
mod identity;
mod lent;
mod paths;
mod reply;
mod service;
mod tls;
mod upstream;
mod websocket;
