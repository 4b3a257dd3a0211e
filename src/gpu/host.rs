//! Arrays on the host through the kernels: upload, run, read back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::channel::oneshot;

use super::scope::{guarded, guarded_async};
use super::{GpuCtc, GpuPlan};
use crate::blocking::locked;
use crate::error::Error;
use crate::limits::Limits;
use crate::options::Options;
use crate::output::Answer;
use crate::plan::Goal;
use crate::problem::{Problem, Shape};

mod decode;
mod parts;
mod session;

use parts::{Part, Parts};
use session::{Pending, Session};

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
    limits: Limits,
    lost: Arc<Mutex<Option<String>>>,
    /// Whether that is told when the device is lost.
    watched: bool,
    idle: Mutex<Vec<Session>>,
}

/// Sessions that are kept for the next batch of their shape.
const KEPT_SESSIONS: usize = 4;

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
            idle: Mutex::default(),
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
    pub(crate) fn within(&self, limits: &Limits) -> Self {
        self.beside(self.ctc.clone(), *limits)
    }

    /// The same device and limits, whose pipelines go through `cache`.
    pub(crate) fn with_cache(&self, cache: &wgpu::PipelineCache) -> Self {
        self.beside(self.ctc.with_cache(cache), self.limits)
    }

    /// The same device, with no session: sessions hold pipelines and workspaces of earlier plans.
    fn beside(&self, ctc: GpuCtc, limits: Limits) -> Self {
        Self {
            ctc,
            device: self.device.clone(),
            queue: self.queue.clone(),
            limits,
            lost: Arc::clone(&self.lost),
            watched: self.watched,
            idle: Mutex::default(),
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn device(&self) -> &wgpu::Device {
        &self.device
    }

    pub(crate) async fn run(
        &self,
        problem: &Problem<'_>,
        options: &Options,
        goal: Goal,
        waiting: Waiting,
        answer: &mut Answer,
    ) -> Result<(), Error> {
        let parts = Parts::new(problem, options, self.device.limits().max_buffer_size);
        for part in parts.iter() {
            self.alive()?;
            let result = self.run_part(&part, goal, waiting, answer).await;
            if result.is_err() {
                self.hear();
            }
            self.alive()?;
            result?;
        }
        parts.reduce(answer);
        Ok(())
    }

    async fn run_part(
        &self,
        part: &Part<'_>,
        goal: Goal,
        waiting: Waiting,
        answer: &mut Answer,
    ) -> Result<(), Error> {
        let begin = || self.begin(part, goal);
        let (session, pending) = guarded_async(&self.device, "running a batch", begin).await??;
        self.answered(pending, waiting).await?;
        session.read(&self.device, part, answer)?;
        let mut idle = locked(&self.idle);
        idle.push(session);
        if idle.len() > KEPT_SESSIONS {
            idle.remove(0);
        }
        Ok(())
    }

    /// All that the device is asked to do.
    fn begin(&self, part: &Part<'_>, goal: Goal) -> Result<(Session, Pending), Error> {
        let session = self.session(part, goal)?;
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
            wait(&device);
            drop(device);
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
    fn session(&self, part: &Part<'_>, goal: Goal) -> Result<Session, Error> {
        let shape = part.plan_shape();
        {
            let mut idle = locked(&self.idle);
            let found = idle
                .iter()
                .position(|s| s.fits(&shape, part.options(), goal, part.labels().len()));
            if let Some(index) = found {
                return Ok(idle.remove(index));
            }
        }
        Session::new(
            &self.device,
            self.plan(&shape, part.options(), goal)?,
            part.labels().len(),
        )
    }

    fn plan(&self, shape: &Shape, options: &Options, goal: Goal) -> Result<GpuPlan, Error> {
        self.ctc.plan_within(shape, options, goal, &self.limits)
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
