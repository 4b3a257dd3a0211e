//! Compiles pipelines when a plan first needs them, several at a time, and keeps them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::error_scope::guarded;
use super::lru::Lru;
use super::threads::in_threads;
use crate::blocking::locked;
use crate::error::Error;
use crate::kernels::{Access, Kernel, SourceVariant, for_browsers};
use crate::params::Params;
use crate::plan::PlannedDispatch;

/// A compiled kernel and its bind group layout.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
}

/// Selects whether wgpu adds its runtime checks to the kernels: a clamp of each index and a counter
/// in each loop.
///
/// On a software adapter (llvmpipe, Mesa 22.3), the kernels take the same time with and without
/// them, within the noise, for all shapes of the benchmark. The difference has not been measured on
/// a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum RuntimeChecks {
    /// Kernels have wgpu's checks.
    #[default]
    On,
    /// Kernels have only their own checks, which keep every access inside the buffers for any
    /// lengths, labels and numbers.
    Off,
}

/// The inputs of a compilation, which identify a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    kernel: &'static str,
    variant: SourceVariant,
    constants: Vec<(&'static str, u32)>,
}

impl Key {
    fn of(dispatch: &PlannedDispatch, variant: SourceVariant) -> Self {
        Self {
            kernel: dispatch.kernel.name,
            variant: dispatch.source_variant(variant),
            constants: dispatch.constants.clone(),
        }
    }
}

/// A pipeline, once it is compiled. The lock is held during the compilation, so that a second
/// thread waits for it instead of compiling the pipeline again.
type Entry = Arc<Mutex<Option<Arc<Pipeline>>>>;

/// The default maximum number of pipelines that are kept.
pub(crate) const PIPELINES: usize = 128;

/// A device and its pipelines.
#[derive(Debug)]
pub(crate) struct Engine {
    device: wgpu::Device,
    queue: wgpu::Queue,
    checks: RuntimeChecks,
    cache: Option<wgpu::PipelineCache>,
    /// Locked only to find or insert an entry, not during a compilation.
    entries: Mutex<Lru<Key, Entry>>,
}

