//! Forced alignment and greedy decoding on every adapter, compared with the CPU backend in float64,
//! which tests/host/decode.rs compares with all paths.

use ctc_wgpu::decode::STAR;
use ctc_wgpu::{
    BlankInLabels, Ctc, DeviceLimits, GpuCtc, Input, Options, PlanVariant, RuntimeChecks, Status,
    Task, reference,
};

use crate::support::adapters::on_each;
use crate::support::batch::OwnedBatch;
use crate::support::decoding::{check, check_alignment, check_greedy, guarded_buffers};
use crate::support::device::{BufferPlacement, DeviceBatch, on_each_device, run};
use crate::support::extreme_values::masked_labels;
use crate::support::malformed;
use crate::support::random::{BatchSpec, full};
use crate::support::random_case::{RandomCase, log_probs};
use crate::support::variants::{limits_for_variant, planned_shape};

fn holds(ctc: &Ctc, name: &str, batch: OwnedBatch, options: Options) {
    check(ctc, &RandomCase::new(name.to_owned(), batch, options)).unwrap();
}

#[test]
fn random_batches_and_options_agree_with_the_cpu_backend() {
    on_each(|ctc| {
        for seed in 0..150 {
            check(ctc, &RandomCase::of(seed)).unwrap();
        }
    });
}

#[test]
fn split_batches_agree_with_the_cpu_backend() {
    type Split = (
        &'static str,
        Task,
        fn(&DeviceLimits) -> DeviceLimits,
        fn(&PlanVariant) -> bool,
    );
    let spilled = |limits: &DeviceLimits| limits.max_register_quads(0);
    let ranges = |limits: &DeviceLimits| limits.max_dispatch_us(200);
    let splits: [Split; 11] = [
        (
            "barriers",
            Task::Align,
            |l| l.subgroup_size(0),
            |v| !v.subgroups,
        ),
        (
            "one pair per lane",
            Task::Align,
            |l| l.pairs_per_lane(1),
            |v| v.pairs_per_lane == 1,
        ),
        (
            "segments, two pairs per lane",
            Task::Align,
            |l| l.pairs_per_lane(2),
            |v| v.checkpointed && v.pairs_per_lane == 2,
        ),
        ("spilled states", Task::Align, spilled, |v| {
            v.states_in_storage
        }),
        (
            "segments",
            Task::Align,
            |l| *l,
            |v| v.checkpointed && !v.gathered,
        ),
        ("segments of spilled states", Task::Align, spilled, |v| {
            v.checkpointed && v.states_in_storage
        }),
        ("input slices", Task::Align, |l| *l, |v| v.gathered),
        ("batch tiles", Task::Align, |l| *l, |v| v.batch_tiles > 1),
        ("dispatch ranges", Task::Align, ranges, |v| v.ranges),
        (
            "input slices of greedy decoding",
            Task::Greedy,
            |l| *l,
            |v| v.input_slices > 1,
        ),
        (
            "batch tiles of greedy decoding",
            Task::Greedy,
            |l| *l,
            |v| v.batch_tiles > 1,
        ),
    ];
    // With few classes and many labels, the states of a frame exceed its logits, so that segments
    // are needed before input slices.
    let narrow = (0..10).map(|seed| {
        let spec = BatchSpec {
            ragged: seed % 2 == 0,
            ..BatchSpec::new([1, 400 + seed as usize, 2], 40)
        };
        let name = format!("narrow, seed {seed}");
        RandomCase::new(name, spec.batch(seed), Options::default())
    });
    let batches: Vec<_> = (0..40).map(RandomCase::of).chain(narrow).collect();
    on_each(|ctc| {
        for (name, task, change, matches) in splits {
            let mut forced = 0;
            for case in &batches {
                let shape = planned_shape(&case.batch.batch(), &case.options).unwrap();
                let limits = change(ctc.limits().unwrap());
                if let Some(limits) =
                    limits_for_variant(&shape, &case.options, task, &limits, matches)
                {
                    forced += 1;
                    let limited = ctc.with_limits(&limits).unwrap();
                    let result = match task {
                        Task::Align => check_alignment(&limited, case),
                        _ => check_greedy(&limited, case),
                    };
                    result.unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
                }
            }
            assert!(forced >= 5, "{name}: only {forced} batches");
        }
    });
}

