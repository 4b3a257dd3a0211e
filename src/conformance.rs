//! The conformance suite: what a GPU, its driver and its shader compiler are held against (feature `conformance`).
//!
//! [`Suite`](suite::Suite) runs it; `ctc-wgpu validate` is that as a tool. Its cases are plain data:
//!
//! - [`golden`]: losses and gradients of other libraries' software;
//! - [`semantics`]: the table of what must come of odd input, by closed forms and by counting all paths ([`brute`]);
//! - [`drawn`], [`extreme`], [`special`]: batches that the float64 [`reference`](mod@crate::reference) judges;
//! - [`hostile`]: nonsense that is on the device already;
//! - [`placements`]: what only buffers of the caller's can show.
//!
//! [`families`] lists them, and [`variants`] forces each way that a plan can take. [`probe`] asks what a driver's arithmetic
//! really does.
//!
//! ```
//! use ctc_wgpu::conformance::{families::SuiteSize, suite::{Subject, Suite}};
//! let suite = Suite::new(SuiteSize::Quick);
//! let twin = Subject::cpu(); // or Subject::on(&adapter)
//! let trial = &suite.trials(&twin)[0];
//! let tally = trial.run();
//! assert!(tally.cases > 50 && tally.failures.is_empty(), "{trial:?}: {:?}", tally.failures);
//! ```

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "the cases' numbers are small, and those of garbage are meant to be cut"
)]

pub mod batch;
pub mod brute;
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
