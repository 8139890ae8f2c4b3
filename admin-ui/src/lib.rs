//! The console, built and embedded.
