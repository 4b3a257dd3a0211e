//! The front door for arrays on the host: [`Ctc`], on the best adapter or the CPU backend.

use std::fmt;
use std::mem::take;

use crate::batch::{Batch, CheckedBatch, Tables};
use crate::blocking::block_on;
use crate::cpu::{self, CpuBackend};
use crate::error::{Error, refuse_impossible};
use crate::fork::{Resident, on_threads};
use crate::gpu::{self, Host, Selected, Waiting};
use crate::idle::Idle;
use crate::limits::DeviceLimits;
use crate::options::{Impossible, Options};
use crate::output::{Answer, LossAndGradOutput, LossOutput};
use crate::plan::Task;
use crate::setters::setters;

/// Where a [`Ctc`] computes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Backend {
    /// The WGSL kernels on this adapter.
    Gpu(Box<wgpu::AdapterInfo>),
    /// The CPU backend.
    Cpu {
        /// How many threads share the items.
        threads: usize,
        /// The vector instructions found at run time.
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

/// What a [`Ctc`] keeps for later batches, which would otherwise be made again.
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
    /// Compiled pipelines of the device, those that plans hold not counted: 128 by default. A plan has about ten, and most
    /// are shared by the plans of other shapes. On a software adapter one takes about 0.3 MiB.
    pub pipelines: usize,
    /// Recent batch shapes whose plan and buffers are kept: 4 by default. Calls that run at the same time have one set each.
    /// On the CPU backend the tables of a call.
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
/// In a browser, where no thread may wait, the plain forms of the calls answer on the CPU backend only, and are
/// [`Error::Blocking`] on a GPU: await the `_async` forms.
///
/// It may be shared by threads; each call has buffers of its own. Shapes that come again find their plan and buffers
/// ready, on the CPU backend its tables: about the size of the gradient at most. [`CacheLimits`] bounds what is kept. For data that is on a GPU already, see [`GpuCtc`](crate::GpuCtc).
///
/// After a `fork`, a `Ctc` on the CPU computes in the child too, with threads of its own; one on a GPU answers
/// [`Error::Forked`] there, and a new one may be made. That is also the answer if another thread was using the GPU when
/// the process was forked. Of a device or an adapter of your own, which you opened before the fork, only you can know:
/// its driver may wait for ever in the child.
///
/// ```
/// use ctc_wgpu::{Batch, Ctc, Options};
/// let ctc = Ctc::new()?; // the best adapter, or the CPU backend
/// let logits = [0.0_f32; 2 * 4 * 3]; // N = 2, T = 4, C = 3: all classes equally likely
/// let batch = Batch::new([2, 4, 3], &logits).labels(&[1, 2, 1, 0], &[2, 1]);
/// let output = ctc.loss_and_grad(&batch, &Options::default())?;
/// // 15 of the 3⁴ paths read "1 2", and 10 read "1".
/// assert!((output.loss[0] - (81.0_f32 / 15.0).ln()).abs() < 1e-6);
/// assert!((output.loss[1] - (81.0_f32 / 10.0).ln()).abs() < 1e-6);
/// assert_eq!(output.grad.len(), logits.len());
/// # Ok::<(), ctc_wgpu::Error>(())
/// ```
#[derive(Debug)]
pub struct Ctc {
    backend: Backend,
    /// Without it the CPU backend computes.
    host: Option<Resident<Host>>,
    cpu: CpuBackend,
    /// Of calls that have ended.
    tables: Idle<Tables>,
}

impl Ctc {
    /// The best adapter of the machine that can be used, or the CPU backend where there is none;
    /// [`backend`](Self::backend) says which.
    ///
    /// # Errors
    /// [`Error::Blocking`] in a browser. What goes wrong with an adapter is told by [`gpu`](Self::gpu).
    pub fn new() -> Result<Self, Error> {
        block_on(async { Ok(Self::new_async().await) })
    }

    /// The awaited form of [`new`](Self::new), which also works in a browser.
    pub async fn new_async() -> Self {
        Self::gpu_async().await.unwrap_or_else(|_| Self::cpu())
    }

    /// The best adapter that can be used, never the CPU backend.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] if the machine has no adapter; [`Error::NoDevice`] or [`Error::Plan`] if none of its adapters
    /// gives a usable device; [`Error::Blocking`] in a browser.
    pub fn gpu() -> Result<Self, Error> {
        block_on(Self::gpu_async())
    }

    /// The awaited form of [`gpu`](Self::gpu).
    ///
    /// # Errors
    /// As [`gpu`](Self::gpu).
    pub async fn gpu_async() -> Result<Self, Error> {
        gpu::first(None, Self::on).await
    }

    /// The best adapter whose name contains `name`, ignoring case. Never the CPU backend.
    ///
    /// # Errors
    /// As [`gpu`](Self::gpu), of the adapters with such a name.
    pub fn gpu_named(name: &str) -> Result<Self, Error> {
        block_on(Self::gpu_named_async(name))
    }

    /// The awaited form of [`gpu_named`](Self::gpu_named).
    ///
    /// # Errors
    /// As [`gpu_named`](Self::gpu_named).
    pub async fn gpu_named_async(name: &str) -> Result<Self, Error> {
        gpu::first(Some(name), Self::on).await
    }

    /// This adapter, one of [`adapters`].
    ///
    /// # Errors
    /// [`Error::NoDevice`] or [`Error::Plan`] if it gives no device that can be used.
    pub fn on_adapter(adapter: &wgpu::Adapter) -> Result<Self, Error> {
        block_on(Self::on_adapter_async(adapter))
    }

    /// [`on_adapter`](Self::on_adapter), awaited.
    ///
    /// # Errors
    /// As [`on_adapter`](Self::on_adapter).
    pub async fn on_adapter_async(adapter: &wgpu::Adapter) -> Result<Self, Error> {
        Self::on(&gpu::open(adapter).await?)
    }

    /// A device of yours, within the limits that you asked for it.
    ///
    /// # Errors
    /// [`Error::Plan`] if its limits are below what any plan needs.
    pub fn on_device(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<Self, Error> {
        let backend = Backend::Gpu(Box::new(device.adapter_info()));
        Ok(Self::with(backend, Some(Host::new(device, queue)?)))
    }

    fn on(selected: &Selected) -> Result<Self, Error> {
        let mut host = Host::new(&selected.device, &selected.queue)?;
        host.watch();
        let backend = Backend::Gpu(Box::new(selected.info.clone()));
        Ok(Self::with(backend, Some(host)))
    }

    /// The CPU backend, on the threads of rayon's current pool.
    #[must_use]
    pub fn cpu() -> Self {
        let backend = Backend::Cpu {
            // Without threads this one computes.
            threads: on_threads(rayon::current_num_threads).unwrap_or(1),
            simd: cpu::simd_name(),
        };
        Self::with(backend, None)
    }

    fn with(backend: Backend, host: Option<Host>) -> Self {
        let CacheLimits { shapes, .. } = CacheLimits::default();
        Self {
            backend,
            host: host.map(Resident::new),
            cpu: CpuBackend::new(shapes),
            tables: Idle::new(shapes),
        }
    }

    /// Bounds what is kept for later batches, from now on. What is beyond the bound goes at once, the least recently used
    /// first; what calls in progress use goes when they end. Pipelines are shared with the `Ctc` of which this was made by
    /// [`with_limits`](Self::with_limits), and their bound too.
    pub fn set_cache_limits(&self, limits: CacheLimits) {
        self.tables.keep_at_most(limits.shapes);
        self.cpu.keep_at_most(limits.shapes);
        if let Some(host) = &self.host {
            host.set_cache_limits(limits);
        }
    }

    /// Where this computes.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The device that this computes on, if it is one: for diagnosis, or for work of your own beside it.
    #[must_use]
    pub fn device(&self) -> Option<&wgpu::Device> {
        self.host.as_ref().map(|host| host.device())
    }

    pub(crate) fn host(&self) -> Option<&Host> {
        self.host.as_deref()
    }

    /// What plans keep within, if this computes on a device.
    #[must_use]
    pub fn limits(&self) -> Option<&DeviceLimits> {
        self.host.as_ref().map(|host| host.limits())
    }

    /// The same device with its compiled kernels, but plans within `limits`: to bound the memory of a batch, or to choose
    /// among the kernels. `None` on the CPU backend, which has no [`limits`](Self::limits).
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

    /// The same device without the kernels compiled so far; new ones are compiled through `cache`, which must be made on
    /// [`device`](Self::device). See [`GpuCtc::with_cache`](crate::GpuCtc::with_cache), also for how to save it. The CPU
    /// backend ignores it.
    #[must_use]
    pub fn with_cache(&self, cache: &wgpu::PipelineCache) -> Self {
        let host = self.host.as_ref().map(|host| host.with_cache(cache));
        Self::with(self.backend.clone(), host)
    }

    /// The bytes of memory that the CPU backend keeps for the next call, its answers not counted; `None` on a device, where
    /// [`Plan::workspace_bytes`](crate::Plan::workspace_bytes) tells.
    #[must_use]
    pub fn cached_bytes(&self) -> Option<u64> {
        self.host.is_none().then(|| self.cpu.bytes() as u64)
    }

    /// The losses only: about half the work of [`loss_and_grad`](Self::loss_and_grad).
    ///
    /// # Errors
    /// [`Error::Input`] if the batch breaks a rule, [`Error::Impossible`] if the options ask for it, and what a GPU can
    /// answer: [`Error::Plan`], [`Error::OutOfMemory`], [`Error::DeviceLost`], [`Error::Gpu`]; after a fork
    /// [`Error::Forked`].
    pub fn loss(&self, batch: &Batch<'_>, options: &Options) -> Result<LossOutput, Error> {
        let mut output = LossOutput::default();
        self.loss_into(batch, options, &mut output)?;
        Ok(output)
    }

    /// [`loss`](Self::loss) into an output of before, whose memory is used again: on the CPU backend a shape that comes
    /// again allocates nothing.
    ///
    /// # Errors
    /// As [`loss`](Self::loss); the output is empty then.
    pub fn loss_into(
        &self,
        batch: &Batch<'_>,
        options: &Options,
        output: &mut LossOutput,
    ) -> Result<(), Error> {
        let answer = take(output).into();
        let run = self.run(batch, options, Task::Loss, Waiting::Here, answer);
        *output = block_on(run)?.into();
        Ok(())
    }

    /// [`loss`](Self::loss), awaited. The CPU backend computes in the awaiting thread.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub async fn loss_async(
        &self,
        batch: &Batch<'_>,
        options: &Options,
    ) -> Result<LossOutput, Error> {
        let answer = Answer::default();
        let run = self.run(batch, options, Task::Loss, Waiting::Aside, answer);
        Ok(run.await?.into())
    }

    /// The losses and the gradient.
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

    /// [`loss_and_grad`](Self::loss_and_grad) into an output of before, whose memory is used again: on the CPU backend a
    /// shape that comes again allocates nothing, and a large gradient costs a fraction of what fresh memory costs.
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
    /// As [`loss`](Self::loss); the output is empty then.
    pub fn loss_and_grad_into(
        &self,
        batch: &Batch<'_>,
        options: &Options,
        output: &mut LossAndGradOutput,
    ) -> Result<(), Error> {
        let answer = take(output).into();
        let run = self.run(batch, options, Task::LossAndGrad, Waiting::Here, answer);
        *output = block_on(run)?.into();
        Ok(())
    }

    /// [`loss_and_grad`](Self::loss_and_grad), awaited. The CPU backend computes in the awaiting thread.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub async fn loss_and_grad_async(
        &self,
        batch: &Batch<'_>,
        options: &Options,
    ) -> Result<LossAndGradOutput, Error> {
        let answer = Answer::default();
        let run = self.run(batch, options, Task::LossAndGrad, Waiting::Aside, answer);
        Ok(run.await?.into())
    }

    async fn run(
        &self,
        batch: &Batch<'_>,
        options: &Options,
        task: Task,
        waiting: Waiting,
        mut answer: Answer,
    ) -> Result<Answer, Error> {
        let tables = self.tables.take(|_| true).unwrap_or_default();
        let checked = CheckedBatch::within(tables, batch, options)?;
        match &self.host {
            Some(host) => {
                host.run(&checked, options, task, waiting, &mut answer)
                    .await?;
            }
            None => self.cpu.run(&checked, options, task, &mut answer)?,
        }
        if options.impossible == Impossible::Error {
            let labels = |item: usize| checked.label_lengths[item] as usize;
            let frames = |item: usize| checked.logit_lengths[item] as usize;
            refuse_impossible(&answer.status, labels, frames)?;
        }
        self.tables.put(checked.into_tables());
        Ok(answer)
    }
}

/// All adapters of the machine that can compute, the best first: real GPUs before software, GL last among equals.
///
/// A browser cannot wait for them: there only [`adapters_async`] is. None in a process that was forked while another thread
/// was using a GPU, see [`Ctc`].
#[cfg(not(target_arch = "wasm32"))]
#[must_use]
pub fn adapters() -> Vec<wgpu::Adapter> {
    pollster::block_on(gpu::adapters())
}

/// [`adapters`](crate::adapters()), awaited. A browser tells of one adapter at most.
pub async fn adapters_async() -> Vec<wgpu::Adapter> {
    gpu::adapters().await
}
