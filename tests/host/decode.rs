//! Compares alignments and decoders with an enumeration of all paths, and with the results of
//! TensorFlow and torchaudio.

use std::collections::BTreeMap;

use ctc_wgpu::decode::{self, BeamOptions, BeamResult, EditCounts, Hypothesis, Scorer};
use ctc_wgpu::{Batch, Blank, Ctc, Error, Input, Options, RepeatedOutputs, Status, reference};
use proptest::prelude::*;

use crate::support::occupancies;
use crate::support::random::{BatchSpec, Rng};

/// Calls `visit` with every path of classes and its probability. `probabilities` are frames ×
/// classes.
fn paths(probabilities: &[Vec<f64>], visit: &mut dyn FnMut(&[usize], f64)) {
    let classes = probabilities.first().map_or(1, Vec::len);
    let mut path = vec![0; probabilities.len()];
    loop {
        let p = path
            .iter()
            .zip(probabilities)
            .map(|(class, p)| p[*class])
            .product();
        visit(&path, p);
        let Some(digit) = path.iter().position(|class| class + 1 < classes) else {
            return;
        };
        path[..digit].fill(0);
        path[digit] += 1;
    }
}

/// Merges repeated classes, unless outputs are distinct, and removes the blanks.
fn collapsed(path: &[usize], blank: usize, repeated: RepeatedOutputs) -> Vec<u32> {
    let mut path = path.to_vec();
    if repeated == RepeatedOutputs::Merge {
        path.dedup();
    }
    path.into_iter()
        .filter(|class| *class != blank)
        .map(|class| class as u32)
        .collect()
}

