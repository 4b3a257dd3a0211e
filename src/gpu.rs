//! The WGSL kernels on a device: adapters, pipelines, and plans with their workspace.

mod adapter;
mod bindings;
mod buffers;
mod decode;
mod engine;
mod error_scope;
mod host;
mod lru;
mod plan;
mod prepared;
mod threads;

pub(crate) use adapter::{Selected, adapters, first, open};
pub use buffers::Buffers;
pub use decode::{AlignBuffers, GreedyBuffers};
pub(crate) use engine::PIPELINES;
pub use engine::RuntimeChecks;
#[cfg(feature = "conformance")]
pub(crate) use error_scope::guarded;
pub(crate) use host::{Host, Waiting};
pub use plan::GpuPlan;
pub use prepared::{Prepared, Stage};

use crate::batch::BatchShape;
use crate::error::Error;
use crate::fork::{Driving, Resident};
use crate::limits::DeviceLimits;
use crate::options::Options;
use crate::plan::{Plan, Task};
use engine::Engine;

/// CTC on your device: a loss backend that takes buffers and gives buffers, copies nothing and waits for nothing.
///
/// It keeps compiled pipelines, shared by all of its plans and clones. Several threads may use it at once. Nothing
/// but the default limits is asked of the device; what lies above them is used.
///
/// ```no_run
/// use ctc_wgpu::{Buffers, GpuCtc, Options, BatchShape};
/// # fn demo(device: wgpu::Device, queue: wgpu::Queue, logits: wgpu::Buffer, labels: wgpu::Buffer,
/// #   logit_lengths: wgpu::Buffer, label_lengths: wgpu::Buffer, loss: wgpu::Buffer, grad: wgpu::Buffer)
/// #   -> Result<(), ctc_wgpu::Error> {
/// let ctc = GpuCtc::new(&device, &queue)?;
/// let plan = ctc.plan(&BatchShape::new(32, 50, 20, 6), &Options::default())?; // once a shape
/// let mut encoder = device.create_command_encoder(&Default::default());
/// let buffers = Buffers::new(&logits, &labels, &label_lengths, &loss)
///     .logit_lengths(&logit_lengths)
///     .grad(&grad);
/// plan.encode(&mut encoder, &buffers)?;
/// queue.submit([encoder.finish()]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct GpuCtc {
    engine: Resident<Engine>,
}

impl GpuCtc {
    /// CTC on this device. Pipelines are compiled when a plan first needs them.
    ///
    /// # Errors
    /// [`Error::Plan`] if the device's limits are below what any plan needs.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<Self, Error> {
        Self::with_checks(device, queue, RuntimeChecks::On)
    }

    /// [`new`](Self::new), with or without wgpu's checks in the kernels.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_checks(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        checks: RuntimeChecks,
    ) -> Result<Self, Error> {
        let limits = DeviceLimits::from(device);
        // The smallest batch that there is: if this cannot be planned, nothing can.
        Plan::new(
            &BatchShape::new(1, 1, 1, 0),
            &Options::default(),
            Task::LossAndGrad,
            &limits,
        )?;
        Ok(Self {
            engine: Resident::new(Engine::new(device, queue, checks)),
        })
    }

    /// The same device without the pipelines compiled so far; new ones are compiled through `cache`.
    ///
    /// Where a driver keeps no cache of its own, as on most phones, this makes the first plan of the next run faster:
    /// save [`get_data`](wgpu::PipelineCache::get_data) after the plans are made, and make the next run's cache from it.
    /// Most desktop drivers keep one on disk anyway. The device needs [`wgpu::Features::PIPELINE_CACHE`], which only
    /// Vulkan has.
    ///
    /// ```no_run
    /// use ctc_wgpu::{GpuCtc, Options, BatchShape};
    /// # fn demo(device: wgpu::Device, queue: wgpu::Queue) -> Result<(), Box<dyn std::error::Error>> {
    /// // With `data: Some(&bytes)`, bytes of an earlier `get_data` on the same adapter.
    /// let descriptor = wgpu::PipelineCacheDescriptor { label: None, data: None, fallback: true };
    /// // SAFETY: there is no data.
    /// let cache = unsafe { device.create_pipeline_cache(&descriptor) };
    /// let ctc = GpuCtc::new(&device, &queue)?.with_cache(&cache);
    /// let plan = ctc.plan(&BatchShape::new(32, 50, 20, 6), &Options::default())?;
    /// if let Some(bytes) = cache.get_data() {
    ///     std::fs::write("pipelines.bin", bytes)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_cache(&self, cache: &wgpu::PipelineCache) -> Self {
        Self {
            engine: self.engine.derived(self.engine.with_cache(cache)),
        }
    }

    /// Bounds how many compiled pipelines are kept for later plans, from now on: 128 by default. The least recently used
    /// go first; a plan holds its own as long as it is there. Clones share them.
    pub fn set_pipeline_limit(&self, pipelines: usize) {
        // Those of a forked process are its parent's.
        if self.engine.check().is_ok() {
            self.engine.keep_at_most(pipelines);
        }
    }

    /// What plans for this device keep within.
    #[must_use]
    pub fn limits(&self) -> DeviceLimits {
        DeviceLimits::from(self.engine.device())
    }

    /// A plan for losses and gradients of batches of `shape`, with its workspace and pipelines.
    ///
    /// # Errors
    /// [`Error::Plan`] if the shape or the options make no sense or a limit is too low, [`Error::OutOfMemory`] if the
    /// workspace does not fit the device, [`Error::Gpu`] if the driver refuses a kernel, [`Error::Forked`] in a child of the
    /// process that made this.
    pub fn plan(&self, shape: &BatchShape, options: &Options) -> Result<GpuPlan, Error> {
        self.plan_within(shape, options, Task::LossAndGrad, &self.limits())
    }

    /// A plan for losses only: half the recursion, and a workspace without the lattice.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub fn plan_loss(&self, shape: &BatchShape, options: &Options) -> Result<GpuPlan, Error> {
        self.plan_within(shape, options, Task::Loss, &self.limits())
    }

    /// A plan for alignments: the likeliest path through each item's labels. See [`decode::align`](crate::decode::align).
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub fn plan_align(&self, shape: &BatchShape, options: &Options) -> Result<GpuPlan, Error> {
        self.plan_within(shape, options, Task::Align, &self.limits())
    }

    /// A plan for greedy readings; the labels of `shape` do not matter. See [`decode::greedy`](crate::decode::greedy).
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub fn plan_greedy(&self, shape: &BatchShape, options: &Options) -> Result<GpuPlan, Error> {
        self.plan_within(shape, options, Task::Greedy, &self.limits())
    }

    /// A plan that keeps within lower limits than the device's: to bound its workspace, or to test how a batch is cut.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub fn plan_within(
        &self,
        shape: &BatchShape,
        options: &Options,
        task: Task,
        limits: &DeviceLimits,
    ) -> Result<GpuPlan, Error> {
        let plan = Plan::new(shape, options, task, limits)?;
        self.engine.check()?;
        let _driving = Driving::begin()?;
        GpuPlan::new(&self.engine, plan)
    }
}
