//! Nonsense that is on the device already: each item is told of it, its neighbours do not notice, and nothing is
//! touched that should not be, whether wgpu checks the kernels or not.

use ctc_wgpu::{
    Blank, BlankInLabels, Checks, GpuCtc, Impossible, LabelLayout, Options, RepeatedLabels, Status,
};

use crate::support::batch::{OwnedLabels, PADDING};
use crate::support::device::{
    DeviceBatch, Gpu, Outputs, PLACEMENTS, Placement, on_each_device, run,
};
use crate::support::random::Recipe;

const ITEMS: usize = 6;
const FRAMES: usize = 11;
const CLASSES: usize = 5;
const LABELS: usize = 4;
const BLANK: i32 = 2;

/// The item that is spoiled; its neighbours on both sides are not.
const VICTIM: usize = 2;

fn options() -> Options {
    Options {
        blank: Blank::Index(BLANK as u32),
        ..Options::default()
    }
}

/// A right batch whose items all have two labels or more and frames enough.
fn clean(concatenated: bool, time_major: bool) -> DeviceBatch {
    let recipe = Recipe {
        blank: BLANK as usize,
        weights: true,
        ragged: false,
        ..Recipe::new([ITEMS, FRAMES, CLASSES], LABELS)
    };
    let mut batch = recipe.batch(77);
    let lists: [&[i32]; ITEMS] = [
        &[1, 3],
        &[4, 0, 1, 1],
        &[0, 1, 3],
        &[3, 3],
        &[1, 0, 4, 3],
        &[4, 1],
    ];
    if concatenated {
        batch = batch.labels(crate::support::batch::concatenated(&lists));
    } else {
        batch = batch.labels(crate::support::batch::padded(&lists));
    }
    batch = batch.logit_lengths(&[11, 9, 8, 11, 10, 7]);
    if time_major {
        batch = batch.transposed();
    }
    DeviceBatch::of(&batch)
}

/// Both ways of compiling the kernels, on every adapter.
fn on_each_context(test: impl Fn(&Gpu, &GpuCtc)) {
    on_each_device(|gpu| {
        for checks in [Checks::On, Checks::Off] {
            println!("checks {checks:?}");
            let ctc = GpuCtc::with_checks(&gpu.device, &gpu.queue, checks).unwrap();
            test(gpu, &ctc);
        }
    });
}

/// What became of one item: its status, NaN or not, and every word of its gradient.
fn check_item(batch: &DeviceBatch, outputs: &Outputs, item: usize, status: Status, name: &str) {
    assert_eq!(outputs.status[item], status as u32, "{name}: status");
    assert!(
        outputs.loss(item).is_nan(),
        "{name}: {}",
        outputs.loss(item)
    );
    let counting = match &batch.logit_lengths {
        Some(lengths) => usize::try_from(lengths[item]).unwrap_or(0),
        None => FRAMES,
    };
    for frame in 0..FRAMES {
        let start = batch.shape.row(item, frame);
        for bits in &outputs.grad[start..start + CLASSES] {
            let nan = status == Status::NotFinite && frame < counting;
            let right = if nan {
                f32::from_bits(*bits).is_nan()
            } else {
                *bits == 0
            };
            assert!(right, "{name}: frame {frame} holds {bits:#x}");
        }
    }
}

/// All items but some have the same bits as in the clean batch.
fn check_others(
    batch: &DeviceBatch,
    outputs: &Outputs,
    clean: &Outputs,
    spoiled: &[usize],
    name: &str,
) {
    for item in (0..ITEMS).filter(|item| !spoiled.contains(item)) {
        assert_eq!(outputs.status[item], clean.status[item], "{name}: {item}");
        assert_eq!(outputs.loss[item], clean.loss[item], "{name}: {item}");
        for frame in 0..FRAMES {
            let start = batch.shape.row(item, frame);
            let range = start..start + CLASSES;
            assert_eq!(
                outputs.grad[range.clone()],
                clean.grad[range],
                "{name}: item {item} frame {frame}"
            );
        }
    }
}