#[test]
fn stars_match_any_labels_as_on_the_cpu() {
    on_each(|ctc| {
        for seed in 0..30 {
            let spec = BatchSpec {
                repeats: 0.3,
                ..BatchSpec::new([3, 40, 9], 10)
            };
            let mut batch = spec.batch(seed);
            if seed % 3 == 1 {
                batch = log_probs(&batch);
            }
            let options = Options::default()
                .input([Input::Logits, Input::LogProbs, Input::Logits][seed as usize % 3]);
            let labels: Vec<Vec<i32>> = (0..batch.items())
                .map(|n| {
                    let labels = batch.item_labels(n).into_iter().enumerate();
                    let starred = labels.map(|(i, label)| match (i + n + seed as usize) % 3 {
                        0 => STAR,
                        _ => label as i32,
                    });
                    starred.collect()
                })
                .collect();
            let batch = OwnedBatch {
                labels: crate::support::batch::padded(&labels),
                ..batch
            };
            holds(ctc, &format!("stars, seed {seed}"), batch.clone(), options);
            if options.input == Input::Logits {
                // The scores of every second frame are relative to its maximum.
                let mut batch = batch.clone();
                let rows = batch.values.chunks_mut(9).enumerate();
                for (row, values) in rows.filter(|(row, _)| row % 2 == 0) {
                    let offset = if row % 4 == 0 { 3.0e7 } else { -3.0e7 };
                    for value in values {
                        *value = offset + 8.0 * *value;
                    }
                }
                let name = format!("stars beside large offsets, seed {seed}");
                holds(ctc, &name, batch, options);
            }
            if seed % 5 == 0 {
                // The gathered inputs of a frame have no entry for a star.
                let limits = ctc.limits().unwrap().max_binding(1_024);
                let limited = ctc.with_limits(&limits).unwrap();
                holds(&limited, "stars, gathered", batch, options);
            }
        }
    });
}

#[test]
fn ties_are_resolved_as_on_the_cpu() {
    on_each(|ctc| {
        for (frames, labels) in [(1, 0), (6, 2), (40, 9), (90, 41)] {
            let mut batch = full([2, frames, 5], labels, 1.0, 3);
            batch.values.fill(0.25);
            holds(ctc, "all equal", batch.clone(), Options::default());
            // Two values only, so that nearly every path has exactly the score of another.
            for (i, value) in batch.values.iter_mut().enumerate() {
                *value = if i * i % 7 < 3 { 0.5 } else { -1.0 };
            }
            holds(ctc, "two values", batch, Options::default());
        }
    });
}

#[test]
fn long_items_and_long_labels_agree_with_the_cpu_backend() {
    on_each(|ctc| {
        for (dims, labels, scale) in [
            ([2, 3_000, 12], 700, 3.0),
            ([1, 4_000, 20], 1_900, 1.0),
            ([1, 9_000, 6], 90, 4.0),
            ([3, 20, 3_001], 5, 2.0),
        ] {
            let batch = full(dims, labels, scale, 11);
            holds(ctc, &format!("{dims:?}"), batch, Options::default());
        }
    });
}

#[test]
fn paths_cross_the_windows_of_the_backtrace_at_any_frame_and_state() {
    // The backtrace reads backpointers in windows of 32 frames and 32 state pairs, or of 8 and 8 on
    // a software adapter. With as many frames as labels, a path goes back by a pair at each frame.
    // Dispatches end at multiples of four frames, a word of backpointers has eight.
    let shapes = [
        [32, 32],
        [33, 33],
        [41, 40],
        [64, 63],
        [70, 70],
        [100, 97],
        [133, 40],
    ];
    on_each(|ctc| {
        for [frames, labels] in shapes {
            let labels: Vec<Vec<i32>> = [labels, labels - 1, labels / 2, 0]
                .map(|count| (0..count as i32).map(|i| 1 + i % 4).collect())
                .into();
            let mut batch = full([labels.len(), frames, 5], 0, 2.0, frames as u64);
            batch.labels = crate::support::batch::padded(&labels);
            for max_dispatch_us in [5, 15, 25, 35, 50, 80, 1_000_000] {
                let limits = ctc.limits().unwrap().max_dispatch_us(max_dispatch_us);
                for (software, pairs) in [(true, 4), (true, 1), (false, 1), (false, 2)] {
                    let limits = limits.software(software).pairs_per_lane(pairs);
                    let limited = ctc.with_limits(&limits).unwrap();
                    let name = format!("{frames} frames, {limits:?}");
                    let case = RandomCase::new(name, batch.clone(), Options::default());
                    check_alignment(&limited, &case).unwrap();
                }
            }
        }
    });
}

