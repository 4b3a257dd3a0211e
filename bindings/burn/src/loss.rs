//! The loss as Burn's users know it: a config, a module, a forward pass.

use burn::backend::Dispatch;
use burn::config::Config;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::tensor::{DType, FloatDType, Int, IntDType, Tensor};

use crate::op::{CtcOps, Layout, Rules};

/// Makes a [`CtcLoss`].
#[derive(Config, Debug)]
pub struct CtcLossConfig {
    /// The class that is the blank.
    #[config(default = 0)]
    pub blank: usize,
    /// Whether an item that no alignment fits has loss 0 instead of +∞. Its gradient is 0 in any case.
    #[config(default = false)]
    pub zero_infinity: bool,
    /// The order of the logits' axes.
    #[config(default = "Layout::TimeMajor")]
    pub layout: Layout,
}

impl CtcLossConfig {
    /// The loss.
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
/// - `logits`: `[T, N, C]`, or `[N, T, C]` with [`Layout::BatchMajor`]; the blank is one of the `C` classes. A view whose axes
///   were swapped is read as it lies.
/// - `targets`: `[N, Lmax]`; what stands past an item's length is never looked at.
/// - `input_lengths`, `target_lengths`: `[N]`, how many frames and targets of each item count.
#[derive(Module, Debug)]
pub struct CtcLoss {
    /// The class that is the blank.
    pub blank: usize,
    /// Whether an item that no alignment fits has loss 0 instead of +∞.
    pub zero_infinity: bool,
    /// The order of the logits' axes.
    #[module(skip)]
    pub layout: Layout,
}

/// Shapes that do not fit each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CtcLossError {
    /// An array has not as many items as the logits.
    #[error("{array} is of {got} items, but logits of {expected}")]
    Items {
        /// Which array.
        array: &'static str,
        /// The length of its first axis.
        got: usize,
        /// The items of the logits.
        expected: usize,
    },
    /// The blank is no class.
    #[error("blank {blank} is not below {classes} classes")]
    Blank {
        /// The blank.
        blank: usize,
        /// The classes of the logits.
        classes: usize,
    },
}

impl CtcLoss {
    /// The loss of each item, `[N]`.
    ///
    /// # Panics
    /// Where [`try_forward`](Self::try_forward) has an error, and where the device runs out of memory. On the host also where
    /// a target or a length is out of range; on a wgpu device that item's loss is NaN then.
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

    /// [`forward`](Self::forward), with shapes that do not fit as an error.
    ///
    /// # Errors
    /// [`CtcLossError`] if an array is of another number of items than the logits, or the blank is no class.
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
            words(targets).into_dispatch(),
            words(input_lengths).into_dispatch(),
            words(target_lengths).into_dispatch(),
            Rules {
                blank,
                zero_infinity: self.zero_infinity,
                layout: self.layout,
            },
        );
        Ok(Tensor::from_dispatch(losses))
    }

    /// The losses made one number, `[1]`: with `Mean` and `Auto` the mean of loss / target length, as PyTorch and Burn have
    /// it; with `Sum` the sum; with `BatchMean` the sum / N.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
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

/// Integers as the kernels read them.
fn words<const D: usize>(tensor: Tensor<D, Int>) -> Tensor<D, Int> {
    match tensor.dtype() {
        DType::I32 => tensor,
        _ => tensor.cast(IntDType::I32),
    }
}
