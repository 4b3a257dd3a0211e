//! Pipelines: compiled when a plan first needs them, several at a time, and kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::error_scope::guarded;
use super::lru::Lru;
use super::threads::in_threads;
use crate::blocking::locked;
use crate::error::Error;
use crate::kernels::{Access, Kernel, SourceVariant, for_browsers};
use crate::params::Params;
use crate::plan::Step;

/// A compiled kernel with the layout of its bindings.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
}

/// Whether wgpu adds its own checks to our shaders: a clamp to each index, and a counter to each loop.
///
/// Without them the kernels take as long on a software adapter (llvmpipe, Mesa 22.3: within the noise at all shapes of the
/// benchmark); on a GPU it is unmeasured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum RuntimeChecks {
    /// wgpu's checks are compiled in.
    #[default]
    On,
    /// They are left out. The kernels' own checks stay: no length, label or number in a buffer leads them out of it.
    Off,
}

/// What tells two pipelines apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    kernel: &'static str,
    variant: SourceVariant,
    constants: Vec<(&'static str, u32)>,
}

impl Key {
    fn of(step: &Step, variant: SourceVariant) -> Self {
        Self {
            kernel: step.kernel.name,
            variant: step.kernel.source_variant(SourceVariant {
                subgroups: step.subgroups,
                ..variant
            }),
            constants: step.constants.clone(),
        }
    }
}

/// Holds a pipeline once it is compiled. Locked while it compiles, so that a second thread waits instead of compiling it
/// again.
type Entry = Arc<Mutex<Option<Arc<Pipeline>>>>;

/// How many pipelines are kept where nothing else is asked for.
pub(crate) const PIPELINES: usize = 128;

/// A device and its pipelines.
#[derive(Debug)]
pub(crate) struct Engine {
    device: wgpu::Device,
    queue: wgpu::Queue,
    checks: RuntimeChecks,
    cache: Option<wgpu::PipelineCache>,
    /// Locked only to find or insert an entry, never while a pipeline compiles.
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

    /// The same device without its compiled pipelines. New ones go through `cache`.
    pub(super) fn with_cache(&self, cache: &wgpu::PipelineCache) -> Self {
        let most = locked(&self.entries).most();
        Self {
            cache: Some(cache.clone()),
            entries: Mutex::new(Lru::new(most)),
            ..Self::new(&self.device, &self.queue, self.checks)
        }
    }

    /// Keeps at most so many pipelines from now on.
    pub(super) fn keep_at_most(&self, pipelines: usize) {
        let dropped = locked(&self.entries).keep_at_most(pipelines);
        drop(dropped);
    }

    pub(super) fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// A buffer that holds these words.
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

    /// The pipeline of each step, from the kernel text that `text` selects. Those not compiled yet are compiled at the same
    /// time.
    pub(super) fn pipelines(
        &self,
        steps: &[Step],
        variant: SourceVariant,
    ) -> Result<Vec<Arc<Pipeline>>, Error> {
        // Long batches repeat a pipeline in hundreds of steps.
        let mut distinct = Vec::new();
        let mut indices = HashMap::new();
        let indices: Vec<usize> = steps
            .iter()
            .map(|step| {
                let key = Key::of(step, variant);
                *indices.entry(key.clone()).or_insert_with(|| {
                    distinct.push((step, key));
                    distinct.len() - 1
                })
            })
            .collect();
        let compiled: Vec<_> = match self.compiled(&distinct) {
            Some(compiled) => compiled,
            None => {
                let results = in_threads(self.threads(), &distinct, |(step, key)| {
                    self.pipeline(step, key)
                });
                // The first error in the order of the steps, so that repeated runs report the same one.
                results.into_iter().collect::<Result<_, _>>()?
            }
        };
        Ok(indices
            .into_iter()
            .map(|index| Arc::clone(&compiled[index]))
            .collect())
    }

    /// How many pipelines may compile at the same time.
    fn threads(&self) -> usize {
        match self.device.adapter_info().backend {
            // wgpu shares one OpenGL context between threads and panics in one that has waited 1 to 6 s for it.
            wgpu::Backend::Gl => 1,
            _ => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// The pipelines, if all of them are compiled.
    fn compiled(&self, distinct: &[(&Step, Key)]) -> Option<Vec<Arc<Pipeline>>> {
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
        let dropped = entries.insert(key.clone(), Arc::clone(&entry));
        drop(entries);
        drop(dropped);
        entry
    }

    fn pipeline(&self, step: &Step, key: &Key) -> Result<Arc<Pipeline>, Error> {
        let entry = self.entry(key);
        let mut pipeline = locked(&entry);
        if let Some(pipeline) = &*pipeline {
            return Ok(Arc::clone(pipeline));
        }
        let during = format!("kernel `{}` with {:?}", key.kernel, key.constants);
        let compiled = guarded(&self.device, &during, || self.compile(step, key.variant))?;
        Ok(Arc::clone(pipeline.insert(Arc::new(compiled))))
    }

    fn compile(&self, step: &Step, variant: SourceVariant) -> Pipeline {
        let kernel = step.kernel;
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
        let constants: Vec<_> = step
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
                    // Each word of workgroup memory is written before it is read.
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
        reason = "the one exception; its argument stands at the call"
    )]
    fn module(&self, descriptor: wgpu::ShaderModuleDescriptor<'_>) -> wgpu::ShaderModule {
        match self.checks {
            RuntimeChecks::On => self.device.create_shader_module(descriptor),
            // SAFETY: the text is ours, never a caller's. Each index that it forms is below the length of what it
            // indexes: rows, places and steps are bounded by numbers of the plan, whose bindings are as long as those
            // numbers say; item lengths, labels and links, which may come from a caller's buffer, are compared with
            // their bounds in the stage `labels`, and later stages read only what that stage wrote: for this batch, or,
            // where a caller of `Stage::encode` leaves it out, zeros or an earlier batch of the same plan. The states of
            // an alignment begin at twice its labels and only go down, to 0 at most. Loops end: their bounds are the
            // same numbers (see `Iterations`). No integer is divided by a number that may be 0: the group and the
            // frames of a chunk are at least 1 in each step that divides by them. Tests run every kind of hostile
            // buffer through kernels compiled this way, and stages out of order.
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
