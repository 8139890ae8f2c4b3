//! What is put to the policies: who, what, and under which circumstances.

use std::{net::IpAddr, sync::Arc};

use cardea_core::{Assurance, AttributeValue, Caller, Timestamp};
use cedar_policy_core::ast::{Entity, EntityUID, PartialValue, Value};

use crate::{Target, kept::Kept, words::Words};

/// One question: may this caller do this, here and now?
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// What is asked for.
    pub target: &'a Target,
    /// The circumstances.
    pub facts: Facts<'a>,
}

/// The circumstances of a request: what becomes the `context` of policies.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// How strongly the caller is signed in; policies see 0 where nobody is.
    pub assurance: Option<Assurance>,
    /// Seconds since the caller last proved a factor; policies see a huge number where nobody is signed in.
    pub signed_in: Option<u64>,
    /// When the request came.
    pub time: Timestamp,
    /// The client's trusted address.
    pub client: IpAddr,
    /// The factors used: `password`, `totp`, `passkey`, `recovery`, `remembered`, `email`, `oidc`, `linked`.
    pub factors: &'a [&'a str],
    /// The HTTP method.
    pub method: &'a str,
    /// The host asked.
    pub host: &'a str,
    /// The canonical path, without query.
    pub path: &'a str,
    /// The client whose token it came with; empty where it came with none.
    pub client_id: &'a str,
    /// What that token, or a personal access key, is good for; empty where it came with none.
    pub scope: &'a [Arc<str>],
}

impl<'a> Facts<'a> {
    /// The circumstances of a caller who is not signed in.
    pub const fn visitor(time: Timestamp, client: IpAddr, method: &'a str, host: &'a str, path: &'a str) -> Self {
        Self {
            assurance: None,
            signed_in: None,
            time,
            client,
            factors: &[],
            method,
            host,
            path,
            client_id: "",
            scope: &[],
        }
    }
}

fn said(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::Bool(is) => (*is).into(),
        AttributeValue::Long(number) => (*number).into(),
        AttributeValue::String(text) => text.as_str().into(),
        AttributeValue::Set(texts) => Value::set(texts.iter().map(|text| Value::from(text.as_str())), None),
    }
}

/// A caller as policies see them, built once and kept with the session: making one costs more than deciding, and with it
/// are kept the answers it has been given.
#[derive(Debug, Clone)]
pub struct Principal {
    pub(crate) caller: Caller,
    pub(crate) entity: Arc<Entity>,
    pub(crate) kept: Kept,
}

impl Principal {
    /// The principal of that caller.
    pub fn of(caller: &Caller) -> Self {
        let words = Words::shared();
        let text = |value: &str| PartialValue::Value(Value::from(value));
        let (uid, attributes, groups) = match caller {
            Caller::Visitor => (words.visitor.uid("visitor"), vec![], &[][..]),
            Caller::User(user) => (
                words.user.uid(&user.id.to_string()),
                [("id", text(&user.id.to_string())), ("email", text(&user.email)), ("name", text(&user.name))]
                    .into_iter()
                    .chain(
                        user.attributes.iter().map(|(name, value)| (name.as_str(), PartialValue::Value(said(value)))),
                    )
                    .collect(),
                &user.groups[..],
            ),
            Caller::Service { id, groups } => (words.service.uid(id), vec![], &groups[..]),
            Caller::Workload { spiffe_id } => (words.workload.uid(spiffe_id), vec![], &[][..]),
        };
        let entity = Entity::new_with_attr_partial_value(
            uid,
            attributes.into_iter().map(|(name, value)| (name.into(), value)),
            std::collections::HashSet::new(),
            groups.iter().map(|group| words.group.uid(group.as_str())).collect(),
            [],
        );
        Self { caller: caller.clone(), entity: Arc::new(entity), kept: Kept::default() }
    }

    /// The caller that it stands for.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(crate) fn uid(&self) -> &EntityUID {
        self.entity.uid()
    }
}
