//! Measures device time by timestamp queries.

use std::time::Duration;

use ctc_wgpu::Error;
use wgpu::{BufferUsages, CommandEncoder, Features, QUERY_SIZE, QuerySet};

use ctc_wgpu_bench_support::resident::Gpu;

/// The timestamps of one submission.
pub(crate) struct Timestamps {
    set: QuerySet,
    resolved: wgpu::Buffer,
    count: u32,
    /// Nanoseconds per tick.
    period: f64,
}

/// The features that [`Timestamps::time`] requires.
const SUBMISSION_FEATURES: Features =
    Features::TIMESTAMP_QUERY.union(Features::TIMESTAMP_QUERY_INSIDE_ENCODERS);

impl Timestamps {
    /// The features to request from an adapter, as far as it supports them.
    pub(crate) const FEATURES: Features =
        SUBMISSION_FEATURES.union(Features::TIMESTAMP_QUERY_INSIDE_PASSES);

    /// Returns the two timestamps for [`time`](Self::time), if the device supports them. Returns
    /// `None` for a software adapter, which is timed by the wall clock because its work and its
    /// submissions share the CPU.
    pub(crate) fn for_submissions(gpu: &Gpu, info: &wgpu::AdapterInfo) -> Option<Self> {
        let software = info.device_type == wgpu::DeviceType::Cpu;
        let supported = gpu.device.features().contains(SUBMISSION_FEATURES);
        (supported && !software).then(|| Self::new(gpu, 2))
    }

    /// Creates `count` timestamps. The device must have [`Features::TIMESTAMP_QUERY`].
    pub(crate) fn new(gpu: &Gpu, count: u32) -> Self {
        Self {
            set: gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: None,
                ty: wgpu::QueryType::Timestamp,
                count,
            }),
            resolved: gpu.buffer(
                u64::from(count) * u64::from(QUERY_SIZE),
                BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC,
            ),
            count,
            period: gpu.queue.get_timestamp_period().into(),
        }
    }

    /// Runs `work` and returns its time on the device, without the submission and the waiting.
    pub(crate) fn time(
        &self,
        gpu: &Gpu,
        work: impl FnOnce(&mut CommandEncoder) -> Result<(), Error>,
    ) -> Result<Duration, Error> {
        let ticks = self.run(gpu, |encoder, set| {
            encoder.write_timestamp(set, 0);
            work(encoder)?;
            encoder.write_timestamp(set, 1);
            Ok(())
        })?;
        Ok(match ticks[..] {
            [begin, end] => self.between(begin, end),
            _ => Duration::ZERO,
        })
    }

    /// Runs `work`, which writes all timestamps of the set, and returns them in ticks.
    pub(crate) fn run(
        &self,
        gpu: &Gpu,
        work: impl FnOnce(&mut CommandEncoder, &QuerySet) -> Result<(), Error>,
    ) -> Result<Vec<u64>, Error> {
        gpu.run(|encoder| {
            work(encoder, &self.set)?;
            encoder.resolve_query_set(&self.set, 0..self.count, &self.resolved, 0);
            Ok(())
        })?;
        gpu.read(&self.resolved)
    }

    pub(crate) fn between(&self, begin: u64, end: u64) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "a span of seconds at most")]
        let ticks = end.saturating_sub(begin) as f64;
        Duration::from_secs_f64(ticks * self.period * 1e-9)
    }
}
