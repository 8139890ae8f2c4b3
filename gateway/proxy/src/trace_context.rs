//! W3C trace context: continued where it came with the request, started where not.
