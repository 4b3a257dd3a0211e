//! The GPU backend: adapters, pipelines, and plans with their workspace on a device.

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

pub(crate) use adapter::{Selected, adapters, open, open_first};
pub use buffers::Buffers;
pub use decode::{AlignBuffers, GreedyBuffers};
pub(crate) use engine::PIPELINES;
pub use engine::RuntimeChecks;
pub use error_scope::guarded;
pub(crate) use host::{HostRunner, PollThread};
pub use plan::GpuPlan;
pub use prepared::{Prepared, Stage};

use crate::batch::BatchShape;
use crate::error::Error;
use crate::fork::{DeviceUse, ProcessBound};
use crate::limits::DeviceLimits;
use crate::options::Options;
use crate::plan::{Plan, Task};
use engine::Engine;

/// CTC on the caller's device. Reads and writes the caller's buffers, without copying or waiting.
///
/// Compiled pipelines are kept and shared by all plans and clones. Several threads may use a
/// `GpuCtc` at once. The device needs only WebGPU's default limits; higher ones are used if it has
/// them.
///
/// ```no_run
/// use ctc_wgpu::{Buffers, GpuCtc, Options, BatchShape};
/// # fn demo(device: wgpu::Device, queue: wgpu::Queue, logits: wgpu::Buffer, labels: wgpu::Buffer,
/// #   logit_lengths: wgpu::Buffer, label_lengths: wgpu::Buffer, loss: wgpu::Buffer, grad: wgpu::Buffer)
/// #   -> Result<(), ctc_wgpu::Error> {
/// let ctc = GpuCtc::new(&device, &queue)?;
/// let plan = ctc.plan(&BatchShape::new(32, 50, 20, 6), &Options::default())?; // once per shape
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
    engine: ProcessBound<Engine>,
}

impl GpuCtc {
    /// Creates a context on `device`. Pipelines are compiled when a plan first needs them.
    ///
    /// # Errors
    /// [`Error::Plan`] if a limit of the device is too low for any plan.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<Self, Error> {
        Self::with_checks(device, queue, RuntimeChecks::On)
    }

    /// Creates a context as [`new`](Self::new) does, with or without wgpu's runtime checks in the
    /// kernels.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_checks(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        checks: RuntimeChecks,
    ) -> Result<Self, Error> {
        let limits = DeviceLimits::from(device);
        // If the smallest batch cannot be planned, no batch can.
        Plan::new(
            &BatchShape::new(1, 1, 1, 0),
            &Options::default(),
            Task::LossAndGrad,
            &limits,
        )?;
        Ok(Self {
            engine: ProcessBound::new(Engine::new(device, queue, checks)),
        })
    }

    /// Returns a context on the same device that compiles its pipelines through `cache`. It does
    /// not share the pipelines compiled so far.
    ///
    /// On drivers without a cache of their own, as on most phones, this makes the first plan of the
    /// next run faster: save [`get_data`](wgpu::PipelineCache::get_data) after creating the plans,
    /// and create the cache of the next run from it. Most desktop drivers have a cache on disk. The
    /// device needs [`wgpu::Features::PIPELINE_CACHE`], which only Vulkan has.
    ///
    /// ```no_run
    /// use ctc_wgpu::{GpuCtc, Options, BatchShape};
    /// # fn demo(device: wgpu::Device, queue: wgpu::Queue) -> Result<(), Box<dyn std::error::Error>> {
    /// // In later runs, `data: Some(&bytes)` with the bytes of `get_data` on the same adapter.
    /// let descriptor = wgpu::PipelineCacheDescriptor { label: None, data: None, fallback: true };
    /// // SAFETY: `data` is `None`.
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

    /// Sets the maximum number of compiled pipelines that are kept for later plans: 128 by default.
    /// Beyond it, the least recently used are dropped, but a plan keeps its own pipelines. Clones
    /// share the limit. Has no effect in a child of the process that created this context.
    pub fn set_pipeline_limit(&self, pipelines: usize) {
        // In a child process, the pipelines belong to the parent.
        if self.engine.check().is_ok() {
            self.engine.keep_at_most(pipelines);
        }
    }

    /// Returns the limits of the device that plans respect.
    #[must_use]
    pub fn limits(&self) -> DeviceLimits {
        DeviceLimits::from(self.engine.device())
    }

    /// Creates a plan for losses and gradients of batches of `shape`, with its workspace and
    /// pipelines.
    ///
    /// # Errors
    /// [`Error::Plan`] if the shape or the options are invalid or a limit is too low,
    /// [`Error::OutOfMemory`] if the device has no memory for the workspace, [`Error::Gpu`] if the
    /// driver rejects a kernel, [`Error::Forked`] in a child of the process that created this
    /// context.
    pub fn plan(&self, shape: &BatchShape, options: &Options) -> Result<GpuPlan, Error> {
        self.plan_within(shape, options, Task::LossAndGrad, &self.limits())
    }

    /// Creates a plan for losses only, which computes half of the recursion and needs no lattice in
    /// its workspace.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub fn plan_loss(&self, shape: &BatchShape, options: &Options) -> Result<GpuPlan, Error> {
        self.plan_within(shape, options, Task::Loss, &self.limits())
    }

    /// Creates a plan for forced alignment: the most probable path through each item's labels. See
    /// [`decode::align`](crate::decode::align).
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub fn plan_align(&self, shape: &BatchShape, options: &Options) -> Result<GpuPlan, Error> {
        self.plan_within(shape, options, Task::Align, &self.limits())
    }

    /// Creates a plan for greedy decoding, which ignores the labels of `shape`. See
    /// [`decode::greedy`](crate::decode::greedy).
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub fn plan_greedy(&self, shape: &BatchShape, options: &Options) -> Result<GpuPlan, Error> {
        self.plan_within(shape, options, Task::Greedy, &self.limits())
    }

    /// Creates a plan for any task, within limits that are lower than the device's, to bound its
    /// workspace or to test how a batch is split.
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
        let _device_use = DeviceUse::begin()?;
        GpuPlan::new(&self.engine, plan)
    }
}
