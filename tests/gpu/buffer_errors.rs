//! Buffers that do not fit a plan: each rule and its error message.

use std::num::NonZeroU64;

use ctc_wgpu::{
    AlignBuffers, BatchShape, BufferError, Buffers, Error, GpuCtc, GpuPlan, GreedyBuffers, Options,
    Reduction,
};

use crate::support::device::{Gpu, on_each_device, on_each_device_within};

/// Buffers that fit [`shape`], each larger than required.
struct Fitting {
    /// In the order of [`NAMES`].
    all: [wgpu::Buffer; 9],
}

fn shape() -> BatchShape {
    BatchShape::new(3, 5, 4, 2)
}

impl Fitting {
    fn new(gpu: &Gpu) -> Self {
        Self {
            all: std::array::from_fn(|_| gpu.buffer(&[0; 256])),
        }
    }

    fn buffers(&self) -> Buffers<'_> {
        let [
            logits,
            labels,
            frames,
            labels_of,
            weights,
            loss,
            status,
            reduced,
            grad,
        ] = &self.all;
        Buffers::new(logits, labels, labels_of, loss)
            .logit_lengths(frames)
            .weights(weights)
            .status(status)
            .reduced(reduced)
            .grad(grad)
    }
}

fn sum() -> Options {
    Options::default().reduction(Reduction::Sum)
}

#[track_caller]
fn rejected(
    gpu: &Gpu,
    plan: &GpuPlan,
    buffers: &Buffers<'_>,
    expected: BufferError,
    message: &str,
) {
    let mut encoder = gpu.encoder();
    let error = plan.encode(&mut encoder, buffers).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert_eq!(error, Error::Buffer(expected));
    // Nothing was recorded, so the encoder can still be submitted.
    gpu.queue.submit([encoder.finish()]);
}

#[test]
fn missing_and_unexpected_buffers_are_rejected() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let fitting = Fitting::new(gpu);
        let full = ctc.plan(&shape(), &sum()).unwrap();
        let mut without_grad = fitting.buffers();
        without_grad.grad = None;
        rejected(
            gpu,
            &full,
            &without_grad,
            BufferError::Missing {
                buffer: "grad",
                why: "the plan computes the gradient; GpuCtc::plan_loss does not",
            },
            "buffer `grad` is missing: the plan computes the gradient; GpuCtc::plan_loss does not",
        );
        let losses = ctc.plan_loss(&shape(), &sum()).unwrap();
        rejected(
            gpu,
            &losses,
            &fitting.buffers(),
            BufferError::Unexpected {
                buffer: "grad",
                why: "the plan computes no gradient; one created by GpuCtc::plan does",
            },
            "buffer `grad` was bound, but the plan computes no gradient; one created by GpuCtc::plan does",
        );
        let unreduced = ctc.plan(&shape(), &Options::default()).unwrap();
        rejected(
            gpu,
            &unreduced,
            &fitting.buffers(),
            BufferError::Unexpected {
                buffer: "reduced",
                why: "the plan's options have Reduction::None",
            },
            "buffer `reduced` was bound, but the plan's options have Reduction::None",
        );
    });
}

/// Returns a mutable reference to the field with this index in [`NAMES`].
fn field<'a, 'b>(buffers: &'b mut Buffers<'a>, index: usize) -> &'b mut wgpu::BufferBinding<'a> {
    let field = match index {
        0 => Some(&mut buffers.logits),
        1 => Some(&mut buffers.labels),
        2 => buffers.logit_lengths.as_mut(),
        3 => Some(&mut buffers.label_lengths),
        4 => buffers.weights.as_mut(),
        5 => Some(&mut buffers.loss),
        6 => buffers.status.as_mut(),
        7 => buffers.reduced.as_mut(),
        _ => buffers.grad.as_mut(),
    };
    field.unwrap()
}

const NAMES: [&str; 9] = [
    "logits",
    "labels",
    "logit_lengths",
    "label_lengths",
    "weights",
    "loss",
    "status",
    "reduced",
    "grad",
];

/// The bytes that each buffer needs for N = 3, T = 5, C = 4, Lmax = 2.
const NEEDS: [u64; 9] = [240, 24, 12, 12, 12, 12, 12, 4, 240];

