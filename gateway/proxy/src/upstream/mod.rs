//! Carrying an admitted request to its service and the answer back.
