//! A plan with its workspace, which records its dispatches into the caller's encoder.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::bindings::{Bindings, required_bytes};
use super::buffers::Buffers;
use super::decode::{AlignBuffers, GreedyBuffers};
use super::engine::{Engine, Pipeline};
use super::error_scope::guarded;
use super::prepared::{BoundDispatch, Prepared};
use crate::batch::LabelLayout;
use crate::error::Error;
use crate::fork::{DeviceUse, ProcessBound};
use crate::kernels::{ArrayId, SourceVariant};
use crate::limits::DeviceLimits;
use crate::params::Params;
use crate::plan::{BindingRange, Plan, PlannedDispatch};

/// A [`Plan`] on a device, with its pipelines and the workspace that all batches of its shape use.
///
/// A plan may be encoded several times, also from several threads: the queue runs the recordings
/// one after the other. Batches that should run at the same time need one plan each.
#[derive(Debug)]
pub struct GpuPlan {
    plan: Plan,
    engine: ProcessBound<Engine>,
    resources: ProcessBound<Resources>,
}

/// The objects of a plan on the device.
#[derive(Debug)]
struct Resources {
    pipelines: Vec<Arc<Pipeline>>,
    /// The uniforms, `stride` bytes apart.
    params: wgpu::Buffer,
    stride: u64,
    workspace: Vec<(ArrayId, wgpu::Buffer)>,
    /// Buffers that are bound in place of the caller's if one is left out or empty: full lengths,
    /// weights of 1, and memory for unused outputs.
    defaults: Vec<(ArrayId, wgpu::Buffer)>,
}

impl GpuPlan {
    pub(super) fn new(engine: &ProcessBound<Engine>, plan: Plan) -> Result<Self, Error> {
        let device = engine.device();
        let pipelines = engine.pipelines(&plan.dispatches, plan.source_variant())?;
        let stride = u64::from(device.limits().min_uniform_buffer_offset_alignment)
            .max(size_of::<Params>().next_power_of_two() as u64);
        let during = format!("creating a workspace of {} bytes", plan.workspace_bytes());
        let resources = guarded(device, &during, || Resources {
            params: params(engine, &plan, stride),
            workspace: workspace(device, &plan),
            defaults: default_buffers(engine, &plan),
            pipelines,
            stride,
        })?;
        Ok(Self {
            resources: engine.derived(resources),
            engine: engine.clone(),
            plan,
        })
    }

