//! The factors of the pool: how each is enrolled and checked.

pub mod email;
pub mod passkey;
pub mod password;
pub mod recovery;
pub mod totp;