#[test]
fn a_range_that_just_fits_is_accepted_and_one_that_is_a_word_smaller_is_rejected() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let plan = ctc.plan(&shape(), &sum()).unwrap();
        let fitting = Fitting::new(gpu);
        for (index, (name, needs)) in NAMES.into_iter().zip(NEEDS).enumerate() {
            let mut buffers = fitting.buffers();
            field(&mut buffers, index).size = NonZeroU64::new(needs);
            plan.encode(&mut gpu.encoder(), &buffers).unwrap();
            let got = needs - if needs > 4 { 4 } else { 1 };
            field(&mut buffers, index).size = NonZeroU64::new(got);
            let error = BufferError::TooSmall {
                buffer: name,
                offset: 0,
                got,
                needs,
            };
            let message = format!(
                "buffer `{name}`: {got} bytes from offset 0, but the plan's shape needs {needs}"
            );
            rejected(gpu, &plan, &buffers, error, &message);
        }
    });
}

#[test]
fn a_range_that_begins_near_the_end_or_past_it_is_too_small() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let plan = ctc.plan(&shape(), &sum()).unwrap();
        let fitting = Fitting::new(gpu);
        for (offset, got) in [(1024, 0), (4096, 0), (1 << 40, 0), (768, 256)] {
            for index in [0, 5, 8] {
                let mut buffers = fitting.buffers();
                field(&mut buffers, index).offset = offset;
                // Bytes past the end of the buffer do not count.
                field(&mut buffers, index).size = NonZeroU64::new(1 << 20);
                if got >= NEEDS[index] {
                    plan.encode(&mut gpu.encoder(), &buffers).unwrap();
                    continue;
                }
                let (buffer, needs) = (NAMES[index], NEEDS[index]);
                let error = BufferError::TooSmall {
                    buffer,
                    offset,
                    got,
                    needs,
                };
                let message = format!(
                    "buffer `{buffer}`: {got} bytes from offset {offset}, but the plan's shape needs {needs}"
                );
                rejected(gpu, &plan, &buffers, error, &message);
            }
        }
    });
}

#[test]
fn an_unaligned_offset_is_rejected() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let plan = ctc.plan(&shape(), &sum()).unwrap();
        let fitting = Fitting::new(gpu);
        let alignment = u64::from(gpu.device.limits().min_storage_buffer_offset_alignment);
        for (index, buffer) in NAMES.into_iter().enumerate() {
            for offset in [1, 4, alignment / 2, alignment + 4] {
                if offset % alignment == 0 {
                    continue;
                }
                let mut buffers = fitting.buffers();
                field(&mut buffers, index).offset = offset;
                let error = BufferError::Unaligned {
                    buffer,
                    offset,
                    alignment,
                };
                let message = format!(
                    "buffer `{buffer}`: offset {offset} is not a multiple of {alignment} (min_storage_buffer_offset_alignment)"
                );
                rejected(gpu, &plan, &buffers, error, &message);
            }
        }
    });
}

#[test]
fn a_buffer_without_the_storage_usage_is_rejected() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let plan = ctc.plan(&shape(), &sum()).unwrap();
        let fitting = Fitting::new(gpu);
        let copied = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 1024,
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::UNIFORM,
            mapped_at_creation: false,
        });
        for (index, buffer) in NAMES.into_iter().enumerate() {
            let mut buffers = fitting.buffers();
            field(&mut buffers, index).buffer = &copied;
            let message = format!("buffer `{buffer}` lacks BufferUsages::STORAGE");
            rejected(
                gpu,
                &plan,
                &buffers,
                BufferError::Usage { buffer },
                &message,
            );
        }
    });
}

