//! What an app declares at the edge, compiled once. What it does not declare is nothing here, and costs a look.

use std::sync::Arc;

use cardea_core::{
    Diagnostic, Diagnostics,
    resources::{AppSpec, OriginRule},
};

use crate::{answers::Answers, cors, cors::Cors, rewrite::Rewrite};

/// An app's declarations. Its hardening, which is always in force, is read from its spec.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    pub(crate) rewrite: Option<Box<Rewrite>>,
    pub(crate) answers: Option<Box<Answers>>,
    pub(crate) cors: Option<Arc<Cors>>,
    pub(crate) websocket_origins: Vec<OriginRule>,
}

impl Declared {
    /// Compiles what `spec` declares; mistakes that its check would have found are named again.
    pub(crate) fn of(spec: &AppSpec, found: &mut Diagnostics) -> Self {
        let source = format!("apps/{}.toml", spec.id);
        let answers = (!spec.answers.is_empty()).then(|| Box::new(Answers::new(&source, &spec.answers, found)));
        let mut kept = |mistake: Diagnostic| found.push(mistake);
        Self {
            rewrite: spec
                .rewrite
                .as_ref()
                .and_then(|rewrite| Rewrite::new(&source, rewrite).map(Box::new).map_err(&mut kept).ok()),
            cors: spec.cors.as_ref().and_then(|cors| Cors::new(&source, cors).map(Arc::new).map_err(&mut kept).ok()),
            websocket_origins: cors::origins(&source, &spec.websocket_origins).map_err(&mut kept).unwrap_or_default(),
            answers,
        }
    }

    /// Whether there is anything that the gateway may have to answer itself.
    pub(crate) fn may_answer(&self) -> bool {
        self.rewrite.is_some() || self.answers.is_some() || self.cors.is_some()
    }
}
