//! CTC loss over arrays on the host: [`Ctc`], on the best adapter or the CPU backend.

use std::fmt;
use std::mem::take;

use crate::batch::{Batch, CheckedBatch, Tables};
use crate::blocking::block_on;
use crate::cpu::{self, CpuBackend};
use crate::error::{Error, reject_impossible};
use crate::fork::{ProcessBound, on_threads};
use crate::gpu::{self, HostRunner, PollThread, Selected};
use crate::idle::Idle;
use crate::limits::DeviceLimits;
use crate::options::{Impossible, Options};
use crate::output::{LossAndGradOutput, LossOutput, RawOutput};
use crate::plan::Task;
use crate::setters::setters;

/// The backend of a [`Ctc`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Backend {
    /// The WGSL kernels on this adapter.
    Gpu(Box<wgpu::AdapterInfo>),
    /// The CPU backend.
    Cpu {
        /// The number of threads that share the items.
        threads: usize,
        /// The name of the vector instruction set that was detected at run time, such as `Avx2`, or
        /// `plain` if none was.
        simd: &'static str,
    },
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpu(info) => {
                write!(f, "{} ({}", info.name, info.backend)?;
                for part in [&info.driver, &info.driver_info] {
                    if !part.is_empty() {
                        write!(f, ", {part}")?;
                    }
                }
                f.write_str(")")
            }
            Self::Cpu { threads, simd } => write!(f, "CPU backend ({threads} threads, {simd})"),
        }
    }
}

/// Limits on what a [`Ctc`] caches for later batches.
///
/// ```
/// use ctc_wgpu::{CacheLimits, Ctc};
/// let ctc = Ctc::new()?;
/// ctc.set_cache_limits(CacheLimits::default().shapes(1));
/// # Ok::<(), ctc_wgpu::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheLimits {
    /// The number of compiled pipelines that are kept for later plans: 128 by default. Beyond it, a
    /// plan still keeps its own. A plan for loss and gradient usually has seven to ten, and shares
    /// most of them with plans of other shapes. On a software adapter, each pipeline takes about
    /// 0.3 MiB.
    pub pipelines: usize,
    /// The number of recent batch shapes whose plan and buffers are kept: 4 by default. Concurrent
    /// calls of one shape count separately, since each has buffers of its own. On the CPU backend,
    /// the number of past calls whose arrays are kept.
    pub shapes: usize,
}

setters!(CacheLimits {
    pipelines: usize,
    shapes: usize,
});

impl Default for CacheLimits {
    fn default() -> Self {
        Self {
            pipelines: gpu::PIPELINES,
            shapes: 4,
        }
    }
}

/// CTC loss over arrays on the host.
///
/// Threads may share a `Ctc`; each call has its own buffers. Plans and buffers are cached for
/// repeated shapes, within [`CacheLimits`]. [`cached_bytes`](Self::cached_bytes) returns how much
/// memory the CPU backend caches. For data that is already on a GPU see
/// [`GpuCtc`](crate::GpuCtc).
///
/// The `_async` forms do not block the thread that awaits them while a GPU computes. On native
/// platforms each awaited call starts one thread, which polls the device until the result is ready.
/// In a browser no thread may block: there the other forms work on the CPU backend only and return
/// [`Error::Blocking`] on a GPU.
///
/// After a `fork`, a `Ctc` on the CPU also works in the child, with threads of its own. One on a
/// GPU returns [`Error::Forked`] there; the child may create a new one. If another thread was using
/// the GPU at the time of the fork, [`gpu`](Self::gpu) returns that error too, and
/// [`new`](Self::new) selects the CPU backend. The crate cannot detect a device or an adapter that
/// you opened before the fork; its driver may block forever in the child.
///
/// ```
/// use ctc_wgpu::{Batch, Ctc, Options};
/// let ctc = Ctc::new()?; // the best adapter, or the CPU backend
/// let logits = [0.0_f32; 2 * 4 * 3]; // N = 2, T = 4, C = 3: all classes equally probable
/// let batch = Batch::new([2, 4, 3], &logits).labels(&[1, 2, 1, 0], &[2, 1]);
/// let output = ctc.loss_and_grad(&batch, &Options::default())?;
/// // 15 of the 3⁴ paths give "1 2", and 10 give "1".
/// assert!((output.loss[0] - (81.0_f32 / 15.0).ln()).abs() < 1e-6);
/// assert!((output.loss[1] - (81.0_f32 / 10.0).ln()).abs() < 1e-6);
/// assert_eq!(output.grad.len(), logits.len());
/// # Ok::<(), ctc_wgpu::Error>(())
/// ```
#[derive(Debug)]
pub struct Ctc {
    backend: Backend,
    /// The GPU path; `None` on the CPU backend.
    host: Option<ProcessBound<HostRunner>>,
    cpu: CpuBackend,
    /// Tables of past calls, for reuse.
    tables: Idle<Tables>,
}

