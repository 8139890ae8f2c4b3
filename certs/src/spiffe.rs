//! SPIFFE IDs: parsed once, compared whole. A prefix or a pattern never matches.

use std::{fmt, sync::Arc};

use cardea_core::TenantId;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not a SPIFFE ID or trust domain (SPIFFE-ID section 2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSpiffeId {
    /// The trust domain holds what it may not.
    #[error("`{0}` is not a trust domain: use `a-z`, `0-9`, `.`, `-` and `_`, at most 255 characters")]
    TrustDomain(String),
    /// The text is no `spiffe://` URI with a path.
    #[error("`{0}` is not a SPIFFE ID: write `spiffe://trust-domain/path`")]
    Form(String),
}

/// Longest trust domain, and longest ID (SPIFFE-ID section 2.3).
const DOMAIN_MAX: usize = 255;
const ID_MAX: usize = 2048;

/// The part after `spiffe://`: one tenant's realm of names. Lower case, always.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// Reads a trust domain; capitals are refused, not folded, so that there is one spelling.
    pub fn parse(text: &str) -> Result<Self, InvalidSpiffeId> {
        let fine = (1..=DOMAIN_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_'))
            && text.split('.').all(|label| !label.is_empty());
        if fine { Ok(Self(text.into())) } else { Err(InvalidSpiffeId::TrustDomain(text.to_owned())) }
    }

    /// The tenant's own: `<tenant>.<operator's domain>`.
    pub fn of_tenant(tenant: &TenantId, operator: &str) -> Result<Self, InvalidSpiffeId> {
        Self::parse(&format!("{tenant}.{operator}"))
    }

    /// The tenant whose domain this is under the operator's, if it is one.
    pub fn tenant(&self, operator: &str) -> Option<TenantId> {
        let label = self.0.strip_suffix(operator)?.strip_suffix('.')?;
        TenantId::parse(label).ok()
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `spiffe://<trust domain>/<path>`: the name that a workload certificate proves.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    text: Arc<str>,
    domain: TrustDomain,
}

impl SpiffeId {
    /// Reads an ID. Percent signs, empty and dot segments, ports, queries and a missing path are refused.
    pub fn parse(text: &str) -> Result<Self, InvalidSpiffeId> {
        let form = || InvalidSpiffeId::Form(text.to_owned());
        if text.len() > ID_MAX {
            return Err(form());
        }
        let rest = text.strip_prefix("spiffe://").ok_or_else(form)?;
        let (domain, path) = rest.split_once('/').ok_or_else(form)?;
        let segment_fine = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        };
        if !path.split('/').all(segment_fine) {
            return Err(form());
        }
        Ok(Self { text: text.into(), domain: TrustDomain::parse(domain)? })
    }

    /// The gateway acting for the tenant of this trust domain.
    pub fn gateway(domain: &TrustDomain) -> Self {
        Self { text: format!("spiffe://{}/gateway", domain.as_str()).into(), domain: domain.clone() }
    }

    /// A service of the tenant of this trust domain; `name` is a slug.
    pub fn service(domain: &TrustDomain, name: &str) -> Result<Self, InvalidSpiffeId> {
        let text = format!("spiffe://{}/service/{name}", domain.as_str());
        // A service name is held to the same rule as every other name that people choose.
        if cardea_core::AppId::parse(name).is_err() {
            return Err(InvalidSpiffeId::Form(text));
        }
        Self::parse(&text)
    }

    /// The whole ID.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whose name it is.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// What comes after the trust domain, starting with `/`.
    pub fn path(&self) -> &str {
        &self.text["spiffe://".len() + self.domain.as_str().len()..]
    }

    /// The service's name, if it is one of `/service/<name>`.
    pub fn service_name(&self) -> Option<&str> {
        self.path().strip_prefix("/service/").filter(|name| !name.contains('/'))
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::str::FromStr for SpiffeId {
    type Err = InvalidSpiffeId;
    fn from_str(text: &str) -> Result<Self, InvalidSpiffeId> {
        Self::parse(text)
    }
}
impl Serialize for SpiffeId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.text)
    }
}
impl<'de> Deserialize<'de> for SpiffeId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_a_trust_domain_and_a_path() {
        let id = SpiffeId::parse("spiffe://acme.cardea.internal/service/records").unwrap();
        assert_eq!(id.trust_domain().as_str(), "acme.cardea.internal");
        assert_eq!(id.path(), "/service/records");
        assert_eq!(id.service_name(), Some("records"));
        assert_eq!(id.trust_domain().tenant("cardea.internal"), TenantId::parse("acme").ok());
        assert_eq!(SpiffeId::gateway(id.trust_domain()).as_str(), "spiffe://acme.cardea.internal/gateway");
    }

    #[test]
    fn a_second_spelling_of_an_id_is_no_id() {
        for bad in [
            "spiffe://Acme.cardea.internal/gateway",
            "SPIFFE://acme.cardea.internal/gateway",
            "spiffe://acme.cardea.internal",
            "spiffe://acme.cardea.internal/",
            "spiffe://acme.cardea.internal/gateway/",
            "spiffe://acme.cardea.internal//gateway",
            "spiffe://acme.cardea.internal/./gateway",
            "spiffe://acme.cardea.internal/../gateway",
            "spiffe://acme.cardea.internal/g%61teway",
            "spiffe://acme.cardea.internal/gateway?x",
            "spiffe://acme.cardea.internal/gateway#x",
            "spiffe://acme.cardea.internal:443/gateway",
            "spiffe://u@acme.cardea.internal/gateway",
            "spiffe:///gateway",
            "spiffe://acme..internal/gateway",
            "https://acme.cardea.internal/gateway",
            "",
        ] {
            assert!(SpiffeId::parse(bad).is_err(), "{bad:?} was taken for an id");
        }
        assert!(SpiffeId::service(&TrustDomain::parse("acme.internal").unwrap(), "a/b").is_err());
    }

    #[test]
    fn a_neighbouring_domain_is_no_tenant() {
        for bad in ["cardea.internal", "a.b.cardea.internal", "acmecardea.internal", "acme.cardea.internal.evil"] {
            assert_eq!(TrustDomain::parse(bad).unwrap().tenant("cardea.internal"), None, "{bad}");
        }
    }
}