#[test]
fn an_output_that_overlaps_another_range_is_rejected_and_inputs_may_share_one() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let plan = ctc.plan(&shape(), &sum()).unwrap();
        let fitting = Fitting::new(gpu);
        for out in [5, 6, 7, 8] {
            // The gradient may overwrite the logits, if both have the same range.
            let fits = |other: &usize| *other == out || (out, *other) == (8, 0);
            for other in (0..9).filter(|other| !fits(other)) {
                let mut buffers = fitting.buffers();
                let shared = field(&mut buffers, other).buffer;
                field(&mut buffers, out).buffer = shared;
                let mut encoder = gpu.encoder();
                let error = plan.encode(&mut encoder, &buffers).unwrap_err();
                // Of two outputs either may be named first.
                let [a, b] = [NAMES[out], NAMES[other]];
                let either = [(a, b), (b, a)].map(|(a, b)| {
                    format!(
                        "buffers `{a}` and `{b}` overlap in one wgpu::Buffer: an output needs a range of its own"
                    )
                });
                assert!(either.contains(&error.to_string()), "{error}");
                assert!(matches!(error, Error::Buffer(BufferError::Overlap { .. })));
                // Next to each other they do not overlap, and the encoder can still be used.
                field(&mut buffers, out).offset = 512;
                plan.encode(&mut encoder, &buffers).unwrap();
                gpu.queue.submit([encoder.finish()]);
            }
        }
        // Both lengths may be the same array.
        let mut buffers = fitting.buffers();
        buffers.logit_lengths = Some(buffers.label_lengths.clone());
        let mut encoder = gpu.encoder();
        plan.encode(&mut encoder, &buffers).unwrap();
        gpu.queue.submit([encoder.finish()]);
    });
}

#[test]
fn a_buffer_of_another_device_is_a_typed_error() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let plan = ctc.plan(&shape(), &sum()).unwrap();
        let fitting = Fitting::new(gpu);
        let foreign = gpu.another().unwrap().buffer(&[0; 256]);
        for index in 0..9 {
            let mut buffers = fitting.buffers();
            field(&mut buffers, index).buffer = &foreign;
            let error = plan.encode(&mut gpu.encoder(), &buffers).unwrap_err();
            assert!(matches!(error, Error::Gpu { .. }), "{error}");
        }
    });
}

#[test]
fn an_encoder_of_another_device_is_rejected_by_wgpu_when_it_is_finished() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let plan = ctc.plan(&shape(), &sum()).unwrap();
        let fitting = Fitting::new(gpu);
        let other = gpu.another().unwrap();
        let mut encoder = other.encoder();
        // wgpu reports errors of a recording only when it is finished.
        plan.encode(&mut encoder, &fitting.buffers()).unwrap();
        let scope = other.device.push_error_scope(wgpu::ErrorFilter::Validation);
        encoder.finish();
        assert!(pollster::block_on(scope.pop()).is_some());
    });
}

#[test]
fn arrays_without_elements_may_be_empty_buffers_or_begin_past_the_end_of_one() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let empty = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 0,
            usage: wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        });
        let [logits, lengths] = [12, 1].map(|words| gpu.buffer(&vec![0; words]));
        for shape in [
            BatchShape::new(1, 4, 3, 0),
            BatchShape::new(1, 4, 3, 0).concatenated(),
        ] {
            let plan = ctc.plan_loss(&shape, &Options::default()).unwrap();
            for offset in [0, 256, 1 << 40] {
                let loss = gpu.buffer(&[0]);
                let labels = wgpu::BufferBinding {
                    buffer: &empty,
                    offset,
                    size: None,
                };
                let mut buffers = Buffers::new(&logits, &empty, &lengths, &loss);
                buffers.labels = labels;
                let mut encoder = gpu.encoder();
                plan.encode(&mut encoder, &buffers).unwrap();
                gpu.queue.submit([encoder.finish()]);
                // Four frames of three equally probable classes, all blank.
                let got = f32::from_bits(gpu.read(&loss).unwrap()[0]);
                assert!((got - 4.0 * 3.0_f32.ln()).abs() < 1e-5, "{got}");
            }
        }
    });
}

#[test]
fn a_range_without_elements_overlaps_nothing() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let plan = ctc
            .plan(&BatchShape::new(1, 40, 3, 0), &Options::default())
            .unwrap();
        let [logits, grad] = [120, 120].map(|words| gpu.buffer(&vec![0; words]));
        let [lengths, loss] = [1, 1].map(|words| gpu.buffer(&vec![0; words]));
        let labels = wgpu::BufferBinding {
            buffer: &grad,
            offset: 256,
            size: None,
        };
        let mut buffers = Buffers::new(&logits, &lengths, &lengths, &loss).grad(&grad);
        buffers.labels = labels;
        plan.encode(&mut gpu.encoder(), &buffers).unwrap();
    });
}

