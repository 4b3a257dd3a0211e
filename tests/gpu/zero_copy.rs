//! The caller's device, buffers and encoder: only outputs are written, and a plan keeps no state
//! from batch to batch.

use ctc_wgpu::{GpuCtc, GpuPlan, Layout, Options, Reduction, Task};

use crate::support::batch::OwnedBatch;
use crate::support::check::{Tolerance, compare};
use crate::support::device::{
    ALL, BUFFER_PLACEMENTS, BufferPlacement, DeviceBatch, Gpu, GuardedBuffers, OptionalOutputs,
    Outputs, on_each_device, run, submit,
};
use crate::support::random::BatchSpec;

const REDUCTIONS: [Reduction; 6] = [
    Reduction::None,
    Reduction::Sum,
    Reduction::MeanBatch,
    Reduction::MeanLabel,
    Reduction::MeanVolume,
    Reduction::MeanWeighted,
];

/// Returns a distribution of batches whose sizes are all odd, so that no range ends at an aligned
/// offset.
fn spec() -> BatchSpec {
    BatchSpec {
        weights: true,
        ..BatchSpec::new([5, 13, 7], 5)
    }
}

fn reduced(reduction: Reduction) -> Options {
    Options::default().reduction(reduction)
}

fn plan(ctc: &GpuCtc, batch: &DeviceBatch, options: &Options) -> GpuPlan {
    ctc.plan(&batch.shape, options).unwrap()
}

fn agrees_with_the_reference(name: &str, batch: &OwnedBatch, options: &Options, got: Outputs) {
    let got = got.computed().unwrap();
    let run = |_: &ctc_wgpu::Batch<'_>, _: &Options| Ok(got.clone());
    let found = compare(name, batch, options, &run, Tolerance::F32);
    found.finish(name).unwrap();
}

#[test]
fn only_outputs_are_written_in_every_placement_of_the_buffers() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        for (case, reduction) in REDUCTIONS.into_iter().enumerate() {
            for concatenated in [false, true] {
                let mut batch = BatchSpec {
                    concatenated,
                    // The divisor of a mean over weights of both signs may be near 0.
                    weights: reduction != Reduction::MeanWeighted,
                    ..spec()
                }
                .batch(case as u64);
                if reduction == Reduction::MeanWeighted {
                    batch = batch.weights(&[0.5, 2.0, 0.0, 1.0, 0.25]);
                }
                if case % 2 == 1 {
                    batch = batch.transposed();
                }
                let options = reduced(reduction);
                let on_device = DeviceBatch::of(&batch);
                let plan = plan(&ctc, &on_device, &options);
                let [apart, together] =
                    BUFFER_PLACEMENTS.map(|placement| run(gpu, &plan, &on_device, placement));
                let name = format!("{reduction:?}, concatenated {concatenated}");
                together.same(&apart, &name).unwrap();
                agrees_with_the_reference(&name, &batch, &options, apart);
            }
        }
    });
}

#[test]
fn omitted_buffers_default_to_full_lengths_and_weights_of_one() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let with = BatchSpec {
            ragged: false,
            weights: false,
            ..spec()
        }
        .batch(3);
        let explicit = with.clone().logit_lengths(&[13; 5]).weights(&[1.0; 5]);
        for reduction in REDUCTIONS {
            let [without, with] = [&with, &explicit].map(|batch| {
                let batch = DeviceBatch::of(batch);
                let plan = plan(&ctc, &batch, &reduced(reduction));
                BUFFER_PLACEMENTS.map(|placement| run(gpu, &plan, &batch, placement))
            });
            for (a, b) in without.iter().zip(&with) {
                a.same(b, &format!("{reduction:?}")).unwrap();
            }
        }
    });
}

