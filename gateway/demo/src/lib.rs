//! What the demonstration needs and nothing else may use: a small records service that speaks mTLS only, a stand-in
//! OpenID provider, and the tenants, people and policies that `cardea demo` begins with. Packages leave this crate off.

pub mod provider;
pub mod records;
pub mod seed;
