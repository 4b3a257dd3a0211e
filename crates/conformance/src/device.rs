//! A device that is created for the tests.

use std::time::{Duration, Instant};

use ctc_wgpu::internal::block_on;
use ctc_wgpu::{DeviceLimits, Error};

/// After this time, a device is assumed to hang.
const PATIENCE: Duration = Duration::from_secs(600);

/// A new device on an adapter, with all features that the kernels can use.
#[derive(Debug)]
pub struct Gpu {
    /// The adapter's name and backend.
    pub name: String,
    /// The device.
    pub device: wgpu::Device,
    /// Its queue.
    pub queue: wgpu::Queue,
    adapter: wgpu::Adapter,
}

impl Gpu {
    /// Creates a device with these limits.
    ///
    /// # Errors
    /// [`Error::NoDevice`] if the device cannot be created.
    pub fn new(adapter: &wgpu::Adapter, limits: wgpu::Limits) -> Result<Self, Error> {
        Self::with_features(adapter, limits, wgpu::Features::empty())
    }

    /// Creates a device with these limits, and with those of `features` that the adapter supports.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_features(
        adapter: &wgpu::Adapter,
        limits: wgpu::Limits,
        features: wgpu::Features,
    ) -> Result<Self, Error> {
        let info = adapter.get_info();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("conformance"),
            required_limits: limits,
            required_features: adapter.features() & (features | DeviceLimits::FEATURES),
            ..wgpu::DeviceDescriptor::default()
        };
        let made = block_on(async { Ok(adapter.request_device(&descriptor).await) })?;
        let (device, queue) = made.map_err(|reason| Error::no_device(&info.name, reason))?;
        Ok(Self {
            name: format!("{} ({})", info.name, info.backend),
            device,
            queue,
            adapter: adapter.clone(),
        })
    }

    /// Creates another device of the same adapter and instance.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn another(&self) -> Result<Self, Error> {
        Self::new(&self.adapter, self.device.limits())
    }

    /// Creates a command encoder.
    #[must_use]
    pub fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&Default::default())
    }

    /// Creates a buffer with these words, which can be read back.
    #[must_use]
    pub fn buffer(&self, words: &[u32]) -> wgpu::Buffer {
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("conformance"),
            size: size_of_val(words).max(4) as u64,
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.queue
            .write_buffer(&buffer, 0, bytemuck::cast_slice(words));
        buffer
    }

    /// Reads the words of a buffer, after all submitted work.
    ///
    /// # Errors
    /// The message of wgpu, for example if the device is lost.
    pub fn read(&self, buffer: &wgpu::Buffer) -> Result<Vec<u32>, String> {
        let staging = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("conformance.read"),
            size: buffer.size(),
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let mut encoder = self.encoder();
        encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, buffer.size());
        self.queue.submit([encoder.finish()]);
        let (sender, mapped) = std::sync::mpsc::channel();
        // If the receiver is gone, this function has already returned an error.
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            drop(sender.send(result))
        });
        let start = Instant::now();
        while let Err(error) = self.device.poll(wgpu::PollType::Wait {
            submission_index: None,
            timeout: Some(PATIENCE.saturating_sub(start.elapsed())),
        }) {
            // GL ends a wait after 2^31 ns, even if the timeout is longer.
            if !matches!(error, wgpu::PollError::Timeout) || start.elapsed() > PATIENCE {
                return Err(error.to_string());
            }
        }
        let mapped = mapped.recv().map_err(|e| e.to_string())?;
        mapped.map_err(|e| e.to_string())?;
        let view = staging.get_mapped_range(..).map_err(|e| e.to_string())?;
        Ok(bytemuck::cast_slice(&view).to_vec())
    }
}
