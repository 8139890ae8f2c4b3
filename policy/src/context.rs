//! Makes Cedar's request and entities of a question, with no more of the context than the policies at hand mention.

use std::{collections::BTreeMap, sync::Arc};

use cedar_policy_core::{
    ast::{Context, EntityUIDEntry, PartialValue, Request, Value},
    entities::{Entities, NoEntitiesSchema, TCComputation},
    extensions::Extensions,
};

use crate::{Facts, Question, rule::Needs, schema::CONTEXT};

/// Seconds since the sign-in of somebody who is not signed in: 30,000 years, and yet far from overflowing in sums.
const NEVER: i64 = 1_000_000_000_000;

/// The request, or why it cannot be put.
pub(crate) fn request(question: &Question<'_>, needs: Needs) -> Result<Request, String> {
    let known = |uid: &cedar_policy_core::ast::EntityUID| EntityUIDEntry::known(uid.clone(), None);
    Ok(Request::new_unchecked(
        known(question.principal.uid()),
        known(question.target.action_entity().uid()),
        known(question.target.resource_entity().uid()),
        Some(Context::Value(Arc::new(values(&question.facts, needs)?))),
    ))
}

/// The principal, the action and the resource, each with all that it is within. Nothing else can be asked about: a
/// condition that compares two written-out groups with each other sees no hierarchy between them.
pub(crate) fn entities(question: &Question<'_>) -> Result<Entities, String> {
    let all = [&question.principal.entity, question.target.action_entity(), question.target.resource_entity()];
    Entities::new()
        .add_entities(
            all.map(Arc::clone),
            None::<&NoEntitiesSchema>,
            TCComputation::AssumeAlreadyComputed,
            Extensions::all_available(),
        )
        .map_err(|error| error.to_string())
}

type Values<K> = BTreeMap<K, Value>;

/// The context's values, those that `needs` names.
pub(crate) fn values<K: From<&'static str> + Ord>(facts: &Facts<'_>, needs: Needs) -> Result<Values<K>, String> {
    let mut values = BTreeMap::new();
    for (nth, (name, _)) in CONTEXT.into_iter().enumerate() {
        if needs.has(nth) {
            values.insert(K::from(name), value(facts, name)?);
        }
    }
    Ok(values)
}

fn value(facts: &Facts<'_>, name: &str) -> Result<Value, String> {
    Ok(match name {
        "assurance" => i64::from(facts.assurance.map_or(0, |level| level.level())).into(),
        "signed_in" => facts.signed_in.and_then(|secs| i64::try_from(secs).ok()).unwrap_or(NEVER).into(),
        "factors" => Value::set(facts.factors.iter().map(|factor| Value::from(*factor)), None),
        "time" => extension("datetime", &datetime(facts)?)?,
        "client" => extension("ip", &facts.client.to_canonical().to_string())?,
        "method" => facts.method.into(),
        "host" => facts.host.into(),
        "path" => facts.path.into(),
        "client_id" => facts.client_id.into(),
        "scope" => Value::set(facts.scope.iter().map(|name| Value::from(&**name)), None),
        other => return Err(format!("the context has no `{other}`")),
    })
}

/// Cedar reads milliseconds, three digits of them.
fn datetime(facts: &Facts<'_>) -> Result<String, String> {
    let written = facts.time.to_string();
    match written.get(..23) {
        Some(millis) if written.len() == 27 => Ok(format!("{millis}Z")),
        _ => Err(format!("the time `{written}` is none that policies know")),
    }
}

fn extension(name: &str, text: &str) -> Result<Value, String> {
    let name = name.parse().map_err(|_| format!("`{name}` is no function"))?;
    let function = Extensions::all_available().func(&name).map_err(|error| error.to_string())?;
    match function.call(&[Value::from(text)]) {
        Ok(PartialValue::Value(value)) => Ok(value),
        Ok(PartialValue::Residual(_)) => Err(format!("`{text}` has no value")),
        Err(error) => Err(error.to_string()),
    }
}
