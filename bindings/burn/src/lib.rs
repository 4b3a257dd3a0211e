//! CTC loss for [Burn](https://burn.dev): the kernels of `ctc-wgpu` on Burn's own tensors.
//!
//! [`CtcLoss`] stands where `burn::nn::loss::CTCLoss` stood, and takes **logits**: the softmax is inside. (Log-probabilities
//! are logits too, so a model that ends in a log-softmax trains the same with it.)
//!
//! ```
//! use burn::tensor::{Device, Int, Tensor};
//! use ctc_wgpu_burn::CtcLossConfig;
//!
//! let device = Device::flex().autodiff(); // or ctc_wgpu_burn::init(Device::wgpu_options())?.autodiff()
//! let logits = Tensor::<3>::zeros([4, 2, 3], &device).require_grad(); // [T, N, C]
//! let targets = Tensor::<2, Int>::from_ints([[1, 2], [1, 0]], &device); // [N, Lmax]
//! let input_lengths = Tensor::<1, Int>::from_ints([4, 3], &device);
//! let target_lengths = Tensor::<1, Int>::from_ints([2, 1], &device);
//!
//! let loss = CtcLossConfig::new().init();
//! let losses = loss.forward(logits.clone(), targets, input_lengths, target_lengths); // [N], in nats
//! let grads = losses.clone().sum().backward();
//! assert_eq!(logits.grad(&grads).unwrap().dims(), [4, 2, 3]);
//!
//! // Of the 3⁴ equally likely paths 15 read "1 2"; of the 3³ of item 1, whose last frame is padding, 6 read "1".
//! let losses = losses.into_data().try_to_vec::<f32>().unwrap();
//! assert!((losses[0] - (81.0_f32 / 15.0).ln()).abs() < 1e-6);
//! assert!((losses[1] - (27.0_f32 / 6.0).ln()).abs() < 1e-6);
//! ```
//!
//! # Where it computes
//!
//! | device | how |
//! | --- | --- |
//! | wgpu, from [`init`] or told to [`register`] | on the device: the logits' buffer is read and the gradient's written where they lie; no copy, no wait, in order with Burn's own work |
//! | wgpu that Burn opened by itself | on the device too, and without a copy, but launched by Burn: a text is compiled for each shape of a batch, and the workspace is taken anew for each |
//! | Burn's other GPU runtimes (CUDA, ROCm), its SPIR-V and MSL compilers, and browsers, if not told | through the host: logits are read back and the CPU backend computes. Right, but slow; a warning says so once |
//! | flex, Burn's CPU backend | on the CPU backend |
//!
//! Burn's tensors do not tell their wgpu device, so it is best told: open it by [`init`]. [`is_shared`] says whether that is so.
//!
//! ```no_run
//! # fn main() -> Result<(), ctc_wgpu_burn::OpenError> {
//! use burn::tensor::Device;
//!
//! let device = ctc_wgpu_burn::init(Device::wgpu_options())?; // before any tensor of the device is made
//! assert!(ctc_wgpu_burn::is_shared(&device));
//! # Ok(())
//! # }
//! ```
//!
//! # What differs from Burn's own loss
//!
//! - Losses above 10,000 nats and any number of labels are exact. (Burn 0.22 gives +∞ and gradient 0 from 10,000 nats on, and on
//!   a GPU fails from 1,024 to 4,096 labels on, as the device has it.)
//! - The gradient is made with the loss, in one pass, and kept for the backward pass; without autodiff only the loss is.
//! - Bad labels and lengths: on a wgpu device their item gets the loss NaN and the gradient 0, and no other item notices;
//!   on the host they are a panic that names item, value and rule. No access is ever out of bounds.
//! - An item without labels counts as of length 1 in the mean, as in PyTorch; Burn divides by 0.
//! - Losses are f32, whatever the logits are.
//!
//! What a loss means is on the front page of the documentation of `ctc-wgpu`.

mod cube;
mod host;
mod launched;
mod loss;
mod op;
mod shared;

pub use loss::{CtcLoss, CtcLossConfig, CtcLossError};
pub use op::{CtcOps, Layout, Rules};
pub use shared::{OpenError, RegisterError, init, is_shared, register};
