//! The tool `ctc-wgpu` as a user runs it: what it prints, what it writes and how it exits.
#![expect(clippy::expect_used, reason = "a test may panic")]

mod bad_files;
mod batches;
mod reports;
mod support;
