//! Inputs for which other libraries disagree. Each row has our result; its comment lists the
//! different results of other libraries, and the reason for ours.
//!
//! Measured in 2026: PyTorch 2.15, TensorFlow 2.21 (its sparse and its dense loss), Keras 3.15,
//! optax 0.2.8, warp-ctc, and tf-seq2seq-losses 0.3, all on a CPU; Burn's GPU kernel by reading its
//! source. Inputs that we reject are in [`super::errors`].

use ctc_wgpu::{Impossible, Status};

use super::ordinary_items::{batch, default_options};
use super::{
    ExpectedItem, Grad, Loss, SemanticsCase, impossible, not_finite, ordinary, row, zero_loss,
};
use crate::batch::{OwnedBatch, OwnedLabels};

const MINUS_INFINITY: f32 = f32::NEG_INFINITY;

pub(super) fn rows() -> Vec<SemanticsCase> {
    [impossible_items(), values(), sizes()]
        .into_iter()
        .flatten()
        .collect()
}

fn impossible_items() -> Vec<SemanticsCase> {
    let options = default_options();
    let zero = options.impossible(Impossible::Zero);
    let long: [&[i32]; 2] = [&[1, 2, 3, 1], &[1, 2]];
    let repeated: [&[i32]; 2] = [&[1, 1, 2], &[1, 2]];
    let frameless: [&[i32]; 3] = [&[], &[1], &[1, 2]];
    vec![
        // PyTorch: +inf and a gradient of NaN, which makes the training step of the whole batch
        // NaN. TensorFlow's sparse loss rejects the batch; its dense loss returns 707 and optax
        // 1e5, which is their replacement of −inf, with meaningless gradients. warp-ctc returns 0,
        // as if the item were fitted exactly. tf-seq2seq-losses and Burn return +inf and 0, as we
        // do: p is 0, and no training step can increase it.
        row(
            "L > T",
            batch([2, 3, 4], &long),
            options,
            vec![impossible(Loss::Inf), ordinary()],
        ),
        row(
            "L > T, zero_infinity",
            batch([2, 3, 4], &long),
            zero,
            vec![impossible(Loss::Zero), ordinary()],
        ),
        // As above, but TensorFlow's sparse loss returns +inf with the softmax as the gradient, as
        // if γ were 0, and its flag to ignore longer outputs does not cover this case.
        row(
            "L <= T < L + repeats",
            batch([2, 3, 4], &repeated),
            options,
            vec![impossible(Loss::Inf), ordinary()],
        ),
        row(
            "L <= T < L + repeats, zero_infinity",
            batch([2, 3, 4], &repeated),
            zero,
            vec![impossible(Loss::Zero), ordinary()],
        ),
        // PyTorch's gradient of an impossible item is NaN even if the incoming gradient is 0,
        // because 0 · NaN is NaN.
        row(
            "an incoming gradient of 0 for an impossible item",
            batch([2, 3, 4], &repeated).weights(&[0.0, 1.0]),
            options,
            vec![impossible(Loss::Inf), ordinary()],
        ),
        // TensorFlow's sparse loss rejects the whole batch: "Labels length is zero". The item is
        // valid, with the loss of its blanks, as in all other libraries.
        row(
            "L = 0, T > 0",
            batch([2, 3, 4], &[&[], &[1]]),
            options,
            vec![ordinary(), ordinary()],
        ),
        // warp-ctc: +inf for the empty item, 0 for the impossible one. TensorFlow's sparse loss
        // rejects both; its dense loss and optax return 707 and 1e5 for the impossible one. The
        // empty path gives the empty label, so p is 1. Where others return −0.0, we return +0.0.
        row(
            "T_n = 0, with and without labels",
            batch([3, 3, 4], &frameless).logit_lengths(&[0, 0, 3]),
            options,
            vec![zero_loss(), impossible(Loss::Inf), ordinary()],
        ),
        // PyTorch rejects a tensor without frames; TensorFlow's dense loss returns 706.9.
        row(
            "T = 0",
            batch([2, 0, 4], &[&[], &[1]]),
            options,
            vec![zero_loss(), impossible(Loss::Inf)],
        ),
        // PyTorch and TensorFlow reject a batch without items; optax returns an empty result, as we
        // do.
        row(
            "N = 0",
            OwnedBatch::new::<&[i32]>([0, 3, 4], vec![], &[]),
            options,
            vec![],
        ),
    ]
}

