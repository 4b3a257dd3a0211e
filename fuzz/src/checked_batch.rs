//! What a caller may hand in, right or not: arrays of any length, labels of any form, any shape within any limits. Each is
//! taken or refused with words; and what is taken, the cpu_backend answers as it promises.

use std::sync::LazyLock;

use ctc_wgpu::{
    Batch, BatchShape, Blank, BlankInLabels, CheckedBatch, Ctc, DeviceLimits, ElementType, Error,
    Input, LabelLayout, Layout, Options, Plan, Status, Task,
};

use crate::bytes::Bytes;
use crate::draw;

static CPU: LazyLock<Ctc> = LazyLock::new(Ctc::cpu);

pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    if !bytes.flag() {
        check_batch(&mut bytes);
    } else {
        check_plan(&mut bytes);
    }
}

/// As long as is right, or of another length.
fn length(bytes: &mut Bytes<'_>, right: usize) -> usize {
    match bytes.byte() {
        250..=252 => right.saturating_sub(1),
        253.. => right + bytes.up_to(3),
        _ => right,
    }
}

fn some_options(bytes: &mut Bytes<'_>, classes: usize) -> Options {
    let blank = match bytes.byte() {
        255 => Blank::Index(bytes.int().unsigned_abs()),
        odd if odd % 2 == 1 => Blank::Last,
        small => Blank::Index(u32::from(small) / 2 % (classes.clamp(1, 24) as u32)),
    };
    let epsilon = bytes.float();
    draw::options(bytes, blank, epsilon)
}

fn check_batch(bytes: &mut Bytes<'_>) {
    let dims = [bytes.size(), bytes.size(), bytes.size()];
    let [items, frames, classes] = dims;
    // What a batch of so many numbers would need, the caller needs before us.
    const MOST: usize = 1 << 14;
    let right = dims
        .iter()
        .try_fold(1_usize, |product, axis| product.checked_mul(*axis));
    let elements = right
        .filter(|n| *n <= MOST)
        .unwrap_or_else(|| bytes.up_to(9));
    let count = length(bytes, elements);
    let values = bytes.many(count, Bytes::float);
    let per_item = items.min(MOST);
    let batch = match bytes.byte() % 2 {
        0 => Batch::new(dims, &values),
        _ => Batch::time_major([frames, items, classes], &values),
    };
    let form = bytes.byte();
    let width = bytes.up_to(12);
    let lengths = length(bytes, per_item);
    let lengths: Vec<i32> = bytes.many(lengths, |bytes| match bytes.byte() {
        255 => bytes.int(),
        small => i32::from(small) % (width as i32 + 1),
    });
    let total: usize = lengths
        .iter()
        .map(|l| usize::try_from(*l).unwrap_or(0).min(MOST))
        .sum();
    let values_of_labels;
    let (mut paddings, mut indices) = (Vec::new(), Vec::new());
    let sparse_shape = [bytes.choice(&[items, items, items, 7]), width];
    let batch = match form % 5 {
        0 => batch,
        1 => {
            let count = length(bytes, (per_item * width).min(MOST));
            values_of_labels = bytes.many(count, Bytes::int);
            batch.labels(&values_of_labels, &lengths)
        }
        2 => {
            let count = length(bytes, total.min(MOST));
            values_of_labels = bytes.many(count, Bytes::int);
            batch.labels_concatenated(&values_of_labels, &lengths)
        }
        3 => {
            for (item, length) in lengths.iter().enumerate() {
                for position in 0..i64::from(*length).min(MOST as i64 / 16) {
                    let column = if bytes.byte() > 250 {
                        i64::from(bytes.int())
                    } else {
                        position
                    };
                    indices.push([item as i64, column]);
                }
            }
            let count = length(bytes, indices.len());
            values_of_labels = bytes.many(count, Bytes::int);
            // A dense shape of more rows than a caller has memory for is the caller's.
            if sparse_shape[0] > MOST {
                return;
            }
            batch.labels_sparse(&indices, &values_of_labels, sparse_shape)
        }
        _ => {
            let count = length(bytes, (per_item * width).min(MOST));
            values_of_labels = bytes.many(count, Bytes::int);
            for length in &lengths {
                for position in 0..width {
                    let past = position >= usize::try_from(*length).unwrap_or(0);
                    paddings.push(if bytes.byte() > 250 {
                        bytes.float()
                    } else {
                        f32::from(u8::from(past))
                    });
                }
            }
            batch.label_paddings(&values_of_labels, &paddings)
        }
    };
    let count = length(bytes, per_item);
    let most = frames.min(24);
    let logit_lengths = bytes.many(count, |bytes| match bytes.byte() {
        255 => bytes.int(),
        small => most as i32 - i32::from(small) % (most as i32 + 1),
    });
    let masked = length(bytes, (per_item.saturating_mul(frames)).min(MOST));
    let mask: Vec<f32> = bytes.many(masked, |bytes| {
        if bytes.byte() > 250 {
            bytes.float()
        } else {
            0.0
        }
    });
    let batch = match bytes.byte() % 3 {
        0 => batch,
        1 => batch.logit_lengths(&logit_lengths),
        _ => batch.logit_paddings(&mask),
    };
    let count = length(bytes, per_item);
    let weights = bytes.many(count, Bytes::float);
    let batch = if !bytes.flag() {
        batch
    } else {
        batch.weights(&weights)
    };
    let options = some_options(bytes, classes);
    // Empty masks stand for any number of items: how many a caller has memory for is the caller's.
    if items > MOST && form % 5 == 4 {
        return;
    }
    // The checks are enough where the answer would be too long.
    if items > MOST {
        drop(CheckedBatch::new(&batch, &options).map_err(|error| error.to_string()));
        return;
    }
    answers(&batch, &options);
}

