//! A batch with its bind groups: recorded as a whole, or dispatch by dispatch into the caller's passes.

use std::sync::Arc;

use super::buffers::Buffers;
use super::decode::{AlignBuffers, GreedyBuffers};
use super::engine::{Engine, Pipeline};
use super::error_scope::guarded;
use super::plan::GpuPlan;
use crate::error::Error;
use crate::fork::{Driving, Resident};

/// A plan with the bind groups of one set of buffers, made by [`GpuPlan::prepare`].
///
/// [`GpuPlan::encode`] makes the bind groups on each call. A training loop that uses the same buffers in every step makes
/// them once here and calls [`encode`](Self::encode). To profile the loss, record each of [`stages`](Self::stages) into
/// a pass of your own:
///
/// ```no_run
/// # fn demo(device: &wgpu::Device, encoder: &mut wgpu::CommandEncoder, plan: &ctc_wgpu::GpuPlan,
/// #   buffers: &ctc_wgpu::Buffers<'_>) -> Result<(), ctc_wgpu::Error> {
/// let prepared = plan.prepare(buffers)?;
/// let times = device.create_query_set(&wgpu::QuerySetDescriptor {
///     label: None,
///     ty: wgpu::QueryType::Timestamp, // Features::TIMESTAMP_QUERY
///     count: 2 * prepared.stages().len() as u32,
/// });
/// for (stage, index) in prepared.stages().zip(0..) {
///     let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
///         label: Some(stage.name()),
///         timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
///             query_set: &times,
///             beginning_of_pass_write_index: Some(2 * index),
///             end_of_pass_write_index: Some(2 * index + 1),
///         }),
///     });
///     stage.encode(&mut pass);
/// }
/// # Ok(())
/// # }
/// ```
///
/// With `Features::TIMESTAMP_QUERY_INSIDE_PASSES` all stages can share one pass, with a `write_timestamp` after each. The
/// [guide](crate::guide) shows that, and how to read the times.
///
/// The contents of the buffers may change between submissions. The buffers and the plan's workspace stay allocated as
/// long as this value exists.
#[derive(Debug)]
pub struct Prepared {
    engine: Resident<Engine>,
    dispatches: Resident<Vec<Dispatch>>,
}

#[derive(Debug)]
pub(super) struct Dispatch {
    pub(super) name: &'static str,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) group: wgpu::BindGroup,
    pub(super) grid: [u32; 3],
}

impl Prepared {
    pub(super) fn new(engine: &Resident<Engine>, dispatches: Vec<Dispatch>) -> Self {
        Self {
            engine: engine.clone(),
            dispatches: engine.derived(dispatches),
        }
    }

    /// Records the batch into `encoder` as one compute pass, as [`GpuPlan::encode`] does.
    ///
    /// # Errors
    /// [`Error::Gpu`] if wgpu refuses the pass, for instance because `encoder` belongs to another device; [`Error::Forked`] in a
    /// child of the process that made this.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) -> Result<(), Error> {
        self.engine.check()?;
        let _driving = Driving::begin()?;
        guarded(self.engine.device(), "the dispatches of a batch", || {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("ctc"),
                timestamp_writes: None,
            });
            for stage in self.stages() {
                pass.push_debug_group(stage.name());
                stage.encode(&mut pass);
                pass.pop_debug_group();
            }
        })
    }

    /// The dispatches of the batch, in the order in which they must run. A stage that is split, because the batch is
    /// larger than the device's limits, occurs once per part.
    pub fn stages(&self) -> impl ExactSizeIterator<Item = Stage<'_>> {
        self.dispatches.iter().map(Stage)
    }
}

/// One dispatch of a [`Prepared`] batch.
#[derive(Debug, Clone, Copy)]
pub struct Stage<'a>(&'a Dispatch);

impl Stage<'_> {
    /// The name of the stage, as a printed [`Plan`](crate::Plan) has it: `labels`, `chain`, `stats`, `sweep inward`, ….
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Records the dispatch into `pass`. Each stage reads what earlier ones wrote: a batch is computed correctly only if
    /// all of its stages are recorded, in order, and submitted to one queue. What wgpu refuses is reported as with any
    /// dispatch of yours, to your error scopes.
    pub fn encode(&self, pass: &mut wgpu::ComputePass<'_>) {
        let [x, y, z] = self.0.grid;
        pass.set_pipeline(&self.0.pipeline.pipeline);
        pass.set_bind_group(0, &self.0.group, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}

impl GpuPlan {
    /// Checks `buffers` and makes their bind groups, for recording the same buffers repeatedly or stage by stage.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn prepare(&self, buffers: &Buffers<'_>) -> Result<Prepared, Error> {
        self.bound(&buffers.bindings())
    }

    /// [`prepare`](Self::prepare) for a plan of [`GpuCtc::plan_align`](crate::GpuCtc::plan_align).
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn prepare_align(&self, buffers: &AlignBuffers<'_>) -> Result<Prepared, Error> {
        self.bound(&buffers.bindings())
    }

    /// [`prepare`](Self::prepare) for a plan of [`GpuCtc::plan_greedy`](crate::GpuCtc::plan_greedy).
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn prepare_greedy(&self, buffers: &GreedyBuffers<'_>) -> Result<Prepared, Error> {
        self.bound(&buffers.bindings())
    }
}
