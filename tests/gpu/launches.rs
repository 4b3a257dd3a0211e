//! A plan's launches, run as a framework would: specialised shaders, with all arrays in one buffer.

use std::num::NonZeroU64;

use ctc_wgpu::{BoundRange, GpuCtc, Launch, Operand, Options, Plan, PlanVariant, Reduction, Task};

use crate::support::decoding::guarded_buffers;
use crate::support::device::{BufferPlacement, DeviceBatch, Gpu, Outputs, on_each_device, run};
use crate::support::random::Rng;
use crate::support::random_case::RandomCase;
use crate::support::variants::limits_for_variant;

/// The largest offset alignment that WebGPU allows, in words.
const ALIGNED: usize = 64;

/// One buffer for all operands, each at an aligned offset. Words without a value are random.
pub(crate) struct Arena {
    pub(crate) words: Vec<u32>,
    ranges: Vec<(Operand, usize, usize)>,
    garbage: Rng,
}

impl Arena {
    pub(crate) fn new() -> Self {
        Self {
            words: Vec::new(),
            ranges: Vec::new(),
            garbage: Rng::new(7),
        }
    }

    pub(crate) fn add(&mut self, operand: Operand, words: &[u32]) {
        self.ranges.push((operand, self.words.len(), words.len()));
        self.words.extend(words);
        let end = (self.words.len() + 1).next_multiple_of(ALIGNED);
        while self.words.len() < end {
            self.words.push(self.garbage.bits() as u32);
        }
    }

    pub(crate) fn add_random(&mut self, operand: Operand, words: usize) {
        let garbage: Vec<_> = (0..words).map(|_| self.garbage.bits() as u32).collect();
        self.add(operand, &garbage);
    }

    pub(crate) fn has(&self, operand: Operand) -> bool {
        self.ranges.iter().any(|(known, ..)| *known == operand)
    }

    pub(crate) fn range(&self, operand: Operand) -> (usize, usize) {
        let found = self.ranges.iter().find(|(known, ..)| *known == operand);
        let (_, start, words) = found.unwrap_or_else(|| panic!("no range for {operand:?}"));
        (*start, *words)
    }

    fn of(plan: &Plan, batch: &DeviceBatch) -> Self {
        let items = batch.shape.items;
        let ints = |ints: &[i32]| -> Vec<u32> { bytemuck::cast_slice(ints).to_vec() };
        let all_frames = vec![batch.shape.frames as u32; items];
        let ones = vec![1.0_f32.to_bits(); items];
        let mut arena = Self::new();
        arena.add(Operand::Logits, &batch.logits);
        arena.add(Operand::Labels, &ints(&batch.labels));
        let lengths = batch.logit_lengths.as_deref().map_or(all_frames, ints);
        arena.add(Operand::LogitLengths, &lengths);
        arena.add(Operand::LabelLengths, &ints(&batch.label_lengths));
        arena.add(Operand::Weights, batch.weights.as_deref().unwrap_or(&ones));
        arena.add_random(Operand::Loss, items);
        arena.add_random(Operand::Status, items);
        arena.add_random(Operand::Reduced, 1);
        arena.add_random(Operand::Grad, batch.logits.len());
        let [frames, labels] = [batch.shape.frames, batch.shape.max_labels];
        arena.add_random(Operand::Path, items * frames);
        arena.add_random(Operand::LogProbs, items * frames);
        arena.add_random(Operand::Spans, 2 * items * labels);
        arena.add_random(Operand::Probabilities, items * labels);
        arena.add_random(Operand::HypothesisLabels, items * frames);
        arena.add_random(Operand::HypothesisLengths, items);
        arena.add_random(Operand::HypothesisFrames, 2 * items * frames);
        for (index, bytes) in plan.workspace_arrays().enumerate() {
            arena.add_random(Operand::Workspace(index), bytes as usize / 4);
        }
        arena
    }
}

pub(crate) fn launch(gpu: &Gpu, launch: &Launch, arena: &Arena, buffer: &wgpu::Buffer) {
    let module = gpu
        .device
        .create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(launch.name),
            source: wgpu::ShaderSource::Wgsl(launch.wgsl.as_str().into()),
        });
    let pipeline = gpu
        .device
        .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(launch.name),
            layout: None,
            module: &module,
            entry_point: Some(launch.name),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
    let entry = |(number, bound): (u32, &BoundRange)| {
        let (start, words) = arena.range(bound.operand);
        let rest = words as u64 * 4 - bound.offset;
        let size = bound.bytes.map_or(rest, |bytes| bytes.min(rest)).max(4);
        wgpu::BindGroupEntry {
            binding: number,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset: start as u64 * 4 + bound.offset,
                size: NonZeroU64::new(size),
            }),
        }
    };
    let entries: Vec<_> = (0..).zip(&launch.bindings).map(entry).collect();
    let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(launch.name),
        layout: &pipeline.get_bind_group_layout(0),
        entries: &entries,
    });
    let mut encoder = gpu.encoder();
    {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        let [x, y, z] = launch.grid;
        pass.dispatch_workgroups(x, y, z);
    }
    gpu.queue.submit([encoder.finish()]);
}

