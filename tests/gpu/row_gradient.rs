//! The gradient that `softmax_stats` writes for classes without labels, and `grad` completes: rows
//! of logits with many more classes than labels, as on a GPU.

use ctc_wgpu::{
    BatchShape, Blank, BlankInLabels, Ctc, DeviceLimits, GpuCtc, GpuPlan, Options, Task,
};

use crate::launches::outputs;
use crate::support::adapters::on_each;
use crate::support::batch::{OwnedBatch, OwnedLabels, padded};
use crate::support::check::{Computed, Tolerance, run_cases};
use crate::support::device::{BufferPlacement, DeviceBatch, Gpu, Outputs, on_each_device, run};
use crate::support::random::BatchSpec;
use crate::support::random_case::RandomCase;

const FRAMES: usize = 22;
const MAX_LABELS: usize = 7;

/// Rows of whole vectors of four classes, and other rows; rows of one workgroup and of several.
const CLASSES: [usize; 4] = [512, 261, 1_001, 5_000];

/// Returns the limits of `within` with which a plan is that of a GPU, with and without subgroups.
fn on_a_gpu(within: DeviceLimits) -> [DeviceLimits; 2] {
    [
        within.software(false),
        within.software(false).subgroup_size(0),
    ]
}

/// Returns a batch of items with different labels, lengths and logits, among them every kind whose
/// whole gradient is 0 or NaN.
fn batch(classes: usize, blank: usize) -> OwnedBatch {
    let spec = BatchSpec {
        blank,
        repeats: 0.5,
        minus_infinity: 0.1,
        weights: true,
        ..BatchSpec::new([11, FRAMES, classes], MAX_LABELS)
    };
    let mut batch = spec.batch(classes as u64);
    let mut labels: Vec<Vec<i32>> = (0..batch.items())
        .map(|item| batch.item_labels(item).iter().map(|l| *l as i32).collect())
        .collect();
    let class = |offset: usize| ((blank + offset) % classes) as i32;
    // Labels that repeat at a distance, and the blank among them.
    labels[0] = vec![class(1), class(3), class(1), class(3), class(2), class(1)];
    labels[1] = vec![class(1), class(0), class(1), class(0), class(2)];
    // More labels than frames, and no weight.
    labels[2] = (1..=MAX_LABELS).map(class).collect();
    // Few labels, so that the numbers at the ends of the range, below, leave paths possible.
    labels[6] = vec![class(1)];
    labels[7] = vec![class(2)];
    let lengths = batch.logit_lengths.as_mut().unwrap();
    lengths[..8].copy_from_slice(&[22, 21, 3, 20, 22, 19, 18, 20]);
    let weights = batch.weights.as_mut().unwrap();
    weights[..8].copy_from_slice(&[1.0, -1.5, 1.0, -0.0, 0.75, 1.25, 2.0, -0.5]);
    // A row that is invalid by itself, and one that is masked as a whole.
    let row = batch.row(4, 5);
    batch.values[row + classes - 1] = f32::NAN;
    let row = batch.row(5, 18);
    batch.values[row..row + classes].fill(f32::NEG_INFINITY);
    // Equal maxima, of both signs of 0; logits at the ends of the range; invalid padding.
    let row = batch.row(6, 0);
    let equal = [0.0, -0.0, -1.0, f32::MIN, f32::NEG_INFINITY, -1e-30];
    for (value, equal) in batch.values[row..row + classes]
        .iter_mut()
        .zip(equal.iter().cycle())
    {
        *value = *equal;
    }
    let row = batch.row(6, 1);
    batch.values[row..row + classes].fill(f32::MIN);
    // Only paths that have the item's label in this frame are possible.
    let row = batch.row(7, 2);
    batch.values[row + class(2) as usize] = f32::MAX;
    let row = batch.row(6, 20);
    batch.values[row] = f32::INFINITY;
    batch.labels(padded(&labels))
}

fn options(blank: usize) -> Options {
    Options::default()
        .blank(Blank::Index(blank as u32))
        .blank_in_labels(BlankInLabels::Allow)
}

/// Returns batches whose blank is the first class, the last one, and one between.
fn cases() -> impl Iterator<Item = RandomCase> {
    CLASSES
        .into_iter()
        .zip([0, 100, 1_000, 2_501])
        .map(|(classes, blank)| {
            let name = format!("{classes} classes, blank {blank}");
            RandomCase::new(name, batch(classes, blank), options(blank))
        })
}

fn plan(ctc: &GpuCtc, shape: &BatchShape, options: &Options, limits: &DeviceLimits) -> GpuPlan {
    let plan = ctc.plan_within(shape, options, Task::LossAndGrad, limits);
    plan.unwrap()
}