/// What the cpu_backend promises of a batch that the checks let pass, and that they let pass what it takes.
fn answers(batch: &Batch<'_>, options: &Options) {
    let checked_batch = CheckedBatch::new(batch, options);
    let answer = CPU.loss_and_grad(batch, options);
    let checked_batch = match (checked_batch, &answer) {
        (Err(refused), Err(Error::Input(same))) => {
            // The text, since a NaN in it is no equal of itself.
            assert_eq!(refused.to_string(), same.to_string());
            return;
        }
        (Err(refused), other) => panic!("refused ({refused}), but the cpu_backend said {other:?}"),
        (Ok(checked_batch), _) => checked_batch,
    };
    let output = match answer {
        Ok(output) => output,
        Err(Error::Impossible { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let shape = *checked_batch.shape();
    assert_eq!(output.loss.len(), shape.items);
    assert_eq!(output.status.len(), shape.items);
    assert_eq!(output.grad.len(), shape.elements());
    // Only these may count more than all probability.
    let below_0 = matches!(options.input, Input::LogProbs | Input::LogProbsExact)
        || options.blank_in_labels == BlankInLabels::Allow;
    for (item, (loss, status)) in output.loss.iter().zip(&output.status).enumerate() {
        let rows = (0..shape.frames).map(|t| &output.grad[shape.row(item, t)..][..shape.classes]);
        let right = match status {
            Status::Ok => loss.is_finite() && (loss.is_sign_positive() || below_0 && *loss < 0.0),
            Status::Impossible => *loss == f32::INFINITY || loss.to_bits() == 0,
            Status::NotFinite => loss.is_nan(),
            other => panic!("item {item}: {other:?} on the host"),
        };
        assert!(right, "item {item}: {status:?} with a loss of {loss}");
        if *status == Status::Impossible {
            assert!(
                rows.flatten().all(|g| *g == 0.0),
                "item {item}: impossible, with a gradient"
            );
        }
    }
    let losses = CPU.loss(batch, options).expect("it went with a gradient");
    let bits = |losses: &[f32]| losses.iter().map(|l| l.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&losses.loss), bits(&output.loss));
    assert_eq!(losses.status, output.status);
}

fn check_plan(bytes: &mut Bytes<'_>) {
    let shape = BatchShape {
        items: bytes.size(),
        frames: bytes.size(),
        classes: bytes.size(),
        max_labels: bytes.size(),
        layout: bytes.choice(&[Layout::BatchMajor, Layout::TimeMajor]),
        label_layout: bytes.choice(&[LabelLayout::Padded, LabelLayout::Concatenated]),
        element: bytes.choice(&[ElementType::F32, ElementType::F16]),
    };
    let options = some_options(bytes, shape.classes);
    let task = bytes.choice(&[Task::Loss, Task::LossAndGrad]);
    let usual = DeviceLimits::default();
    let mut limits = usual
        .subgroup_size(bytes.choice(&[0, 0, 4, 8, 32, 64, 3, u32::MAX]))
        .f16(!bytes.flag())
        .software(!bytes.flag())
        .max_register_quads(bytes.choice(&[u32::MAX, u32::MAX, 0, 1, 5]));
    // Lower than usual, and now and then absurd: they come from a driver.
    if bytes.flag() {
        limits.max_binding = (bytes.size() as u64).saturating_mul(u64::from(bytes.byte()));
        limits.max_buffer = limits.max_binding;
    }
    if bytes.byte() > 200 {
        limits.max_workgroups = bytes.size() as u32;
    }
    if bytes.byte() > 220 {
        limits.max_invocations = bytes.size() as u32;
        limits.workgroup_memory = bytes.size() as u32;
    }
    if bytes.byte() > 240 {
        limits.offset_alignment = bytes.size() as u32;
        limits.max_storage_buffers = bytes.size() as u32;
        limits.max_buffer = bytes.size() as u64;
    }
    // No device has more, and a plan for as much would fill the memory with dispatches.
    limits.max_buffer = limits.max_buffer.min(1 << 33);
    // A plan of a million dispatches is a plan, but takes its time to make.
    let rows = shape.items.saturating_mul(shape.frames.max(1));
    if rows > 1 << 16 && limits.max_binding < 1 << 16 {
        return;
    }
    match Plan::new(&shape, &options, task, &limits) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(plan) => {
            assert_eq!(plan.shape(), &shape);
            assert!(!plan.to_string().is_empty());
            let empty = shape.items == 0;
            assert!(empty || plan.dispatches() > 0);
        }
    }
}
