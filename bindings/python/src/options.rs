//! Parses the options of a loss.

use std::str::FromStr;

use ctc_wgpu::{Blank, Input, UnknownName};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The options of a loss, valid except for the blank, whose range depends on the number of classes.
#[pyclass(frozen, module = "ctc_wgpu._native")]
pub(crate) struct Options {
    /// The blank; a negative one counts from the end.
    blank: i128,
    /// The other options, with any blank.
    options: ctc_wgpu::Options,
}

#[pymethods]
impl Options {
    #[new]
    #[pyo3(signature = (*, blank = 0, input = "logits", epsilon = 1e-7, reduction = "none", impossible = "inf",
        blank_in_labels = "reject", repeated_labels = "keep", repeated_outputs = "merge"))]
    #[allow(
        clippy::too_many_arguments,
        reason = "one keyword argument of Python per option"
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
            reason = "numbers out of the range of f32 become infinite, which is an error below"
        )]
        let single = epsilon as f32;
        if epsilon.is_finite() && !single.is_finite() {
            return Err(PyValueError::new_err(format!(
                "epsilon {epsilon:e} is not a finite float32"
            )));
        }
        let options = ctc_wgpu::Options::default()
            .input(parse_input(input, single)?)
            .reduction(parse("reduction", reduction)?)
            .impossible(parse("impossible", impossible)?)
            .blank_in_labels(parse("blank_in_labels", blank_in_labels)?)
            .repeated_labels(parse("repeated_labels", repeated_labels)?)
            .repeated_outputs(parse("repeated_outputs", repeated_outputs)?);
        Ok(Self { blank, options })
    }
}

impl Options {
    /// Returns the options for this number of classes, from whose end a negative blank counts.
    pub(crate) fn for_classes(&self, classes: usize) -> PyResult<ctc_wgpu::Options> {
        let from = if self.blank < 0 { classes } else { 0 };
        let index = i128::try_from(from)
            .ok()
            .and_then(|from| from.checked_add(self.blank))
            .and_then(|index| u32::try_from(index).ok());
        match index {
            Some(index) => Ok(self.options.blank(Blank::Index(index))),
            None => Err(PyValueError::new_err(format!(
                "blank: blank {} is out of range: expected -{classes} to {} for {classes} classes",
                self.blank,
                classes.saturating_sub(1)
            ))),
        }
    }
}

fn parse_input(value: &str, epsilon: f32) -> PyResult<Input> {
    match value {
        "logits" => Ok(Input::Logits),
        "log_probs" => Ok(Input::LogProbs),
        "log_probs_exact" => Ok(Input::LogProbsExact),
        "probs" => Ok(Input::Probs { epsilon }),
        _ => Err(unknown(
            "input",
            value,
            &["logits", "log_probs", "log_probs_exact", "probs"],
        )),
    }
}

fn parse<T: FromStr<Err = UnknownName>>(argument: &str, value: &str) -> PyResult<T> {
    value
        .parse()
        .map_err(|error: UnknownName| unknown(argument, value, error.expected))
}

fn unknown(argument: &str, value: &str, expected: &[&str]) -> PyErr {
    let expected: Vec<String> = expected.iter().map(|name| format!("{name:?}")).collect();
    PyValueError::new_err(format!(
        "{argument}={value:?}: must be one of {}",
        expected.join(", ")
    ))
}
