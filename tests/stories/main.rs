//! The stories: what a person, a program or an attacker does with the real gateway, over the wire.

mod crash;
mod demo;
mod factors;
mod sessions;
