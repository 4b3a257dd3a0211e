//! Runs the kernels on arrays of the host: uploads the input, runs the plan and reads the results
//! back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::channel::oneshot;

use super::error_scope::{guarded, guarded_async};
use super::{GpuCtc, GpuPlan};
use crate::batch::{BatchShape, CheckedBatch};
use crate::blocking::locked;
use crate::ctc::CacheLimits;
use crate::error::{Error, PlanError};
use crate::fork::DeviceUse;
use crate::idle::Idle;
use crate::limits::DeviceLimits;
use crate::options::Options;
use crate::output::RawOutput;
use crate::plan::{Plan, Task};

mod decode;
mod parts;
mod staging;

use parts::{BatchPart, BatchParts};
use staging::{Pending, Staging};

/// The thread that polls the device until the results are ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PollThread {
    /// The calling thread, which blocks.
    Calling,
    /// A background thread, while the caller awaits.
    Background,
}

/// A device, with the plans and buffers that are kept for later calls.
#[derive(Debug)]
pub(crate) struct HostRunner {
    ctc: GpuCtc,
    device: wgpu::Device,
    queue: wgpu::Queue,
    limits: DeviceLimits,
    /// The reason for the loss of the device, if it was lost.
    lost: Arc<Mutex<Option<String>>>,
    /// True if the device's callback sets `lost`.
    watched: bool,
    idle: Idle<Staging>,
}

/// The number of input elements from which on a batch is planned in advance, to count its
/// dispatches. For such a batch, planning takes little time compared with the upload. Smaller
/// batches have too many dispatches only within very low limits.
const MANY_ELEMENTS: usize = 1 << 24;

/// The maximum number of polls for the loss of the device after a failed call, and the pause
/// between two polls: 0.1 s together.
const LOST_POLLS: u32 = 20;
const LOST_POLL_PAUSE: Duration = Duration::from_millis(5);

impl HostRunner {
    pub(crate) fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<Self, Error> {
        let ctc = GpuCtc::new(device, queue)?;
        Ok(Self {
            limits: ctc.limits(),
            ctc,
            device: device.clone(),
            queue: queue.clone(),
            lost: Arc::default(),
            watched: false,
            idle: Idle::new(CacheLimits::default().shapes),
        })
    }

    /// Sets the device-lost callback. A device has only one, so this must not be called for a
    /// caller's device, which keeps the caller's callback.
    pub(crate) fn watch_lost(&mut self) {
        self.watched = true;
        let lost = Arc::clone(&self.lost);
        self.device
            .set_device_lost_callback(move |reason, message| {
                *locked(&lost) = Some(format!("{reason:?} {message}").trim().to_owned());
            });
    }

    /// Returns a runner with the same device and pipelines that plans within `limits`.
    pub(crate) fn with_limits(&self, limits: &DeviceLimits) -> Self {
        self.with_context(self.ctc.clone(), *limits)
    }

    /// Returns a runner with the same device and limits that compiles pipelines through `cache`.
    pub(crate) fn with_cache(&self, cache: &wgpu::PipelineCache) -> Self {
        self.with_context(self.ctc.with_cache(cache), self.limits)
    }

    /// Returns a runner with the same device, without cached buffers: these hold the pipelines and
    /// workspaces of earlier plans.
    fn with_context(&self, ctc: GpuCtc, limits: DeviceLimits) -> Self {
        Self {
            ctc,
            device: self.device.clone(),
            queue: self.queue.clone(),
            limits,
            lost: Arc::clone(&self.lost),
            watched: self.watched,
            idle: Idle::new(self.idle.capacity()),
        }
    }

    pub(crate) fn set_cache_limits(&self, limits: CacheLimits) {
        self.idle.keep_at_most(limits.shapes);
        self.ctc.set_pipeline_limit(limits.pipelines);
    }

    /// Begins a call. Must come before any other use of the device, even before
    /// [`check_lost`](Self::check_lost).
    ///
    /// # Errors
    /// [`Error::Forked`] in a child of the process that created the device.
    fn enter(&self) -> Result<DeviceUse, Error> {
        self.ctc.engine.check()?;
        DeviceUse::begin()
    }

    pub(crate) fn limits(&self) -> &DeviceLimits {
        &self.limits
    }

    pub(crate) fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// Runs a task on a batch, in several parts if it does not fit at once, and adds the results to
    /// `output`.
    ///
    /// # Errors
    /// [`Error::Forked`] in a child of the process that created the device, [`Error::DeviceLost`],
    /// or any error of planning and running a part.
    pub(crate) async fn run(
        &self,
        checked: &CheckedBatch<'_>,
        options: &Options,
        task: Task,
        poll_thread: PollThread,
        output: &mut RawOutput,
    ) -> Result<(), Error> {
        let _device_use = self.enter()?;
        let parts = self.split(checked, options, task);
        for part in parts.iter() {
            self.check_lost()?;
            let result = self.run_part(&part, task, poll_thread, output).await;
            if result.is_err() {
                self.poll_lost_reason();
            }
            self.check_lost()?;
            result?;
        }
        parts.reduce(output);
        Ok(())
    }

