//! A batch recorded stage by stage: the bits of `encode`, and timestamps between the stages.

use ctc_wgpu::{
    AlignBuffers, GpuCtc, GpuPlan, GreedyBuffers, Options, Prepared, Reduction, RuntimeChecks, Task,
};
use wgpu::{BufferUsages, Features};

use crate::support::adapters;
use crate::support::device::{
    ALL, BufferPlacement, DeviceBatch, Gpu, GuardedBuffers, on_each_device, run,
};
use crate::support::random::BatchSpec;

const BUFFER_PLACEMENTS: [BufferPlacement; 3] = [
    BufferPlacement::Separate,
    BufferPlacement::OneBuffer,
    BufferPlacement::InPlace,
];

fn batch() -> DeviceBatch {
    seeded(1)
}

fn seeded(seed: u64) -> DeviceBatch {
    let spec = BatchSpec {
        weights: true,
        ..BatchSpec::new([5, 40, 7], 9)
    };
    DeviceBatch::of(&spec.batch(seed))
}

fn options() -> Options {
    Options::default().reduction(Reduction::MeanLabel)
}

/// Returns a plan with one dispatch per stage, and one that is split into batch tiles.
fn plans(ctc: &GpuCtc, batch: &DeviceBatch) -> [GpuPlan; 2] {
    let whole = ctc.limits();
    let split = whole.max_binding(4096);
    let plans = [whole, split].map(|limits| {
        ctc.plan_within(&batch.shape, &options(), Task::LossAndGrad, &limits)
            .unwrap()
    });
    assert!(plans[1].plan().batch_tiles() > 1);
    plans
}

fn one_pass(gpu: &Gpu, prepared: &Prepared) {
    let mut encoder = gpu.encoder();
    prepared.encode(&mut encoder).unwrap();
    gpu.queue.submit([encoder.finish()]);
}

fn a_pass_per_stage(gpu: &Gpu, prepared: &Prepared) {
    let mut encoder = gpu.encoder();
    for stage in prepared.stages() {
        stage.encode(&mut encoder.begin_compute_pass(&Default::default()));
    }
    gpu.queue.submit([encoder.finish()]);
}

fn a_submission_per_stage(gpu: &Gpu, prepared: &Prepared) {
    for stage in prepared.stages() {
        let mut encoder = gpu.encoder();
        stage.encode(&mut encoder.begin_compute_pass(&Default::default()));
        gpu.queue.submit([encoder.finish()]);
    }
}

const WAYS: [fn(&Gpu, &Prepared); 3] = [one_pass, a_pass_per_stage, a_submission_per_stage];

#[test]
fn a_batch_recorded_stage_by_stage_has_the_bits_of_encode() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let batch = batch();
        for plan in plans(&ctc, &batch) {
            for placement in BUFFER_PLACEMENTS {
                let expected = run(gpu, &plan, &batch, placement);
                for (number, record) in WAYS.into_iter().enumerate() {
                    let placed = GuardedBuffers::new(gpu, &plan, &batch, placement, ALL);
                    record(gpu, &plan.prepare(&placed.buffers()).unwrap());
                    let name = format!("{placement:?}, way {number}");
                    placed.outputs(gpu).unwrap().same(&expected, &name).unwrap();
                }
            }
        }
    });
}

/// Without wgpu's runtime checks, the kernels' own checks must suffice even if a caller omits
/// stages or changes their order.
#[test]
fn stages_out_of_order_stay_in_bounds_and_do_not_affect_later_batches() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::with_checks(&gpu.device, &gpu.queue, RuntimeChecks::Off).unwrap();
        let batch = batch();
        // Another batch of the same shape, including its maximum label length.
        let mut others = (2..).map(seeded);
        let other = others.find(|other| other.shape == batch.shape).unwrap();
        for index in 0..2 {
            let plan = &plans(&ctc, &batch)[index];
            let expected = run(gpu, plan, &batch, BufferPlacement::Separate);
            // A new workspace, and one that another batch of the shape has used.
            for fresh in [true, false] {
                let plan = &plans(&ctc, &batch)[index];
                if !fresh {
                    run(gpu, plan, &other, BufferPlacement::Separate);
                }
                let count = plan.plan().dispatches();
                let forwards: Vec<_> = (0..count).collect();
                let backwards: Vec<_> = (0..count).rev().collect();
                let rotated =
                    (1..count).map(|first| [&forwards[first..], &forwards[..first]].concat());
                for order in [backwards].into_iter().chain(rotated) {
                    let placed =
                        GuardedBuffers::new(gpu, plan, &batch, BufferPlacement::Separate, ALL);
                    let prepared = plan.prepare(&placed.buffers()).unwrap();
                    let stages: Vec<_> = prepared.stages().collect();
                    for &stage in &order {
                        let mut encoder = gpu.encoder();
                        stages[stage].encode(&mut encoder.begin_compute_pass(&Default::default()));
                        gpu.queue.submit([encoder.finish()]);
                    }
                    // Checks the inputs and the canaries around all buffers.
                    placed.outputs(gpu).unwrap();
                }
                let after = run(gpu, plan, &batch, BufferPlacement::Separate);
                after.same(&expected, "after stages out of order").unwrap();
            }
        }
    });
}

