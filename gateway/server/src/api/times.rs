//! Times as the API writes them: RFC 3339, where entries hold microseconds.

use cardea_core::Timestamp;
use serde_json::Value;

/// A moment in RFC 3339.
pub(super) fn text(at: Timestamp) -> String {
    at.to_string()
}

/// Rewrites the times within an entry: fields of these names hold microseconds there.
pub(crate) fn rewrite(value: &mut Value) {
    const TIMES: [&str; 4] = ["at", "expires", "not_after", "time"];
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_i64() {
                    Some(micros) if TIMES.contains(&name.as_str()) => {
                        *field = Value::String(Timestamp::from_micros(micros).to_string());
                    }
                    _ => rewrite(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(rewrite),
        _ => {}
    }
}
