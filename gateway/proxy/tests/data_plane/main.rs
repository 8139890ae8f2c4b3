//! The data plane over real sockets: what arrives at a service, compared with what was decided.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod asked;
mod caller;
mod cors;
mod cut;
mod drain;
mod fail_open;
mod forward_auth;
mod framing;
mod generations;
mod grpc_limits;
mod house;
mod http2;
#[cfg(feature = "http3")]
mod http3;
mod identity;
mod lent;
mod limits;
mod listed;
mod paths;
mod programs;
mod rates;
mod reply;
mod resting;
mod resumption;
mod rewriting;
mod service;
mod sharing;
mod tls;
mod upstream;
mod upstream_bad;
mod upstream_fleet;
mod upstream_http2;
mod upstream_room;
mod websocket;
