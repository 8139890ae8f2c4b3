//! How changes reach a running gateway.
