//! CTC loss for [Burn](https://burn.dev): the kernels of `ctc-wgpu` on Burn's own tensors.
//!
//! [`CtcLoss`] replaces `burn::nn::loss::CTCLoss` and takes **logits**: the softmax is part of the
//! loss. Log-probabilities are logits too, so a model that ends in a log-softmax trains the same
//! way.
//!
//! ```
//! use burn::tensor::{Device, Int, Tensor};
//! use ctc_wgpu_burn::CtcLossConfig;
//!
//! // Or: ctc_wgpu_burn::init(Device::wgpu_options())?.autodiff()
//! let device = Device::flex().autodiff();
//! let logits = Tensor::<3>::zeros([4, 2, 3], &device).require_grad(); // [T, N, C]
//! let targets = Tensor::<2, Int>::from_ints([[1, 2], [1, 0]], &device); // [N, Lmax]
//! let input_lengths = Tensor::<1, Int>::from_ints([4, 3], &device);
//! let target_lengths = Tensor::<1, Int>::from_ints([2, 1], &device);
//!
//! let loss = CtcLossConfig::new().init();
//! // [N], in nats
//! let losses = loss.forward(logits.clone(), targets, input_lengths, target_lengths);
//! let grads = losses.clone().sum().backward();
//! assert_eq!(logits.grad(&grads).unwrap().dims(), [4, 2, 3]);
//!
//! // Item 0 has 3⁴ = 81 equally probable paths, of which 15 collapse to "1 2". The last frame of
//! // item 1 is padding: 6 of its 3³ = 27 paths collapse to "1".
//! let losses = losses.into_data().try_to_vec::<f32>().unwrap();
//! assert!((losses[0] - (81.0_f32 / 15.0).ln()).abs() < 1e-6);
//! assert!((losses[1] - (27.0_f32 / 6.0).ln()).abs() < 1e-6);
//! ```
//!
//! # Devices
//!
//! - **wgpu, opened by [`init`] or registered by [`register`]**: the loss is computed on the
//!   device. The kernels read the buffer of the logits and write that of the gradient, in order
//!   with Burn's own work, without a copy or a wait.
//! - **wgpu, opened by Burn itself**: the loss is computed on the device, without a copy, and
//!   Burn's runtime launches the kernels. They are compiled for each batch shape, and the workspace
//!   is allocated for each batch.
//! - **Burn's other GPU runtimes (CUDA, ROCm), its SPIR-V and MSL compilers, and browsers, if not
//!   registered**: the logits are copied to the host, and the loss is computed on the CPU. This is
//!   correct but slow; the first such call logs a warning.
//! - **flex, Burn's CPU backend**: the loss is computed on the CPU.
//!
//! Burn's tensors do not expose the wgpu device that they are on, so open the device by [`init`].
//! [`is_shared`] returns whether a device is registered.
//!
//! ```no_run
//! # fn main() -> Result<(), ctc_wgpu_burn::OpenError> {
//! use burn::tensor::Device;
//!
//! let device = ctc_wgpu_burn::init(Device::wgpu_options())?; // before the device's first tensor
//! assert!(ctc_wgpu_burn::is_shared(&device));
//! # Ok(())
//! # }
//! ```
//!
//! # Differences from Burn's own loss
//!
//! - Losses above 10,000 nats and any number of labels are exact. (Burn 0.22 returns +∞ and
//!   gradient 0 from 10,000 nats on. On a GPU it fails for more than 1,023 to 4,095 labels,
//!   depending on the device.)
//! - The gradient is computed with the loss, in one pass, and kept for the backward pass. Without
//!   autodiff only the loss is computed.
//! - Invalid labels and lengths: on a wgpu device their item gets the loss NaN and the gradient 0,
//!   and other items are unaffected. On the CPU they cause a panic, whose message names the item,
//!   the value and the rule. No access is ever out of bounds.
//! - In the mean, an item without labels counts with length 1, as in PyTorch; Burn divides by 0.
//! - Losses are f32, whatever the type of the logits.
//!
//! The front page of the documentation of `ctc-wgpu` describes the semantics of the loss. Of its
//! options, only the blank and `Impossible` (as `zero_infinity`) are available here; multiply the
//! losses by weights instead of passing them.

mod cube_backend;
mod host;
mod kernel_launch;
mod loss;
mod op;
mod shared_device;

pub use loss::{CtcLoss, CtcLossConfig, CtcLossError};
pub use op::{CtcOps, CtcOptions, Layout};
pub use shared_device::{OpenError, RegisterError, init, is_shared, register};
