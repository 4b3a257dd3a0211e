//! The conformance suite: tests of a GPU, its driver and its shader compiler (feature
//! `conformance`).
//!
//! Run it from Rust with [`Suite`](suite::Suite), or on the command line with `ctc-wgpu validate`.
//! A [`Subject`](suite::Subject) is what is tested: an adapter, or the CPU backend. For a subject,
//! the suite has a list of [`TestGroup`](suite::TestGroup)s; each runs one family of cases through
//! one variant of the plan, and returns a [`Tally`](suite::Tally) with the failures.
//!
//! The cases are plain data:
//!
//! - [`golden`]: losses and gradients that other libraries computed;
//! - [`semantics`]: the table of semantics, with the required result for each special case. The
//!   numbers come from closed forms and from the enumeration of all paths ([`brute_force`]);
//! - [`random_case`], [`extreme_values`], [`special_values`]: batches that are compared with the
//!   float64 [`reference`](mod@ctc_wgpu::reference);
//! - [`malformed`]: invalid labels, lengths and numbers in the caller's buffers on the device;
//! - [`buffer_layouts`]: the arrangements of the caller's buffers.
//!
//! [`families`] lists the cases, and [`variants`] forces each choice of kernels and each way of
//! splitting a batch. [`probe`] measures the arithmetic of the driver.
//!
//! This example runs the first group on the CPU backend:
//!
//! ```
//! use ctc_wgpu_conformance::{families::SuiteSize, suite::{Subject, Suite}};
//! let suite = Suite::new(SuiteSize::Quick);
//! let subject = Subject::cpu(); // for a GPU: Subject::on(&adapter)?
//! let groups = suite.groups(&subject);
//! let group = &groups[0];
//! let tally = group.run();
//! assert!(tally.cases > 50 && tally.failures.is_empty(), "{group:?}: {:?}", tally.failures);
//! ```

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "the numbers of the cases are small, and truncating random bits is intended"
)]

pub mod batch;
pub mod brute_force;
pub mod buffer_layouts;
mod canaries;
pub mod case;
pub mod check;
pub mod decoding;
pub mod device;
pub mod extreme_values;
pub mod families;
pub mod golden;
pub mod guarded_buffers;
pub mod malformed;
pub mod probe;
pub mod random;
pub mod random_case;
pub mod semantics;
pub mod special_values;
pub mod suite;
pub mod variants;
