//! The data plane: listener, edge, routing, access, upstream, pipeline, failure.
