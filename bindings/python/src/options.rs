//! Strings become the library's options.

use ctc_wgpu::{
    Blank, BlankInLabels, Impossible, Input, Reduction, RepeatedLabels, RepeatedOutputs,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// All choices of a loss, checked.
#[pyclass(frozen, module = "ctc_wgpu._native")]
pub(crate) struct Options {
    /// Negative: counted from the end.
    blank: i128,
    /// With any blank.
    rest: ctc_wgpu::Options,
}

#[pymethods]
impl Options {
    #[new]
    #[pyo3(signature = (*, blank = 0, input = "logits", epsilon = 1e-7, reduction = "none", impossible = "inf",
        blank_in_labels = "reject", repeated_labels = "keep", repeated_outputs = "merge"))]
    #[allow(
        clippy::too_many_arguments,
        reason = "keyword arguments of Python, one a choice"
    )]
    fn new(
        blank: i128,
        input: &str,
        epsilon: f64,
        reduction: &str,
        impossible: &str,
        blank_in_labels: &str,
        repeated_labels: &str,
        repeated_outputs: &str,
    ) -> PyResult<Self> {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "what f32 cannot hold becomes infinite, and is refused next"
        )]
        let single = epsilon as f32;
        if epsilon.is_finite() && !single.is_finite() {
            return Err(PyValueError::new_err(format!(
                "epsilon {epsilon:e} is not a finite float32"
            )));
        }
        let rest = ctc_wgpu::Options::default()
            .blank(Blank::Index(0))
            .input(choose(
                "input",
                input,
                &[
                    ("logits", Input::Logits),
                    ("log_probs", Input::LogProbs),
                    ("log_probs_exact", Input::LogProbsExact),
                    ("probs", Input::Probs { epsilon: single }),
                ],
            )?)
            .reduction(choose(
                "reduction",
                reduction,
                &[
                    ("none", Reduction::None),
                    ("sum", Reduction::Sum),
                    ("mean_batch", Reduction::MeanBatch),
                    ("mean_label", Reduction::MeanLabel),
                    ("mean_volume", Reduction::MeanVolume),
                    ("mean_weighted", Reduction::MeanWeighted),
                ],
            )?)
            .impossible(choose(
                "impossible",
                impossible,
                &[
                    ("inf", Impossible::Infinity),
                    ("zero", Impossible::Zero),
                    ("error", Impossible::Error),
                ],
            )?)
            .blank_in_labels(choose(
                "blank_in_labels",
                blank_in_labels,
                &[
                    ("reject", BlankInLabels::Reject),
                    ("allow", BlankInLabels::Allow),
                ],
            )?)
            .repeated_labels(choose(
                "repeated_labels",
                repeated_labels,
                &[
                    ("keep", RepeatedLabels::Keep),
                    ("collapse", RepeatedLabels::Collapse),
                ],
            )?)
            .repeated_outputs(choose(
                "repeated_outputs",
                repeated_outputs,
                &[
                    ("merge", RepeatedOutputs::Merge),
                    ("distinct", RepeatedOutputs::Distinct),
                ],
            )?);
        Ok(Self { blank, rest })
    }
}

impl Options {
    /// The options for so many classes, from whose end a negative blank is counted.
    pub(crate) fn of(&self, classes: usize) -> PyResult<ctc_wgpu::Options> {
        let from = if self.blank < 0 { classes } else { 0 };
        let index = i128::try_from(from)
            .ok()
            .and_then(|from| from.checked_add(self.blank))
            .and_then(|index| u32::try_from(index).ok());
        match index {
            Some(index) => Ok(self.rest.blank(Blank::Index(index))),
            None => Err(PyValueError::new_err(format!(
                "blank: blank {} is not within -{classes}..{classes}",
                self.blank
            ))),
        }
    }
}

fn choose<T: Copy>(argument: &str, value: &str, choices: &[(&str, T)]) -> PyResult<T> {
    if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == value) {
        return Ok(*choice);
    }
    let names: Vec<String> = choices
        .iter()
        .map(|(name, _)| format!("{name:?}"))
        .collect();
    Err(PyValueError::new_err(format!(
        "{argument}={value:?}: must be one of {}",
        names.join(", ")
    )))
}