/// Computes a batch in two steps, into an array of its own, and checks that a gradient in place,
/// which `grad` computes in one step, has the same bits. Unwritten elements would differ, since the
/// array has random bits before.
fn in_two_steps(
    gpu: &Gpu,
    ctc: &GpuCtc,
    batch: &DeviceBatch,
    options: &Options,
    limits: &DeviceLimits,
    name: &str,
) -> Outputs {
    let plan = plan(ctc, &batch.shape, options, limits);
    assert!(
        plan.plan().variant().row_gradient,
        "{name}: {}",
        plan.plan()
    );
    let separate = run(gpu, &plan, batch, BufferPlacement::Separate);
    for placement in [BufferPlacement::OneBuffer, BufferPlacement::InPlace] {
        let other = run(gpu, &plan, batch, placement);
        let what = format!("{name}, {placement:?}, {limits:?}");
        other.same(&separate, &what).unwrap();
    }
    separate
}

#[test]
fn a_gradient_in_two_steps_agrees_with_the_reference() {
    on_each(|ctc: &Ctc| {
        for limits in on_a_gpu(*ctc.limits().unwrap()) {
            let ctc = ctc.with_limits(&limits).unwrap();
            let run = |batch: &ctc_wgpu::Batch<'_>, options: &Options| {
                ctc.loss_and_grad(batch, options).map(Computed::from)
            };
            let time_major = cases()
                .map(|case| RandomCase::new(case.name, case.batch.transposed(), case.options));
            run_cases("wide rows", cases().chain(time_major), &run, Tolerance::F32);
        }
    });
}

#[test]
fn a_gradient_in_two_steps_has_the_bits_of_one_in_one_step() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        for limits in on_a_gpu(ctc.limits()) {
            for case in cases() {
                let mut batch = DeviceBatch::of(&case.batch);
                // An invalid label and an invalid length, which only batches in buffers can have.
                batch.labels[9 * batch.shape.max_labels] = -1;
                batch.label_lengths[9] = 1;
                batch.label_lengths[10] = -1;
                in_two_steps(gpu, &ctc, &batch, &case.options, &limits, &case.name);
                if limits.f16 {
                    let name = format!("{} as f16", case.name);
                    let narrow = batch.narrowed();
                    in_two_steps(gpu, &ctc, &narrow, &case.options, &limits, &name);
                }
            }
        }
    });
}

/// The number of steps depends on the batch's maximum number of labels, but the results do not.
#[test]
fn a_gradient_does_not_depend_on_the_number_of_steps() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        for limits in on_a_gpu(ctc.limits()) {
            let case = cases().nth(1).unwrap();
            let short = DeviceBatch::of(&case.batch);
            let expected = in_two_steps(gpu, &ctc, &short, &case.options, &limits, &case.name);
            let mut long = case.batch.clone();
            let OwnedLabels::Padded { values, .. } = &mut long.labels else {
                panic!("{:?} are not padded", long.labels);
            };
            *values = values
                .chunks(MAX_LABELS)
                .flat_map(|labels| [labels, &[0; FRAMES]].concat())
                .collect();
            let long = DeviceBatch::of(&long);
            let plan = plan(&ctc, &long.shape, &case.options, &limits);
            assert!(!plan.plan().variant().row_gradient, "{}", plan.plan());
            let got = run(gpu, &plan, &long, BufferPlacement::Separate);
            got.same(&expected, "more labels").unwrap();
            let items = case.batch.items();
            let elements = expected.grad.len() / items;
            for item in 0..items {
                let alone = DeviceBatch::of(&case.batch.alone(item));
                let plan = self::plan(&ctc, &alone.shape, &case.options, &limits);
                let got = run(gpu, &plan, &alone, BufferPlacement::Separate);
                let of_item = &expected.grad[item * elements..(item + 1) * elements];
                assert!(got.grad == of_item, "item {item} alone");
            }
        }
    });
}

#[test]
fn tiles_and_ranges_of_frames_have_the_bits_of_the_whole() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let limits = ctc.limits().software(false);
        let case = cases().next().unwrap();
        let mut counts = Vec::new();
        for batch in [&case.batch, &case.batch.transposed()] {
            let batch = DeviceBatch::of(batch);
            let expected = in_two_steps(gpu, &ctc, &batch, &case.options, &limits, &case.name);
            for split in [limits.max_binding(1 << 17), limits.max_dispatch_us(400)] {
                let plan = plan(&ctc, &batch.shape, &case.options, &split);
                let variant = plan.plan().variant();
                counts.push((
                    variant.row_gradient,
                    variant.batch_tiles,
                    plan.plan().dispatches(),
                ));
                let got = run(gpu, &plan, &batch, BufferPlacement::Separate);
                got.same(&expected, "split").unwrap();
            }
        }
        println!("{counts:?}");
        let split = |tiles: bool| {
            counts
                .iter()
                .any(|(row_gradient, batch_tiles, dispatches)| {
                    *row_gradient && (*batch_tiles > 1) == tiles && *dispatches > 7
                })
        };
        assert!(split(true) && split(false), "{counts:?}");
    });
}

#[test]
fn launches_have_the_bits_of_the_plan() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let limits = ctc.limits().software(false);
        let case = cases().nth(1).unwrap();
        let batch = DeviceBatch::of(&case.batch);
        let expected = in_two_steps(gpu, &ctc, &batch, &case.options, &limits, &case.name);
        let plan = plan(&ctc, &batch.shape, &case.options, &limits);
        let got = outputs(gpu, plan.plan(), &batch);
        got.same(&expected, "launches").unwrap();
    });
}