/// Runs all launches, and returns a function from an operand to its words. Panics if an input was
/// written.
fn launched(gpu: &Gpu, plan: &Plan, batch: &DeviceBatch) -> impl Fn(Operand) -> Vec<u32> + use<> {
    let arena = Arena::of(plan, batch);
    let buffer = gpu.buffer(&arena.words);
    for planned in plan.launches() {
        launch(gpu, &planned, &arena, &buffer);
    }
    let after = gpu.read(&buffer).unwrap();
    for (operand, start, count) in &arena.ranges {
        let is_input = matches!(
            operand,
            Operand::Logits
                | Operand::Labels
                | Operand::LogitLengths
                | Operand::LabelLengths
                | Operand::Weights
        );
        let range = *start..start + count;
        let same = after[range.clone()] == arena.words[range];
        assert!(same || !is_input, "{operand:?} was written");
    }
    move |operand| {
        let (start, words) = arena.range(operand);
        after[start..start + words].to_vec()
    }
}

pub(crate) fn outputs(gpu: &Gpu, plan: &Plan, batch: &DeviceBatch) -> Outputs {
    let words = launched(gpu, plan, batch);
    let only = |wanted: bool, operand| if wanted { words(operand) } else { Vec::new() };
    Outputs {
        loss: words(Operand::Loss),
        status: words(Operand::Status),
        reduced: only(
            plan.options().reduction != Reduction::None,
            Operand::Reduced,
        ),
        grad: only(plan.task() == Task::LossAndGrad, Operand::Grad),
    }
}

#[test]
fn launches_over_one_buffer_give_the_bits_of_the_plan() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let mut split = [false; 3];
        let (mut seen, mut seed) = (0, 0);
        while seen < 8 {
            seed += 1;
            let case = RandomCase::of(seed);
            let batch = DeviceBatch::of(&case.batch);
            let options: &Options = &case.options;
            let own = ctc.limits();
            let smaller = |matches: fn(&PlanVariant) -> bool| {
                limits_for_variant(&batch.shape, options, Task::LossAndGrad, &own, matches)
            };
            let forced = match seen % 4 {
                0 => smaller(|variant| variant.checkpointed),
                1 => smaller(|variant| variant.batch_tiles > 1),
                2 => smaller(|variant| variant.gathered),
                _ => Some(own),
            };
            let Some(limits) = forced else { continue };
            let task = if seen == 3 {
                Task::Loss
            } else {
                Task::LossAndGrad
            };
            let plan = ctc
                .plan_within(&batch.shape, options, task, &limits)
                .unwrap();
            // Each launch needs a pipeline of its own.
            if plan.plan().dispatches() > 24 {
                continue;
            }
            seen += 1;
            let expected = run(gpu, &plan, &batch, BufferPlacement::Separate);
            let got = outputs(gpu, plan.plan(), &batch);
            got.same(&expected, &case.name).unwrap();
            split[0] |= plan.plan().segments() > 1;
            split[1] |= plan.plan().batch_tiles() > 1;
            split[2] |= plan.plan().input_slices() > 1;
        }
        assert_eq!(
            split, [true; 3],
            "segments, tiles and input slices were not all split"
        );
    });
}

#[test]
fn launches_of_alignment_and_greedy_decoding_give_the_bits_of_the_plan() {
    let of = |task| match task {
        Task::Align => vec![
            Operand::Path,
            Operand::LogProbs,
            Operand::Spans,
            Operand::Probabilities,
            Operand::Loss,
            Operand::Status,
        ],
        _ => vec![
            Operand::HypothesisLabels,
            Operand::HypothesisLengths,
            Operand::HypothesisFrames,
            Operand::Loss,
            Operand::Status,
        ],
    };
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        for seed in 0..3 {
            let case = RandomCase::of(seed);
            let mut batch = DeviceBatch::of(&case.batch);
            batch.shape.max_labels = batch.shape.max_labels.max(1);
            for task in [Task::Align, Task::Greedy] {
                let plan = ctc
                    .plan_within(&batch.shape, &case.options, task, &ctc.limits())
                    .unwrap();
                let expected =
                    guarded_buffers::run(gpu, &plan, &batch, BufferPlacement::Separate).unwrap();
                let words = launched(gpu, plan.plan(), &batch);
                let got: Vec<_> = of(task).into_iter().map(words).collect();
                assert_eq!(got, expected.arrays, "{task:?} of {}", case.name);
            }
        }
    });
}
