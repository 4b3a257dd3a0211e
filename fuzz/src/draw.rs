//! Options from bytes.

use ctc_wgpu::{
    Blank, BlankInLabels, Impossible, Input, Options, Reduction, RepeatedLabels, RepeatedOutputs,
};

use crate::bytes::Bytes;

/// All options but the blank, with this ε for probabilities.
pub(crate) fn options(bytes: &mut Bytes<'_>, blank: Blank, epsilon: f32) -> Options {
    Options::default()
        .blank(blank)
        .input(bytes.choice(&[
            Input::Logits,
            Input::LogProbs,
            Input::LogProbsExact,
            Input::Probs { epsilon },
        ]))
        .reduction(bytes.choice(&[
            Reduction::None,
            Reduction::Sum,
            Reduction::MeanBatch,
            Reduction::MeanLabel,
            Reduction::MeanVolume,
            Reduction::MeanWeighted,
        ]))
        .impossible(bytes.choice(&[Impossible::Infinity, Impossible::Zero, Impossible::Error]))
        .blank_in_labels(bytes.choice(&[BlankInLabels::Reject, BlankInLabels::Allow]))
        .repeated_labels(bytes.choice(&[RepeatedLabels::Keep, RepeatedLabels::Collapse]))
        .repeated_outputs(bytes.choice(&[RepeatedOutputs::Merge, RepeatedOutputs::Distinct]))
}
