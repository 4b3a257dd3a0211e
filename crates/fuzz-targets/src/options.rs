//! Generates options from the bytes of an input.

use ctc_wgpu::{
    Blank, BlankInLabels, Impossible, Input, Options, Reduction, RepeatedLabels, RepeatedOutputs,
};

use crate::bytes::Bytes;

/// Returns options with this blank, and with `epsilon` if the input type is probabilities.
pub(crate) fn generate(bytes: &mut Bytes<'_>, blank: Blank, epsilon: f32) -> Options {
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