#[test]
fn the_better_of_two_nearly_equal_long_paths_is_found() {
    // Two of the 4,000 frames are candidates for the label, and one of them is better by 1e-6. The
    // scores of a path sum to −41,000, where f32 numbers are multiples of 0.004, and the rounding
    // errors of the two sums differ.
    let frames = 4_000;
    let candidates = [frames / 4, frames - 2];
    on_each(|ctc| {
        for better in candidates {
            let score = |t: usize| match t {
                t if t == better => -7.0 + 1e-6,
                t if candidates.contains(&t) => -7.0,
                _ => -11.3,
            };
            let logits: Vec<f32> = (0..frames).flat_map(|t| [-10.3, score(t)]).collect();
            let batch = OwnedBatch::new([1, frames, 2], logits, &[vec![1]]);
            let options = Options::default().input(Input::LogProbs);
            let found = &ctc.align(&batch.batch(), &options).unwrap()[0];
            assert_eq!(found.spans[0].frames, better..better + 1);
            holds(ctc, "nearly a tie", batch, options);
        }
        // The same at the end of the path, in the label or in the blank.
        for better in [0, 1] {
            let score = |t: usize, class: usize| match (t, class) {
                (t, class) if t == frames - 1 && class == better => -10.3 + 1e-6,
                (t, 1) if t == frames - 2 => -7.0,
                (t, 1) if t < frames - 2 => -11.3,
                _ => -10.3,
            };
            let logits = (0..frames).flat_map(|t| [score(t, 0), score(t, 1)]);
            let batch = OwnedBatch::new([1, frames, 2], logits.collect(), &[vec![1]]);
            let options = Options::default().input(Input::LogProbs);
            let found = &ctc.align(&batch.batch(), &options).unwrap()[0];
            assert_eq!(found.path[frames - 1], better as u32);
            holds(ctc, "nearly a tie at the end", batch, options);
        }
    });
}

#[test]
fn an_item_has_the_same_bits_alone_and_in_any_batch() {
    on_each(|ctc| {
        for seed in 0..20 {
            let RandomCase { batch, options, .. } = RandomCase::of(seed);
            let alignments = ctc.align(&batch.batch(), &options).unwrap();
            let decoded = ctc.greedy(&batch.batch(), &options).unwrap();
            let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
            for n in 0..batch.items() {
                let alone = batch.alone(n);
                let alignment = &ctc.align(&alone.batch(), &options).unwrap()[0];
                let hypothesis = &ctc.greedy(&alone.batch(), &options).unwrap()[0];
                assert!(same(alignment.log_prob, alignments[n].log_prob));
                assert!(same(hypothesis.log_prob, decoded[n].log_prob));
                assert_eq!(alignment.log_probs, alignments[n].log_probs);
                assert_eq!(alignment.spans, alignments[n].spans);
                assert_eq!(hypothesis.labels, decoded[n].labels);
            }
        }
    });
}

#[test]
fn empty_batches_and_items_agree_with_the_cpu_backend() {
    on_each(|ctc| {
        for dims in [[0, 5, 3], [2, 0, 3], [0, 0, 1]] {
            let labels = vec![Vec::<i32>::new(); dims[0]];
            let batch = OwnedBatch::new(dims, vec![0.0; dims.iter().product()], &labels);
            holds(ctc, &format!("{dims:?}"), batch, Options::default());
        }
        let blank_only = OwnedBatch::new([1, 4, 1], vec![0.0; 4], &[Vec::<i32>::new()]);
        holds(ctc, "one class", blank_only, Options::default());
        let impossible = OwnedBatch::new([1, 2, 3], vec![0.0; 6], &[vec![1, 1]]);
        let found = &ctc.align(&impossible.batch(), &Options::default()).unwrap()[0];
        assert_eq!(found.status, Status::Impossible);
        holds(ctc, "too few frames", impossible, Options::default());
    });
}

#[test]
fn nan_affects_only_its_own_item() {
    on_each(|ctc| {
        let mut batch = full([3, 9, 4], 2, 1.0, 5);
        let row = batch.row(1, 4);
        for (value, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "+∞")] {
            batch.values[row + 2] = value;
            let found = ctc.align(&batch.batch(), &Options::default()).unwrap();
            let statuses: Vec<_> = found.iter().map(|a| a.status).collect();
            assert_eq!(statuses, [Status::Ok, Status::NotFinite, Status::Ok]);
            holds(ctc, name, batch.clone(), Options::default());
        }
        batch.values[row..row + 4].fill(f32::NEG_INFINITY);
        holds(ctc, "−∞ only", batch, Options::default());
    });
}