impl Ctc {
    /// Selects the best usable adapter of the machine, or the CPU backend if there is none;
    /// [`backend`](Self::backend) returns which.
    ///
    /// The order of preference is that of [`gpu`](Self::gpu). If the adapter is a software driver,
    /// such as Mesa's lavapipe, [`cpu`](Self::cpu) is faster.
    ///
    /// # Errors
    /// [`Error::Blocking`] in a browser. [`gpu`](Self::gpu) returns why an adapter cannot be used.
    pub fn new() -> Result<Self, Error> {
        block_on(async { Ok(Self::new_async().await) })
    }

    /// The awaited form of [`new`](Self::new), which also works in a browser.
    pub async fn new_async() -> Self {
        Self::gpu_async().await.unwrap_or_else(|_| Self::cpu())
    }

    /// Selects the best usable adapter, never the CPU backend. GPUs come before software adapters.
    /// A GL adapter, even that of a GPU, is used only if no other adapter is usable.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] if the machine has no adapter that supports compute shaders;
    /// [`Error::NoDevice`] or [`Error::Plan`] if none of its adapters supports a usable device;
    /// [`Error::Blocking`] in a browser; [`Error::Forked`] if another thread was using a GPU when
    /// this process was forked.
    pub fn gpu() -> Result<Self, Error> {
        block_on(Self::gpu_async())
    }

    /// The awaited form of [`gpu`](Self::gpu).
    ///
    /// # Errors
    /// As [`gpu`](Self::gpu), but never [`Error::Blocking`].
    pub async fn gpu_async() -> Result<Self, Error> {
        gpu::open_first(None, Self::on).await
    }

    /// Selects the best usable adapter whose name contains `name`, ignoring case.
    ///
    /// # Errors
    /// As [`gpu`](Self::gpu), for the adapters with such a name.
    pub fn gpu_named(name: &str) -> Result<Self, Error> {
        block_on(Self::gpu_named_async(name))
    }

    /// The awaited form of [`gpu_named`](Self::gpu_named).
    ///
    /// # Errors
    /// As [`gpu_named`](Self::gpu_named), but never [`Error::Blocking`].
    pub async fn gpu_named_async(name: &str) -> Result<Self, Error> {
        gpu::open_first(Some(name), Self::on).await
    }

    /// Creates a device on `adapter`, for example on one of [`adapters`].
    ///
    /// # Errors
    /// [`Error::NoDevice`] or [`Error::Plan`] if the adapter does not support a usable device;
    /// [`Error::Blocking`] and [`Error::Forked`] as for [`gpu`](Self::gpu).
    pub fn on_adapter(adapter: &wgpu::Adapter) -> Result<Self, Error> {
        block_on(Self::on_adapter_async(adapter))
    }

    /// The awaited form of [`on_adapter`](Self::on_adapter).
    ///
    /// # Errors
    /// As [`on_adapter`](Self::on_adapter), but never [`Error::Blocking`].
    pub async fn on_adapter_async(adapter: &wgpu::Adapter) -> Result<Self, Error> {
        Self::on(&gpu::open(adapter).await?)
    }

