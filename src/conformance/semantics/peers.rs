//! Where other libraries disagree: each row has our answer, and says who answers otherwise and why ours is right.
//!
//! Probed in 2026: PyTorch 2.15, TensorFlow 2.21 (its sparse and its dense loss), Keras 3.15, optax 0.2.8, warp-ctc, and
//! tf-seq2seq-losses 0.3, all on a CPU; Burn's GPU kernel by its source. Rows whose point is an error are in [`super::errors`].

use crate::{Impossible, Options, Status};

use super::product::{batch, usual_options};
use super::{Grad, Item, Loss, Row, impossible, not_finite, row, usual};
use crate::conformance::batch::{OwnedBatch, OwnedLabels};

const NEVER: f32 = f32::NEG_INFINITY;

pub(super) fn rows() -> Vec<Row> {
    [without_a_path(), values(), sizes()]
        .into_iter()
        .flatten()
        .collect()
}

fn without_a_path() -> Vec<Row> {
    let options = usual_options();
    let zero = Options {
        impossible: Impossible::Zero,
        ..options
    };
    let long: [&[i32]; 2] = [&[1, 2, 3, 1], &[1, 2]];
    let repeated: [&[i32]; 2] = [&[1, 1, 2], &[1, 2]];
    let frameless: [&[i32]; 3] = [&[], &[1], &[1, 2]];
    let nothing = || Item {
        loss: Loss::Zero,
        status: Status::Ok,
        grad: Grad::Zero,
    };
    vec![
        // PyTorch: +inf and a gradient of NaN, which spoils the step for the whole batch. TensorFlow's sparse loss refuses the
        // batch, its dense one answers 707 and optax 1e5, with gradients of nothing: both are their stand-in for −inf. warp-ctc
        // answers 0, as if the item were learnt. tf-seq2seq-losses and Burn have +inf and 0, as we: p is 0, and no step
        // makes it larger.
        row(
            "L > T",
            batch([2, 3, 4], &long),
            options,
            vec![impossible(Loss::Inf), usual()],
        ),
        row(
            "L > T, zero_infinity",
            batch([2, 3, 4], &long),
            zero,
            vec![impossible(Loss::Zero), usual()],
        ),
        // As above, but TensorFlow's sparse loss answers +inf with the softmax for a gradient, which unlearns the item, and its
        // flag to ignore longer outputs does not cover this.
        row(
            "L <= T < L + repeats",
            batch([2, 3, 4], &repeated),
            options,
            vec![impossible(Loss::Inf), usual()],
        ),
        row(
            "L <= T < L + repeats, zero_infinity",
            batch([2, 3, 4], &repeated),
            zero,
            vec![impossible(Loss::Zero), usual()],
        ),
        // PyTorch's gradient of an impossible item is NaN even where the incoming gradient is 0: 0 · NaN.
        row(
            "an incoming gradient of 0 for an impossible item",
            batch([2, 3, 4], &repeated).weights(&[0.0, 1.0]),
            options,
            vec![impossible(Loss::Inf), usual()],
        ),
        // TensorFlow's sparse loss refuses the whole batch: "Labels length is zero". It is a legal item: it costs its blanks,
        // as all others have it.
        row(
            "L = 0, T > 0",
            batch([2, 3, 4], &[&[], &[1]]),
            options,
            vec![usual(), usual()],
        ),
        // warp-ctc: +inf for the empty item, 0 for the impossible one. TensorFlow's sparse loss refuses both, its dense one and
        // optax answer 707 and 1e5 for the impossible one. One empty path reads as the empty label: p is 1. The others' loss of
        // −0.0 is +0.0 here.
        row(
            "T_n = 0, with and without labels",
            batch([3, 3, 4], &frameless).logit_lengths(&[0, 0, 3]),
            options,
            vec![nothing(), impossible(Loss::Inf), usual()],
        ),
        // PyTorch refuses a tensor without frames, TensorFlow's dense loss answers 706.9.
        row(
            "T = 0",
            batch([2, 0, 4], &[&[], &[1]]),
            options,
            vec![nothing(), impossible(Loss::Inf)],
        ),
        // PyTorch and TensorFlow refuse a batch without items; optax answers with none, as we.
        row(
            "N = 0",
            OwnedBatch::new::<&[i32]>([0, 3, 4], vec![], &[]),
            options,
            vec![],
        ),
    ]
}