#[test]
fn a_blank_among_the_labels_is_a_label() {
    on_each(|ctc| {
        let batch = OwnedBatch::new(
            [1, 9, 3],
            (0..27).map(|i| ((i * 7) % 5) as f32).collect(),
            &[vec![1, 0, 2]],
        );
        let options = Options::default().blank_in_labels(BlankInLabels::Allow);
        holds(ctc, "a blank as a label", batch, options);
    });
}

#[test]
fn malformed_input_on_the_device_affects_only_its_own_item() {
    let mut corruptions = malformed::labels_out_of_range();
    corruptions.extend(malformed::blank_among_labels());
    corruptions.extend(malformed::logit_lengths_out_of_range());
    corruptions.extend(malformed::label_lengths_out_of_range());
    corruptions.extend(malformed::logits_that_are_not_finite());
    on_each_device(|gpu| {
        for checks in [RuntimeChecks::On, RuntimeChecks::Off] {
            let ctc = GpuCtc::with_checks(&gpu.device, &gpu.queue, checks).unwrap();
            for task in [Task::Align, Task::Greedy] {
                for corruption in &corruptions {
                    guarded_buffers::check(corruption, gpu, &ctc, task).unwrap();
                }
                for seed in 0..24 {
                    guarded_buffers::random_bits(gpu, &ctc, seed, task).unwrap();
                }
            }
        }
    });
}

#[test]
fn with_a_weight_of_minus_one_the_gradient_of_exact_log_probs_is_the_occupancy() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        for seed in 0..10 {
            let batch = BatchSpec::new([3, 20, 6], 4).batch(seed);
            let options = Options::default().input(Input::LogProbsExact);
            let weighted = DeviceBatch::of(&batch.clone().weights(&[-1.0; 3]));
            let plan = ctc.plan(&weighted.shape, &options).unwrap();
            let outputs = run(gpu, &plan, &weighted, BufferPlacement::OneBuffer);
            let expected = reference::loss_and_grad(&batch.batch(), &Options::default()).unwrap();
            for (bits, expected) in outputs.grad.iter().zip(&expected.occupancy) {
                let got = f64::from(f32::from_bits(*bits));
                assert!((got - expected).abs() < 1e-5, "{got}, not {expected}");
            }
        }
    });
}

#[test]
fn no_path_contains_a_probability_of_0() {
    on_each(|ctc| {
        for seed in 0..12 {
            let mut batch = BatchSpec {
                minus_infinity: 0.3,
                ..BatchSpec::new([3, 30, 5], 6)
            }
            .batch(seed);
            batch = log_probs(&batch);
            batch.values.iter_mut().for_each(|x| *x = x.exp());
            let options = Options::default().input(Input::Probs { epsilon: 0.0 });
            holds(ctc, &format!("zeros, seed {seed}"), batch, options);
        }
    });
}

#[test]
fn masked_labels_and_the_smallest_possible_probability_are_as_on_the_cpu() {
    on_each(|ctc| {
        for case in masked_labels() {
            check(ctc, &case).unwrap();
        }
        for (x, status) in [
            (-1_073_741_760.0, Status::Ok),
            (-1_073_741_824.0, Status::Impossible),
            (-1.0e9, Status::Ok),
            (-1.2e9, Status::Impossible),
            (f32::MIN, Status::Impossible),
        ] {
            for input in [Input::Logits, Input::LogProbs] {
                let options = Options::default().input(input);
                let batch = OwnedBatch::one([2, 2], vec![0.0, x, 0.0, x], &[1]);
                assert_eq!(
                    ctc.align(&batch.batch(), &options).unwrap()[0].status,
                    status
                );
                holds(ctc, &format!("a needed {input:?} at {x}"), batch, options);
            }
        }
        for values in [
            vec![0.0, -1.0, 88.5, -1.0],
            vec![-1.0, -0.5, -1.0e34, -1.2e9],
        ] {
            let options = Options::default().input(Input::LogProbs);
            let batch = OwnedBatch::one([2, 2], values, &[1]);
            assert_eq!(
                ctc.greedy(&batch.batch(), &options).unwrap()[0].status,
                Status::NotFinite
            );
            holds(ctc, "invalid log-probabilities", batch, options);
        }
    });
}
