//! The device's own clock.

use std::time::Duration;

use ctc_wgpu::Error;
use wgpu::{BufferUsages, CommandEncoder, Features, QUERY_SIZE};

use super::resident::Gpu;

/// Two timestamps around work on the device, without the time to submit it and to hear that it is done.
pub(crate) struct Stamps {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    /// Nanoseconds a tick.
    period: f64,
}

const NEEDED: Features = Features::TIMESTAMP_QUERY.union(Features::TIMESTAMP_QUERY_INSIDE_ENCODERS);

impl Stamps {
    /// What the device must be asked for. Nothing on a software adapter, where wall time is the honest one, nor where
    /// the adapter has not all of it.
    pub(crate) fn features(adapter: &wgpu::Adapter) -> Features {
        let software = adapter.get_info().device_type == wgpu::DeviceType::Cpu;
        match adapter.features().contains(NEEDED) && !software {
            true => NEEDED,
            false => Features::empty(),
        }
    }

    pub(crate) fn new(gpu: &Gpu) -> Option<Self> {
        gpu.device.features().contains(NEEDED).then(|| Self {
            set: gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: None,
                ty: wgpu::QueryType::Timestamp,
                count: 2,
            }),
            resolved: gpu.buffer(
                2 * u64::from(QUERY_SIZE),
                BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC,
            ),
            period: gpu.queue.get_timestamp_period().into(),
        })
    }

    /// Runs `work` and says how long the device was at it.
    pub(crate) fn time(
        &self,
        gpu: &Gpu,
        work: impl FnOnce(&mut CommandEncoder) -> Result<(), Error>,
    ) -> Result<Duration, Error> {
        gpu.run(|encoder| {
            encoder.write_timestamp(&self.set, 0);
            work(encoder)?;
            encoder.write_timestamp(&self.set, 1);
            encoder.resolve_query_set(&self.set, 0..2, &self.resolved, 0);
            Ok(())
        })?;
        let ticks: Vec<u64> = gpu.read(&self.resolved)?;
        let spent = match ticks[..] {
            [begin, end] => end.saturating_sub(begin),
            _ => 0,
        };
        #[expect(clippy::cast_precision_loss, reason = "a span of seconds at most")]
        let nanoseconds = spent as f64 * self.period;
        Ok(Duration::from_secs_f64(nanoseconds * 1e-9))
    }
}
