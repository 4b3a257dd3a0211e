//! Measures the machine's memory bandwidth by copying, with the same clock as the loss. A loss
//! whose arithmetic took no time would run at this rate.

use std::time::Instant;

use ctc_wgpu::Error;
use rayon::prelude::*;
use wgpu::{BufferUsages, CommandEncoder};

use super::backend::BenchBackend;
use super::batch_times::time;
use super::measure::Times;
use super::timestamps::Timestamps;
use ctc_wgpu_bench_support::resident::Gpu;

/// The size of the copied buffer, which is larger than any cache.
const BYTES: u64 = 256 << 20;

/// The bytes that one invocation of `copy.wgsl` copies.
const WORD: u64 = 16;
/// The invocations per workgroup of `copy.wgsl`.
const INVOCATIONS: u64 = 256;

/// Bytes read and written per second. Which way of copying is faster depends on the GPU, so the
/// larger rate is used.
pub(crate) struct Bandwidth {
    /// The rate of the copy command; on the host, that of all threads.
    pub(crate) by_command: f64,
    /// The rate of a compute shader; `None` on the host.
    pub(crate) by_kernel: Option<f64>,
}

impl Bandwidth {
    pub(crate) fn of(backend: &BenchBackend) -> Result<Self, String> {
        match backend {
            BenchBackend::Gpu {
                gpu, timestamps, ..
            } => on_device(gpu, timestamps.as_ref()).map_err(|e| e.to_string()),
            BenchBackend::Cpu { pool, .. } => Ok(Self {
                by_command: rate(BYTES, &pool.install(on_host)),
                by_kernel: None,
            }),
        }
    }

    pub(crate) fn larger(&self) -> f64 {
        self.by_command.max(self.by_kernel.unwrap_or(0.0))
    }
}

fn rate(bytes: u64, times: &Times) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let moved = 2.0 * bytes as f64;
    moved / times.median().as_secs_f64()
}

fn on_device(gpu: &Gpu, timestamps: Option<&Timestamps>) -> Result<Bandwidth, Error> {
    let limits = gpu.device.limits();
    let whole = |bytes: u64| bytes / WORD * WORD;
    let bytes = whole(BYTES.min(limits.max_buffer_size));
    let bound = whole(bytes.min(limits.max_storage_buffer_binding_size));
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
    let (from, to) = (gpu.buffer(bytes, usage), gpu.buffer(bytes, usage));
    let command = |encoder: &mut CommandEncoder| {
        encoder.copy_buffer_to_buffer(&from, 0, &to, 0, bytes);
        Ok(())
    };
    let pipeline = pipeline(&gpu.device);
    let entries = [(&from, 0), (&to, 1)].map(|(buffer, binding)| wgpu::BindGroupEntry {
        binding,
        resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer,
            offset: 0,
            size: wgpu::BufferSize::new(bound),
        }),
    });
    let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("copy"),
        layout: &pipeline.get_bind_group_layout(0),
        entries: &entries,
    });
    let workgroups = u32::try_from(bound.div_ceil(WORD * INVOCATIONS)).unwrap_or(u32::MAX);
    let columns = workgroups.min(limits.max_compute_workgroups_per_dimension);
    let kernel = |encoder: &mut CommandEncoder| {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(columns, workgroups.div_ceil(columns), 1);
        Ok(())
    };
    Ok(Bandwidth {
        by_command: rate(bytes, &Times::take(|| time(gpu, timestamps, command))?),
        by_kernel: Some(rate(bound, &Times::take(|| time(gpu, timestamps, kernel))?)),
    })
}

fn pipeline(device: &wgpu::Device) -> wgpu::ComputePipeline {
    let module = device.create_shader_module(wgpu::include_wgsl!("copy.wgsl"));
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("copy"),
        layout: None,
        module: &module,
        entry_point: Some("copy"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    })
}

/// Copies on all threads of the current pool.
fn on_host() -> Times {
    let words = usize::try_from(BYTES / 8).unwrap_or(0);
    let (from, mut to) = (vec![1_u64; words], vec![0_u64; words]);
    let piece = words.div_ceil(rayon::current_num_threads());
    let times = Times::take(|| {
        let start = Instant::now();
        to.par_chunks_mut(piece)
            .zip(from.par_chunks(piece))
            .for_each(|(to, from)| to.copy_from_slice(from));
        std::hint::black_box(&to);
        Ok::<_, std::convert::Infallible>(start.elapsed())
    });
    match times {
        Ok(times) => times,
        Err(never) => match never {},
    }
}
