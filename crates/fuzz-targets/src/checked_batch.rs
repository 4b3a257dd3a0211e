//! Fuzzes the checks of the library: arrays of any length, labels in every form, and any batch
//! shape with any device limits. Each is accepted or rejected with an error message, and the CPU
//! backend returns outputs of the documented form for each accepted batch.

use std::sync::LazyLock;

use ctc_wgpu::{
    Batch, BatchShape, Blank, BlankInLabels, CheckedBatch, Ctc, DeviceLimits, ElementType, Error,
    Input, LabelLayout, Layout, Options, Plan, Status, Task,
};

use crate::bytes::Bytes;
use crate::options;

static CPU: LazyLock<Ctc> = LazyLock::new(Ctc::cpu);

/// Runs the target on one input, and panics if the property does not hold.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    if !bytes.flag() {
        check_batch(&mut bytes);
    } else {
        check_plan(&mut bytes);
    }
}

/// Returns the length of an array: usually `expected`, sometimes another one.
fn length(bytes: &mut Bytes<'_>, expected: usize) -> usize {
    match bytes.byte() {
        250..=252 => expected.saturating_sub(1),
        253.. => expected + bytes.up_to(3),
        _ => expected,
    }
}

fn generate_options(bytes: &mut Bytes<'_>, classes: usize) -> Options {
    let blank = match bytes.byte() {
        255 => Blank::Index(bytes.int().unsigned_abs()),
        odd if odd % 2 == 1 => Blank::Last,
        small => Blank::Index(u32::from(small) / 2 % (classes.clamp(1, 24) as u32)),
    };
    let epsilon = bytes.float();
    options::generate(bytes, blank, epsilon)
}

fn check_batch(bytes: &mut Bytes<'_>) {
    let dims = [bytes.size(), bytes.size(), bytes.size()];
    let [items, frames, classes] = dims;
    // Larger arrays are left out: a caller would have to allocate them first.
    const MAX_ELEMENTS: usize = 1 << 14;
    let product = dims
        .iter()
        .try_fold(1_usize, |product, axis| product.checked_mul(*axis));
    let elements = product
        .filter(|n| *n <= MAX_ELEMENTS)
        .unwrap_or_else(|| bytes.up_to(9));
    let count = length(bytes, elements);
    let values = bytes.many(count, Bytes::float);
    let per_item = items.min(MAX_ELEMENTS);
    let batch = match bytes.byte() % 2 {
        0 => Batch::new(dims, &values),
        _ => Batch::time_major([frames, items, classes], &values),
    };
    let label_form = bytes.byte();
    let width = bytes.up_to(12);
    let lengths = length(bytes, per_item);
    let lengths: Vec<i32> = bytes.many(lengths, |bytes| match bytes.byte() {
        255 => bytes.int(),
        small => i32::from(small) % (width as i32 + 1),
    });
    let total: usize = lengths
        .iter()
        .map(|l| usize::try_from(*l).unwrap_or(0).min(MAX_ELEMENTS))
        .sum();
    let labels;
    let (mut paddings, mut indices) = (Vec::new(), Vec::new());
    let sparse_shape = [bytes.choice(&[items, items, items, 7]), width];
    let batch = match label_form % 5 {
        0 => batch,
        1 => {
            let count = length(bytes, (per_item * width).min(MAX_ELEMENTS));
            labels = bytes.many(count, Bytes::int);
            batch.labels(&labels, &lengths)
        }
        2 => {
            let count = length(bytes, total.min(MAX_ELEMENTS));
            labels = bytes.many(count, Bytes::int);
            batch.labels_concatenated(&labels, &lengths)
        }
        3 => {
            for (item, length) in lengths.iter().enumerate() {
                for position in 0..i64::from(*length).min(MAX_ELEMENTS as i64 / 16) {
                    let column = if bytes.byte() > 250 {
                        i64::from(bytes.int())
                    } else {
                        position
                    };
                    indices.push([item as i64, column]);
                }
            }
            let count = length(bytes, indices.len());
            labels = bytes.many(count, Bytes::int);
            // Larger dense shapes are left out: a caller would have to allocate them first.
            if sparse_shape[0] > MAX_ELEMENTS {
                return;
            }
            batch.labels_sparse(&indices, &labels, sparse_shape)
        }
        _ => {
            let count = length(bytes, (per_item * width).min(MAX_ELEMENTS));
            labels = bytes.many(count, Bytes::int);
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
            batch.label_paddings(&labels, &paddings)
        }
    };
    let count = length(bytes, per_item);
    let max_frames = frames.min(24);
    let logit_lengths = bytes.many(count, |bytes| match bytes.byte() {
        255 => bytes.int(),
        small => max_frames as i32 - i32::from(small) % (max_frames as i32 + 1),
    });
    let masked = length(bytes, (per_item.saturating_mul(frames)).min(MAX_ELEMENTS));
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
    let options = generate_options(bytes, classes);
    // An empty padding mask is valid for any number of items, so nothing bounds the outputs.
    if items > MAX_ELEMENTS && label_form % 5 == 4 {
        return;
    }
    // The outputs would be too large; only the checks run.
    if items > MAX_ELEMENTS {
        drop(CheckedBatch::new(&batch, &options).map_err(|error| error.to_string()));
        return;
    }
    check_results(&batch, &options);
}

