//! The composition: one `cardea` process out of all the parts. Only this crate knows every other.

pub mod agent;
pub mod alone;
pub mod api;
mod authzen;
pub mod ca;
pub mod checks;
pub mod cli;
pub mod commands;
pub mod config;
mod descriptors;
#[cfg(test)]
mod examples;
pub mod explaining;
pub mod ext_authz;
mod figures;
mod fingerprint;
pub mod folder;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod house;
pub mod logging;
mod logout;
mod mail;
mod oauth2;
mod observing;
pub mod ops;
pub mod outgoing;
pub mod pages;
pub mod portal;
mod queue;
mod rates;
pub mod reload;
pub mod running;
pub mod sign_in;
mod signals;
pub mod state;
pub mod system;

pub use house::House;