fn values() -> Vec<SemanticsCase> {
    let options = default_options();
    let zero = options.impossible(Impossible::Zero);
    let with = |frames: usize, changed: &[(usize, f32)]| {
        let mut batch = batch([2, frames, 4], &[&[1, 2], &[3]]);
        changed
            .iter()
            .for_each(|(at, value)| batch.values[*at] = *value);
        batch
    };
    let fine = || vec![ordinary(), ordinary()];
    let nan = || vec![not_finite(), ordinary()];
    let blocked = || {
        with(
            3,
            &[
                (2, MINUS_INFINITY),
                (6, MINUS_INFINITY),
                (10, MINUS_INFINITY),
            ],
        )
    };
    vec![
        // PyTorch's loss is right, but its gradient is NaN in that frame; TensorFlow's dense loss
        // and optax return NaN, from 0 · −inf. Setting logits to −inf is the usual way of masking
        // classes, so it must be exact.
        row(
            "-inf on a class that is not in the label",
            with(3, &[(3, MINUS_INFINITY)]),
            options,
            fine(),
        ),
        row(
            "-inf on a class of the label, still possible",
            with(3, &[(2, MINUS_INFINITY)]),
            options,
            fine(),
        ),
        // warp-ctc returns 88.4, because it bounds probabilities from below; Keras's batch cost
        // returns 17.2, because of its ε, which makes it a different loss.
        row(
            "-inf on a class of the label in all frames",
            blocked(),
            options,
            vec![impossible(Loss::Inf), ordinary()],
        ),
        row(
            "-inf on a class of the label in all frames, zero_infinity",
            blocked(),
            zero,
            vec![impossible(Loss::Zero), ordinary()],
        ),
        // All libraries return NaN, as we do, because the frame is not a distribution. warp-ctc has
        // NaN only in the gradient of the earlier frames.
        row(
            "a frame of -inf in all classes",
            with(
                3,
                &[
                    (4, MINUS_INFINITY),
                    (5, MINUS_INFINITY),
                    (6, MINUS_INFINITY),
                    (7, MINUS_INFINITY),
                ],
            ),
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
            "a NaN in a valid frame",
            with(3, &[(5, f32::NAN)]),
            options,
            nan(),
        ),
        // PyTorch's zero_infinity does not hide a NaN. That is right: a NaN is an error, not a
        // short item.
        row(
            "a NaN in a valid frame, zero_infinity",
            with(3, &[(5, f32::NAN)]),
            zero,
            nan(),
        ),
        // PyTorch and tf-seq2seq-losses have NaN gradients in the padding, from their log-softmax;
        // TensorFlow's dense loss and optax have NaN everywhere. Padding may hold any bits, so it
        // must be ignored.
        row(
            "NaN past the item's length",
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
            "+inf past the item's length",
            with(4, &[(13, f32::INFINITY)]).logit_lengths(&[3, 4]),
            options,
            fine(),
        ),
        // TensorFlow on cuDNN leaves that part of its memory uninitialised; warp-ctc leaves the
        // caller's array unchanged there.
        row(
            "the gradient past the item's length",
            with(4, &[]).logit_lengths(&[3, 0]),
            options,
            vec![ordinary(), impossible(Loss::Inf)],
        ),
        // All libraries ignore it, except TensorFlow's dense loss with `unique`, which rejects it.
        row(
            "-1 past the label length",
            batch([1, 4, 4], &[&[]]).labels(OwnedLabels::Padded {
                values: vec![1, 2, -1],
                lengths: vec![2],
            }),
            options,
            vec![ordinary()],
        ),
        // PyTorch, optax and TensorFlow's dense loss return the same loss as we do, but
        // TensorFlow's gradient is not its derivative. warp-ctc and Burn forbid the skip to a
        // blank, which the paper does not justify. tf-seq2seq-losses returns a third number.
        row(
            "the blank inside a label, allowed",
            batch([1, 5, 3], &[&[1, 0, 2]]),
            options.blank_in_labels(ctc_wgpu::BlankInLabels::Allow),
            vec![ordinary()],
        ),
    ]
}

fn sizes() -> Vec<SemanticsCase> {
    let options = default_options();
    let flat = |dims: [usize; 3], labels: &[i32]| {
        OwnedBatch::new(dims, vec![0.0; dims.iter().product()], &[labels])
    };
    let exact = |loss: f64, grad: Grad| {
        vec![ExpectedItem {
            loss: Loss::Exact(loss),
            status: Status::Ok,
            grad,
        }]
    };
    // Confident and correct: logits of 200 and 0, so that p is 1 in any precision.
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
        // warp-ctc's gradient is 1 here; TensorFlow's sparse loss rejects the batch, and earlier
        // versions wrote past its buffer.
        row(
            "C = 1, L = 0",
            flat([1, 3, 1], &[]),
            options,
            exact(0.0, Grad::Exact(vec![0.0; 3])),
        ),
        // TensorFlow's sparse loss and optax return −8.3e-8, a negative loss, whose logarithm is
        // NaN.
        row(
            "confident and correct",
            right,
            options,
            exact(0.0, Grad::Exact(vec![0.0; 12])),
        ),
        // TensorFlow's sparse loss computes the softmax first and returns +inf; its dense loss
        // returns 706.9, warp-ctc 87.3, and Burn +inf for any loss above 1e4. The best path is
        // blank, 1, 2. It has the largest logit in two frames and loses 4e4 in the third; the next
        // best path loses 4e4 more.
        row(
            "logits of 1e4",
            sharp,
            options,
            exact(4e4, Grad::Exact(unlearnt.concat())),
        ),
        // Long and uniform, as from an untrained network: Burn returns +inf for any loss above 1e4,
        // and TensorFlow's dense loss is wrong by 0.5. Distinct labels have C(T + L, 2L) paths.
        row(
            "T = 3000, all classes equal",
            flat([1, 3000, 32], &[1, 2]),
            options,
            exact(
                3000.0 * 32.0_f64.ln() - (3002.0_f64 * 3001.0 * 3000.0 * 2999.0 / 24.0).ln(),
                Grad::Balanced,
            ),
        ),
        row(
            "T = 3000 without labels, all classes equal",
            flat([1, 3000, 32], &[]),
            options,
            exact(3000.0 * 32.0_f64.ln(), Grad::Balanced),
        ),
    ]
}
