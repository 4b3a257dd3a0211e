//! The backend that is timed.

use ctc_wgpu::{Backend, Ctc, Error};
use rayon::ThreadPool;

use super::timestamps::Timestamps;
use crate::error::CliError;
use ctc_wgpu_bench_support::resident::Gpu;

pub(crate) enum BenchBackend {
    Gpu {
        gpu: Gpu,
        /// Present if the device's timestamps are used instead of the wall clock.
        timestamps: Option<Timestamps>,
        adapter: wgpu::Adapter,
        info: Box<wgpu::AdapterInfo>,
    },
    Cpu {
        pool: ThreadPool,
        ctc: Ctc,
    },
}

impl BenchBackend {
    /// Opens the first adapter whose name contains `name`, ignoring case, on which a device can be
    /// created.
    pub(crate) fn gpu(name: &str) -> Result<Self, CliError> {
        let wanted = name.to_lowercase();
        let mut first_error = None;
        for adapter in ctc_wgpu::adapters() {
            let info = Box::new(adapter.get_info());
            if !info.name.to_lowercase().contains(&wanted) {
                continue;
            }
            match Gpu::open(&adapter, Timestamps::FEATURES) {
                Ok(gpu) => {
                    let timestamps = Timestamps::for_submissions(&gpu, &info);
                    return Ok(Self::Gpu {
                        gpu,
                        timestamps,
                        adapter,
                        info,
                    });
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        let name = (!name.is_empty()).then_some(name);
        Err(match first_error {
            None => CliError::Usage(Error::no_adapter(name).to_string()),
            Some(error) => CliError::Compute(error.to_string()),
        })
    }

    /// Creates the CPU backend in a pool of `threads` threads; the default is one per core.
    pub(crate) fn cpu(threads: Option<u16>) -> Result<Self, CliError> {
        // For rayon, 0 means one thread per core.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.unwrap_or(0).into())
            .build()
            .map_err(|e| {
                CliError::Compute(format!(
                    "could not start the threads of the CPU backend: {e}"
                ))
            })?;
        let ctc = pool.install(Ctc::cpu);
        Ok(Self::Cpu { pool, ctc })
    }

    /// Returns the name as `Backend` prints it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Gpu { info, .. } => Backend::Gpu(info.clone()).to_string(),
            Self::Cpu { ctc, .. } => ctc.backend().to_string(),
        }
    }
}
