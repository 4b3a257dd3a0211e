//! The public loss: a config, and a module with a forward pass.

use burn::backend::Dispatch;
use burn::config::Config;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{DType, FloatDType, Int, IntDType, Tensor};

use crate::op::{CtcOps, CtcOptions, Layout};

/// The configuration of a [`CtcLoss`].
#[derive(Config, Debug)]
pub struct CtcLossConfig {
    /// The class of the blank.
    #[config(default = 0)]
    pub blank: usize,
    /// `true`: an item without a valid alignment has loss 0 instead of +∞. Its gradient is 0 in
    /// both cases.
    #[config(default = false)]
    pub zero_infinity: bool,
    /// The order of the logits' axes.
    #[config(default = "Layout::TimeMajor")]
    pub layout: Layout,
}

impl CtcLossConfig {
    /// Returns a [`CtcLoss`] with this configuration.
    #[must_use]
    pub fn init(&self) -> CtcLoss {
        CtcLoss {
            blank: self.blank,
            zero_infinity: self.zero_infinity,
            layout: self.layout,
        }
    }
}

/// Connectionist temporal classification: −ln p(targets | logits) of each item, in nats.
///
/// # Shapes
/// - `logits`: `[T, N, C]`, or `[N, T, C]` with [`Layout::BatchMajor`]. The blank is one of the `C`
///   classes. A view whose frame and item axes are swapped is read without a copy.
/// - `targets`: `[N, Lmax]`; entries beyond an item's target length are ignored.
/// - `input_lengths`, `target_lengths`: `[N]`, the number of valid frames and targets of each item.
#[derive(Module, Debug)]
pub struct CtcLoss {
    /// The class of the blank.
    pub blank: usize,
    /// `true`: an item without a valid alignment has loss 0 instead of +∞.
    pub zero_infinity: bool,
    /// The order of the logits' axes.
    #[module(skip)]
    pub layout: Layout,
}

/// An argument whose shape or value does not match the logits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CtcLossError {
    /// An array and the logits have different numbers of items.
    #[error("{array} has {got} items, but the logits have {expected}")]
    Items {
        /// The name of the array.
        array: &'static str,
        /// The length of its first axis.
        got: usize,
        /// The number of items of the logits.
        expected: usize,
    },
    /// The blank is not a valid class.
    #[error("blank {blank} is out of range: expected 0 ≤ blank < {classes}")]
    Blank {
        /// The class of the blank.
        blank: usize,
        /// The number of classes of the logits.
        classes: usize,
    },
}

impl CtcLoss {
    /// Returns the loss of each item, `[N]`, in nats.
    ///
    /// # Panics
    /// - If [`try_forward`](Self::try_forward) returns an error.
    /// - If the device is out of memory, or the batch exceeds its limits and cannot be split.
    /// - If a target or a length is out of range and the loss is computed on the CPU. On a wgpu
    ///   device the loss of that item is NaN instead.
    #[must_use]
    pub fn forward(
        &self,
        logits: Tensor<3>,
        targets: Tensor<2, Int>,
        input_lengths: Tensor<1, Int>,
        target_lengths: Tensor<1, Int>,
    ) -> Tensor<1> {
        match self.try_forward(logits, targets, input_lengths, target_lengths) {
            Ok(losses) => losses,
            Err(error) => panic!("{error}"),
        }
    }

    /// Returns the loss of each item, `[N]`, in nats, as [`forward`](Self::forward), but returns an
    /// error for arguments that do not match the logits.
    ///
    /// # Errors
    /// [`CtcLossError`] if an array and the logits have different numbers of items, or the blank is
    /// not a valid class.
    pub fn try_forward(
        &self,
        logits: Tensor<3>,
        targets: Tensor<2, Int>,
        input_lengths: Tensor<1, Int>,
        target_lengths: Tensor<1, Int>,
    ) -> Result<Tensor<1>, CtcLossError> {
        let [_, expected, classes] = self.layout.frames_items_classes(logits.dims());
        for (array, [got]) in [
            ("targets", [targets.dims()[0]]),
            ("input_lengths", input_lengths.dims()),
            ("target_lengths", target_lengths.dims()),
        ] {
            if got != expected {
                return Err(CtcLossError::Items {
                    array,
                    got,
                    expected,
                });
            }
        }
        let blank = self.blank;
        if blank >= classes {
            return Err(CtcLossError::Blank { blank, classes });
        }
        let logits = match logits.dtype() {
            DType::F32 => logits,
            _ => logits.cast(FloatDType::F32),
        };
        let losses = Dispatch::ctc_losses(
            logits.into_dispatch(),
            integers(targets).into_dispatch(),
            integers(input_lengths).into_dispatch(),
            integers(target_lengths).into_dispatch(),
            CtcOptions {
                blank,
                zero_infinity: self.zero_infinity,
                layout: self.layout,
            },
        );
        Ok(Tensor::from_dispatch(losses))
    }

    /// Returns the reduced loss, `[1]`: for `Mean` and `Auto` the mean of loss / target length, as
    /// in PyTorch and Burn; for `Sum` the sum; for `BatchMean` the sum / N.
    ///
    /// # Panics
    /// In the same cases as [`forward`](Self::forward).
    #[must_use]
    pub fn forward_with_reduction(
        &self,
        logits: Tensor<3>,
        targets: Tensor<2, Int>,
        input_lengths: Tensor<1, Int>,
        target_lengths: Tensor<1, Int>,
        reduction: Reduction,
    ) -> Tensor<1> {
        let losses = self.forward(logits, targets, input_lengths, target_lengths.clone());
        match reduction {
            Reduction::Mean | Reduction::Auto => {
                let lengths = target_lengths.clamp_min(1).float();
                losses.div(lengths.cast(FloatDType::F32)).mean()
            }
            Reduction::Sum => losses.sum(),
            Reduction::BatchMean => losses.mean(),
        }
    }
}

/// Casts to i32, the type that the kernels read.
fn integers<const D: usize>(tensor: Tensor<D, Int>) -> Tensor<D, Int> {
    match tensor.dtype() {
        DType::I32 => tensor,
        _ => tensor.cast(IntDType::I32),
    }
}