/// Spoils the victim of each layout and looks at what came of it.
fn spoil(
    gpu: &Gpu,
    ctc: &GpuCtc,
    options: &Options,
    status: Status,
    name: &str,
    change: impl Fn(&mut DeviceBatch),
) {
    for (concatenated, time_major, placement) in [
        (false, false, Placement::Apart),
        (false, true, Placement::Together),
        (true, false, Placement::Together),
        (true, true, Placement::Apart),
    ] {
        let clean = clean(concatenated, time_major);
        let plan = ctc.plan(&clean.shape, options).unwrap();
        let expected = run(gpu, &plan, &clean, placement);
        assert_eq!(expected.status, [0; ITEMS], "{name}");
        let mut batch = clean.clone();
        change(&mut batch);
        let outputs = run(gpu, &plan, &batch, placement);
        let name = format!("{name}, {:?}, {placement:?}", clean.shape);
        check_item(&batch, &outputs, VICTIM, status, &name);
        check_others(&batch, &outputs, &expected, &[VICTIM], &name);
        // A plan of losses only comes to the same.
        let losses = ctc.plan_loss(&clean.shape, options).unwrap();
        let only = run(gpu, &losses, &batch, placement);
        let expected = Outputs {
            grad: Vec::new(),
            ..outputs
        };
        only.same(&expected, &name);
    }
}

/// Where the victim's labels begin.
fn first_label(batch: &DeviceBatch) -> usize {
    match batch.shape.label_layout {
        LabelLayout::Padded => VICTIM * batch.shape.max_labels,
        LabelLayout::Concatenated => batch.label_lengths[..VICTIM].iter().sum::<i32>() as usize,
    }
}

#[test]
fn a_label_that_is_no_class_spoils_its_item_alone() {
    on_each_context(|gpu, ctc| {
        let collapse = Options {
            repeated_labels: RepeatedLabels::Collapse,
            ..options()
        };
        for options in [options(), collapse] {
            for label in [-1, CLASSES as i32, 1000, i32::MIN, i32::MAX, PADDING] {
                for position in 0..3 {
                    let name = format!("label {label} at {position}");
                    spoil(gpu, ctc, &options, Status::BadLabel, &name, |batch| {
                        let at = first_label(batch) + position;
                        batch.labels[at] = label;
                    });
                }
            }
        }
    });
}

#[test]
fn the_blank_among_the_labels_spoils_its_item_where_it_is_not_allowed() {
    on_each_context(|gpu, ctc| {
        let change = |batch: &mut DeviceBatch| {
            let at = first_label(batch) + 1;
            batch.labels[at] = BLANK;
        };
        spoil(gpu, ctc, &options(), Status::BadLabel, "blank", change);
        let allow = Options {
            blank_in_labels: BlankInLabels::Allow,
            ..options()
        };
        let mut batch = clean(false, false);
        change(&mut batch);
        let plan = ctc.plan(&batch.shape, &allow).unwrap();
        let outputs = run(gpu, &plan, &batch, Placement::Apart);
        assert_eq!(outputs.status, [Status::Ok as u32; ITEMS]);
    });
}

#[test]
fn a_logit_length_out_of_range_spoils_its_item_alone() {
    on_each_context(|gpu, ctc| {
        for length in [-1, FRAMES as i32 + 1, 1 << 20, i32::MIN, i32::MAX] {
            let name = format!("logit length {length}");
            spoil(gpu, ctc, &options(), Status::BadLength, &name, |batch| {
                batch.logit_lengths.as_mut().unwrap()[VICTIM] = length;
                // A bad length frees no frame of its gradient.
            });
        }
    });
}

