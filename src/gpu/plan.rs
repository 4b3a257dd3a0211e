//! A plan with its workspace: records its dispatches into the caller's encoder and submits nothing.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::bindings::{Bindings, needed};
use super::buffers::Buffers;
use super::decode::{AlignBuffers, GreedyBuffers};
use super::engine::{Engine, Pipeline};
use super::error_scope::guarded;
use super::prepared::{Dispatch, Prepared};
use crate::batch::LabelLayout;
use crate::error::Error;
use crate::fork::{Driving, Resident};
use crate::kernels::{ArrayId, SourceVariant};
use crate::limits::DeviceLimits;
use crate::params::Params;
use crate::plan::{Plan, Span, Step};

/// A [`Plan`] on a device: pipelines, and the workspace that every batch of its shape goes through.
///
/// Encoding it twice, from several threads too, is safe: the queue runs the recordings one after the other. Two
/// batches that should run at the same time need a plan each.
#[derive(Debug)]
pub struct GpuPlan {
    plan: Plan,
    engine: Resident<Engine>,
    held: Resident<Held>,
}

/// What of a plan is on the device.
#[derive(Debug)]
struct Held {
    pipelines: Vec<Arc<Pipeline>>,
    params: wgpu::Buffer,
    stride: u64,
    tables: Vec<(ArrayId, wgpu::Buffer)>,
    /// What stands in for a buffer that the caller leaves out: full lengths, weights of 1, room for what nobody reads.
    stand_ins: Vec<(ArrayId, wgpu::Buffer)>,
}

impl GpuPlan {
    pub(super) fn new(engine: &Resident<Engine>, plan: Plan) -> Result<Self, Error> {
        let device = engine.device();
        let pipelines = engine.pipelines(&plan.steps, plan.source_variant())?;
        let stride = u64::from(device.limits().min_uniform_buffer_offset_alignment)
            .max(size_of::<Params>().next_power_of_two() as u64);
        let during = format!("making a workspace of {} bytes", plan.workspace_bytes());
        let held = guarded(device, &during, || Held {
            params: params(engine, &plan, stride),
            tables: tables(device, &plan),
            stand_ins: stand_ins(engine, &plan),
            pipelines,
            stride,
        })?;
        Ok(Self {
            held: engine.derived(held),
            engine: engine.clone(),
            plan,
        })
    }

    /// The plan: its shape, its workspace, its dispatches; it prints.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Records the batch in `buffers` into `encoder`: one compute pass. Nothing is submitted, copied or waited for.
    ///
    /// # Errors
    /// [`Error::Buffer`] if a buffer does not fit the plan; the encoder is untouched then. [`Error::Gpu`] if wgpu
    /// refuses a binding, for instance a buffer of another device. [`Error::Forked`] in a child of the process that made
    /// the plan.
    pub fn encode(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        buffers: &Buffers<'_>,
    ) -> Result<(), Error> {
        self.record(encoder, &buffers.bindings())
    }

    /// [`encode`](Self::encode) for a plan of [`GpuCtc::plan_align`](crate::GpuCtc::plan_align).
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

