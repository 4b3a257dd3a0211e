//! CTC loss and its gradient as WGSL kernels, on any GPU that wgpu reaches, with a CPU backend that gives the same answers
//! where there is none.
//!
//! Connectionist temporal classification (Graves, Fernández, Gomez, Schmidhuber: *Connectionist temporal
//! classification*, ICML 2006) trains a network that reads a sequence, such as a line of text or an utterance, from
//! labels that nobody aligned with its frames.
//!
//! # Arrays on the host
//!
//! [`Ctc`] takes the best adapter, or the CPU backend; [`Ctc::backend`] says which.
//!
//! ```
//! use ctc_wgpu::{Batch, Ctc, Options, Status};
//!
//! // N = 2 items of T = 4 frames over C = 3 classes, of which class 0 is the blank; the network knows nothing yet.
//! let logits = [0.0_f32; 2 * 4 * 3];
//! let labels = [1, 2, /* item 1: */ 1, -1]; // [N, Lmax]; what stands past an item's length is never looked at
//! let batch = Batch::new([2, 4, 3], &logits).labels(&labels, &[2, 1]).logit_lengths(&[4, 3]);
//!
//! let ctc = Ctc::new()?;
//! println!("on {}", ctc.backend());
//! let output = ctc.loss_and_grad(&batch, &Options::default())?;
//!
//! // Of the 3⁴ equally likely paths 15 read "1 2"; of the 3³ of item 1, whose last frame is padding, 6 read "1".
//! assert!((output.loss[0] - (81.0_f32 / 15.0).ln()).abs() < 1e-6);
//! assert!((output.loss[1] - (27.0_f32 / 6.0).ln()).abs() < 1e-6);
//! assert_eq!(output.status, [Status::Ok, Status::Ok]);
//! // The gradient is shaped as the logits; in the padding it is exactly 0.
//! assert_eq!(output.grad[21..], [0.0; 3]);
//! # Ok::<(), ctc_wgpu::Error>(())
//! ```
//!
//! # Buffers on your device
//!
//! [`GpuCtc`] is a loss backend: it records into your command encoder what reads your buffers and writes your buffers.
//! Nothing is copied, submitted or waited for. `examples/zero_copy.rs` is a whole program. Ask for
//! `adapter.features() & `[`DeviceLimits::FEATURES`] when you make the device: none is needed, subgroups make it faster.
//!
//! ```no_run
//! use ctc_wgpu::{Buffers, GpuCtc, Options, BatchShape};
//! # fn step(device: wgpu::Device, queue: wgpu::Queue, logits: wgpu::Buffer, labels: wgpu::Buffer,
//! #   logit_lengths: wgpu::Buffer, label_lengths: wgpu::Buffer, loss: wgpu::Buffer, grad: wgpu::Buffer,
//! #   status: wgpu::Buffer) -> Result<(), ctc_wgpu::Error> {
//! let ctc = GpuCtc::new(&device, &queue)?;
//! let plan = ctc.plan(&BatchShape::new(32, 50, 20, 6), &Options::default())?; // N, T, C, Lmax: once a shape
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
//! The [`guide`] has the rest: ordering, shared devices, memory, several devices, threads.
//!
//! The gradient may take the place of the logits: [`Buffers::in_place`]. Both may be f16: [`BatchShape::f16`]. Then only the
//! arrays are of 2 bytes; what is computed is f32.
//!
//! # Terms and shapes
//!
//! | name | shape | what it is |
//! | --- | --- | --- |
//! | `N`, `T`, `C`, `L` | | items of a batch, frames, classes (the blank among them), labels of an item |
//! | logits | `[N, T, C]` or `[T, N, C]` | f32, on a device also f16; what it holds is for [`Input`] to say |
//! | labels | `[N, Lmax]` or `[ΣL]` | i32, padded or concatenated; on the host also sparse or masked |
//! | logit lengths, label lengths | `[N]` | i32; how many frames and labels of each item count |
//! | weights | `[N]` | f32; an incoming gradient, 1 where none is given |
//! | loss | `[N]` | f32, in nats, not weighted |
//! | gradient | as the logits | as the logits; the derivative of Σ weight·loss, or of the number that a [`Reduction`] makes |
//! | status | `[N]` | what became of each item: [`Status`], on a device its code as u32 |
//!
//! # Semantics
//!
//! The kernels, the CPU backend and the [`mod@reference`] hold it line by line.
//!
//! | case | loss | gradient | status |
//! | --- | --- | --- | --- |
//! | usual | −ln p(labels given logits) | softmax − γ, times the item's weight | [`Ok`](Status::Ok) |
//! | no label | −Σ ln p(blank) | as usual | `Ok` |
//! | no frame and no label | 0 | none | `Ok` |
//! | no alignment: too few frames for the labels and the blanks between repeats, or a needed probability is 0 | +∞, or 0 with [`Impossible::Zero`] | exactly 0 | [`Impossible`](Status::Impossible) |
//! | a frame past the item's length | does not count, whatever it holds, NaN included | exactly 0, and always written | |
//! | a logit of −∞ | the class has probability 0, exactly | finite | `Ok` |
//! | a finite logit far below the largest of its frame, as a mask puts it | exact down to probabilities of e^(−2^28); below, as −∞ | exact | `Ok`, or `Impossible` where the class is needed |
//! | NaN or +∞ in a frame that counts, or a frame of −∞ only | NaN | NaN, for that item alone | [`NotFinite`](Status::NotFinite) |
//! | a log-probability above 88, or a frame of none above −2^28 | NaN | NaN, for that item alone | `NotFinite` |
//! | input that is no distribution: log-probabilities whose exponentials sum to more than 1, or the blank among the labels | as the formula has it, which may be below 0 | as the formula has it | `Ok` |
//! | weights of [`Reduction::MeanWeighted`] whose sizes sum to neither 0 nor 1e-30 to 1e37 | on the host an [`InputError`] before anything runs; on a device their divisor may count as 0 | the same | `Ok` |
//! | a label that is no class or the blank, or a length out of range | on the host an [`InputError`] before anything runs; on a device NaN, and no access out of bounds | 0 | [`BadLabel`](Status::BadLabel), [`BadLength`](Status::BadLength) |
//!
//! **A probability of e^(−2^28) or less counts as 0**: 2^28 is 268,435,456 nats. This applies to a class of a frame (of
//! logits, relative to the largest of that frame) and to an item: a loss of 2^28 or more is +∞, with status `Impossible`. Masks of
//! −1e4, −65504 (the lowest f16) and −1e6 are finite numbers like any other, and exact; −1e9 and the lowest
//! f32 or bf16 are probabilities of 0. Every backend applies the same border.
//!
//! **A negative loss is a sign of wrong input.** Only a loss within 1e-6 below 0, which rounding explains, becomes 0. A loss
//! below that means that probabilities sum to more than 1: raw scores were given as [`Input::LogProbs`], say. Log-probabilities
//! are not checked, since that would take another pass. Probabilities ([`Input::Probs`]) are normalised, so a factor common to
//! a frame has no effect; a negative one makes the item `NotFinite`.
//!
//! [`BlankInLabels`], [`RepeatedLabels`] and [`RepeatedOutputs`] are the rules of other libraries where they differ, and
//! [`Options::pytorch`], [`tensorflow`](Options::tensorflow), [`keras_batch_cost`](Options::keras_batch_cost) and
//! [`optax`](Options::optax) the choices of each by name.
//!
//! # Input and gradient conventions
//!
//! γ is the occupancy: the probability, given the labels, that the alignment is in a class at a frame (Graves et al.
//! 2006, eq. 14 and 15). The derivative is with respect to what goes in:
//!
//! | [`Input`] | what goes in | gradient of an item's loss |
//! | --- | --- | --- |
//! | [`Logits`](Input::Logits) | x, any scores; p = softmax(x) | p − γ |
//! | [`LogProbs`](Input::LogProbs) | ln p, after a log-softmax | p − γ: PyTorch's, right when that log-softmax comes next in the backward pass |
//! | [`LogProbsExact`](Input::LogProbsExact) | ln p | −γ: the true derivative |
//! | [`Probs`](Input::Probs) `{ epsilon: ε }` | p; q = softmax(ln(p + ε)) | (q − γ) / (p + ε): Keras's `ctc_batch_cost` |
//!
//! # How it works
//!
//! The recursion runs on scaled floats, m·2^e with a float m and an integer e of its own for each state, so that no
//! exponential and no logarithm is on the sequential chain, nothing underflows, and rounding stays relative. Alpha and
//! beta run at the same time, meet in the middle, where the loss is known, and go on to the other ends over what the
//! other has left: T steps for loss and gradient, T/2 for the loss alone.
//!
//! A batch goes through these stages, each a file of `shaders/` and a twin in `src/cpu/` with the same name:
//!
//! | stage | from, to |
//! | --- | --- |
//! | `totals` | sums over the batch, and where each item's labels begin; only where labels are concatenated or a reduction divides by a sum |
//! | `labels` | what the caller gave: checked, and made one form |
//! | `chain` | equal labels linked, so that a class's occupancy is summed in a fixed order, without atomics |
//! | `stats` | what makes each row of `[T, C]` probabilities: its maximum and its sum; until `grad` nothing else touches all of C |
//! | `sweep inward` | alpha and beta to the middle, over the L + 1 entries a frame that the labels need |
//! | `meet` | the loss and the status |
//! | `reduce` | the reduced loss, where one is asked for |
//! | `sweep outward` | alpha and beta on to the ends: the occupancies |
//! | `grad` | `[T, C]` read again, and the gradient written |
//!
//! A batch on its way: [`Batch`] and [`Options`] are checked once and become a [`CheckedBatch`]; a [`Plan`] says which kernels
//! run, on what part, with how much workspace, and is plain data that prints; a [`GpuPlan`] records it, or the CPU
//! twin runs the same stages. [`Ctc`] does all of that for host arrays. The [`mod@reference`] shares none of it: it is the
//! textbook in float64 logarithms, and the judge.
//!
//! What a network read, and where in time, on the same backends: [`decode`].
//!
//! # What it costs
//!
//! - **Memory.** A plan's workspace holds, for each item, about 6·T·min(Lmax, T) bytes: every fourth row of states, in whose
//!   place their weights come, 24 bytes for four labels. [`Plan::workspace_bytes`] is exact; it is less than half of
//!   what PyTorch's CUDA loss keeps at every shape of the benchmark. Where it does not fit one binding (128 MiB by default),
//!   groups of items go through the same workspace one after the other, and of a lone item the states of a page of frames
//!   at a time are kept, all others made twice. So 180,000 frames with 20,000 labels take 232 MiB.
//!   The CPU backend needs as much for each thread, not for each item.
//! - **Traffic.** `stats` and `grad` read the logits, and `grad` writes the gradient once; nothing else grows with C.
//! - **First use.** A plan compiles its pipelines; those of one [`GpuCtc`] are shared. [`Ctc`] keeps the plans and
//!   buffers of its four latest shapes, and at most 128 pipelines; [`CacheLimits`] sets both.
//! - **Accuracy** against the reference is in the README, with the command that measures it. The tests hold the kernels and
//!   the CPU backend to 1e-6 of the loss and 1e-5 in the gradient.
//!
//! # DeviceLimits
//!
//! The default limits of WebGPU suffice. `wgpu::Limits::downlevel_defaults()` does not: it has 4 storage buffers a stage,
//! and [`DeviceLimits::STORAGE_BUFFERS`] are needed. What passes a binding, a dispatch, or the rounds that a driver
//! allows a loop, is cut. What cannot be cut is an error that says so: min(Lmax, T)·√T may be up to about
//! 9.2 million (41,000 labels at 50,000 frames, 22,000 at 180,000, 9,500 at a million), since the states at which pages of
//! frames begin lie in one binding; T may be about 15 million frames (1.9 million on a software adapter) and C about 15
//! million classes, and one item's small tables must fit a binding.
//!
//! # Determinism
//!
//! There are no float atomics. On one adapter with one driver a batch gives the same bits from run to run; and an item
//! gives the same bits alone or in any batch, whatever its T and Lmax and layout. Two adapters may differ in the last digits.
//!
//! # Features
//!
//! - `cli`: the tool `ctc-wgpu` and what only it needs.
//! - `conformance`: the suite that `ctc-wgpu validate` runs, as a module.
//!
//! None is on by default.

mod batch;
mod blocking;
#[cfg(feature = "conformance")]
pub mod conformance;
mod cpu;
mod ctc;
pub mod decode;
mod error;
mod fork;
mod gpu;
pub mod guide;
mod idle;
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
pub use plan::{BoundRange, Launch, Operand, Plan, Task};
/// The version of wgpu whose devices and buffers this crate takes. Its major version is part of
/// this crate's: a new one is a breaking change here.
#[doc(no_inline)]
pub use wgpu;
