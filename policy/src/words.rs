//! The entity types that every tenant has, parsed once: a request parses no type name.

use std::sync::{Arc, LazyLock};

use cedar_policy_core::ast::{Eid, Entity, EntityType, EntityUID, Name};

/// An entity type, ready to make ids of.
#[derive(Debug, Clone)]
pub(crate) struct Kind(pub(crate) EntityType);

/// The types of [`Words`].
pub(crate) const BASE_TYPES: [&str; 6] = ["User", "Group", "Service", "Workload", "Visitor", "App"];

/// The base types.
pub(crate) struct Words {
    pub(crate) user: Kind,
    pub(crate) group: Kind,
    pub(crate) service: Kind,
    pub(crate) workload: Kind,
    pub(crate) visitor: Kind,
    pub(crate) app: Kind,
    pub(crate) action: Kind,
}

impl Words {
    /// The one copy.
    pub(crate) fn shared() -> &'static Self {
        &WORDS
    }
}

impl Kind {
    /// The type of that name, which must be a Cedar identifier.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Name::parse_unqualified_name(name).ok().map(|name| Self(EntityType::EntityType(name)))
    }

    /// The entity of that id.
    pub(crate) fn uid(&self, id: &str) -> EntityUID {
        EntityUID::from_components(self.0.clone(), Eid::new(id), None)
    }
}

/// An entity without attributes, within those groups. Parents are listed whole, so nothing computes a closure later.
pub(crate) fn bare(uid: EntityUID, parents: impl IntoIterator<Item = EntityUID>) -> Arc<Entity> {
    Arc::new(Entity::new_with_attr_partial_value(
        uid,
        [],
        std::collections::HashSet::new(),
        parents.into_iter().collect(),
        [],
    ))
}

static WORDS: LazyLock<Words> = LazyLock::new(|| Words {
    user: base("User"),
    group: base("Group"),
    service: base("Service"),
    workload: base("Workload"),
    visitor: base("Visitor"),
    app: base("App"),
    action: base("Action"),
});

#[allow(clippy::expect_used, reason = "the names are written above; every test touches them")]
fn base(name: &str) -> Kind {
    Kind::parse(name).expect("an identifier")
}