/// Checks that the CPU backend accepts the same batches as the checks, and the form of its outputs.
fn check_results(batch: &Batch<'_>, options: &Options) {
    let checked_batch = CheckedBatch::new(batch, options);
    let result = CPU.loss_and_grad(batch, options);
    let checked_batch = match (checked_batch, &result) {
        (Err(rejected), Err(Error::Input(same))) => {
            // As strings, because an error that contains NaN does not equal itself.
            assert_eq!(rejected.to_string(), same.to_string());
            return;
        }
        (Err(rejected), other) => panic!("{rejected}, but the CPU backend returned {other:?}"),
        (Ok(checked_batch), _) => checked_batch,
    };
    let output = match result {
        Ok(output) => output,
        Err(Error::Impossible { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let shape = *checked_batch.shape();
    assert_eq!(output.loss.len(), shape.items);
    assert_eq!(output.status.len(), shape.items);
    assert_eq!(output.grad.len(), shape.elements());
    // Only with these can the total probability exceed 1 and the loss be negative.
    let below_0 = matches!(options.input, Input::LogProbs | Input::LogProbsExact)
        || options.blank_in_labels == BlankInLabels::Allow;
    for (item, (loss, status)) in output.loss.iter().zip(&output.status).enumerate() {
        let rows = (0..shape.frames).map(|t| &output.grad[shape.row(item, t)..][..shape.classes]);
        let valid = match status {
            Status::Ok => loss.is_finite() && (loss.is_sign_positive() || below_0 && *loss < 0.0),
            Status::Impossible => *loss == f32::INFINITY || loss.to_bits() == 0,
            Status::NotFinite => loss.is_nan(),
            other => panic!("item {item}: {other:?} on the host"),
        };
        assert!(valid, "item {item}: {status:?} with a loss of {loss}");
        if *status == Status::Impossible {
            assert!(
                rows.flatten().all(|g| *g == 0.0),
                "item {item}: impossible, but its gradient is not 0"
            );
        }
    }
    let losses = CPU
        .loss(batch, options)
        .expect("the same call with a gradient succeeded");
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
    let options = generate_options(bytes, shape.classes);
    let task = bytes.choice(&[Task::Loss, Task::LossAndGrad]);
    let mut limits = DeviceLimits::default()
        .subgroup_size(bytes.choice(&[0, 0, 4, 8, 32, 64, 3, u32::MAX]))
        .f16(!bytes.flag())
        .software(!bytes.flag())
        .max_register_quads(bytes.choice(&[u32::MAX, u32::MAX, 0, 1, 5]));
    // Lower than the defaults, and sometimes absurd, because drivers report these values.
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
    // No device has a larger limit, and a plan for one could fill the memory with dispatches.
    limits.max_buffer = limits.max_buffer.min(1 << 33);
    // A plan of a million dispatches is valid, but slow to build.
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