#[test]
fn a_weight_that_is_not_finite_spoils_its_item_alone() {
    on_each_context(|gpu, ctc| {
        let odd = [
            0x7fc0_0000,
            0xffc0_0000,
            0x7f80_0001,
            0x7f80_0000,
            0xff80_0000,
        ];
        for bits in odd {
            let name = format!("weight {bits:#x}");
            spoil(gpu, ctc, &options(), Status::NotFinite, &name, |batch| {
                batch.weights.as_mut().unwrap()[VICTIM] = bits;
            });
        }
    });
}

#[test]
fn every_kind_of_nan_and_plus_infinity_in_a_frame_that_counts_spoils_its_item_alone() {
    on_each_context(|gpu, ctc| {
        // Quiet, signalling, negative, all ones, the smallest payload; +inf.
        let odd = [
            0x7fc0_0000,
            0x7fa0_0000,
            0xffc0_1234,
            0xffff_ffff,
            0x7f80_0001,
            0x7f80_0000,
        ];
        for bits in odd {
            for frame in [0, 4, 7] {
                for class in [0, BLANK as usize, CLASSES - 1] {
                    let name = format!("{bits:#x} in frame {frame} class {class}");
                    spoil(gpu, ctc, &options(), Status::NotFinite, &name, |batch| {
                        let at = batch.shape.row(VICTIM, frame) + class;
                        batch.logits[at] = bits;
                    });
                }
            }
        }
        spoil(
            gpu,
            ctc,
            &options(),
            Status::NotFinite,
            "all -inf",
            |batch| {
                let start = batch.shape.row(VICTIM, 3);
                batch.logits[start..start + CLASSES].fill(0xff80_0000);
            },
        );
    });
}

#[test]
fn a_padded_label_length_out_of_range_spoils_its_item_alone() {
    on_each_context(|gpu, ctc| {
        for placement in PLACEMENTS {
            let clean = clean(false, false);
            let plan = ctc.plan(&clean.shape, &options()).unwrap();
            let expected = run(gpu, &plan, &clean, placement);
            for length in [-1, LABELS as i32 + 1, 1 << 20, i32::MIN, i32::MAX] {
                let mut batch = clean.clone();
                batch.label_lengths[VICTIM] = length;
                let outputs = run(gpu, &plan, &batch, placement);
                let name = format!("label length {length}");
                check_item(&batch, &outputs, VICTIM, Status::BadLength, &name);
                check_others(&batch, &outputs, &expected, &[VICTIM], &name);
            }
        }
    });
}

/// What concatenated lengths mean, hostile ones too: an item's labels begin at the sum of the lengths before it, those
/// below 0 counting as 0, and must lie inside the buffer.
fn places(lengths: &[i32], words: usize) -> Vec<Option<std::ops::Range<usize>>> {
    let mut start = 0_usize;
    lengths
        .iter()
        .map(|&length| {
            let length = i64::from(length);
            let begin = start;
            start += length.max(0) as usize;
            let inside = (0..=LABELS as i64).contains(&length) && start.max(begin) <= words;
            // An empty item may stand past the end.
            (inside || length == 0).then(|| begin..begin + length as usize)
        })
        .collect()
}

