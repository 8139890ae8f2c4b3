//! Policy: questions, verdicts, schema, index and explanations over Cedar, as pure rules. Opens no file, reads no
//! clock; Cedar itself stays inside this crate, so that nothing else is rebuilt or rewritten when it changes.
//!
//! ```
//! use cardea_core::{Caller, Timestamp, resources::PolicyText};
//! use cardea_policy::{Engine, Facts, Principal, Question, Sources, built_in};
//!
//! let engine = Engine::compile(&Sources::default())?;
//! let portal = engine.app(&built_in::portal()).ok_or("no portal")?;
//! let target = portal.locate("GET", "/").ok_or("no such method")?;
//! let principal = Principal::of(&Caller::Visitor);
//! let facts = Facts::visitor(Timestamp::from_secs(0), [127, 0, 0, 1].into(), "GET", "acme.localhost", "/");
//! let verdict = engine.decide(&Question { principal: &principal, target: &target, facts });
//! assert!(!verdict.allowed, "the portal is for users");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod app_model;
mod budget;
pub mod built_in;
mod card;
mod challenge;
mod context;
mod diagnose;
mod engine;
mod explain;
mod format;
mod hash;
mod index;
mod kept;
mod question;
mod read;
mod rule;
mod schema;
mod sentence;
#[cfg(test)]
mod soundness;
mod stack;
mod tests_run;
mod verdict;
mod witness;
mod words;

pub use app_model::{AppModel, Patterns, Target};
pub use budget::PATH_BYTES;
pub use card::{CallerView, ChallengeView, ConditionView, Explanation, PolicyView, ResourceView, Saw, VerdictWord};
pub use challenge::Challenge;
pub use engine::{Engine, Sources};
pub use format::format;
pub use question::{Facts, Principal, Question};
pub use tests_run::{TestOutcome, run_tests};
pub use verdict::{PolicyError, Verdict};
