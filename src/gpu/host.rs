//! Arrays on the host through the kernels: upload, run, read back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::channel::oneshot;

use super::error_scope::{guarded, guarded_async};
use super::{GpuCtc, GpuPlan};
use crate::batch::{BatchShape, CheckedBatch};
use crate::blocking::locked;
use crate::ctc::CacheLimits;
use crate::error::{Error, PlanError};
use crate::fork::Driving;
use crate::idle::Idle;
use crate::limits::DeviceLimits;
use crate::options::Options;
use crate::output::Answer;
use crate::plan::{Plan, Task};

mod decode;
mod parts;
mod staging;

use parts::{Part, Parts};
use staging::{Pending, Staging};

/// Who waits for the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The calling thread, which has nothing else to do.
    Here,
    /// Another thread, while the caller's awaits.
    Aside,
}

/// A device of our own, and the sessions of recent shapes.
#[derive(Debug)]
pub(crate) struct Host {
    ctc: GpuCtc,
    device: wgpu::Device,
    queue: wgpu::Queue,
    limits: DeviceLimits,
    lost: Arc<Mutex<Option<String>>>,
    /// Whether that is told when the device is lost.
    watched: bool,
    idle: Idle<Staging>,
}

/// Elements of a batch beside whose upload a plan is cheap. Only with very low limits have smaller ones too many dispatches.
const MANY_ELEMENTS: usize = 1 << 24;

/// How often a device that failed is asked whether it is lost, and the pause between: 0.1 s, and only after a failure.
const MOST_POLLS: u32 = 20;
const BETWEEN_POLLS: Duration = Duration::from_millis(5);

impl Host {
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

    /// Listens for the loss of the device. It has one listener, which on a caller's device is the caller's.
    pub(crate) fn watch(&mut self) {
        self.watched = true;
        let seen = Arc::clone(&self.lost);
        self.device
            .set_device_lost_callback(move |reason, message| {
                *locked(&seen) = Some(format!("{reason:?} {message}").trim().to_owned());
            });
    }

    /// The same device and pipelines, for plans within these limits.
    pub(crate) fn with_limits(&self, limits: &DeviceLimits) -> Self {
        self.beside(self.ctc.clone(), *limits)
    }

    /// The same device and limits, whose pipelines go through `cache`.
    pub(crate) fn with_cache(&self, cache: &wgpu::PipelineCache) -> Self {
        self.beside(self.ctc.with_cache(cache), self.limits)
    }

    /// The same device, with no session: sessions hold pipelines and workspaces of earlier plans.
    fn beside(&self, ctc: GpuCtc, limits: DeviceLimits) -> Self {
        Self {
            ctc,
            device: self.device.clone(),
            queue: self.queue.clone(),
            limits,
            lost: Arc::clone(&self.lost),
            watched: self.watched,
            idle: Idle::new(self.idle.most()),
        }
    }

    pub(crate) fn set_cache_limits(&self, limits: CacheLimits) {
        self.idle.keep_at_most(limits.shapes);
        self.ctc.set_pipeline_limit(limits.pipelines);
    }

    /// Begins a call: not in a forked process, which has not even the right to look whether the device is lost.
    fn enter(&self) -> Result<Driving, Error> {
        self.ctc.engine.check()?;
        Driving::begin()
    }

    pub(crate) fn limits(&self) -> &DeviceLimits {
        &self.limits
    }

    pub(crate) fn device(&self) -> &wgpu::Device {
        &self.device
    }

    pub(crate) async fn run(
        &self,
        checked: &CheckedBatch<'_>,
        options: &Options,
        task: Task,
        waiting: Waiting,
        answer: &mut Answer,
    ) -> Result<(), Error> {
        let _driving = self.enter()?;
        let parts = self.parts(checked, options, task);
        for part in parts.iter() {
            self.alive()?;
            let result = self.run_part(&part, task, waiting, answer).await;
            if result.is_err() {
                self.hear();
            }
            self.alive()?;
            result?;
        }
        parts.reduce(answer);
        Ok(())
    }