    /// Returns the plan: its shape, its workspace and its dispatches.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Records the computation on `buffers` into `encoder`, as one compute pass. Does not submit,
    /// copy or wait.
    ///
    /// # Errors
    /// [`Error::Buffer`] if a buffer does not fit the plan, or if the plan is for another task than
    /// these buffers; `encoder` is then unchanged.
    /// [`Error::Gpu`] if wgpu rejects a binding, for instance a buffer of another device.
    /// [`Error::Forked`] in a child of the process that created the plan.
    pub fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        buffers: &Buffers<'_>,
    ) -> Result<(), Error> {
        self.record(encoder, &buffers.bindings())
    }

    /// Records the computation as [`encode`](Self::encode) does, for a plan of
    /// [`GpuCtc::plan_align`](crate::GpuCtc::plan_align).
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_align(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        buffers: &AlignBuffers<'_>,
    ) -> Result<(), Error> {
        self.record(encoder, &buffers.bindings())
    }

    /// Records the computation as [`encode`](Self::encode) does, for a plan of
    /// [`GpuCtc::plan_greedy`](crate::GpuCtc::plan_greedy).
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_greedy(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        buffers: &GreedyBuffers<'_>,
    ) -> Result<(), Error> {
        self.record(encoder, &buffers.bindings())
    }

    fn record(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        buffers: &Bindings<'_>,
    ) -> Result<(), Error> {
        self.prepare_bindings(buffers)?.encode(encoder)
    }

    /// Checks `buffers` and creates the bind group of each dispatch.
    pub(super) fn prepare_bindings(&self, buffers: &Bindings<'_>) -> Result<Prepared, Error> {
        self.engine.check()?;
        let _device_use = DeviceUse::begin()?;
        let device = self.engine.device();
        buffers.check(&self.plan, &DeviceLimits::from(&device.limits()))?;
        let variant = SourceVariant {
            aliasing: buffers.aliasing(),
            in_place: buffers.is_in_place(),
            ..self.plan.source_variant()
        };
        let in_place = self.plan.in_place.as_ref().filter(|_| variant.in_place);
        // The uniforms of the dispatches in place follow the others.
        let (planned, first) = match in_place {
            Some(dispatches) => (dispatches, self.plan.dispatches.len()),
            None => (&self.plan.dispatches, 0),
        };
        let pipelines = if variant == self.plan.source_variant() {
            self.resources.pipelines.clone()
        } else {
            self.engine.pipelines(planned, variant)?
        };
        let dispatches = guarded(device, "creating the bind groups of a batch", || {
            let numbered = (first..).zip(planned.iter().zip(pipelines));
            numbered
                .map(|(index, (dispatch, pipeline))| BoundDispatch {
                    name: dispatch.label,
                    bind_group: self.bind_group(index, dispatch, &pipeline, variant, buffers),
                    pipeline,
                    grid: dispatch.grid,
                })
                .collect()
        })?;
        Ok(Prepared::new(&self.engine, dispatches))
    }

    fn bind_group(
        &self,
        index: usize,
        dispatch: &PlannedDispatch,
        pipeline: &Pipeline,
        variant: SourceVariant,
        buffers: &Bindings<'_>,
    ) -> wgpu::BindGroup {
        let uniform = wgpu::BufferBinding {
            buffer: &self.resources.params,
            offset: index as u64 * self.resources.stride,
            size: NonZeroU64::new(size_of::<Params>() as u64),
        };
        let entry = |(binding, number)| wgpu::BindGroupEntry {
            binding: number,
            resource: wgpu::BindingResource::Buffer(binding),
        };
        let kernel = dispatch.kernel;
        let variant = dispatch.source_variant(variant);
        let bindings = kernel.bindings.iter().zip(&dispatch.ranges).enumerate();
        let storage = bindings
            .zip(1..)
            .filter(|((index, _), _)| kernel.access(*index, variant).is_some())
            .map(|((_, ((array, _), range)), number)| {
                (self.binding(*array, *range, buffers), number)
            });
        let entries: Vec<_> = std::iter::once((uniform, 0))
            .chain(storage)
            .map(entry)
            .collect();
        self.engine
            .device()
            .create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(dispatch.label),
                layout: &pipeline.layout,
                entries: &entries,
            })
    }

    /// Returns the buffer range to bind: one of the caller's, of a default buffer, or of the
    /// workspace.
    fn binding<'a>(
        &'a self,
        array: ArrayId,
        range: BindingRange,
        buffers: &'a Bindings<'_>,
    ) -> wgpu::BufferBinding<'a> {
        let binding = buffers
            .get(array)
            .filter(|_| may_have_elements(&self.plan, array));
        match (binding, range) {
            (Some(binding), BindingRange::Part { offset, bytes }) => wgpu::BufferBinding {
                buffer: binding.buffer,
                offset: binding.offset + offset,
                size: NonZeroU64::new(bytes),
            },
            (Some(binding), _) => {
                // The whole words of the caller's range, which is empty if it begins past the end.
                let rest = binding.buffer.size().saturating_sub(binding.offset);
                let size = binding.size.map_or(rest, |size| size.get().min(rest)) & !3;
                match NonZeroU64::new(size) {
                    Some(size) => wgpu::BufferBinding {
                        size: Some(size),
                        ..binding.clone()
                    },
                    None => self.whole(&self.resources.defaults, array),
                }
            }
            (None, BindingRange::Workspace) => self.whole(&self.resources.workspace, array),
            (None, BindingRange::Part { offset, bytes }) => {
                let whole = self.whole(&self.resources.defaults, array);
                wgpu::BufferBinding {
                    offset: if whole.buffer.size() > offset {
                        offset
                    } else {
                        0
                    },
                    size: NonZeroU64::new(bytes.min(whole.buffer.size())),
                    ..whole
                }
            }
            (None, BindingRange::ToEnd) => self.whole(&self.resources.defaults, array),
        }
    }

    /// Returns the buffer of `array` among `buffers`.
    fn whole<'a>(
        &'a self,
        buffers: &'a [(ArrayId, wgpu::Buffer)],
        array: ArrayId,
    ) -> wgpu::BufferBinding<'a> {
        match buffers.iter().find(|(known, _)| *known == array) {
            Some((_, buffer)) => buffer.as_entire_buffer_binding(),
            // Not reached, because plans have a buffer for every array. wgpu would reject this one
            // with an error.
            None => self.resources.params.as_entire_buffer_binding(),
        }
    }
}

