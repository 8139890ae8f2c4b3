//! The harness: starts what the stories need as real processes on ports that the system picks, and ends them again.
//!
//! A story reads like what a person does: `gateway.person("mira@acme.example", &["readers"]).await?.opens(&url).await?`.

#![allow(clippy::missing_panics_doc, reason = "a story that cannot go on stops where it stands")]

pub mod client;
pub mod demo;
pub mod echo;
pub mod form;
pub mod gateway;
pub mod grpc;
pub mod mail;
pub mod person;
pub mod postgres;
pub mod process;
pub mod provider;
pub mod raw;
pub mod redis;
pub mod relay;
pub mod tls;
pub mod upstream;
pub mod volume;
pub mod websocket;
pub mod wire;

pub use client::{Client, Reply};
pub use demo::Demo;
pub use echo::Echo;
pub use gateway::{Gateway, Installation, Plan};
pub use mail::MailServer;
pub use person::Person;
pub use postgres::Postgres;
pub use process::{Process, free_port, python};
pub use provider::Provider;
pub use redis::{Redis, RedisCluster};
pub use relay::Relay;
pub use upstream::Upstream;
pub use volume::Volume;
pub use websocket::WebSocket;
pub use wire::Wire;

/// What a story returns: any failure ends it with its whole chain of causes.
pub type Story = anyhow::Result<()>;
