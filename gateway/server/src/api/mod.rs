//! The admin API and the console that speaks to it.

pub mod console;
