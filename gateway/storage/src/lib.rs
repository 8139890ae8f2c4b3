//! The only crate that speaks SQL and Redis.