    /// The batch, cut by items where no buffer holds it, or where a plan of all items would have too many dispatches.
    fn parts<'a>(&self, checked: &'a CheckedBatch<'a>, options: &Options, task: Task) -> Parts<'a> {
        let parts = |max_items| {
            let max_buffer = self.device.limits().max_buffer_size;
            Parts::new(checked, options, max_buffer, max_items)
        };
        let mut cut = parts(usize::MAX);
        if checked.shape().elements() < MANY_ELEMENTS {
            return cut;
        }
        let too_many = |cut: &Parts<'_>| {
            let shape = cut.iter().next()?.plan_shape();
            match Plan::new(&shape, options, task, &self.limits) {
                Err(PlanError::Dispatches { most, .. }) if most > 0 => Some(most),
                // Any other refusal is told when the part is planned for.
                _ => None,
            }
        };
        // Each number is lower than the one before.
        while let Some(most) = too_many(&cut) {
            cut = parts(most);
        }
        cut
    }

    async fn run_part(
        &self,
        part: &Part<'_>,
        task: Task,
        waiting: Waiting,
        answer: &mut Answer,
    ) -> Result<(), Error> {
        let begin = || self.begin(part, task);
        let (session, pending) = guarded_async(&self.device, "running a batch", begin).await??;
        self.answered(pending, waiting).await?;
        session.read(&self.device, part, answer)?;
        self.idle.put(session);
        Ok(())
    }

    /// All that the device is asked to do.
    fn begin(&self, part: &Part<'_>, task: Task) -> Result<(Staging, Pending), Error> {
        let session = self.session(part, task)?;
        guarded(&self.device, "uploading a batch", || {
            session.upload(&self.queue, part)
        })?;
        let pending = session.submit(&self.device, &self.queue, part)?;
        Ok((session, pending))
    }

    /// Until all buffers can be read.
    async fn answered(&self, pending: Pending, waiting: Waiting) -> Result<(), Error> {
        let poller = match waiting {
            Waiting::Here => {
                wait(&self.device);
                None
            }
            Waiting::Aside => self.poll_aside(),
        };
        pending.ready().await?;
        // It has the device until then: a program that ended meanwhile would take the driver from under it.
        if let Some(done) = poller {
            let _ = done.await;
        }
        Ok(())
    }

    /// Native devices call back only while somebody polls them.
    #[cfg(not(target_arch = "wasm32"))]
    fn poll_aside(&self) -> Option<oneshot::Receiver<()>> {
        let (sender, done) = oneshot::channel();
        let device = self.device.clone();
        std::thread::spawn(move || {
            let driving = Driving::begin();
            wait(&device);
            drop(device);
            drop(driving);
            // Nobody listens where an error before this one ended the run.
            let _ = sender.send(());
        });
        Some(done)
    }

    /// A browser does by itself, and has no threads.
    #[cfg(target_arch = "wasm32")]
    fn poll_aside(&self) -> Option<oneshot::Receiver<()>> {
        None
    }

    /// Lets the listener hear of what is to be told. What fails on a lost device fails in many ways, and only the listener
    /// knows why. It is told at the end of a poll that finds nothing submitted any more: ours, or another thread's, for
    /// which it is waited a little.
    fn hear(&self) {
        for _ in 0..MOST_POLLS {
            wait(&self.device);
            if !self.watched || self.alive().is_err() || cfg!(target_arch = "wasm32") {
                return;
            }
            std::thread::sleep(BETWEEN_POLLS);
        }
    }

    fn alive(&self) -> Result<(), Error> {
        match &*locked(&self.lost) {
            None => Ok(()),
            Some(reason) => Err(Error::DeviceLost(reason.clone())),
        }
    }

    /// An idle session for the part's shape, or a new one.
    fn session(&self, part: &Part<'_>, task: Task) -> Result<Staging, Error> {
        let shape = part.plan_shape();
        let labels = part.labels().len();
        let idle = |session: &Staging| session.fits(&shape, part.options(), task, labels);
        if let Some(session) = self.idle.take(idle) {
            return Ok(session);
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

/// Until the device has done all that was submitted so far; a lost one answers at once, and the pending buffers tell.
fn wait(device: &wgpu::Device) {
    // GL ends a wait after 2^31 ns, whatever it was asked for, and nobody else would poll after that.
    while matches!(
        device.poll(wgpu::PollType::wait_indefinitely()),
        Err(wgpu::PollError::Timeout)
    ) {}
}
