//! Tests that run on every adapter found.
