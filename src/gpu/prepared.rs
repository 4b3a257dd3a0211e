//! A plan with bind groups, which is recorded as a whole or dispatch by dispatch into the caller's
//! passes.

use std::sync::Arc;

use super::buffers::Buffers;
use super::decode::{AlignBuffers, GreedyBuffers};
use super::engine::{Engine, Pipeline};
use super::error_scope::guarded;
use super::plan::GpuPlan;
use crate::error::Error;
use crate::fork::{DeviceUse, ProcessBound};

/// A plan with the bind groups of one set of buffers, created by [`GpuPlan::prepare`].
///
/// [`GpuPlan::encode`] creates the bind groups on each call. A training loop that uses the same
/// buffers in every step creates them once here, and calls [`encode`](Self::encode). To profile the
/// loss, record each of [`stages`](Self::stages) into a compute pass of its own:
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
/// With `Features::TIMESTAMP_QUERY_INSIDE_PASSES`, all stages can share one pass, with a
/// `write_timestamp` after each. The [guide](crate::guide) shows that, and how to read the times.
///
/// The contents of the buffers may change between submissions. The buffers and the plan's workspace
/// stay allocated as long as this value exists.
#[derive(Debug)]
pub struct Prepared {
    engine: ProcessBound<Engine>,
    dispatches: ProcessBound<Vec<BoundDispatch>>,
}

/// A dispatch with its pipeline and bind group.
#[derive(Debug)]
pub(super) struct BoundDispatch {
    pub(super) name: &'static str,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) bind_group: wgpu::BindGroup,
    pub(super) grid: [u32; 3],
}

impl Prepared {
    pub(super) fn new(engine: &ProcessBound<Engine>, dispatches: Vec<BoundDispatch>) -> Self {
        Self {
            engine: engine.clone(),
            dispatches: engine.derived(dispatches),
        }
    }

    /// Records the batch into `encoder` as one compute pass, as [`GpuPlan::encode`] does.
    ///
    /// # Errors
    /// [`Error::Gpu`] if wgpu rejects the pass, for instance because `encoder` belongs to another
    /// device; [`Error::Forked`] in a child of the process that created this value.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) -> Result<(), Error> {
        self.engine.check()?;
        let _device_use = DeviceUse::begin()?;
        guarded(
            self.engine.device(),
            "recording the dispatches of a batch",
            || {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: Some("ctc"),
                    timestamp_writes: None,
                });
                for stage in self.stages() {
                    pass.push_debug_group(stage.name());
                    stage.encode(&mut pass);
                    pass.pop_debug_group();
                }
            },
        )
    }

    /// Returns the dispatches of the batch, in the order in which they must run. A stage that is
    /// split, because the batch exceeds the device's limits, occurs once per dispatch.
    pub fn stages(&self) -> impl ExactSizeIterator<Item = Stage<'_>> {
        self.dispatches.iter().map(Stage)
    }
}

/// One dispatch of a [`Prepared`] batch.
#[derive(Debug, Clone, Copy)]
pub struct Stage<'a>(&'a BoundDispatch);

impl Stage<'_> {
    /// Returns the name of the stage, as in the printed [`Plan`](crate::Plan): `check_labels`,
    /// `softmax_stats`, `sweep inward`, `label_links`, ….
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Records the dispatch into `pass`. Each stage reads the results of earlier ones: a batch is
    /// computed correctly only if all of its stages are recorded in order and submitted to one
    /// queue. As with any other dispatch, wgpu reports errors to the caller's error scopes.
    pub fn encode(&self, pass: &mut wgpu::ComputePass<'_>) {
        let [x, y, z] = self.0.grid;
        pass.set_pipeline(&self.0.pipeline.pipeline);
        pass.set_bind_group(0, &self.0.bind_group, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}

impl GpuPlan {
    /// Checks `buffers` and creates the bind groups, to record the same buffers repeatedly or stage
    /// by stage.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn prepare(&self, buffers: &Buffers<'_>) -> Result<Prepared, Error> {
        self.prepare_bindings(&buffers.bindings())
    }

    /// Creates the bind groups as [`prepare`](Self::prepare) does, for a plan of
    /// [`GpuCtc::plan_align`](crate::GpuCtc::plan_align).
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn prepare_align(&self, buffers: &AlignBuffers<'_>) -> Result<Prepared, Error> {
        self.prepare_bindings(&buffers.bindings())
    }

    /// Creates the bind groups as [`prepare`](Self::prepare) does, for a plan of
    /// [`GpuCtc::plan_greedy`](crate::GpuCtc::plan_greedy).
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn prepare_greedy(&self, buffers: &GreedyBuffers<'_>) -> Result<Prepared, Error> {
        self.prepare_bindings(&buffers.bindings())
    }
}