#[test]
fn concatenated_labels_that_exceed_a_binding_are_rejected() {
    let limits = wgpu::Limits {
        max_storage_buffer_binding_size: 4096,
        ..wgpu::Limits::default()
    };
    on_each_device_within(
        |_| limits.clone(),
        |gpu| {
            let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
            let shape = BatchShape::new(1, 4, 3, 2).concatenated();
            let plan = ctc.plan_loss(&shape, &Options::default()).unwrap();
            let [logits, labels] = [12, 1025].map(|words| gpu.buffer(&vec![0; words]));
            let [lengths, loss] = [1, 1].map(|words| gpu.buffer(&vec![0; words]));
            let buffers = Buffers::new(&logits, &labels, &lengths, &loss);
            let error = plan.encode(&mut gpu.encoder(), &buffers).unwrap_err();
            let expected = BufferError::TooLarge {
                buffer: "labels",
                got: 4100,
                max: 4096,
            };
            assert_eq!(error, Error::Buffer(expected));
        },
    );
}

#[test]
fn buffers_of_another_task_are_rejected() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let fitting = Fitting::new(gpu);
        for (plan, what) in [
            (ctc.plan_align(&shape(), &sum()).unwrap(), "an alignment"),
            (
                ctc.plan_greedy(&shape(), &sum()).unwrap(),
                "greedy decoding",
            ),
        ] {
            let expected = BufferError::Task {
                got: "a loss",
                plan: what,
            };
            let message = format!("these are the buffers of a loss, but the plan computes {what}");
            rejected(gpu, &plan, &fitting.buffers(), expected, &message);
        }
    });
}

#[test]
fn buffers_of_alignment_and_greedy_decoding_are_checked() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let fitting = Fitting::new(gpu);
        let whole = |index: usize| fitting.all[index].as_entire_buffer_binding();
        let small = |index: usize, words: u64| wgpu::BufferBinding {
            size: NonZeroU64::new(4 * words),
            ..whole(index)
        };
        let all = &fitting.all;
        let alignment = AlignBuffers::new(&all[0], &all[1], &all[2])
            .path(&all[3])
            .log_probs(&all[4])
            .spans(&all[5])
            .probabilities(&all[6])
            .path_log_prob(&all[7]);
        let greedy = GreedyBuffers::new(&all[0])
            .labels(&all[1])
            .label_lengths(&all[2])
            .frames(&all[3])
            .path_log_prob(&all[4]);
        // Three items of five frames and two labels.
        let with_path = |path| {
            let mut buffers = alignment.clone();
            buffers.path = path;
            buffers
        };
        let mut small_spans = alignment.clone();
        small_spans.spans = Some(small(5, 11));
        for (buffers, message) in [
            (
                with_path(Some(small(3, 14))),
                "buffer `path`: 56 bytes from offset 0, but the plan's shape needs 60",
            ),
            (
                small_spans,
                "buffer `spans`: 44 bytes from offset 0, but the plan's shape needs 48",
            ),
            (
                with_path(Some(whole(4))),
                "buffers `path` and `log_probs` overlap in one wgpu::Buffer: an output needs a range of its own",
            ),
            (
                with_path(None),
                "buffer `path` is missing: the plan writes every output of an alignment",
            ),
        ] {
            let plan = ctc.plan_align(&shape(), &sum()).unwrap();
            let error = plan.encode_align(&mut gpu.encoder(), &buffers).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        let mut buffers = greedy;
        buffers.frames = Some(small(3, 29));
        let plan = ctc.plan_greedy(&shape(), &sum()).unwrap();
        let error = plan
            .encode_greedy(&mut gpu.encoder(), &buffers)
            .unwrap_err();
        let message = "buffer `frames`: 116 bytes from offset 0, but the plan's shape needs 120";
        assert_eq!(error.to_string(), message);
    });
}
