//! The options that describe a batch, shared by the commands.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use ctc_wgpu::{Blank, BlankInLabels, Impossible, Input, Layout, Options, Reduction};

use crate::error::CliError;
use ctc_wgpu_npz::{BatchFile, InputKind};

/// The default of `--epsilon`, which is Keras's.
const EPSILON: f32 = 1e-7;

/// The options of every command that reads a batch.
#[derive(Debug, Args)]
pub(crate) struct InputArgs {
    /// The batch, a numpy archive; `--help` lists its arrays
    #[arg(value_name = "BATCH.npz")]
    pub(crate) file: PathBuf,

    /// The blank's class: its index, or `last` [default: the file's `blank`, else 0]
    #[arg(long, value_name = "K|last")]
    blank: Option<BlankArg>,

    /// The order of the input's axes
    #[arg(long, value_enum, default_value = "ntc")]
    layout: LayoutArg,

    /// How to treat labels that are the blank
    #[arg(long, value_enum, default_value = "reject")]
    blank_in_labels: BlankInLabelsArg,

    /// With probs: the constant added to each probability before the logarithm [default: 1e-7]
    #[arg(long, value_name = "E", allow_negative_numbers = true)]
    epsilon: Option<f32>,
}

impl InputArgs {
    pub(crate) fn layout(&self) -> Layout {
        match self.layout {
            LayoutArg::Ntc => Layout::BatchMajor,
            LayoutArg::Tnc => Layout::TimeMajor,
        }
    }

    /// Returns the options for this file, or an error if one does not apply to its kind of input.
    pub(crate) fn options(&self, file: &BatchFile) -> Result<Options, CliError> {
        if self.epsilon.is_some() && file.kind != InputKind::Probs {
            return Err(not_applicable(file, "--epsilon", InputKind::Probs));
        }
        let blank = match self.blank {
            Some(BlankArg(blank)) => blank,
            None => Blank::Index(file.blank.unwrap_or(0)),
        };
        let input = match file.kind {
            InputKind::Logits => Input::Logits,
            InputKind::LogProbs => Input::LogProbs,
            InputKind::Probs => Input::Probs {
                epsilon: self.epsilon.unwrap_or(EPSILON),
            },
        };
        let blank_in_labels = match self.blank_in_labels {
            BlankInLabelsArg::Reject => BlankInLabels::Reject,
            BlankInLabelsArg::Allow => BlankInLabels::Allow,
        };
        Ok(Options::default()
            .blank(blank)
            .input(input)
            .blank_in_labels(blank_in_labels))
    }
}

fn not_applicable(file: &BatchFile, flag: &str, required: InputKind) -> CliError {
    let (required, kind) = (required.name(), file.kind.name());
    let reason = format!("{flag} is for {required}, but the file contains {kind}");
    CliError::file(&file.path, reason)
}

/// The options of every command that computes losses.
#[derive(Debug, Args)]
pub(crate) struct BatchArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,

    /// How the losses are reduced to one number; the gradient is that of the reduced number
    ///
    /// w is the weight of an item, L its number of labels, and N the number of items.
    #[arg(long, value_enum, default_value = "none")]
    pub(crate) reduction: ReductionArg,

    /// The loss of an item that has no valid alignment
    #[arg(long, value_enum, default_value = "inf")]
    impossible: ImpossibleArg,

    /// With log_probs: return the exact gradient −γ instead of PyTorch's exp(log_prob) − γ,
    /// where γ are the occupancies
    #[arg(verbatim_doc_comment, long)]
    exact: bool,
}

impl BatchArgs {
    /// Returns the options for this file, or an error if one does not apply to its kind of input.
    pub(crate) fn options(&self, file: &BatchFile) -> Result<Options, CliError> {
        if self.exact && file.kind != InputKind::LogProbs {
            return Err(not_applicable(file, "--exact", InputKind::LogProbs));
        }
        let options = self.input.options(file)?;
        let input = match options.input {
            Input::LogProbs if self.exact => Input::LogProbsExact,
            input => input,
        };
        let impossible = match self.impossible {
            ImpossibleArg::Inf => Impossible::Infinity,
            ImpossibleArg::Zero => Impossible::Zero,
            ImpossibleArg::Error => Impossible::Error,
        };
        Ok(options
            .input(input)
            .reduction(self.reduction.into())
            .impossible(impossible))
    }
}

#[derive(Debug, Clone, Copy)]
struct BlankArg(Blank);

impl FromStr for BlankArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "last" => Ok(Self(Blank::Last)),
            _ => text
                .parse()
                .map(|index| Self(Blank::Index(index)))
                .map_err(|_| "expected a class index or `last`"),
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LayoutArg {
    /// [N, T, C], as in Keras
    Ntc,
    /// [T, N, C], as in PyTorch
    Tnc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReductionArg {
    /// No reduction; the gradient is that of the sum
    None,
    /// Σ w·loss
    Sum,
    /// Σ w·loss / N
    MeanBatch,
    /// Σ w·loss/max(L, 1) / N, as PyTorch's `mean`
    MeanLabel,
    /// Σ w·loss / max(ΣL, 1), as NeMo's `mean_volume`
    MeanVolume,
    /// Σ w·loss / Σw, as Keras's `mean_with_sample_weight`
    MeanWeighted,
}

impl ReductionArg {
    /// Returns the value's name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

impl From<ReductionArg> for Reduction {
    fn from(arg: ReductionArg) -> Self {
        match arg {
            ReductionArg::None => Self::None,
            ReductionArg::Sum => Self::Sum,
            ReductionArg::MeanBatch => Self::MeanBatch,
            ReductionArg::MeanLabel => Self::MeanLabel,
            ReductionArg::MeanVolume => Self::MeanVolume,
            ReductionArg::MeanWeighted => Self::MeanWeighted,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ImpossibleArg {
    /// +inf
    Inf,
    /// 0, as PyTorch's `zero_infinity`
    Zero,
    /// Report an error instead
    Error,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BlankInLabelsArg {
    /// They are an error
    Reject,
    /// They are labels like any other, as in PyTorch
    Allow,
}
