//! The flags that say what a batch means, shared by the subcommands.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use ctc_wgpu::{Blank, BlankInLabels, Impossible, Input, Layout, Options, Reduction};

use crate::batch_file::{BatchFile, InputKind};
use crate::fault::Fault;

/// ε of `--epsilon` where it is not given: Keras's.
const EPSILON: f32 = 1e-7;

/// What the input is: what every subcommand that takes a batch asks for.
#[derive(Debug, Args)]
pub(crate) struct InputArgs {
    /// The batch: one of logits, log_probs, probs; labels (to `decode` they are no need); and where they are needed
    /// logit_lengths, label_lengths, weights and blank
    #[arg(value_name = "BATCH.npz")]
    pub(crate) file: PathBuf,

    /// The blank's class: an index, or `last` [default: the file's, else 0]
    #[arg(long, value_name = "K|last")]
    blank: Option<BlankArg>,

    /// The order of the input's axes
    #[arg(long, value_enum, default_value = "ntc")]
    layout: LayoutArg,

    /// Whether the blank may stand among the labels
    #[arg(long, value_enum, default_value = "reject")]
    blank_in_labels: BlankInLabelsArg,

    /// With probs: what is added to each before the logarithm [default: 1e-7]
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

    /// The options for this file, or the flag that does not go with what it holds.
    pub(crate) fn options(&self, file: &BatchFile) -> Result<Options, Fault> {
        if self.epsilon.is_some() && file.kind != InputKind::Probs {
            return Err(misplaced(file, "--epsilon", InputKind::Probs));
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

fn misplaced(file: &BatchFile, flag: &str, wanted: InputKind) -> Fault {
    let (wanted, kind) = (wanted.name(), file.kind.name());
    let reason = format!("{flag} is for {wanted}, but this holds {kind}");
    Fault::file(&file.path, reason)
}

/// What a loss means, beside the input.
#[derive(Debug, Args)]
pub(crate) struct BatchArgs {
    #[command(flatten)]
    pub(crate) input: InputArgs,

    /// How the losses become one number, of which the gradient is taken
    #[arg(long, value_enum, default_value = "none")]
    pub(crate) reduction: ReductionArg,

    /// What an item without an alignment gets: an infinite loss, a loss of 0, or an error
    #[arg(long, value_enum, default_value = "inf")]
    impossible: ImpossibleArg,

    /// With log_probs: the true derivative −γ, not PyTorch's exp(lp) − γ
    #[arg(long)]
    exact: bool,
}

impl BatchArgs {
    /// The options for this file, or the flag that does not go with what it holds.
    pub(crate) fn options(&self, file: &BatchFile) -> Result<Options, Fault> {
        if self.exact && file.kind != InputKind::LogProbs {
            return Err(misplaced(file, "--exact", InputKind::LogProbs));
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
                .map_err(|_| "an index or `last` is needed"),
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LayoutArg {
    /// [N, T, C]: Keras
    Ntc,
    /// [T, N, C]: PyTorch
    Tnc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReductionArg {
    /// No number; the gradient is that of the sum
    None,
    /// Σ w·loss
    Sum,
    /// Σ w·loss / N
    MeanBatch,
    /// Σ w·loss/max(L, 1) / N: PyTorch
    MeanLabel,
    /// Σ w·loss / ΣL
    MeanVolume,
    /// Σ w·loss / Σw: Keras
    MeanWeighted,
}

impl ReductionArg {
    /// The value as it is typed.
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
    Inf,
    Zero,
    Error,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BlankInLabelsArg {
    Reject,
    Allow,
}
