//! What is timed.

use ctc_wgpu::{Backend, Ctc, Error};
use rayon::ThreadPool;

use super::resident::Gpu;
use super::stamps::Stamps;
use crate::fault::Fault;

pub(crate) enum Subject {
    Gpu {
        gpu: Gpu,
        /// Where the device keeps a clock of its own that can be trusted.
        stamps: Option<Stamps>,
        adapter: wgpu::Adapter,
        info: Box<wgpu::AdapterInfo>,
    },
    Cpu {
        pool: ThreadPool,
        ctc: Ctc,
    },
}

impl Subject {
    /// The first adapter whose name contains `name`, whatever its case, and that gives a device.
    pub(crate) fn gpu(name: &str) -> Result<Self, Fault> {
        let wanted = name.to_lowercase();
        let mut refusal = None;
        for adapter in ctc_wgpu::adapters() {
            let info = Box::new(adapter.get_info());
            if !info.name.to_lowercase().contains(&wanted) {
                continue;
            }
            match Gpu::open(&adapter, Stamps::FEATURES) {
                Ok(gpu) => {
                    let stamps = Stamps::around(&gpu, &info);
                    return Ok(Self::Gpu {
                        gpu,
                        stamps,
                        adapter,
                        info,
                    });
                }
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        let name = (!name.is_empty()).then_some(name);
        Err(match refusal {
            None => Fault::Usage(Error::no_adapter(name).to_string()),
            Some(error) => Fault::Compute(error.to_string()),
        })
    }

    /// The CPU backend in a pool of so many threads; one a core if nothing is said.
    pub(crate) fn cpu(threads: Option<u16>) -> Result<Self, Fault> {
        // To rayon 0 means one thread a core.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.unwrap_or(0).into())
            .build()
            .map_err(|e| Fault::Compute(format!("{} threads: {e}", threads.unwrap_or(0))))?;
        let ctc = pool.install(Ctc::cpu);
        Ok(Self::Cpu { pool, ctc })
    }

    /// As `Backend` prints it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Gpu { info, .. } => Backend::Gpu(info.clone()).to_string(),
            Self::Cpu { ctc, .. } => ctc.backend().to_string(),
        }
    }
}