    /// Returns a `Ctc` on your device, within the limits that you requested for it.
    ///
    /// # Errors
    /// [`Error::Plan`] if a limit of the device is too low for any plan.
    pub fn on_device(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<Self, Error> {
        let backend = Backend::Gpu(Box::new(device.adapter_info()));
        Ok(Self::with(backend, Some(HostRunner::new(device, queue)?)))
    }

    fn on(selected: &Selected) -> Result<Self, Error> {
        let mut host = HostRunner::new(&selected.device, &selected.queue)?;
        host.watch_lost();
        let backend = Backend::Gpu(Box::new(selected.info.clone()));
        Ok(Self::with(backend, Some(host)))
    }

    /// Returns a `Ctc` on the CPU backend, which uses as many threads as rayon's current pool has,
    /// the calling thread among them.
    #[must_use]
    pub fn cpu() -> Self {
        let backend = Backend::Cpu {
            // This fails only in a forked process that cannot start threads. All calls on the CPU
            // backend fail there too.
            threads: on_threads(rayon::current_num_threads).unwrap_or(1),
            simd: cpu::simd_name(),
        };
        Self::with(backend, None)
    }

    fn with(backend: Backend, host: Option<HostRunner>) -> Self {
        let CacheLimits { shapes, .. } = CacheLimits::default();
        Self {
            backend,
            host: host.map(ProcessBound::new),
            cpu: CpuBackend::new(shapes),
            tables: Idle::new(shapes),
        }
    }

    /// Limits what is cached for later batches. Entries beyond the limits are dropped at once, the
    /// least recently used first. Plans and buffers that a call is using are counted only after the
    /// call has ended. A `Ctc` and those that [`with_limits`](Self::with_limits) creates from it
    /// share their pipelines, and so the limit on pipelines.
    pub fn set_cache_limits(&self, limits: CacheLimits) {
        self.tables.keep_at_most(limits.shapes);
        self.cpu.keep_at_most(limits.shapes);
        if let Some(host) = &self.host {
            host.set_cache_limits(limits);
        }
    }

    /// Returns the backend.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Returns the device, for diagnosis or for other work on it; `None` on the CPU backend.
    #[must_use]
    pub fn device(&self) -> Option<&wgpu::Device> {
        self.host.as_ref().map(|host| host.device())
    }

    pub(crate) fn host(&self) -> Option<&HostRunner> {
        self.host.as_deref()
    }

    /// Returns the limits that plans respect; `None` on the CPU backend.
    #[must_use]
    pub fn limits(&self) -> Option<&DeviceLimits> {
        self.host.as_ref().map(|host| host.limits())
    }

    /// Returns a `Ctc` whose plans respect `limits`. It uses the same device and shares the
    /// compiled kernels. Lower limits bound the memory of a batch, or select other kernels. Returns
    /// `None` on the CPU backend, which has no [`limits`](Self::limits).
    ///
    /// ```
    /// use ctc_wgpu::Ctc;
    /// let ctc = Ctc::new()?;
    /// if let Some(limits) = ctc.limits() {
    ///     let frugal = ctc.with_limits(&limits.max_binding(64 << 20)).expect("a device");
    ///     assert_eq!(frugal.limits().map(|l| l.max_binding), Some(64 << 20));
    /// }
    /// # Ok::<(), ctc_wgpu::Error>(())
    /// ```
    #[must_use]
    pub fn with_limits(&self, limits: &DeviceLimits) -> Option<Self> {
        let host = self.host.as_ref()?.with_limits(limits);
        Some(Self::with(self.backend.clone(), Some(host)))
    }

    /// Returns a `Ctc` on the same device without the kernels compiled so far. New ones are
    /// compiled through `cache`, which must belong to [`device`](Self::device). See
    /// [`GpuCtc::with_cache`](crate::GpuCtc::with_cache) for how to save it. The CPU backend
    /// ignores it.
    #[must_use]
    pub fn with_cache(&self, cache: &wgpu::PipelineCache) -> Self {
        let host = self.host.as_ref().map(|host| host.with_cache(cache));
        Self::with(self.backend.clone(), host)
    }

    /// Returns the bytes of memory that the CPU backend keeps for the next call, not counting
    /// results and the lengths of the items (16 bytes per item). Returns `None` on a device; there,
    /// [`Plan::workspace_bytes`](crate::Plan::workspace_bytes) returns the size of a workspace.
    #[must_use]
    pub fn cached_bytes(&self) -> Option<u64> {
        self.host.is_none().then(|| self.cpu.bytes() as u64)
    }

    /// Computes the loss of each item, without the gradient: about half the work of
    /// [`loss_and_grad`](Self::loss_and_grad).
    ///
    /// # Errors
    /// [`Error::Input`] if the batch is invalid; [`Error::Impossible`] for an item without a valid
    /// alignment, if the options select that; on a GPU [`Error::Plan`], [`Error::OutOfMemory`],
    /// [`Error::DeviceLost`] and [`Error::Gpu`], and in a browser [`Error::Blocking`]; after a fork
    /// [`Error::Forked`].
    pub fn loss(&self, batch: &Batch<'_>, options: &Options) -> Result<LossOutput, Error> {
        let mut output = LossOutput::default();
        self.loss_into(batch, options, &mut output)?;
        Ok(output)
    }

    /// Computes [`loss`](Self::loss) into `output` and reuses its memory: on the CPU backend
    /// repeated shapes allocate no arrays.
    ///
    /// # Errors
    /// As [`loss`](Self::loss). The output is empty after an error.
    pub fn loss_into(
        &self,
        batch: &Batch<'_>,
        options: &Options,
        output: &mut LossOutput,
    ) -> Result<(), Error> {
        let raw = take(output).into();
        let run = self.run(batch, options, Task::Loss, PollThread::Calling, raw);
        *output = block_on(run)?.into();
        Ok(())
    }

    /// The awaited form of [`loss`](Self::loss). On the CPU backend it completes without yielding.
    ///
    /// # Errors
    /// As [`loss`](Self::loss), but never [`Error::Blocking`].
    pub async fn loss_async(
        &self,
        batch: &Batch<'_>,
        options: &Options,
    ) -> Result<LossOutput, Error> {
        let raw = RawOutput::default();
        let run = self.run(batch, options, Task::Loss, PollThread::Background, raw);
        Ok(run.await?.into())
    }

    /// Computes the loss of each item, and the gradient with respect to the input, in the input's
    /// shape and layout.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn loss_and_grad(
        &self,
        batch: &Batch<'_>,
        options: &Options,
    ) -> Result<LossAndGradOutput, Error> {
        let mut output = LossAndGradOutput::default();
        self.loss_and_grad_into(batch, options, &mut output)?;
        Ok(output)
    }

