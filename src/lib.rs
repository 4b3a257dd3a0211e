//! CTC loss and its gradient as WGSL compute shaders, on any GPU that wgpu supports, with a CPU
//! backend for machines without one.
//!
//! Connectionist temporal classification (Graves, Fernández, Gomez, Schmidhuber: *Connectionist
//! temporal classification*, ICML 2006) trains a network to label sequences, such as lines of text
//! or utterances, from labels that are not aligned with the frames.
//!
//! # Arrays on the host
//!
//! [`Ctc`] runs on the best adapter, or on the CPU backend if there is none that is usable.
//! [`Ctc::backend`] returns which. GPUs are preferred to software drivers, and GL is used only if
//! no other adapter is usable. If the adapter is a software driver, [`Ctc::cpu`] is faster.
//!
//! ```
//! use ctc_wgpu::{Batch, Ctc, Options, Status};
//!
//! // N = 2 items, T = 4 frames, C = 3 classes; class 0 is the blank. The network is untrained.
//! let logits = [0.0_f32; 2 * 4 * 3];
//! let labels = [1, 2, /* item 1: */ 1, -1]; // [N, Lmax]; padding past an item's length is ignored
//! let batch = Batch::new([2, 4, 3], &logits).labels(&labels, &[2, 1]).logit_lengths(&[4, 3]);
//!
//! let ctc = Ctc::new()?;
//! println!("on {}", ctc.backend());
//! let output = ctc.loss_and_grad(&batch, &Options::default())?;
//!
//! // 15 of the 3⁴ equally probable paths of item 0 give "1 2". The last frame of item 1 is
//! // padding, and 6 of its 3³ paths give "1".
//! assert!((output.loss[0] - (81.0_f32 / 15.0).ln()).abs() < 1e-6);
//! assert!((output.loss[1] - (27.0_f32 / 6.0).ln()).abs() < 1e-6);
//! assert_eq!(output.status, [Status::Ok, Status::Ok]);
//! // The gradient has the shape of the logits and is exactly 0 in the padding.
//! assert_eq!(output.grad[21..], [0.0; 3]);
//! # Ok::<(), ctc_wgpu::Error>(())
//! ```
//!
//! # Buffers on your device
//!
//! [`GpuCtc`] records the loss into your command encoder. It reads and writes your buffers; nothing
//! is copied, submitted or waited for. `examples/zero_copy.rs` is a complete program. Request
//! `adapter.features() & `[`DeviceLimits::FEATURES`] when creating the device. No feature is
//! required; subgroups make it faster.
//!
//! ```no_run
//! use ctc_wgpu::{BatchShape, Buffers, GpuCtc, Options};
//! # fn step(device: wgpu::Device, queue: wgpu::Queue, logits: wgpu::Buffer, labels: wgpu::Buffer,
//! #   logit_lengths: wgpu::Buffer, label_lengths: wgpu::Buffer, loss: wgpu::Buffer, grad: wgpu::Buffer,
//! #   status: wgpu::Buffer) -> Result<(), ctc_wgpu::Error> {
//! let ctc = GpuCtc::new(&device, &queue)?;
//! // N, T, C, Lmax. Create a plan once per shape.
//! let plan = ctc.plan(&BatchShape::new(32, 50, 20, 6), &Options::default())?;
//!
//! let mut encoder = device.create_command_encoder(&Default::default());
//! let buffers = Buffers::new(&logits, &labels, &label_lengths, &loss)
//!     .logit_lengths(&logit_lengths)
//!     .grad(&grad)
//!     .status(&status);
//! plan.encode(&mut encoder, &buffers)?;
//! queue.submit([encoder.finish()]); // with whatever else you have recorded
//! # Ok(())
//! # }
//! ```
//!
//! See the [`guide`] for ordering, shared devices, memory, several devices and threads.
//!
//! The gradient may overwrite the logits: [`Buffers::in_place`]. Both may be f16:
//! [`BatchShape::f16`]. Only the arrays are f16 then; the arithmetic is f32.
//!
//! # Terms and shapes
//!
//! | name | shape | description |
//! | --- | --- | --- |
//! | `N`, `T`, `C`, `L` | | items in a batch, frames, classes (including the blank), labels of an item |
//! | logits | `[N, T, C]` or `[T, N, C]` | f32, on a device also f16; [`Input`] selects how the values are interpreted |
//! | labels | `[N, Lmax]` or `[ΣL]` | i32, padded or concatenated; on the host also sparse or masked |
//! | logit lengths, label lengths | `[N]` | i32; the number of valid frames and of labels of each item |
//! | weights | `[N]` | f32; the incoming gradient, by default 1 |
//! | loss | `[N]` | f32, in nats, not weighted |
//! | gradient | as the logits | f32 or f16, as the logits; the derivative of Σ weight·loss, or of the reduced loss of a [`Reduction`] |
//! | status | `[N]` | the [`Status`] of each item, on a device its code as u32 |
//!
//! # Semantics
//!
//! The kernels, the CPU backend and the [`mod@reference`] follow every row.
//!
//! | case | loss | gradient | status |
//! | --- | --- | --- | --- |
//! | usual | −ln p(labels given logits) | softmax − γ, times the item's weight | [`Ok`](Status::Ok) |
//! | no label | −Σ ln p(blank) | as usual | `Ok` |
//! | no frame and no label | 0 | exactly 0 | `Ok` |
//! | no valid alignment: too few frames for the labels and the blanks between repeats, or a needed probability is 0 | +∞, or 0 with [`Impossible::Zero`] | exactly 0 | [`Impossible`](Status::Impossible) |
//! | a frame past the item's length | ignored, whatever it contains, including NaN | exactly 0, and always written | |
//! | a logit of −∞ | the class has probability exactly 0 | finite | `Ok` |
//! | a finite logit far below the largest of its frame, such as a mask | exact down to probabilities of e^(−2^30); below, as −∞ | exact | `Ok`, or `Impossible` if the class is needed |
//! | NaN or +∞ in a valid frame, or a frame of −∞ only | NaN | NaN, for that item alone | [`NotFinite`](Status::NotFinite) |
//! | a log-probability above 88, or a frame whose log-probabilities are all −2^30 or less | NaN | NaN, for that item alone | `NotFinite` |
//! | input that is not a distribution: log-probabilities whose exponentials sum to more than 1, or the blank among the labels | from the same formula, and possibly below 0 | from the same formula | `Ok` |
//! | a weight that is NaN or infinite | on the host an [`InputError`] before any computation; on a device NaN | on a device NaN; with [`Reduction::MeanWeighted`] NaN or 0, in the other items too | [`NotFinite`](Status::NotFinite) |
//! | weights of [`Reduction::MeanWeighted`] whose sum of absolute values is neither 0 nor between 1e-30 and 1e37 | on the host an [`InputError`] before any computation; on a device the reduced loss may be 0, as if the divisor were 0 | on a device 0 in that case | `Ok` |
//! | a weight of 0 | as usual, but adds exactly 0 to the reduced loss | exactly 0, even if the loss is NaN | as usual |
//! | a label outside 0..C or equal to the blank, or an invalid length | on the host an [`InputError`] before any computation; on a device NaN, and no access out of bounds | 0 | [`BadLabel`](Status::BadLabel), [`BadLength`](Status::BadLength) |
//!
//! **A probability of e^(−2^30) or less counts as 0**: 2^30 is 1,073,741,824 nats. This applies to
//! a class of a frame (for logits, relative to the largest of that frame) and to an item: a loss of
//! 2^30 or more is +∞, with status `Impossible`. Masks of −1e4, −65504 (the lowest f16), −1e6 and
//! −1e9 are ordinary finite numbers, and exact. An item that needs a mask of −1e9 twice is
//! impossible. The lowest f32 or bf16 is a probability of 0. Every backend applies the same
//! threshold. With scores above 0 as log-probabilities, it also applies to the product over any
//! part of the frames, relative to the largest entries of these frames.
//!
//! **A negative loss indicates wrong input.** A loss between −1e-6 and 0, which rounding explains,
//! is set to 0. A loss below −1e-6 means that the probabilities of a frame sum to more than 1, for
//! example because raw scores were passed as [`Input::LogProbs`]. The loss does not check the sum
//! of a frame, since the check would take another pass over the input. Probabilities
//! ([`Input::Probs`]) need not sum to 1, because p + ε is normalised; a probability below −ε makes
//! the item `NotFinite`.
//!
//! [`BlankInLabels`], [`RepeatedLabels`] and [`RepeatedOutputs`] select the rules of other
//! libraries where they differ. [`Options::pytorch`], [`tensorflow`](Options::tensorflow),
//! [`keras_batch_cost`](Options::keras_batch_cost) and [`optax`](Options::optax) are presets with
//! the rules of each library.
//!
//! # Input and gradient conventions
//!
//! γ is the occupancy: the posterior probability, given the labels, that the alignment is in a
//! class at a frame (Graves et al. 2006, eq. 14 and 15). The derivative is with respect to the
//! input:
//!
//! | [`Input`] | input | gradient of an item's loss |
//! | --- | --- | --- |
//! | [`Logits`](Input::Logits) | x, any scores; p = softmax(x) | p − γ |
//! | [`LogProbs`](Input::LogProbs) | ln p, after a log-softmax | p − γ: PyTorch's convention, correct if that log-softmax is next in the backward pass |
//! | [`LogProbsExact`](Input::LogProbsExact) | ln p | −γ: the true derivative |
//! | [`Probs`](Input::Probs) `{ epsilon: ε }` | p; q = softmax(ln(p + ε)) | (q − γ) / (p + ε): Keras's `ctc_batch_cost` |
//!
//! # Algorithm
//!
//! The forward-backward recursion uses scaled floats, m·2^e with a float m and an integer e per
//! state. The sequential chain therefore contains no exponential and no logarithm, nothing
//! underflows, and the relative rounding error stays small. Alpha and beta run at the same time,
//! from the two ends of an item to its middle, where their product gives the loss. Each then
//! continues to the other end, and is multiplied by the states that the other has stored there,
//! which gives the occupancies. Loss and gradient take T sequential steps, the loss alone T/2.
//!
//! A batch passes through these stages, in this order. They have the same names in a printed
//! [`Plan`] and in profilers. Each is a kernel of that name in `shaders/`; the three sweeps are one
//! kernel, `sweep`, or `sweep_long` if the states of an item do not fit in registers.
//!
//! | stage | computes |
//! | --- | --- |
//! | `batch_totals` | sums over the batch, and the start of each item's labels; only for concatenated labels and for reductions that divide by a sum |
//! | `check_labels` | the checked labels and lengths, in one layout |
//! | `softmax_stats` | the maximum of each row of C classes, and the sum of its exponentials; on a GPU also a table of the emissions, the probabilities of the classes up to a factor per frame; no other stage but `grad` reads all of the input |
//! | `sweep inward` | alpha and beta from the ends to the middle, over the at most L + 1 classes that the labels need |
//! | `label_links` | links between equal labels, so that a class's occupancy is summed in a fixed order, without atomics |
//! | `sweep recompute` | alpha and beta of one segment again, to store them, if an item is split into segments |
//! | `sweep outward` | alpha and beta from the middle to the other ends, and the occupancies |
//! | `join` | the loss and the status; before `sweep recompute` if the outward sweep overwrites the carry, which has the states at the middle |
//! | `reduce` | the reduced loss, if the options request one |
//! | `grad` | the gradient, from a second read of the input |
//!
//! [`Batch`] and [`Options`] are checked once and become a [`CheckedBatch`]. A [`Plan`] lists the
//! kernels, the part of the batch that each processes, and the size of the workspace; it is plain
//! data and can be printed. A [`GpuPlan`] records a plan. The CPU backend computes the same steps
//! without a plan. [`Ctc`] does all of this for host arrays. The [`mod@reference`] shares no
//! arithmetic with the backends: it is the textbook algorithm in float64 logarithms, and the tests
//! compare every backend with it.
//!
//! The module [`decode`] describes alignment and decoding, which run on the same backends, except
//! beam search, which runs on the CPU only.
//!
//! # Cost
//!
//! - **Memory.** The largest array of a plan's workspace takes about 5·T·min(Lmax, T) bytes per
//!   item. It contains one row of states for every four frames, which the posteriors of those
//!   frames later overwrite. On a GPU, the table of emissions takes 4·T·min(C, Lmax + 1, T + 1)
//!   bytes per item. Most other arrays have one entry per frame, label or class of an item.
//!   [`Plan::workspace_bytes`] returns the exact size of the workspace. At every shape of the
//!   benchmark it is less than half of what PyTorch's CUDA loss keeps for its backward pass. If an
//!   array would not fit one binding (128 MiB by default) or would exceed 1 GiB, the batch is split
//!   into tiles of items, which use one workspace one after the other. If one item alone is too
//!   large, its frames are split into segments; only the states of one segment are stored at a
//!   time, and are recomputed from a checkpoint. 180,000 frames with 20,000 labels take 216 MiB.
//!   The CPU backend stores the states of one item per thread, and for every item the occupancies:
//!   4 bytes per frame for each class that the item needs.
//! - **Memory traffic.** `softmax_stats` and `grad` read all of the logits once each, and `grad`
//!   writes the gradient once. No other traffic grows with T·C, with two exceptions.
//!   `softmax_stats` reads a row twice if it does not fit in registers, which on a GPU hold up to
//!   12,288 classes; the second read is usually from a cache. It also runs twice if an item is
//!   split into segments and the input into slices.
//! - **First use.** A plan compiles its pipelines; plans of one [`GpuCtc`] share them. If several
//!   arrays are in one `wgpu::Buffer`, as with [`Buffers::in_place`], the first recording with such
//!   buffers compiles further pipelines. [`Ctc`] keeps the plans and buffers of its four most
//!   recent shapes, and at most 128 pipelines; [`CacheLimits`] sets both limits.
//! - **Accuracy.** The README lists the errors relative to the reference, with the command that
//!   measures them. The tests require the kernels and the CPU backend to agree with the reference
//!   to 1e-6 in the loss and 1e-5 in the gradient.
//!
//! # Limits
//!
//! WebGPU's default limits suffice. `wgpu::Limits::downlevel_defaults()` does not: it allows 4
//! storage buffers per shader stage, and the kernels need [`DeviceLimits::STORAGE_BUFFERS`].
//! Batches beyond a binding limit, a dispatch limit, or a driver's limit on loop iterations are
//! split automatically. A batch that cannot be split is a [`PlanError`]. With the default limits:
//!
//! - min(Lmax, T)·√T is at most about 10.1 million at 50,000 frames (45,000 labels), 10.2 million
//!   at 180,000 (24,000 labels) and 10.4 million at a million (10,400 labels), since an item's
//!   checkpoints must fit one binding;
//! - T is at most about 15 million frames (1.9 million on a software adapter), and C at most about
//!   15 million classes;
//! - each table of one item, such as its labels or its row statistics, must fit one binding.
//!
//! # Determinism
//!
//! There are no float atomics. On one adapter with one driver, a batch gives the same bits in every
//! run, and an item gives the same bits alone or in any batch, whatever the batch's T, Lmax and
//! layout. Two adapters may differ in the last digits.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod blocking;
mod cpu;
mod ctc;
pub mod decode;
mod error;
mod fork;
mod gpu;
pub mod guide;
mod idle;
#[doc(hidden)]
pub mod internal;
mod kernels;
mod limits;
mod names;
mod options;
mod output;
mod params;
mod plan;
pub mod reference;
mod setters;

pub use batch::{Batch, BatchShape, CheckedBatch, LabelLayout, Layout};
#[cfg(not(target_arch = "wasm32"))]
pub use ctc::adapters;
pub use ctc::{Backend, CacheLimits, Ctc, adapters_async};
pub use error::{BufferError, Error, InputError, ParameterError, PlanError};
pub use gpu::{
    AlignBuffers, Buffers, GpuCtc, GpuPlan, GreedyBuffers, Prepared, RuntimeChecks, Stage,
};
pub use kernels::{ElementType, Shader, shaders};
pub use limits::DeviceLimits;
pub use names::UnknownName;
pub use options::{
    Blank, BlankInLabels, Impossible, Input, Options, Reduction, RepeatedLabels, RepeatedOutputs,
    Status,
};
pub use output::{LossAndGradOutput, LossOutput};
pub use plan::{BoundRange, Launch, Operand, Plan, PlanVariant, Task};
/// The version of wgpu whose devices and buffers this crate accepts. A change of its major version
/// is a breaking change of this crate.
#[doc(no_inline)]
pub use wgpu;
