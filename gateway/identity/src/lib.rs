//! Pools, sign-in states, factors, assurance, sessions and tokens as pure rules.
