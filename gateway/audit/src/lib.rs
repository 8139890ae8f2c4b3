//! Audit entries and the chain that links them, as pure rules.
