//! CTC loss and its gradient on any GPU that wgpu reaches.

mod cpu;
mod ctc;
mod error;
mod gpu;
mod kernels;
mod limits;
mod options;
mod params;
mod plan;
mod problem;
pub mod reference;

pub use ctc::{Backend, Ctc, CtcOutput, LossOutput, adapters};
pub use error::{BufferError, Error, InputError, PlanError};
pub use gpu::{Buffers, Checks, GpuCtc, GpuPlan};
pub use kernels::shaders;
pub use limits::Limits;
pub use options::{
    Blank, BlankInLabels, Impossible, Input, Options, Reduction, RepeatedLabels, RepeatedOutputs,
    Status,
};
pub use plan::{Goal, Plan};
pub use problem::{Batch, LabelLayout, Labels, Layout, Problem, Shape};
