//! What the request path reads: everything that the store holds of tenants, prepared once and swapped whole.
