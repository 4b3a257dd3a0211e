//! Pipelines, compiled from the table of kernels when first needed and kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::scope::guarded;
use crate::error::Error;
use crate::kernels::{Access, Kernel, Sharing};
use crate::params::Params;
use crate::plan::Step;

/// A compiled kernel with the layout of its bindings.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
}

/// What tells two pipelines apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    kernel: &'static str,
    sharing: Sharing,
    constants: Vec<(&'static str, u32)>,
}

/// A device and its pipelines.
#[derive(Debug)]
pub(crate) struct Engine {
    device: wgpu::Device,
    queue: wgpu::Queue,
    pipelines: Mutex<HashMap<Key, Arc<Pipeline>>>,
}

impl Engine {
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        Self {
            device: device.clone(),
            queue: queue.clone(),
            pipelines: Mutex::default(),
        }
    }

    pub(super) fn device(&self) -> &wgpu::Device {
        &self.device
    }

    pub(super) fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    pub(super) fn pipeline(&self, step: &Step, sharing: Sharing) -> Result<Arc<Pipeline>, Error> {
        let key = Key {
            kernel: step.kernel.name,
            sharing,
            constants: step.constants.clone(),
        };
        // A thread that panicked while it held the lock left a map of whole pipelines.
        let mut pipelines = self
            .pipelines
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = pipelines.get(&key) {
            return Ok(Arc::clone(pipeline));
        }
        let during = format!("kernel `{}` with {:?}", step.kernel.name, step.constants);
        let pipeline = guarded(&self.device, &during, || self.compile(step, sharing))?;
        let pipeline = Arc::new(pipeline);
        pipelines.insert(key, Arc::clone(&pipeline));
        Ok(pipeline)
    }

    fn compile(&self, step: &Step, sharing: Sharing) -> Pipeline {
        let kernel = step.kernel;
        let label = format!("ctc.{}", kernel.name);
        let layout = self.layout(kernel, sharing, &label);
        let pipeline_layout = self
            .device
            .create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(&label),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
        let module = self
            .device
            .create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(&label),
                source: wgpu::ShaderSource::Wgsl(kernel.source(sharing).into()),
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
                cache: None,
            });
        Pipeline { pipeline, layout }
    }

    fn layout(&self, kernel: &Kernel, sharing: Sharing, label: &str) -> wgpu::BindGroupLayout {
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
        let storage = (0..kernel.bindings.len()).zip(1..).map(|(index, binding)| {
            let read_only = kernel.access(index, sharing) == Access::Read;
            entry(
                binding,
                wgpu::BufferBindingType::Storage { read_only },
                None,
            )
        });
        let entries: Vec<_> = std::iter::once(uniform).chain(storage).collect();
        self.device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some(label),
                entries: &entries,
            })
    }
}
