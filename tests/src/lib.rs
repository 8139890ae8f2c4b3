//! The harness: starts what the stories need as real processes on ports that the system picks, and ends them again.
//!
//! A story reads like what a person does: `demo.person("ada@acme.example").sign_in().await?`, then `.get(url)`.

#![allow(clippy::missing_panics_doc, reason = "a story that cannot go on stops where it stands")]

pub mod client;
pub mod demo;
pub mod form;
pub mod process;

pub use client::{Client, Reply};
pub use demo::Demo;
pub use process::{Process, free_port, python};

/// What a story returns: any failure ends it with its whole chain of causes.
pub type Story = anyhow::Result<()>;