#[test]
fn omitting_optional_outputs_changes_no_other_output() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let batch = DeviceBatch::of(&spec().batch(4));
        let plan = plan(&ctc, &batch, &reduced(Reduction::Sum));
        for placement in BUFFER_PLACEMENTS {
            let all = run(gpu, &plan, &batch, placement);
            for (status, reduced) in [(false, true), (true, false), (false, false)] {
                let wanted = OptionalOutputs { status, reduced };
                let placed = GuardedBuffers::new(gpu, &plan, &batch, placement, wanted);
                submit(gpu, &plan, &placed);
                let some = placed.outputs(gpu).unwrap();
                let expected = Outputs {
                    status: if status {
                        all.status.clone()
                    } else {
                        Vec::new()
                    },
                    reduced: if reduced {
                        all.reduced.clone()
                    } else {
                        Vec::new()
                    },
                    ..all.clone()
                };
                some.same(&expected, &format!("{wanted:?} {placement:?}"))
                    .unwrap();
            }
        }
    });
}

#[test]
fn a_loss_only_plan_gives_the_losses_of_the_full_plan_bit_for_bit() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        for (seed, layout) in [(5, Layout::BatchMajor), (6, Layout::TimeMajor)] {
            let mut batch = spec().batch(seed);
            if layout == Layout::TimeMajor {
                batch = batch.transposed();
            }
            let batch = DeviceBatch::of(&batch);
            let options = reduced(Reduction::MeanLabel);
            let full = plan(&ctc, &batch, &options);
            let losses = ctc.plan_loss(&batch.shape, &options).unwrap();
            assert_eq!(losses.plan().task(), Task::Loss);
            assert!(losses.plan().workspace_bytes() < full.plan().workspace_bytes());
            for placement in BUFFER_PLACEMENTS {
                let expected = Outputs {
                    grad: Vec::new(),
                    ..run(gpu, &full, &batch, placement)
                };
                run(gpu, &losses, &batch, placement)
                    .same(&expected, &format!("{layout:?}"))
                    .unwrap();
            }
        }
    });
}

#[test]
fn a_plan_keeps_no_state_of_earlier_batches() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let options = reduced(Reduction::MeanVolume);
        let shape = DeviceBatch::of(&padded_batch(0)).shape;
        let reused = ctc.plan(&shape, &options).unwrap();
        for seed in 0..4 {
            for filler in [f32::NAN, f32::INFINITY, 1e30, -1e30, f32::NEG_INFINITY] {
                let mut garbage = DeviceBatch::of(&padded_batch(100 + seed));
                // The first frames are kept, so that all states are reachable in this batch.
                let from = garbage.logits.len() / 7;
                garbage.logits[from..].fill(filler.to_bits());
                run(gpu, &reused, &garbage, BufferPlacement::Separate);
                let batch = DeviceBatch::of(&padded_batch(seed));
                let fresh = ctc.plan(&batch.shape, &options).unwrap();
                let expected = run(gpu, &fresh, &batch, BufferPlacement::Separate);
                run(gpu, &reused, &batch, BufferPlacement::Separate)
                    .same(&expected, "a reused plan")
                    .unwrap();
            }
        }
    });
}

/// Returns a batch whose labels are padded to the same length for every seed.
fn padded_batch(seed: u64) -> OwnedBatch {
    let batch = spec().batch(seed);
    let lists: Vec<Vec<i32>> = (0..5)
        .map(|item| batch.item_labels(item).iter().map(|l| *l as i32).collect())
        .collect();
    let mut values = vec![-7; 5 * 6];
    for (row, list) in values.chunks_mut(6).zip(&lists) {
        row[..list.len()].copy_from_slice(list);
    }
    let lengths = lists.iter().map(|list| list.len() as i32).collect();
    batch.labels(crate::support::batch::OwnedLabels::Padded { values, lengths })
}

