//! Tests that pass on a machine without a GPU.

#[path = "../support/mod.rs"]
mod support;

mod checks;
mod differences;
mod enumeration;
mod golden_files;
mod input_errors;
mod reference;
mod twin;
