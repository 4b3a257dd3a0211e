//! The options that change the meaning of the labels.

use ctc_wgpu::{BlankInLabels, RepeatedLabels, RepeatedOutputs};

use super::ordinary_items::{batch, default_options};
use super::{SemanticsCase, ordinary, row};

pub(super) fn rows() -> Vec<SemanticsCase> {
    let options = default_options();
    let allow = options.blank_in_labels(BlankInLabels::Allow);
    let collapse = options.repeated_labels(RepeatedLabels::Collapse);
    let distinct = options.repeated_outputs(RepeatedOutputs::Distinct);
    let repeats: [&[i32]; 2] = [&[1, 1, 2], &[3, 3, 3]];
    let blanks: [&[i32]; 3] = [&[1, 0, 2], &[0, 0], &[1, 0]];
    let both = distinct.repeated_labels(RepeatedLabels::Collapse);
    vec![
        row(
            "a blank among the labels is a label, by PyTorch's rule",
            batch([3, 4, 3], &blanks),
            allow,
            vec![ordinary(), ordinary(), ordinary()],
        ),
        row(
            "a blank among the labels, with distinct outputs",
            batch([3, 4, 3], &blanks),
            allow.repeated_outputs(RepeatedOutputs::Distinct),
            vec![ordinary(), ordinary(), ordinary()],
        ),
        row(
            "allowing the blank changes nothing if no label is the blank",
            batch([2, 5, 4], &repeats),
            allow,
            vec![ordinary(), ordinary()],
        ),
        row(
            "repeated labels are collapsed with RepeatedLabels::Collapse",
            batch([2, 5, 4], &repeats),
            collapse,
            vec![ordinary(), ordinary()],
        ),
        row(
            "labels that fit only after collapsing have an alignment",
            batch([2, 2, 4], &repeats),
            collapse,
            vec![ordinary(), ordinary()],
        ),
        row(
            "distinct outputs are not merged",
            batch([2, 5, 4], &repeats),
            distinct,
            vec![ordinary(), ordinary()],
        ),
        row(
            "distinct outputs need no blank between equal labels",
            batch([2, 3, 4], &repeats),
            distinct,
            vec![ordinary(), ordinary()],
        ),
        row(
            "distinct outputs of collapsed labels",
            batch([2, 5, 4], &repeats),
            both,
            vec![ordinary(), ordinary()],
        ),
    ]
}