impl Engine {
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue, checks: RuntimeChecks) -> Self {
        Self {
            device: device.clone(),
            queue: queue.clone(),
            checks,
            cache: None,
            entries: Mutex::new(Lru::new(PIPELINES)),
        }
    }

    /// Returns an engine of the same device, without pipelines, that compiles through `cache`.
    pub(super) fn with_cache(&self, cache: &wgpu::PipelineCache) -> Self {
        let capacity = locked(&self.entries).capacity();
        Self {
            cache: Some(cache.clone()),
            entries: Mutex::new(Lru::new(capacity)),
            ..Self::new(&self.device, &self.queue, self.checks)
        }
    }

    /// Sets the maximum number of pipelines that are kept.
    pub(super) fn keep_at_most(&self, pipelines: usize) {
        let evicted = locked(&self.entries).keep_at_most(pipelines);
        drop(evicted);
    }

    pub(super) fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// Creates a buffer with the contents `words`.
    pub(super) fn filled(
        &self,
        label: &str,
        words: &[u32],
        usage: wgpu::BufferUsages,
    ) -> wgpu::Buffer {
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: size_of_val(words) as u64,
            usage: usage | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.queue
            .write_buffer(&buffer, 0, bytemuck::cast_slice(words));
        buffer
    }

    /// Returns the pipeline of each dispatch, from the shader source that `variant` selects. Those
    /// not compiled yet are compiled in parallel.
    pub(super) fn pipelines(
        &self,
        dispatches: &[PlannedDispatch],
        variant: SourceVariant,
    ) -> Result<Vec<Arc<Pipeline>>, Error> {
        // Plans of long batches use the same pipeline in hundreds of dispatches.
        let mut distinct = Vec::new();
        let mut indices = HashMap::new();
        let indices: Vec<usize> = dispatches
            .iter()
            .map(|dispatch| {
                let key = Key::of(dispatch, variant);
                *indices.entry(key.clone()).or_insert_with(|| {
                    distinct.push((dispatch, key));
                    distinct.len() - 1
                })
            })
            .collect();
        let compiled: Vec<_> = match self.compiled(&distinct) {
            Some(compiled) => compiled,
            None => {
                let results = in_threads(self.threads(), &distinct, |(dispatch, key)| {
                    self.pipeline(dispatch, key)
                });
                // Returns the first error in the order of the dispatches, so that repeated runs
                // report the same one.
                results.into_iter().collect::<Result<_, _>>()?
            }
        };
        Ok(indices
            .into_iter()
            .map(|index| Arc::clone(&compiled[index]))
            .collect())
    }

    /// Returns the number of pipelines that may be compiled at the same time.
    fn threads(&self) -> usize {
        match self.device.adapter_info().backend {
            // wgpu shares one OpenGL context between threads, and panics in a thread that has
            // waited 1 to 6 s for it.
            wgpu::Backend::Gl => 1,
            _ => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// Returns the pipelines if all of them are compiled.
    fn compiled(&self, distinct: &[(&PlannedDispatch, Key)]) -> Option<Vec<Arc<Pipeline>>> {
        let mut entries = locked(&self.entries);
        let keys = distinct.iter().map(|(_, key)| key);
        let compiled = keys.map(|key| entries.get(key)?.try_lock().ok()?.clone());
        compiled.collect()
    }

    fn entry(&self, key: &Key) -> Entry {
        let mut entries = locked(&self.entries);
        if let Some(entry) = entries.get(key) {
            return entry;
        }
        let entry = Entry::default();
        let evicted = entries.insert(key.clone(), Arc::clone(&entry));
        drop(entries);
        drop(evicted);
        entry
    }

    fn pipeline(&self, dispatch: &PlannedDispatch, key: &Key) -> Result<Arc<Pipeline>, Error> {
        let entry = self.entry(key);
        let mut pipeline = locked(&entry);
        if let Some(pipeline) = &*pipeline {
            return Ok(Arc::clone(pipeline));
        }
        let during = format!("compiling kernel `{}` with {:?}", key.kernel, key.constants);
        let compiled = guarded(&self.device, &during, || {
            self.compile(dispatch, key.variant)
        })?;
        Ok(Arc::clone(pipeline.insert(Arc::new(compiled))))
    }

    fn compile(&self, dispatch: &PlannedDispatch, variant: SourceVariant) -> Pipeline {
        let kernel = dispatch.kernel;
        let label = format!("ctc.{}", kernel.name);
        let layout = self.layout(kernel, variant, &label);
        let pipeline_layout = self
            .device
            .create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(&label),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
        let module = self.module(wgpu::ShaderModuleDescriptor {
            label: Some(&label),
            source: wgpu::ShaderSource::Wgsl(self.source(kernel, variant).into()),
        });
        let constants: Vec<_> = dispatch
            .constants
            .iter()
            .map(|(name, value)| (*name, f64::from(*value)))
            .collect();
        let pipeline = self
            .device
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(&label),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some(kernel.name),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &constants,
                    // Kernels write each word of workgroup memory before reading it.
                    zero_initialize_workgroup_memory: false,
                },
                cache: self.cache.as_ref(),
            });
        Pipeline { pipeline, layout }
    }

    fn source(&self, kernel: &Kernel, variant: SourceVariant) -> String {
        let source = kernel.source(variant);
        match self.device.adapter_info().backend {
            wgpu::Backend::BrowserWebGpu => {
                for_browsers(source, kernel.source_variant(variant).subgroups)
            }
            _ => source,
        }
    }

    #[allow(
        unsafe_code,
        reason = "the only unsafe code of the library; justified at the call"
    )]
    fn module(&self, descriptor: wgpu::ShaderModuleDescriptor<'_>) -> wgpu::ShaderModule {
        match self.checks {
            RuntimeChecks::On => self.device.create_shader_module(descriptor),
            // SAFETY: the shader source is ours, never a caller's. Each index is below the length
            // of the array that it indexes: rows, state pairs and steps are bounded by numbers of
            // the plan, and the bindings have the lengths that follow from these numbers. Item
            // lengths, labels and the starts of concatenated labels, which may come from a caller's
            // buffer, are compared with their bounds in the stage `check_labels`, and label links
            // are indices of checked labels. Later stages read only what that stage wrote: for this
            // batch or, if a caller of `Stage::encode` leaves it out, zeros or an earlier batch of
            // the same plan. The states of an alignment start at most at twice the number of its
            // labels and only decrease, to 0 at least. Loops end: their bounds are the same numbers
            // (see `Iterations`). No integer is divided by a number that may be 0: the items of a
            // tile and the frames of an input slice are at least 1 in each dispatch that divides by
            // them. Tests run malformed buffers of every kind through kernels compiled this way,
            // and run stages out of order.
            RuntimeChecks::Off => unsafe {
                self.device.create_shader_module_trusted(
                    descriptor,
                    wgpu::ShaderRuntimeChecks::unchecked(),
                )
            },
        }
    }

    fn layout(
        &self,
        kernel: &Kernel,
        variant: SourceVariant,
        label: &str,
    ) -> wgpu::BindGroupLayout {
        let entry = |binding, ty, size| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty,
                has_dynamic_offset: false,
                min_binding_size: size,
            },
            count: None,
        };
        let uniform = entry(
            0,
            wgpu::BufferBindingType::Uniform,
            wgpu::BufferSize::new(size_of::<Params>() as u64),
        );
        let storage = (0..kernel.bindings.len())
            .zip(1..)
            .filter_map(|(index, binding)| {
                let read_only = kernel.access(index, variant)? == Access::Read;
                let ty = wgpu::BufferBindingType::Storage { read_only };
                Some(entry(binding, ty, None))
            });
        let entries: Vec<_> = std::iter::once(uniform).chain(storage).collect();
        self.device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some(label),
                entries: &entries,
            })
    }
}