#[test]
fn concatenated_lengths_whose_sum_leaves_the_buffer_or_overflows_spoil_the_items_that_leave_it() {
    on_each_context(|gpu, ctc| {
        let clean = clean(true, false);
        let plan = ctc.plan(&clean.shape, &options()).unwrap();
        for lengths in [
            [2, 4, -1, 2, 4, 2],
            [2, 4, i32::MIN, 2, 4, 2],
            [2, 4, 100, 2, 0, 2],
            [2, 4, i32::MAX, 2, 4, 0],
            [i32::MAX; ITEMS],
            [i32::MAX, i32::MAX, i32::MAX, 1, 0, 3],
            [i32::MIN; ITEMS],
            [4, 4, 4, 4, 4, 4],
            [-5, 3, -5, 3, -5, 3],
            [0, 0, 0, 0, 0, 0],
            [1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 2],
        ] {
            let mut batch = clean.clone();
            batch.label_lengths = lengths.to_vec();
            for placement in PLACEMENTS {
                let outputs = run(gpu, &plan, &batch, placement);
                let name = format!("{lengths:?} {placement:?}");
                let places = places(&lengths, batch.labels.len());
                for (item, place) in places.iter().enumerate() {
                    if place.is_none() {
                        check_item(&batch, &outputs, item, Status::BadLength, &name);
                    }
                }
                let list = |place: &Option<std::ops::Range<usize>>| match place {
                    Some(place) if !place.is_empty() => batch.labels[place.clone()].to_vec(),
                    _ => Vec::new(),
                };
                let lists: Vec<Vec<i32>> = places.iter().map(list).collect();
                let spoiled: Vec<_> = (0..ITEMS).filter(|i| places[*i].is_none()).collect();
                let expected = run(gpu, &plan, &rebuilt(&clean, &lists), placement);
                check_others(&batch, &outputs, &expected, &spoiled, &name);
            }
        }
    });
}

/// The clean batch with other, right labels.
fn rebuilt(clean: &DeviceBatch, lists: &[Vec<i32>]) -> DeviceBatch {
    let OwnedLabels::Concatenated { values, lengths } = crate::support::batch::concatenated(lists)
    else {
        unreachable!("concatenated labels are concatenated")
    };
    // The longest item may be shorter now, and the plan is still for the clean batch.
    DeviceBatch {
        labels: values,
        label_lengths: lengths,
        ..clean.clone()
    }
}

#[test]
fn a_batch_of_nothing_but_garbage_touches_nothing_else() {
    use crate::support::random::Rng;
    on_each_context(|gpu, ctc| {
        for seed in 0..24 {
            let mut rng = Rng::new(seed);
            let mut batch = clean(seed % 2 == 0, seed % 4 < 2);
            // Every bit pattern, small numbers more often than they would come.
            let mut word = |small: usize| {
                let bits = rng.next();
                if bits.is_multiple_of(3) {
                    (bits >> 8) as u32
                } else {
                    ((bits >> 8) as usize % small) as u32
                }
            };
            batch
                .labels
                .iter_mut()
                .for_each(|l| *l = word(CLASSES) as i32);
            batch
                .label_lengths
                .iter_mut()
                .for_each(|l| *l = word(LABELS + 2) as i32);
            for length in batch.logit_lengths.as_mut().unwrap() {
                *length = word(FRAMES + 2) as i32;
            }
            batch
                .weights
                .as_mut()
                .unwrap()
                .iter_mut()
                .for_each(|w| *w = word(usize::MAX));
            if seed % 3 == 0 {
                batch.logits.iter_mut().for_each(|x| *x = word(usize::MAX));
            }
            let options = Options {
                impossible: Impossible::Zero,
                repeated_labels: if seed % 5 == 0 {
                    RepeatedLabels::Collapse
                } else {
                    RepeatedLabels::Keep
                },
                ..options()
            };
            let plan = ctc.plan(&batch.shape, &options).unwrap();
            let [apart, together] = PLACEMENTS.map(|p| run(gpu, &plan, &batch, p));
            together.same(&apart, "garbage");
            for (item, code) in apart.status.iter().enumerate() {
                let status = Status::from_code(*code).unwrap();
                let loss = apart.loss(item);
                let right = match status {
                    Status::Ok => loss >= 0.0 && loss.is_finite(),
                    Status::Impossible => apart.loss[item] == 0,
                    _ => loss.is_nan(),
                };
                assert!(right, "seed {seed} item {item}: {status:?} and loss {loss}");
                if !matches!(status, Status::Ok | Status::Impossible) {
                    let mut found = batch.clone();
                    if status == Status::BadLabel || status == Status::BadLength {
                        found.logit_lengths = None;
                        check_item(&found, &apart, item, status, &format!("seed {seed}"));
                    }
                }
            }
        }
    });
}
