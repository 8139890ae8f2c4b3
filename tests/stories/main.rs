//! The stories: what a person, a program or an attacker does with the real gateway, over the wire.

mod abuse;
mod apply;
mod assertion;
mod authzen;
mod bad_input;
mod behind;
mod crash;
mod declared;
mod demo;
mod echo;
mod factors;
mod first_day;
mod hand_over;
mod log;
mod machines;
mod observed;
mod oidc;
mod policies;
mod protocols;
mod recovery;
mod reload;
mod renewal;
mod sealed;
mod sessions;
mod stores;
mod streams;
