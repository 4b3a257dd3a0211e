//! A plan with its workspace: records its dispatches into the caller's encoder and submits nothing.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::buffers::Buffers;
use super::decode::{AlignBuffers, GreedyBuffers};
use super::engine::{Engine, Pipeline};
use super::given::{Given, needed};
use super::prepared::{Dispatch, Prepared};
use super::scope::guarded;
use crate::error::Error;
use crate::fork::{Driving, Resident};
use crate::kernels::{Slot, Text};
use crate::limits::Limits;
use crate::params::Params;
use crate::plan::{Plan, Span, Step};
use crate::problem::LabelLayout;

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
    tables: Vec<(Slot, wgpu::Buffer)>,
    /// What stands in for a buffer that the caller leaves out: full lengths, weights of 1, room for what nobody reads.
    stand_ins: Vec<(Slot, wgpu::Buffer)>,
}

impl GpuPlan {
    pub(super) fn new(engine: &Resident<Engine>, plan: Plan) -> Result<Self, Error> {
        let device = engine.device();
        let pipelines = engine.pipelines(&plan.steps, plan.text())?;
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
        self.record(encoder, &buffers.given())
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
        self.record(encoder, &buffers.given())
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
        self.record(encoder, &buffers.given())
    }

    fn record(&self, encoder: &mut wgpu::CommandEncoder, buffers: &Given<'_>) -> Result<(), Error> {
        self.bound(buffers)?.encode(encoder)
    }

    /// The dispatches of a batch, with `buffers` checked and bound.
    pub(super) fn bound(&self, buffers: &Given<'_>) -> Result<Prepared, Error> {
        self.engine.check()?;
        let _driving = Driving::begin()?;
        let device = self.engine.device();
        buffers.check(&self.plan, &Limits::from(&device.limits()))?;
        let text = Text {
            sharing: buffers.sharing(),
            in_place: buffers.is_in_place(),
            ..self.plan.text()
        };
        let pipelines = if text == self.plan.text() {
            self.held.pipelines.clone()
        } else {
            self.engine.pipelines(&self.plan.steps, text)?
        };
        let dispatches = guarded(device, "the bindings of a batch", || {
            let steps = self.plan.steps.iter().zip(pipelines).enumerate();
            steps
                .map(|(index, (step, pipeline))| Dispatch {
                    name: step.label,
                    group: self.bind(index, step, &pipeline, text, buffers),
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
        text: Text,
        buffers: &Given<'_>,
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
            .filter(|((index, _), _)| step.kernel.access(*index, text).is_some())
            .map(|((_, ((slot, _), span)), number)| (self.resource(*slot, *span, buffers), number));
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
        slot: Slot,
        span: Span,
        buffers: &'a Given<'_>,
    ) -> wgpu::BufferBinding<'a> {
        let given = buffers.get(slot).filter(|_| needs_room(&self.plan, slot));
        match (given, span) {
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
                    None => self.stand_in(slot),
                }
            }
            (None, Span::Table) => self.table(slot),
            (None, Span::Range { offset, bytes }) => {
                let whole = self.stand_in(slot);
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
            (None, Span::Rest) => self.stand_in(slot),
        }
    }

    fn table(&self, slot: Slot) -> wgpu::BufferBinding<'_> {
        match self.held.tables.iter().find(|(table, _)| *table == slot) {
            Some((_, buffer)) => buffer.as_entire_buffer_binding(),
            // Unreachable by the making of plans; wgpu would refuse the wrong buffer, and say which.
            None => self.held.params.as_entire_buffer_binding(),
        }
    }

    fn stand_in(&self, slot: Slot) -> wgpu::BufferBinding<'_> {
        match self
            .held
            .stand_ins
            .iter()
            .find(|(stand_in, _)| *stand_in == slot)
        {
            Some((_, buffer)) => buffer.as_entire_buffer_binding(),
            None => self.held.params.as_entire_buffer_binding(),
        }
    }
}

/// Whether anything of the caller's buffer is bound: a binding must not be empty.
fn needs_room(plan: &Plan, slot: Slot) -> bool {
    let counted_by_binding =
        slot == Slot::Labels && plan.shape().label_layout == LabelLayout::Concatenated;
    counted_by_binding || needed(plan, slot) > 0
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

fn tables(device: &wgpu::Device, plan: &Plan) -> Vec<(Slot, wgpu::Buffer)> {
    let make = |slot: Slot, bytes| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(&format!("ctc.{}", slot.name())),
            size: bytes,
            usage: wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        })
    };
    let tables = plan.tables.iter();
    tables
        .map(|table| (table.slot, make(table.slot, table.bytes)))
        .collect()
}

fn stand_ins(engine: &Engine, plan: &Plan) -> Vec<(Slot, wgpu::Buffer)> {
    let items = plan.shape().items.max(1);
    let frames = u32::try_from(plan.shape().frames).unwrap_or(u32::MAX);
    let stand_in = |slot: Slot, word: u32, count: usize| {
        let label = format!("ctc.no_{}", slot.name());
        let buffer = engine.filled(&label, &vec![word; count], wgpu::BufferUsages::STORAGE);
        (slot, buffer)
    };
    vec![
        stand_in(Slot::Input, 0, 1),
        stand_in(Slot::Labels, 0, 1),
        stand_in(Slot::LogitLengths, frames, items),
        stand_in(Slot::LabelLengths, 0, items),
        stand_in(Slot::Weights, 1.0_f32.to_bits(), items),
        stand_in(Slot::Loss, 0, 1),
        stand_in(Slot::Status, 0, items),
        stand_in(Slot::Reduced, 0, 1),
        stand_in(Slot::Grad, 0, 1),
        // Of a shape without frames or labels.
        stand_in(Slot::Path, 0, 1),
        stand_in(Slot::LogProbs, 0, 1),
        stand_in(Slot::Spans, 0, 1),
        stand_in(Slot::Probabilities, 0, 1),
        stand_in(Slot::ReadLabels, 0, 1),
        stand_in(Slot::ReadLengths, 0, 1),
        stand_in(Slot::ReadFrames, 0, 1),
    ]
}