    /// Splits the batch by items if its arrays exceed a buffer, or if its plan would have too many
    /// dispatches.
    fn split<'a>(
        &self,
        checked: &'a CheckedBatch<'a>,
        options: &Options,
        task: Task,
    ) -> BatchParts<'a> {
        let max_buffer = self.device.limits().max_buffer_size;
        let of_at_most = |max_items| BatchParts::new(checked, options, max_buffer, max_items);
        let mut parts = of_at_most(usize::MAX);
        if checked.shape().elements() < MANY_ELEMENTS {
            return parts;
        }
        let too_many = |parts: &BatchParts<'_>| {
            let shape = parts.iter().next()?.plan_shape();
            match Plan::new(&shape, options, task, &self.limits) {
                Err(PlanError::Dispatches { max_items, .. }) if max_items > 0 => Some(max_items),
                // `run_part` plans the part again, and returns any other error.
                _ => None,
            }
        };
        // `max_items` decreases, so the loop ends.
        while let Some(max_items) = too_many(&parts) {
            parts = of_at_most(max_items);
        }
        parts
    }

    async fn run_part(
        &self,
        part: &BatchPart<'_>,
        task: Task,
        poll_thread: PollThread,
        output: &mut RawOutput,
    ) -> Result<(), Error> {
        let start = || self.upload_and_submit(part, task);
        let (staging, pending) = guarded_async(&self.device, "running a batch", start).await??;
        self.wait_readable(pending, poll_thread).await?;
        staging.read(&self.device, part, output)?;
        self.idle.put(staging);
        Ok(())
    }

    fn upload_and_submit(
        &self,
        part: &BatchPart<'_>,
        task: Task,
    ) -> Result<(Staging, Pending), Error> {
        let staging = self.staging(part, task)?;
        guarded(&self.device, "uploading a batch", || {
            staging.upload(&self.queue, part)
        })?;
        let pending = staging.submit(&self.device, &self.queue, part)?;
        Ok((staging, pending))
    }

    /// Waits until all buffers in `pending` can be read.
    async fn wait_readable(&self, pending: Pending, poll_thread: PollThread) -> Result<(), Error> {
        let poller = match poll_thread {
            PollThread::Calling => {
                wait(&self.device);
                None
            }
            PollThread::Background => self.poll_in_background(),
        };
        pending.ready().await?;
        // The background thread uses the device until it ends: if the program ended first, the
        // driver would be unloaded while in use.
        if let Some(done) = poller {
            let _ = done.await;
        }
        Ok(())
    }

    /// Polls the device in a new thread, since native devices call back only while a thread polls
    /// them. Returns a receiver for the end of the thread.
    #[cfg(not(target_arch = "wasm32"))]
    fn poll_in_background(&self) -> Option<oneshot::Receiver<()>> {
        let (sender, done) = oneshot::channel();
        let device = self.device.clone();
        std::thread::spawn(move || {
            let device_use = DeviceUse::begin();
            wait(&device);
            drop(device);
            drop(device_use);
            // The receiver is gone if the run has ended with an error.
            let _ = sender.send(());
        });
        Some(done)
    }

    /// Does nothing, because a browser has no threads and calls back without polling.
    #[cfg(target_arch = "wasm32")]
    fn poll_in_background(&self) -> Option<oneshot::Receiver<()>> {
        None
    }

    /// Polls briefly after a failure, so that the device-lost callback can run: calls on a lost
    /// device fail with various errors, and only the callback receives the reason. The callback
    /// runs at the end of a poll that finds no submitted work of any thread; the pauses give other
    /// threads time to finish theirs.
    fn poll_lost_reason(&self) {
        for _ in 0..LOST_POLLS {
            wait(&self.device);
            if !self.watched || self.check_lost().is_err() || cfg!(target_arch = "wasm32") {
                return;
            }
            std::thread::sleep(LOST_POLL_PAUSE);
        }
    }

    /// Checks that the device has not reported its loss.
    ///
    /// # Errors
    /// [`Error::DeviceLost`] if it has.
    fn check_lost(&self) -> Result<(), Error> {
        match &*locked(&self.lost) {
            None => Ok(()),
            Some(reason) => Err(Error::DeviceLost(reason.clone())),
        }
    }

    /// Returns idle staging buffers that fit the part's shape, options and task, or new ones.
    fn staging(&self, part: &BatchPart<'_>, task: Task) -> Result<Staging, Error> {
        let shape = part.plan_shape();
        let labels = part.labels().len();
        let fits = |staging: &Staging| staging.fits(&shape, part.options(), task, labels);
        if let Some(staging) = self.idle.take(fits) {
            return Ok(staging);
        }
        Staging::new(
            &self.device,
            self.plan(&shape, part.options(), task)?,
            labels,
        )
    }

    fn plan(&self, shape: &BatchShape, options: &Options, task: Task) -> Result<GpuPlan, Error> {
        self.ctc.plan_within(shape, options, task, &self.limits)
    }
}

/// Waits until the device has completed all work submitted so far. On a lost device, returns at
/// once; reading the pending buffers then fails.
fn wait(device: &wgpu::Device) {
    // GL ends every wait after 2^31 ns, so the wait is repeated.
    while matches!(
        device.poll(wgpu::PollType::wait_indefinitely()),
        Err(wgpu::PollError::Timeout)
    ) {}
}