#[test]
fn a_prepared_batch_reads_the_contents_of_its_buffers_when_it_runs() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let [t, n, c, l] = [6, 2, 4, 2];
        let shape = ctc_wgpu::BatchShape::new(n, t, c, l);
        let plan = ctc.plan_loss(&shape, &Options::default()).unwrap();
        let logits = gpu.buffer(&vec![0; n * t * c]);
        let (labels, lengths) = (gpu.buffer(&[1, 2, 3, 1]), gpu.buffer(&[2, 2]));
        let loss = gpu.buffer(&[0; 2]);
        let buffers = ctc_wgpu::Buffers::new(&logits, &labels, &lengths, &loss);
        let prepared = plan.prepare(&buffers).unwrap();
        one_pass(gpu, &prepared);
        let two_labels = gpu.read(&loss).unwrap();
        gpu.queue
            .write_buffer(&lengths, 0, bytemuck::cast_slice(&[1_u32, 2]));
        // A prepared batch keeps everything that it needs.
        drop(plan);
        one_pass(gpu, &prepared);
        let one_label = gpu.read(&loss).unwrap();
        assert_ne!(one_label[0], two_labels[0]);
        assert_eq!(one_label[1], two_labels[1]);
    });
}

#[test]
fn stages_have_the_names_in_the_printed_plan() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let batch = batch();
        for plan in plans(&ctc, &batch) {
            let placed = GuardedBuffers::new(gpu, &plan, &batch, BufferPlacement::Separate, ALL);
            let prepared = plan.prepare(&placed.buffers()).unwrap();
            let names: Vec<_> = prepared.stages().map(|stage| stage.name()).collect();
            assert_eq!(names.len(), plan.plan().dispatches());
            for expected in [
                "check_labels",
                "softmax_stats",
                "sweep inward",
                "join",
                "sweep outward",
                "grad",
            ] {
                assert!(names.contains(&expected), "{expected} in {names:?}");
            }
            let printed = plan.plan().to_string();
            for name in names {
                assert!(printed.contains(&format!("\n  {name} ")), "{name}");
            }
        }
    });
}

/// A query set and the buffer that it is resolved into.
struct Times {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
}

impl Times {
    fn new(gpu: &Gpu, count: u32) -> Self {
        Self {
            set: gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: None,
                ty: wgpu::QueryType::Timestamp,
                count,
            }),
            resolved: gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: u64::from(count * wgpu::QUERY_SIZE),
                usage: BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC,
                mapped_at_creation: false,
            }),
        }
    }

    /// Submits `encoder` and returns the timestamps.
    fn submit(&self, gpu: &Gpu, mut encoder: wgpu::CommandEncoder) -> Vec<u64> {
        let count = u32::try_from(self.resolved.size() / u64::from(wgpu::QUERY_SIZE)).unwrap();
        encoder.resolve_query_set(&self.set, 0..count, &self.resolved, 0);
        gpu.queue.submit([encoder.finish()]);
        let words = gpu.read(&self.resolved).unwrap();
        let (pairs, _) = words.as_chunks::<2>();
        pairs
            .iter()
            .map(|[low, high]| u64::from(*low) | u64::from(*high) << 32)
            .collect()
    }
}

