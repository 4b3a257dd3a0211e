//! The operation that extends Burn's backends, and its derivative.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, AutodiffBackend, Backend, TensorMetadata, backend_extension};
use burn::config::Config;
use burn::tensor::Shape;
use ctc_wgpu::{Blank, Impossible, Options};

#[cfg(feature = "fusion")]
use burn::backend::fusion::custom::TensorSpec;

/// The order of the logits' axes.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `[T, N, C]`, as in Burn's own loss.
    TimeMajor,
    /// `[N, T, C]`
    BatchMajor,
}

impl Layout {
    /// Returns `T`, `N` and `C` of logits with these dimensions.
    pub(crate) fn frames_items_classes(self, dims: [usize; 3]) -> [usize; 3] {
        let [a, b, classes] = dims;
        match self {
            Self::TimeMajor => [a, b, classes],
            Self::BatchMajor => [b, a, classes],
        }
    }

    /// Returns the shape in which one value per item broadcasts over the logits.
    fn per_item_shape(self, items: usize) -> Shape {
        match self {
            Self::TimeMajor => Shape::new([1, items, 1]),
            Self::BatchMajor => Shape::new([items, 1, 1]),
        }
    }
}

/// The options of the operation, the same as those of [`CtcLossConfig`](crate::CtcLossConfig).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CtcOptions {
    /// The class of the blank, less than `C`.
    pub blank: usize,
    /// `true`: an item without a valid alignment has loss 0 instead of +∞.
    pub zero_infinity: bool,
    /// The order of the logits' axes.
    pub layout: Layout,
}

impl CtcOptions {
    /// Converts to the options of `ctc_wgpu`.
    pub(crate) fn to_core(self) -> Options {
        // A larger blank is out of range for any logits.
        let blank = u32::try_from(self.blank).unwrap_or(u32::MAX);
        let impossible = match self.zero_infinity {
            true => Impossible::Zero,
            false => Impossible::Infinity,
        };
        Options::default()
            .blank(Blank::Index(blank))
            .impossible(impossible)
    }
}

/// The CTC loss as an operation of a Burn backend, for code that is generic over Burn's backends.
/// Other code uses [`CtcLoss`](crate::CtcLoss).
///
/// The logits, `[T, N, C]` or `[N, T, C]` by [`CtcOptions::layout`], are f32. The targets,
/// `[N, Lmax]`, and the lengths, `[N]`, are i32.
#[backend_extension(Cube, Flex: cfg(feature = "flex"), Autodiff, Fusion: cfg(feature = "fusion"))]
pub trait CtcOps: Backend {
    /// Returns the losses, `[N]`.
    #[fusion(meta = loss_spec)]
    fn ctc_losses(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        input_lengths: IntTensor<Self>,
        target_lengths: IntTensor<Self>,
        options: CtcOptions,
    ) -> FloatTensor<Self>;

    /// Returns the losses, `[N]`, and the gradient of their sum with respect to the logits, in the
    /// shape of the logits.
    #[fusion(meta = loss_and_grad_spec)]
    fn ctc_losses_and_grad(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        input_lengths: IntTensor<Self>,
        target_lengths: IntTensor<Self>,
        options: CtcOptions,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

#[cfg(feature = "fusion")]
fn loss_spec(
    logits: &TensorSpec,
    _targets: &TensorSpec,
    lengths: &TensorSpec,
    _target_lengths: &TensorSpec,
    _options: &CtcOptions,
) -> TensorSpec {
    TensorSpec::new(lengths.shape.clone(), logits.dtype)
}

#[cfg(feature = "fusion")]
fn loss_and_grad_spec(
    logits: &TensorSpec,
    _targets: &TensorSpec,
    lengths: &TensorSpec,
    _target_lengths: &TensorSpec,
    _options: &CtcOptions,
) -> (TensorSpec, TensorSpec) {
    (
        TensorSpec::new(lengths.shape.clone(), logits.dtype),
        logits.clone(),
    )
}

/// The backward pass. The forward pass has computed the gradient of each item, which is multiplied
/// by the incoming gradient of the item's loss.
#[derive(Debug)]
struct CtcBackward(Layout);

impl<B: CtcOps> Backward<B, 1> for CtcBackward {
    type State = FloatTensor<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [parent] = ops.parents;
        let incoming = grads.consume::<B>(&ops.node);
        if let Some(node) = parent {
            let (grad, items) = (ops.state, incoming.shape().num_elements());
            let factor = B::float_reshape(incoming, self.0.per_item_shape(items));
            let factor = B::float_expand(factor, grad.shape());
            grads.register::<B>(node.id, B::float_mul(grad, factor));
        }
    }
}

impl<B: CtcOps, C: CheckpointStrategy> CtcOps for Autodiff<B, C> {
    fn ctc_losses(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        input_lengths: IntTensor<Self>,
        target_lengths: IntTensor<Self>,
        options: CtcOptions,
    ) -> FloatTensor<Self> {
        let (logits, node) = logits.into_parts();
        match CtcBackward(options.layout)
            .prepare::<C>([node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prepared) => {
                let (loss, grad) =
                    B::ctc_losses_and_grad(logits, targets, input_lengths, target_lengths, options);
                prepared.finish(grad, loss)
            }
            OpsKind::UnTracked(prepared) => {
                let loss = B::ctc_losses(logits, targets, input_lengths, target_lengths, options);
                prepared.finish(loss)
            }
        }
    }

    /// The results are not tracked by autodiff.
    fn ctc_losses_and_grad(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        input_lengths: IntTensor<Self>,
        target_lengths: IntTensor<Self>,
        options: CtcOptions,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let logits = Self::inner(logits);
        let (loss, grad) =
            B::ctc_losses_and_grad(logits, targets, input_lengths, target_lengths, options);
        (Self::from_inner(loss), Self::from_inner(grad))
    }
}