/// Returns false if the caller's array is empty, so that a default buffer is bound: a binding must
/// not be empty.
fn may_have_elements(plan: &Plan, array: ArrayId) -> bool {
    let has_size_of_binding =
        array == ArrayId::Labels && plan.shape().label_layout == LabelLayout::Concatenated;
    has_size_of_binding || required_bytes(plan, array) > 0
}

/// Creates the buffer of all uniforms, one per dispatch, `stride` bytes apart.
fn params(engine: &Engine, plan: &Plan, stride: u64) -> wgpu::Buffer {
    let words = usize::try_from(stride / 4).unwrap_or(64);
    let in_place = plan.in_place.as_deref().unwrap_or_default();
    let mut all = vec![0; words * (plan.dispatches.len() + in_place.len()).max(1)];
    let dispatches = plan.dispatches.iter().chain(in_place);
    for (dispatch, uniform) in dispatches.zip(all.chunks_exact_mut(words)) {
        let params: &[u32] = bytemuck::cast_slice(std::slice::from_ref(&dispatch.params));
        uniform[..params.len()].copy_from_slice(params);
    }
    engine.filled("ctc.params", &all, wgpu::BufferUsages::UNIFORM)
}

fn workspace(device: &wgpu::Device, plan: &Plan) -> Vec<(ArrayId, wgpu::Buffer)> {
    let create = |array: ArrayId, bytes| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(&format!("ctc.{}", array.name())),
            size: bytes,
            usage: wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        })
    };
    let arrays = plan.workspace.iter();
    arrays
        .map(|planned| (planned.array, create(planned.array, planned.bytes)))
        .collect()
}

fn default_buffers(engine: &Engine, plan: &Plan) -> Vec<(ArrayId, wgpu::Buffer)> {
    let items = plan.shape().items.max(1);
    let frames = u32::try_from(plan.shape().frames).unwrap_or(u32::MAX);
    let filled = |array: ArrayId, word: u32, count: usize| {
        let label = format!("ctc.default_{}", array.name());
        let buffer = engine.filled(&label, &vec![word; count], wgpu::BufferUsages::STORAGE);
        (array, buffer)
    };
    vec![
        filled(ArrayId::Input, 0, 1),
        filled(ArrayId::Labels, 0, 1),
        filled(ArrayId::LogitLengths, frames, items),
        filled(ArrayId::LabelLengths, 0, items),
        filled(ArrayId::Weights, 1.0_f32.to_bits(), items),
        filled(ArrayId::Loss, 0, 1),
        filled(ArrayId::Status, 0, items),
        filled(ArrayId::Reduced, 0, 1),
        filled(ArrayId::Grad, 0, 1),
        // For shapes without frames or labels.
        filled(ArrayId::Path, 0, 1),
        filled(ArrayId::LogProbs, 0, 1),
        filled(ArrayId::Spans, 0, 1),
        filled(ArrayId::Probabilities, 0, 1),
        filled(ArrayId::HypothesisLabels, 0, 1),
        filled(ArrayId::HypothesisLengths, 0, 1),
        filled(ArrayId::HypothesisFrames, 0, 1),
    ]
}