fn softmax(row: &[f32]) -> Vec<f64> {
    let exp: Vec<f64> = row.iter().map(|x| f64::from(*x).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.iter().map(|e| e / sum).collect()
}

/// Returns the number of classes, the logits, the labels and the blank of a small item.
fn small(seed: u64) -> (usize, Vec<f32>, Vec<i32>, usize) {
    let mut rng = Rng::new(seed);
    let (frames, classes) = (rng.below(7), 2 + rng.below(3));
    let blank = rng.below(classes);
    let batch = BatchSpec {
        blank,
        ragged: false,
        repeats: 0.4,
        minus_infinity: if seed.is_multiple_of(3) { 0.2 } else { 0.0 },
        ..BatchSpec::new([1, frames, classes], 3)
    }
    .batch(seed);
    let labels = batch.item_labels(0).iter().map(|l| *l as i32).collect();
    (classes, batch.values, labels, blank)
}

fn options(blank: usize, seed: u64) -> Options {
    Options::default()
        .blank(Blank::Index(blank as u32))
        .repeated_outputs(if seed.is_multiple_of(2) {
            RepeatedOutputs::Merge
        } else {
            RepeatedOutputs::Distinct
        })
}

#[test]
fn an_alignment_is_the_most_probable_path_of_the_labels() {
    let mut possible = 0;
    for seed in 0..400 {
        let (classes, values, labels, blank) = small(seed);
        let frames = values.len() / classes;
        let options = options(blank, seed);
        let rows: Vec<_> = values.chunks(classes).map(softmax).collect();
        let wanted: Vec<u32> = labels.iter().map(|l| *l as u32).collect();
        let mut best = 0.0_f64;
        paths(&rows, &mut |path, p| {
            if collapsed(path, blank, options.repeated_outputs) == wanted {
                best = best.max(p);
            }
        });
        let lengths = [labels.len() as i32];
        let batch = Batch::new([1, frames, classes], &values).labels(&labels, &lengths);
        let found = &decode::align(&batch, &options).unwrap()[0];
        if best == 0.0 {
            assert_eq!(found.status, Status::Impossible, "seed {seed}");
            assert_eq!((found.log_prob, found.spans.len()), (f64::NEG_INFINITY, 0));
            continue;
        }
        possible += 1;
        assert_eq!(found.status, Status::Ok);
        assert!(
            (found.log_prob - best.ln()).abs() < 1e-9,
            "seed {seed}: {} and {}",
            found.log_prob,
            best.ln()
        );
        let path: Vec<usize> = found.path.iter().map(|c| *c as usize).collect();
        assert_eq!(
            collapsed(&path, blank, options.repeated_outputs),
            wanted,
            "seed {seed}"
        );
        let p: f64 = path
            .iter()
            .zip(&rows)
            .map(|(class, row)| row[*class])
            .product();
        assert!(
            (found.log_prob - p.ln()).abs() < 1e-9,
            "seed {seed}: the path has another probability"
        );
        let spans: Vec<u32> = found.spans.iter().map(|span| span.label).collect();
        assert_eq!(spans, wanted);
        for (span, next) in found.spans.iter().zip(found.spans.iter().skip(1)) {
            assert!(span.frames.end <= next.frames.start);
        }
        for span in &found.spans {
            assert!(!span.frames.is_empty());
            let mean = span
                .frames
                .clone()
                .map(|t| rows[t][span.label as usize])
                .sum::<f64>()
                / span.frames.len() as f64;
            assert!((span.probability - mean).abs() < 1e-12);
            assert!(span.frames.clone().all(|t| found.path[t] == span.label));
        }
        let loss = reference::loss_and_grad(&batch, &options).unwrap().loss[0];
        assert!(-found.log_prob >= loss - 1e-9);
    }
    assert!(possible > 150, "only {possible} had a path");
}

#[test]
fn a_star_matches_any_frames() {
    // The path of "1 2 3 1", where the labels between the first and the last 1 are unknown. A star
    // must be equivalent to an additional class of probability 1.
    let rows: Vec<[f32; 4]> = [1, 0, 2, 2, 0, 3, 0, 1]
        .map(|class| {
            let mut row = [-4.0; 4];
            row[class] = 4.0;
            row
        })
        .into();
    let logits: Vec<f32> = rows.iter().flatten().copied().collect();
    let labels = [1, decode::STAR, 1];
    let batch = Batch::new([1, 8, 4], &logits).labels(&labels, &[3]);
    let found = &decode::align(&batch, &Options::default()).unwrap()[0];
    let widened: Vec<f32> = rows
        .iter()
        .flat_map(|row| {
            let p = softmax(row);
            p.into_iter().map(|p| p.ln() as f32).chain([0.0])
        })
        .collect();
    let wide = Batch::new([1, 8, 5], &widened).labels(&[1, 4, 1], &[3]);
    let options = Options::default().input(Input::LogProbs);
    let theirs = &decode::align(&wide, &options).unwrap()[0];
    assert_eq!(found.states, theirs.states);
    assert!((found.log_prob - theirs.log_prob).abs() < 1e-6);
    assert_eq!(found.spans[1].label, u32::MAX);
    assert_eq!(found.spans[1].probability, 1.0);
    assert_eq!(
        (found.spans[0].frames.clone(), found.spans[2].frames.clone()),
        (0..1, 7..8)
    );
    // A loss does not accept a star.
    assert!(Ctc::cpu().loss(&batch, &Options::default()).is_err());
}

#[test]
fn ties_between_paths_are_decided_as_documented() {
    // All paths are equally probable. Traced back from the end, the result stays in each state as
    // long as possible.
    let logits = [0.0; 6 * 3];
    let align = |labels: &[i32]| {
        let lengths = [labels.len() as i32];
        let batch = Batch::new([1, 6, 3], &logits).labels(labels, &lengths);
        decode::align(&batch, &Options::default()).unwrap()[0]
            .states
            .clone()
    };
    assert_eq!(align(&[1, 2]), [1, 3, 3, 3, 3, 3]);
    assert_eq!(align(&[1, 1]), [1, 2, 3, 3, 3, 3]);
    assert_eq!(align(&[]), [0; 6]);
}

#[test]
fn an_item_that_cannot_be_decoded_has_a_status() {
    let mut logits = [0.0; 2 * 3 * 3];
    logits[4] = f32::NAN;
    let batch = Batch::new([2, 3, 3], &logits).labels(&[1, 2, 1, 2], &[2, 2]);
    let options = Options::default();
    let aligned = decode::align(&batch, &options).unwrap();
    assert_eq!(
        [aligned[0].status, aligned[1].status],
        [Status::NotFinite, Status::Ok]
    );
    let hypotheses = decode::greedy(&batch, &options).unwrap();
    assert_eq!(
        [hypotheses[0].status, hypotheses[1].status],
        [Status::NotFinite, Status::Ok]
    );
    assert!(hypotheses[0].log_prob.is_nan() && aligned[0].log_prob.is_nan());
    let searched = decode::beam(&batch, &options, &BeamOptions::default()).unwrap();
    assert_eq!(
        [searched[0].status, searched[1].status],
        [Status::NotFinite, Status::Ok]
    );
    assert!(searched[0].hypotheses.is_empty());
    let short = Batch::new([2, 3, 3], &logits[1..]);
    assert!(
        decode::greedy(&short, &options).is_err()
            && decode::beam(&short, &options, &BeamOptions::default()).is_err()
    );
}

#[test]
fn every_kind_of_input_decodes_to_the_same_labels() {
    let batch = BatchSpec::new([3, 12, 5], 4).batch(5);
    let rows: Vec<_> = batch.values.chunks(5).map(softmax).collect();
    let log_probs: Vec<f32> = rows.iter().flatten().map(|p| p.ln() as f32).collect();
    let probs: Vec<f32> = rows.iter().flatten().map(|p| *p as f32).collect();
    let decoded = |values: &[f32], input: Input| {
        let given = Batch::new([3, 12, 5], values);
        let options = Options::default().input(input);
        let hypotheses = decode::greedy(&given, &options).unwrap();
        hypotheses
            .into_iter()
            .map(|r| (r.labels, r.frames, r.log_prob))
            .collect::<Vec<_>>()
    };
    let logits = decoded(&batch.values, Input::Logits);
    for other in [
        decoded(&log_probs, Input::LogProbs),
        decoded(&probs, Input::Probs { epsilon: 0.0 }),
    ] {
        for (a, b) in logits.iter().zip(&other) {
            assert_eq!((&a.0, &a.1), (&b.0, &b.1));
            assert!((a.2 - b.2).abs() < 1e-5);
        }
    }
}

#[test]
fn an_unlimited_beam_finds_all_labels_and_their_probabilities() {
    for seed in 0..120 {
        let (classes, values, _, blank) = small(seed);
        let frames = values.len() / classes;
        let options = options(blank, 0);
        let rows: Vec<_> = values.chunks(classes).map(softmax).collect();
        let mut all: BTreeMap<Vec<u32>, f64> = BTreeMap::new();
        paths(&rows, &mut |path, p| {
            *all.entry(collapsed(path, blank, RepeatedOutputs::Merge))
                .or_default() += p;
        });
        all.retain(|_, p| *p > 0.0);
        let wide = BeamOptions::default().width(10_000).top(10_000);
        let batch = Batch::new([1, frames, classes], &values);
        let found = only(decode::beam(&batch, &options, &wide));
        assert_eq!(found.len(), all.len(), "seed {seed}");
        for hypothesis in &found {
            let p = all[&hypothesis.labels];
            assert!(
                (hypothesis.log_prob - p.ln()).abs() < 1e-9,
                "seed {seed}: {hypothesis:?}, {}",
                p.ln()
            );
        }
        assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
    }
}

/// Returns the hypotheses of the only item, whose status must be `Ok`.
fn only(found: Result<Vec<BeamResult>, Error>) -> Vec<Hypothesis> {
    let mut found = found.unwrap();
    assert_eq!((found.len(), found[0].status), (1, Status::Ok));
    found.remove(0).hypotheses
}

/// Forbids a label and odd lengths, and favours long hypotheses.
struct Without(u32);

impl Scorer for Without {
    type State = usize;

    fn start(&self) -> usize {
        0
    }

    fn extend(&self, length: &usize, label: u32) -> (usize, f64) {
        (
            length + 1,
            if label == self.0 {
                f64::NEG_INFINITY
            } else {
                0.5
            },
        )
    }

    fn finish(&self, length: &usize) -> f64 {
        if length.is_multiple_of(2) {
            0.0
        } else {
            f64::NEG_INFINITY
        }
    }
}

#[test]
fn a_scorer_can_forbid_and_favour_labels() {
    let batch = BatchSpec {
        ragged: false,
        ..BatchSpec::new([1, 6, 4], 0)
    }
    .batch(3);
    let given = Batch::new([1, 6, 4], &batch.values);
    let wide = BeamOptions::default().width(5000).top(5000);
    let options = Options::default();
    let plain = only(decode::beam(&given, &options, &wide));
    let scored = only(decode::beam_with(&given, &options, &wide, &Without(2)));
    let allowed = |labels: &[u32]| labels.len().is_multiple_of(2) && !labels.contains(&2);
    let mut expected: Vec<_> = plain.iter().filter(|c| allowed(&c.labels)).collect();
    assert_eq!(scored.len(), expected.len());
    let score = |c: &Hypothesis| 0.5 * c.labels.len() as f64 + c.log_prob;
    expected.sort_by(|a, b| score(b).total_cmp(&score(a)));
    for (got, want) in scored.iter().zip(expected) {
        assert_eq!(got.labels, want.labels);
        assert!(
            (got.log_prob - want.log_prob).abs() < 1e-9 && (got.score - score(want)).abs() < 1e-9
        );
    }
}

/// Adds nothing to any score and has no bound, so that the search scores every class.
struct Unbounded;

impl Scorer for Unbounded {
    type State = ();

    fn start(&self) {}

    fn extend(&self, (): &(), _label: u32) -> ((), f64) {
        ((), 0.0)
    }

    fn finish(&self, (): &()) -> f64 {
        0.0
    }
}

#[test]
fn labels_that_the_search_skips_would_not_enter_the_beam() {
    for seed in 0..60 {
        let shape = [2, 24, 3 + seed as usize % 40];
        let batch = BatchSpec {
            minus_infinity: if seed % 3 == 0 { 0.2 } else { 0.0 },
            ..BatchSpec::new(shape, 3)
        }
        .batch(seed);
        let given = Batch::new(shape, &batch.values);
        for width in [1, 2, 3, 7, 20, 100] {
            for (classes, min_probability) in [(usize::MAX, 0.0), (3, 0.0), (usize::MAX, 0.03)] {
                let beam = BeamOptions::default()
                    .width(width)
                    .top(width)
                    .max_classes(classes)
                    .min_probability(min_probability);
                let options = Options::default();
                assert_eq!(
                    decode::beam(&given, &options, &beam).unwrap(),
                    decode::beam_with(&given, &options, &beam, &Unbounded).unwrap(),
                    "seed {seed}, {beam:?}"
                );
            }
        }
    }
}

#[test]
fn excluded_classes_are_not_decoded() {
    let logits = [0.0, 2.0, 1.0, -3.0, 0.0, 2.0, 1.0, -3.0]; // T = 2, C = 4
    let given = Batch::new([1, 2, 4], &logits);
    let labels = |beam: BeamOptions| {
        let found = only(decode::beam(&given, &Options::default(), &beam));
        let mut all: Vec<u32> = found.into_iter().flat_map(|c| c.labels).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    let wide = BeamOptions::default().width(100).top(100);
    assert_eq!(labels(wide), [1, 2, 3]);
    assert_eq!(labels(wide.max_classes(1)), [1]);
    assert_eq!(labels(wide.min_probability(0.1)), [1, 2]);
    let one = BeamOptions::default().width(0).top(7);
    assert_eq!(
        only(decode::beam(&given, &Options::default(), &one)).len(),
        1
    );
}

/// Reads an array of the file.
fn list<T>(value: &serde_json::Value, read: fn(&serde_json::Value) -> T) -> Vec<T> {
    value.as_array().unwrap().iter().map(read).collect()
}

#[test]
fn occupancies_equal_the_reference() {
    occupancies::match_the_reference(&Ctc::cpu());
}

#[test]
fn decoded_labels_equal_tensorflows() {
    let file = include_str!("../data/golden/decoders.json");
    let file: serde_json::Value = serde_json::from_str(file).unwrap();
    let word = |v: &serde_json::Value| v.as_u64().unwrap() as u32;
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() >= 7);
    for (number, case) in cases.iter().enumerate() {
        let [items, frames, classes] = list(&case["shape"], |v| v.as_u64().unwrap() as usize)[..]
        else {
            panic!("a shape has three axes")
        };
        let logits = list(&case["logits"], |v| v.as_f64().unwrap() as f32);
        let lengths = list(&case["lengths"], |v| v.as_i64().unwrap() as i32);
        let batch = Batch::new([items, frames, classes], &logits).logit_lengths(&lengths);
        for (name, repeated_outputs) in [
            ("greedy", RepeatedOutputs::Merge),
            ("greedy_unmerged", RepeatedOutputs::Distinct),
        ] {
            let options = Options::default()
                .blank(Blank::Last)
                .repeated_outputs(repeated_outputs);
            let hypotheses = decode::greedy(&batch, &options).unwrap();
            for (n, hypothesis) in hypotheses.iter().enumerate() {
                let theirs = list(&case[name]["labels"][n], word);
                assert_eq!(
                    hypothesis.labels, theirs,
                    "{name} of case {number}, item {n}"
                );
            }
        }
        let options = Options::default().blank(Blank::Last);
        let theirs = &case["beam"];
        let top = theirs["labels"].as_array().unwrap().len();
        let beam = BeamOptions::default()
            .width(word(&case["width"]) as usize)
            .top(top);
        let found = decode::beam(&batch, &options, &beam).unwrap();
        for (n, result) in found.iter().enumerate() {
            assert_eq!(result.status, Status::Ok);
            for (rank, hypothesis) in result.hypotheses.iter().enumerate() {
                let what = format!("beam of case {number}, item {n}, rank {rank}");
                assert_eq!(
                    hypothesis.labels,
                    list(&theirs["labels"][rank][n], word),
                    "{what}"
                );
                let log_p = theirs["log_probs"][rank][n].as_f64().unwrap();
                assert!(
                    (hypothesis.log_prob - log_p).abs() < 2e-5 * (1.0 - log_p),
                    "{what}: {} and {log_p}",
                    hypothesis.log_prob
                );
            }
        }
    }
}

#[test]
fn alignments_equal_torchaudios() {
    let file = include_str!("../data/golden/alignments.json");
    let file: serde_json::Value = serde_json::from_str(file).unwrap();
    let word = |v: &serde_json::Value| v.as_u64().unwrap() as u32;
    let number = |v: &serde_json::Value| v.as_f64().unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() >= 20);
    for (number_of, case) in cases.iter().enumerate() {
        let classes = word(&case["classes"]) as usize;
        let logits = list(&case["logits"], |v| v.as_f64().unwrap() as f32);
        let labels = list(&case["labels"], |v| v.as_i64().unwrap() as i32);
        let lengths = [labels.len() as i32];
        let batch =
            Batch::new([1, logits.len() / classes, classes], &logits).labels(&labels, &lengths);
        let found = &decode::align(&batch, &Options::default()).unwrap()[0];
        assert_eq!(found.path, list(&case["path"], word), "case {number_of}");
        for (got, theirs) in found.log_probs.iter().zip(list(&case["scores"], number)) {
            assert!(
                (got - theirs).abs() < 1e-9,
                "case {number_of}: {got} and {theirs}"
            );
        }
        let spans = case["spans"].as_array().unwrap();
        assert_eq!(found.spans.len(), spans.len(), "case {number_of}");
        for (got, theirs) in found.spans.iter().zip(spans) {
            let [label, start, end, probability] = list(theirs, number)[..] else {
                panic!("a span has four numbers")
            };
            assert_eq!(
                (
                    got.label as f64,
                    got.frames.start as f64,
                    got.frames.end as f64
                ),
                (label, start, end)
            );
            assert!((got.probability - probability).abs() < 1e-9);
        }
    }
}