#[test]
fn a_plan_encoded_twice_into_one_encoder_computes_both_batches() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let options = reduced(Reduction::Sum);
        let batches = [1, 2].map(|seed| DeviceBatch::of(&padded_batch(seed)));
        let plan = plan(&ctc, &batches[0], &options);
        for placement in BUFFER_PLACEMENTS {
            let expected = [0, 1].map(|i| run(gpu, &plan, &batches[i], placement));
            let placed =
                [0, 1].map(|i| GuardedBuffers::new(gpu, &plan, &batches[i], placement, ALL));
            let mut encoder = gpu.encoder();
            for batch in &placed {
                plan.encode(&mut encoder, &batch.buffers()).unwrap();
            }
            gpu.queue.submit([encoder.finish()]);
            for (placed, expected) in placed.iter().zip(&expected) {
                placed
                    .outputs(gpu)
                    .unwrap()
                    .same(expected, "two in one encoder")
                    .unwrap();
            }
        }
    });
}

#[test]
fn threads_may_encode_one_plan_and_plans_of_one_context_at_the_same_time() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let options = reduced(Reduction::MeanBatch);
        let batches: Vec<_> = (0..4).map(|s| DeviceBatch::of(&padded_batch(s))).collect();
        let shared = plan(&ctc, &batches[0], &options);
        let expected: Vec<_> = batches
            .iter()
            .map(|batch| run(gpu, &shared, batch, BufferPlacement::Separate))
            .collect();
        std::thread::scope(|scope| {
            for (batch, expected) in batches.iter().zip(&expected) {
                let (ctc, shared) = (&ctc, &shared);
                scope.spawn(move || {
                    let own = plan(ctc, batch, &options);
                    for iteration in 0..5 {
                        for plan in [shared, &own] {
                            for placement in BUFFER_PLACEMENTS {
                                let got = run(gpu, plan, batch, placement);
                                got.same(expected, &format!("iteration {iteration} {placement:?}"))
                                    .unwrap();
                            }
                        }
                    }
                });
            }
        });
    });
}

#[test]
fn several_plans_in_flight_do_not_affect_each_other() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let options = reduced(Reduction::Sum);
        let submitted: Vec<_> = (0..6)
            .map(|seed| {
                let spec = BatchSpec::new([1 + seed, 5 + 3 * seed, 4 + seed], 2 + seed);
                let batch = DeviceBatch::of(&spec.batch(seed as u64));
                let plan = plan(&ctc, &batch, &options);
                let expected = run(gpu, &plan, &batch, BufferPlacement::Separate);
                let placed =
                    GuardedBuffers::new(gpu, &plan, &batch, BufferPlacement::Separate, ALL);
                (plan, placed, expected)
            })
            .collect();
        for (plan, placed, _) in &submitted {
            submit(gpu, plan, placed);
        }
        for (plan, placed, expected) in submitted {
            // A plan may be dropped while its work is running.
            drop(plan);
            placed
                .outputs(gpu)
                .unwrap()
                .same(&expected, "in flight")
                .unwrap();
        }
    });
}

#[test]
fn encoding_submits_nothing() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let batch = DeviceBatch::of(&spec().batch(9));
        let plan = plan(&ctc, &batch, &Options::default());
        let placed = GuardedBuffers::new(gpu, &plan, &batch, BufferPlacement::Separate, ALL);
        let untouched = placed.outputs(gpu).unwrap();
        let mut encoder = gpu.encoder();
        plan.encode(&mut encoder, &placed.buffers()).unwrap();
        let finished = encoder.finish();
        placed
            .outputs(gpu)
            .unwrap()
            .same(&untouched, "encoded only")
            .unwrap();
        gpu.queue.submit([finished]);
        assert_ne!(placed.outputs(gpu).unwrap(), untouched);
    });
}

#[test]
fn a_plan_and_a_clone_of_its_context_outlive_the_context() {
    on_each_device(|gpu: &Gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let batch = DeviceBatch::of(&spec().batch(10));
        let first = plan(&ctc, &batch, &Options::default());
        let clone = ctc.clone();
        drop(ctc);
        let expected = run(gpu, &first, &batch, BufferPlacement::OneBuffer);
        let second = plan(&clone, &batch, &Options::default());
        run(gpu, &second, &batch, BufferPlacement::OneBuffer)
            .same(&expected, "a clone's plan")
            .unwrap();
    });
}
