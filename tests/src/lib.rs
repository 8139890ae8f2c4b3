//! The harness and the stories.
