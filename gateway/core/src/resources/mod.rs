//! Resources: what administrators write. Tenants, apps, providers, groups and policies have one form, whether kept as
//! files (`cardea apply`, `cardea export`), sent to the API or edited in the console.

mod app;
mod bundle;
mod client;
mod group;
mod logo;
mod policy;
mod provider;
mod rates;
mod read;
mod session;
mod tenant;
mod written;

pub use app::{
    ActionRule, AnswerSpec, AppLimits, AppSpec, AssertionMode, AuditMode, Claim, CorsSpec, Dialect, ForwardAuthSpec,
    HardeningSpec, HeaderRewrite, HealthRules, OriginRule, OutlierRules, Protocol, ResourceRule, RetryRules,
    RewriteSpec, Unmatched, UpstreamSpec,
};
pub use bundle::{Bundle, Gathered, TenantBundle};
pub use client::{ClientAuthentication, ClientKey, ClientSpec, GrantType, is_loopback, is_scope};
pub use group::GroupSpec;
pub use logo::Logo;
pub use policy::{Expectation, PolicySet, PolicyText, TestCaller, TestSpec};
pub use provider::{JoinRule, ProviderSpec, SecretRef};
pub use rates::{AppRates, Rate, TenantRates};
pub use read::{place_by_value, read_toml};
pub use session::{SessionLimits, SessionRules};
pub use tenant::{AttestedMake, Enrol, FactorRules, TenantSpec, UpstreamRules};
pub use written::WrittenUrl;

use crate::Diagnostics;

/// A resource that can tell by itself what is wrong with it.
pub trait Resource: serde::Serialize + serde::de::DeserializeOwned {
    /// The word for it: `app`, `provider`, ….
    const KIND: &'static str;

    /// Everything wrong with the values, beyond their shape; `source` names where they were read from.
    fn check(&self, source: &str) -> Diagnostics;
}
