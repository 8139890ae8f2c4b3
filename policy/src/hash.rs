//! The name of a policy set: the same texts have the same hash, wherever and whenever it is computed.

use std::fmt::Write;

use aws_lc_rs::digest::{Context, SHA256};
use cardea_core::resources::PolicyText;

use crate::rule::Layer;

/// SHA-256, in hex, over each layer's texts sorted by name; lengths are hashed too, so that no two sets run together.
pub(crate) fn of(layers: &[(Layer, &[PolicyText])]) -> String {
    let mut context = Context::new(&SHA256);
    let mut part = |text: &str| {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    };
    for (layer, texts) in layers {
        let mut texts: Vec<_> = texts.iter().collect();
        texts.sort_by(|a, b| a.name.cmp(&b.name));
        for text in texts {
            part(layer.word());
            part(&text.name);
            part(&text.text);
        }
    }
    context.finish().as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
