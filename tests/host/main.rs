//! Tests that pass on a machine without a GPU.
