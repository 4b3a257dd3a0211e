//! CTC loss and its gradient on any GPU that wgpu reaches.
#![allow(dead_code, reason = "skeleton")]

mod ctc;
mod error;
mod options;
mod problem;
pub mod reference;

pub use ctc::{Backend, Ctc, CtcOutput, LossOutput, adapters};
pub use error::{BufferError, Error, InputError, PlanError};
pub use options::{
    Blank, BlankInLabels, Impossible, Input, Options, Reduction, RepeatedLabels, RepeatedOutputs,
    Status,
};
pub use problem::{Batch, LabelLayout, Labels, Layout, Problem, Shape};