    /// Computes [`loss_and_grad`](Self::loss_and_grad) into `output` and reuses its memory: on the
    /// CPU backend repeated shapes allocate no arrays, and writing a large gradient takes a
    /// fraction of the time that writing to new memory takes.
    ///
    /// ```
    /// use ctc_wgpu::{Batch, Ctc, LossAndGradOutput, Options};
    /// let (ctc, options) = (Ctc::cpu(), Options::default());
    /// let mut output = LossAndGradOutput::default();
    /// for step in 0..3 {
    ///     let logits = [step as f32; 4 * 3]; // N = 1, T = 4, C = 3
    ///     let batch = Batch::new([1, 4, 3], &logits).labels(&[1, 2], &[2]);
    ///     ctc.loss_and_grad_into(&batch, &options, &mut output)?;
    ///     assert!((output.loss[0] - (81.0_f32 / 15.0).ln()).abs() < 1e-6);
    /// }
    /// # Ok::<(), ctc_wgpu::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`loss`](Self::loss). The output is empty after an error.
    pub fn loss_and_grad_into(
        &self,
        batch: &Batch<'_>,
        options: &Options,
        output: &mut LossAndGradOutput,
    ) -> Result<(), Error> {
        let raw = take(output).into();
        let run = self.run(batch, options, Task::LossAndGrad, PollThread::Calling, raw);
        *output = block_on(run)?.into();
        Ok(())
    }

    /// The awaited form of [`loss_and_grad`](Self::loss_and_grad). On the CPU backend it completes
    /// without yielding.
    ///
    /// # Errors
    /// As [`loss_async`](Self::loss_async).
    pub async fn loss_and_grad_async(
        &self,
        batch: &Batch<'_>,
        options: &Options,
    ) -> Result<LossAndGradOutput, Error> {
        let raw = RawOutput::default();
        let run = self.run(
            batch,
            options,
            Task::LossAndGrad,
            PollThread::Background,
            raw,
        );
        Ok(run.await?.into())
    }

    async fn run(
        &self,
        batch: &Batch<'_>,
        options: &Options,
        task: Task,
        poll_thread: PollThread,
        mut output: RawOutput,
    ) -> Result<RawOutput, Error> {
        let tables = self.tables.take(|_| true).unwrap_or_default();
        let checked = CheckedBatch::with_tables(tables, batch, options)?;
        match &self.host {
            Some(host) => {
                host.run(&checked, options, task, poll_thread, &mut output)
                    .await?;
            }
            None => self.cpu.run(&checked, options, task, &mut output)?,
        }
        if options.impossible == Impossible::Error {
            let labels = |item: usize| checked.label_lengths[item] as usize;
            let frames = |item: usize| checked.logit_lengths[item] as usize;
            reject_impossible(&output.status, labels, frames)?;
        }
        self.tables.put(checked.into_tables());
        Ok(output)
    }
}

/// Returns all adapters of the machine that support compute shaders, the best first: GPUs before
/// software adapters, and GL last among equals.
///
/// A browser cannot block, and has only [`adapters_async`]. The list is empty in a process that was
/// forked while another thread was using a GPU; see [`Ctc`].
#[cfg(not(target_arch = "wasm32"))]
#[must_use]
pub fn adapters() -> Vec<wgpu::Adapter> {
    pollster::block_on(gpu::adapters())
}

/// The awaited form of [`adapters`](crate::adapters()). A browser exposes at most one adapter.
pub async fn adapters_async() -> Vec<wgpu::Adapter> {
    gpu::adapters().await
}
