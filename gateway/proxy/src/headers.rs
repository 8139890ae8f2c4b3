//! Header hygiene in both directions.
