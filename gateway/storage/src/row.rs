//! Reading rows: text, numbers, times and JSON.
