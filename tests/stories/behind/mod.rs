//! Behind another proxy: whoever has one keeps it. Each snippet of `gateway/deploy/` is run as it stands, with its names
//! and ports replaced, in front of a service and a gateway.

mod apache;
mod caddy;
mod envoy;
mod front;
mod haproxy;
mod nginx;
mod oauth2_proxy;
mod walk;

use front::{Front, World};
pub(crate) use front::{program, snippet};