#[test]
fn timestamps_of_stages_are_in_order() {
    let inside = Features::TIMESTAMP_QUERY | Features::TIMESTAMP_QUERY_INSIDE_PASSES;
    let adapters = adapters::all().into_iter();
    let with_timestamps: Vec<_> = adapters.filter(|a| a.features().contains(inside)).collect();
    assert!(!with_timestamps.is_empty(), "no adapter has timestamps");
    for adapter in with_timestamps {
        let gpu = Gpu::with_features(&adapter, adapter.limits(), inside).unwrap();
        println!("on {}", gpu.name);
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let batch = batch();
        for plan in plans(&ctc, &batch) {
            let expected = run(&gpu, &plan, &batch, BufferPlacement::Separate);
            let placed = GuardedBuffers::new(&gpu, &plan, &batch, BufferPlacement::Separate, ALL);
            let prepared = plan.prepare(&placed.buffers()).unwrap();
            let stages = u32::try_from(prepared.stages().len()).unwrap();

            let times = Times::new(&gpu, stages + 1);
            let mut encoder = gpu.encoder();
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.write_timestamp(&times.set, 0);
            for (stage, index) in prepared.stages().zip(1..) {
                stage.encode(&mut pass);
                pass.write_timestamp(&times.set, index);
            }
            drop(pass);
            let in_one_pass = times.submit(&gpu, encoder);

            let times = Times::new(&gpu, 2 * stages);
            let mut encoder = gpu.encoder();
            for (stage, index) in prepared.stages().zip(0..) {
                let descriptor = wgpu::ComputePassDescriptor {
                    label: Some(stage.name()),
                    timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                        query_set: &times.set,
                        beginning_of_pass_write_index: Some(2 * index),
                        end_of_pass_write_index: Some(2 * index + 1),
                    }),
                };
                stage.encode(&mut encoder.begin_compute_pass(&descriptor));
            }
            let around_passes = times.submit(&gpu, encoder);

            for timestamps in [in_one_pass, around_passes] {
                assert!(timestamps.is_sorted(), "{timestamps:?}");
                assert!(
                    timestamps[0] > 0 && timestamps.last() > timestamps.first(),
                    "{timestamps:?}"
                );
            }
            let outputs = placed.outputs(&gpu).unwrap();
            outputs.same(&expected, "with timestamps").unwrap();
        }
    }
}

#[test]
fn alignment_and_greedy_decoding_recorded_stage_by_stage_have_the_bits_of_encode() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let batch = batch();
        let shape = batch.shape;
        let [n, t, l] = [shape.items, shape.frames, shape.max_labels];
        let ints = |values: &[i32]| gpu.buffer(bytemuck::cast_slice(values));
        let (logits, labels) = (gpu.buffer(&batch.logits), ints(&batch.labels));
        let label_lengths = ints(&batch.label_lengths);
        let output = |words| gpu.buffer(&vec![7; words]);
        let read = |arrays: &[&wgpu::Buffer]| -> Vec<_> {
            arrays
                .iter()
                .map(|array| gpu.read(array).unwrap())
                .collect()
        };

        let align = ctc.plan_align(&shape, &Options::default()).unwrap();
        let aligned = |record: &dyn Fn(&AlignBuffers<'_>)| {
            let [path, log_probs, path_log_prob] = [output(n * t), output(n * t), output(n)];
            let [spans, probabilities] = [output(2 * n * l), output(n * l)];
            let buffers = AlignBuffers::new(&logits, &labels, &label_lengths)
                .path(&path)
                .log_probs(&log_probs)
                .spans(&spans)
                .probabilities(&probabilities)
                .path_log_prob(&path_log_prob);
            record(&buffers);
            read(&[&path, &log_probs, &spans, &probabilities, &path_log_prob])
        };
        let expected = aligned(&|buffers| {
            let mut encoder = gpu.encoder();
            align.encode_align(&mut encoder, buffers).unwrap();
            gpu.queue.submit([encoder.finish()]);
        });
        for record in WAYS {
            let found = aligned(&|buffers| record(gpu, &align.prepare_align(buffers).unwrap()));
            assert_eq!(found, expected);
        }

        let greedy = ctc.plan_greedy(&shape, &Options::default()).unwrap();
        let decoded = |record: &dyn Fn(&GreedyBuffers<'_>)| {
            let [labels, frames] = [output(n * t), output(2 * n * t)];
            let [label_lengths, path_log_prob] = [output(n), output(n)];
            let buffers = GreedyBuffers::new(&logits)
                .labels(&labels)
                .label_lengths(&label_lengths)
                .frames(&frames)
                .path_log_prob(&path_log_prob);
            record(&buffers);
            read(&[&labels, &label_lengths, &frames, &path_log_prob])
        };
        let expected = decoded(&|buffers| {
            let mut encoder = gpu.encoder();
            greedy.encode_greedy(&mut encoder, buffers).unwrap();
            gpu.queue.submit([encoder.finish()]);
        });
        for record in WAYS {
            let found = decoded(&|buffers| record(gpu, &greedy.prepare_greedy(buffers).unwrap()));
            assert_eq!(found, expected);
        }
    });
}
