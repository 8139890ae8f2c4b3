//! The internal certificate authority as pure rules.