/// The edit distance by its definition.
fn distance(a: &[u8], b: &[u8]) -> usize {
    match (a, b) {
        ([], rest) | (rest, []) => rest.len(),
        ([x, a_rest @ ..], [y, b_rest @ ..]) => {
            let both = usize::from(x != y) + distance(a_rest, b_rest);
            both.min(1 + distance(a_rest, b))
                .min(1 + distance(a, b_rest))
        }
    }
}

proptest! {
    #[test]
    fn edits_are_the_edit_distance_and_add_up(
        labels in proptest::collection::vec(0_u8..3, 0..7),
        read in proptest::collection::vec(0_u8..3, 0..7),
    ) {
        let edits = EditCounts::between(&labels, &read);
        prop_assert_eq!(edits.total(), distance(&labels, &read));
        prop_assert_eq!(edits.labels, labels.len());
        prop_assert_eq!(labels.len() - edits.deletions + edits.insertions, read.len());
        let back = EditCounts::between(&read, &labels);
        prop_assert_eq!((back.deletions, back.insertions), (edits.insertions, edits.deletions));
        prop_assert_eq!(back.substitutions, edits.substitutions);
    }
}

#[test]
fn error_rates_of_empty_sequences_are_defined() {
    let none: [u8; 0] = [];
    assert_eq!(EditCounts::between(&none, &none).rate(), 0.0);
    assert_eq!(EditCounts::between(&none, b"x").rate(), f64::INFINITY);
    assert_eq!(EditCounts::between(b"ab", &none).rate(), 1.0);
    let swapped = EditCounts::between(b"xy", b"yx");
    assert_eq!((swapped.substitutions, swapped.total()), (2, 2));
}

#[test]
fn a_constant_per_frame_does_not_change_the_alignment() {
    for offset in [1.0e6, 1.0e8, -1.0e17, 1.0e30] {
        let logits = [offset, offset, 0.0, 2.0, 9.0, 0.0];
        let batch = Batch::new([1, 3, 2], &logits).labels(&[1], &[1]);
        let found = decode::align(&batch, &Options::default()).unwrap();
        // The label is most probable at frame 1, and the blank at frame 2. At frame 0 both are
        // equally probable.
        assert_eq!(found[0].path[1..], [1, 0], "{offset}");
        assert!((found[0].log_prob + 0.820_198).abs() < 1e-5, "{offset}");
    }
}