    /// [`encode`](Self::encode) for a plan of [`GpuCtc::plan_greedy`](crate::GpuCtc::plan_greedy).
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
        self.bound(buffers)?.encode(encoder)
    }

    /// The dispatches of a batch, with `buffers` checked and bound.
    pub(super) fn bound(&self, buffers: &Bindings<'_>) -> Result<Prepared, Error> {
        self.engine.check()?;
        let _driving = Driving::begin()?;
        let device = self.engine.device();
        buffers.check(&self.plan, &DeviceLimits::from(&device.limits()))?;
        let variant = SourceVariant {
            aliasing: buffers.aliasing(),
            in_place: buffers.is_in_place(),
            ..self.plan.source_variant()
        };
        let pipelines = if variant == self.plan.source_variant() {
            self.held.pipelines.clone()
        } else {
            self.engine.pipelines(&self.plan.steps, variant)?
        };
        let dispatches = guarded(device, "the bindings of a batch", || {
            let steps = self.plan.steps.iter().zip(pipelines).enumerate();
            steps
                .map(|(index, (step, pipeline))| Dispatch {
                    name: step.label,
                    group: self.bind(index, step, &pipeline, variant, buffers),
                    pipeline,
                    grid: step.grid,
                })
                .collect()
        })?;
        Ok(Prepared::new(&self.engine, dispatches))
    }

    fn bind(
        &self,
        index: usize,
        step: &Step,
        pipeline: &Pipeline,
        variant: SourceVariant,
        buffers: &Bindings<'_>,
    ) -> wgpu::BindGroup {
        let uniform = wgpu::BufferBinding {
            buffer: &self.held.params,
            offset: index as u64 * self.held.stride,
            size: NonZeroU64::new(size_of::<Params>() as u64),
        };
        let entry = |(binding, number)| wgpu::BindGroupEntry {
            binding: number,
            resource: wgpu::BindingResource::Buffer(binding),
        };
        let bindings = step.kernel.bindings.iter().zip(&step.spans).enumerate();
        let storage = bindings
            .zip(1..)
            .filter(|((index, _), _)| step.kernel.access(*index, variant).is_some())
            .map(|((_, ((array, _), span)), number)| {
                (self.resource(*array, *span, buffers), number)
            });
        let entries: Vec<_> = std::iter::once((uniform, 0))
            .chain(storage)
            .map(entry)
            .collect();
        self.engine
            .device()
            .create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(step.label),
                layout: &pipeline.layout,
                entries: &entries,
            })
    }

    fn resource<'a>(
        &'a self,
        array: ArrayId,
        span: Span,
        buffers: &'a Bindings<'_>,
    ) -> wgpu::BufferBinding<'a> {
        let bindings = buffers.get(array).filter(|_| needs_room(&self.plan, array));
        match (bindings, span) {
            (Some(binding), Span::Range { offset, bytes }) => wgpu::BufferBinding {
                buffer: binding.buffer,
                offset: binding.offset + offset,
                size: NonZeroU64::new(bytes),
            },
            (Some(binding), _) => {
                // Whole words of what the caller gave; none where that begins past the end.
                let rest = binding.buffer.size().saturating_sub(binding.offset);
                let size = binding.size.map_or(rest, |size| size.get().min(rest)) & !3;
                match NonZeroU64::new(size) {
                    Some(size) => wgpu::BufferBinding {
                        size: Some(size),
                        ..binding.clone()
                    },
                    None => self.stand_in(array),
                }
            }
            (None, Span::Table) => self.table(array),
            (None, Span::Range { offset, bytes }) => {
                let whole = self.stand_in(array);
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
            (None, Span::Rest) => self.stand_in(array),
        }
    }

    fn table(&self, array: ArrayId) -> wgpu::BufferBinding<'_> {
        match self.held.tables.iter().find(|(table, _)| *table == array) {
            Some((_, buffer)) => buffer.as_entire_buffer_binding(),
            // Unreachable by the making of plans; wgpu would refuse the wrong buffer, and say which.
            None => self.held.params.as_entire_buffer_binding(),
        }
    }

    fn stand_in(&self, array: ArrayId) -> wgpu::BufferBinding<'_> {
        match self
            .held
            .stand_ins
            .iter()
            .find(|(stand_in, _)| *stand_in == array)
        {
            Some((_, buffer)) => buffer.as_entire_buffer_binding(),
            None => self.held.params.as_entire_buffer_binding(),
        }
    }
}

/// Whether anything of the caller's buffer is bound: a binding must not be empty.
fn needs_room(plan: &Plan, array: ArrayId) -> bool {
    let counted_by_binding =
        array == ArrayId::Labels && plan.shape().label_layout == LabelLayout::Concatenated;
    counted_by_binding || needed(plan, array) > 0
}

/// The uniforms of all steps, one every `stride` bytes.
fn params(engine: &Engine, plan: &Plan, stride: u64) -> wgpu::Buffer {
    let words = usize::try_from(stride / 4).unwrap_or(64);
    let mut all = vec![0; words * plan.steps.len().max(1)];
    for (step, place) in plan.steps.iter().zip(all.chunks_exact_mut(words)) {
        let params: &[u32] = bytemuck::cast_slice(std::slice::from_ref(&step.params));
        place[..params.len()].copy_from_slice(params);
    }
    engine.filled("ctc.params", &all, wgpu::BufferUsages::UNIFORM)
}

fn tables(device: &wgpu::Device, plan: &Plan) -> Vec<(ArrayId, wgpu::Buffer)> {
    let make = |array: ArrayId, bytes| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(&format!("ctc.{}", array.name())),
            size: bytes,
            usage: wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        })
    };
    let tables = plan.tables.iter();
    tables
        .map(|table| (table.array, make(table.array, table.bytes)))
        .collect()
}

fn stand_ins(engine: &Engine, plan: &Plan) -> Vec<(ArrayId, wgpu::Buffer)> {
    let items = plan.shape().items.max(1);
    let frames = u32::try_from(plan.shape().frames).unwrap_or(u32::MAX);
    let stand_in = |array: ArrayId, word: u32, count: usize| {
        let label = format!("ctc.no_{}", array.name());
        let buffer = engine.filled(&label, &vec![word; count], wgpu::BufferUsages::STORAGE);
        (array, buffer)
    };
    vec![
        stand_in(ArrayId::Input, 0, 1),
        stand_in(ArrayId::Labels, 0, 1),
        stand_in(ArrayId::LogitLengths, frames, items),
        stand_in(ArrayId::LabelLengths, 0, items),
        stand_in(ArrayId::Weights, 1.0_f32.to_bits(), items),
        stand_in(ArrayId::Loss, 0, 1),
        stand_in(ArrayId::Status, 0, items),
        stand_in(ArrayId::Reduced, 0, 1),
        stand_in(ArrayId::Grad, 0, 1),
        // Of a shape without frames or labels.
        stand_in(ArrayId::Path, 0, 1),
        stand_in(ArrayId::LogProbs, 0, 1),
        stand_in(ArrayId::Spans, 0, 1),
        stand_in(ArrayId::Probabilities, 0, 1),
        stand_in(ArrayId::HypothesisLabels, 0, 1),
        stand_in(ArrayId::HypothesisLengths, 0, 1),
        stand_in(ArrayId::HypothesisFrames, 0, 1),
    ]
}
