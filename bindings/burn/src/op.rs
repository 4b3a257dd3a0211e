//! The operation that Burn's backends are extended by, and its derivative.

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
    /// `[T, N, C]`, as Burn's own loss has it.
    TimeMajor,
    /// `[N, T, C]`
    BatchMajor,
}

impl Layout {
    /// `T`, `N` and `C` of logits whose axes have these lengths.
    pub(crate) fn frames_items_classes(self, dims: [usize; 3]) -> [usize; 3] {
        let [a, b, classes] = dims;
        match self {
            Self::TimeMajor => [a, b, classes],
            Self::BatchMajor => [b, a, classes],
        }
    }

    /// The shape of something that each item has once, beside the logits.
    fn beside(self, items: usize) -> Shape {
        match self {
            Self::TimeMajor => Shape::new([1, items, 1]),
            Self::BatchMajor => Shape::new([items, 1, 1]),
        }
    }
}

/// What a loss means: [`CtcLossConfig`](crate::CtcLossConfig), as the operation takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The class that is the blank, below `C`.
    pub blank: usize,
    /// Whether an item that no alignment fits has loss 0 instead of +∞.
    pub zero_infinity: bool,
    /// The order of the logits' axes.
    pub layout: Layout,
}

impl Rules {
    /// As the library has them.
    pub(crate) fn options(self) -> Options {
        Options::default()
            // A blank of more is no class of any logits.
            .blank(Blank::Index(u32::try_from(self.blank).unwrap_or(u32::MAX)))
            .impossible(match self.zero_infinity {
                true => Impossible::Zero,
                false => Impossible::Infinity,
            })
    }
}

/// CTC as an operation of a backend. [`CtcLoss`](crate::CtcLoss) is the way to use it; this is for those who write against
/// Burn's backends.
///
/// The logits are f32, targets `[N, Lmax]` and lengths `[N]` i32.
#[backend_extension(Cube, Flex: cfg(feature = "flex"), Autodiff, Fusion: cfg(feature = "fusion"))]
pub trait CtcOps: Backend {
    /// The losses, `[N]`.
    #[fusion(meta = loss_spec)]
    fn ctc_losses(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        input_lengths: IntTensor<Self>,
        target_lengths: IntTensor<Self>,
        rules: Rules,
    ) -> FloatTensor<Self>;

    /// The losses, and the gradient of their sum with respect to the logits, in their shape.
    #[fusion(meta = loss_and_grad_spec)]
    fn ctc_losses_and_grad(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        input_lengths: IntTensor<Self>,
        target_lengths: IntTensor<Self>,
        rules: Rules,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

#[cfg(feature = "fusion")]
fn loss_spec(
    logits: &TensorSpec,
    _targets: &TensorSpec,
    lengths: &TensorSpec,
    _target_lengths: &TensorSpec,
    _rules: &Rules,
) -> TensorSpec {
    TensorSpec::new(lengths.shape.clone(), logits.dtype)
}

#[cfg(feature = "fusion")]
fn loss_and_grad_spec(
    logits: &TensorSpec,
    _targets: &TensorSpec,
    lengths: &TensorSpec,
    _target_lengths: &TensorSpec,
    _rules: &Rules,
) -> (TensorSpec, TensorSpec) {
    (
        TensorSpec::new(lengths.shape.clone(), logits.dtype),
        logits.clone(),
    )
}

/// The backward pass: the gradient is there already, and each item's is multiplied by what comes in for its loss.
#[derive(Debug)]
struct Ctc(Layout);

impl<B: CtcOps> Backward<B, 1> for Ctc {
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
            let factor = B::float_reshape(incoming, self.0.beside(items));
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
        rules: Rules,
    ) -> FloatTensor<Self> {
        let (logits, node) = logits.into_parts();
        match Ctc(rules.layout)
            .prepare::<C>([node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prepared) => {
                let (loss, grad) =
                    B::ctc_losses_and_grad(logits, targets, input_lengths, target_lengths, rules);
                prepared.finish(grad, loss)
            }
            OpsKind::UnTracked(prepared) => {
                let loss = B::ctc_losses(logits, targets, input_lengths, target_lengths, rules);
                prepared.finish(loss)
            }
        }
    }

    /// As values: nothing is tracked through these.
    fn ctc_losses_and_grad(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        input_lengths: IntTensor<Self>,
        target_lengths: IntTensor<Self>,
        rules: Rules,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let logits = Self::inner(logits);
        let (loss, grad) =
            B::ctc_losses_and_grad(logits, targets, input_lengths, target_lengths, rules);
        (Self::from_inner(loss), Self::from_inner(grad))
    }
}