fn values() -> Vec<Row> {
    let options = usual_options();
    let zero = Options {
        impossible: Impossible::Zero,
        ..options
    };
    let with = |frames: usize, places: &[(usize, f32)]| {
        let mut batch = batch([2, frames, 4], &[&[1, 2], &[3]]);
        places
            .iter()
            .for_each(|(at, value)| batch.values[*at] = *value);
        batch
    };
    let fine = || vec![usual(), usual()];
    let nan = || vec![not_finite(), usual()];
    let blocked = || with(3, &[(2, NEVER), (6, NEVER), (10, NEVER)]);
    vec![
        // PyTorch's loss is right, but its gradient is NaN in that frame; TensorFlow's dense loss and optax answer NaN, from
        // 0 · −inf. A mask of −inf is how one switches classes off, and must be exact.
        row(
            "-inf on a class that is not in the label",
            with(3, &[(3, NEVER)]),
            options,
            fine(),
        ),
        row(
            "-inf on a class of the label, still possible",
            with(3, &[(2, NEVER)]),
            options,
            fine(),
        ),
        // warp-ctc answers 88.4, its floor under the probabilities; Keras's batch cost 17.2, from its ε, which is another loss.
        row(
            "-inf on a class of the label in all frames",
            blocked(),
            options,
            vec![impossible(Loss::Inf), usual()],
        ),
        row(
            "-inf on a class of the label in all frames, zero_infinity",
            blocked(),
            zero,
            vec![impossible(Loss::Zero), usual()],
        ),
        // All answer NaN, and so do we: there is no distribution. warp-ctc has it in the frames before only.
        row(
            "a frame of -inf only",
            with(3, &[(4, NEVER), (5, NEVER), (6, NEVER), (7, NEVER)]),
            options,
            nan(),
        ),
        row(
            "a logit of +inf",
            with(3, &[(5, f32::INFINITY)]),
            options,
            nan(),
        ),
        row(
            "a NaN in a frame that counts",
            with(3, &[(5, f32::NAN)]),
            options,
            nan(),
        ),
        // PyTorch's zero_infinity does not hide a NaN, and it is right: a NaN is a fault, not a short item.
        row(
            "a NaN in a frame that counts, zero_infinity",
            with(3, &[(5, f32::NAN)]),
            zero,
            nan(),
        ),
        // PyTorch and tf-seq2seq-losses have NaN gradients in the padding, from their log-softmax; TensorFlow's dense loss and
        // optax have NaN everywhere. Padding is whatever the buffer held before.
        row(
            "NaN in a frame that does not count",
            with(
                4,
                &[
                    (12, f32::NAN),
                    (13, f32::NAN),
                    (14, f32::NAN),
                    (15, f32::NAN),
                ],
            )
            .logit_lengths(&[3, 4]),
            options,
            fine(),
        ),
        row(
            "+inf in a frame that does not count",
            with(4, &[(13, f32::INFINITY)]).logit_lengths(&[3, 4]),
            options,
            fine(),
        ),
        // TensorFlow on cuDNN leaves there what the memory held, warp-ctc what the caller had in it.
        row(
            "the gradient of frames that do not count",
            with(4, &[]).logit_lengths(&[3, 0]),
            options,
            vec![usual(), impossible(Loss::Inf)],
        ),
        // Ignored by all but TensorFlow's dense loss with `unique`, which refuses it.
        row(
            "-1 past the label length",
            batch([1, 4, 4], &[&[]]).labels(OwnedLabels::Padded {
                values: vec![1, 2, -1],
                lengths: vec![2],
            }),
            options,
            vec![usual()],
        ),
        // PyTorch, optax and TensorFlow's dense loss answer by this rule, though the last has a wrong gradient for it; warp-ctc
        // and Burn forbid the skip to a blank, for no reason in the paper; tf-seq2seq-losses has a third number.
        row(
            "the blank inside a label, allowed",
            batch([1, 5, 3], &[&[1, 0, 2]]),
            Options {
                blank_in_labels: crate::BlankInLabels::Allow,
                ..options
            },
            vec![usual()],
        ),
    ]
}

fn sizes() -> Vec<Row> {
    let options = usual_options();
    let flat = |dims: [usize; 3], labels: &[i32]| {
        OwnedBatch::new(dims, vec![0.0; dims.iter().product()], &[labels])
    };
    let exact = |loss: f64, grad: Grad| {
        vec![Item {
            loss: Loss::Exact(loss),
            status: Status::Ok,
            grad,
        }]
    };
    // Confident and right: 200 against 0, so that p is 1 in any precision.
    let mut right = flat([1, 4, 3], &[1, 2]);
    for (frame, class) in [1, 1, 0, 2].into_iter().enumerate() {
        right.values[frame * 3 + class] = 200.0;
    }
    let sharp = OwnedBatch::one(
        [3, 4],
        [
            [2e4, -2e4, 0.0, 0.0],
            [0.0, 3e4, 0.0, 0.0],
            [-1e4, 4e4, 0.0, 0.0],
        ]
        .concat(),
        &[1, 2],
    );
    let unlearnt = [[0.0; 4], [0.0; 4], [0.0, 1.0, -1.0, 0.0]];
    vec![
        // warp-ctc's gradient is 1 here; TensorFlow's sparse loss refuses it, and wrote past its buffer in earlier versions.
        row(
            "C = 1, L = 0",
            flat([1, 3, 1], &[]),
            options,
            exact(0.0, Grad::Exact(vec![0.0; 3])),
        ),
        // TensorFlow's sparse loss and optax answer −8.3e-8: a loss below 0, which logarithms downstream do not survive.
        row(
            "confident and right",
            right,
            options,
            exact(0.0, Grad::Exact(vec![0.0; 12])),
        ),
        // TensorFlow's sparse loss takes the softmax first and answers +inf, its dense one 706.9, warp-ctc 87.3, Burn +inf for
        // all above 1e4. The best path is blank, 1, 2: it gives up nothing in two frames and 4e4 in the third, and the next
        // best gives up 4e4 more.
        row(
            "logits of 1e4",
            sharp,
            options,
            exact(4e4, Grad::Exact(unlearnt.concat())),
        ),
        // Long and flat, as an untrained network is: Burn answers +inf for any loss above 1e4, TensorFlow's dense loss is off by
        // 0.5. Distinct labels have C(T + L, 2L) paths.
        row(
            "T = 3000, all classes alike",
            flat([1, 3000, 32], &[1, 2]),
            options,
            exact(
                3000.0 * 32.0_f64.ln() - (3002.0_f64 * 3001.0 * 3000.0 * 2999.0 / 24.0).ln(),
                Grad::Balanced,
            ),
        ),
        row(
            "T = 3000 without labels, all classes alike",
            flat([1, 3000, 32], &[]),
            options,
            exact(3000.0 * 32.0_f64.ln(), Grad::Balanced),
        ),
    ]
}
