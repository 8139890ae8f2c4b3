//! Scopes (RFC 6749 section 3.3): names of actions, or `read` and `write` for all actions of either kind. A token opens nothing
//! that its scope does not say.

use std::{collections::BTreeSet, fmt, sync::Arc};

use cardea_core::resources::is_scope;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a token is good for: at least one name, each once, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(Arc<[Arc<str>]>);

/// The scope is malformed, or more than may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the scope is not one that may be asked for")]
pub struct InvalidScope;

/// The most names in one scope.
const MOST: usize = 64;

impl Scope {
    /// Reads names with spaces between.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        Self::of(text.split(' ').filter(|name| !name.is_empty()))
    }

    /// The scope of these names.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidScope> {
        let names: BTreeSet<&str> = names.into_iter().collect();
        if names.is_empty() || names.len() > MOST || !names.iter().all(|name| is_scope(name)) {
            return Err(InvalidScope);
        }
        Ok(Self(names.into_iter().map(Arc::from).collect()))
    }

    /// What is asked for of what may be; all of that where nothing in particular is.
    pub fn asked(asked: Option<&str>, allowed: &Self) -> Result<Self, InvalidScope> {
        let Some(asked) = asked else { return Ok(allowed.clone()) };
        let asked = Self::parse(asked)?;
        if asked.is_within(allowed) { Ok(asked) } else { Err(InvalidScope) }
    }

    /// Whether each of its names is in `other`.
    pub fn is_within(&self, other: &Self) -> bool {
        self.names().all(|name| other.names().any(|known| known == name))
    }

    /// Its names, sorted, as they are shared.
    pub fn as_slice(&self) -> &[Arc<str>] {
        &self.0
    }

    /// Its names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, name) in self.names().enumerate() {
            f.write_str(if nth == 0 { "" } else { " " })?;
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap()
    }

    #[test]
    fn nothing_is_asked_for_beyond_what_may_be() {
        let allowed = scope("read approve");
        assert_eq!(Scope::asked(None, &allowed), Ok(allowed.clone()));
        assert_eq!(Scope::asked(Some("approve"), &allowed), Ok(scope("approve")));
        for more in ["write", "read write", "", " ", "Read", "read approve sign", "read\tapprove", "\"read\""] {
            assert_eq!(Scope::asked(Some(more), &allowed), Err(InvalidScope), "{more:?}");
        }
    }

    #[test]
    fn a_scope_is_written_as_it_is_read() {
        assert_eq!(scope("write  read read").to_string(), "read write");
    }
}
