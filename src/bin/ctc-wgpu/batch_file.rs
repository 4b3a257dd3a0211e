//! A batch as it lies in an `.npz` file: which arrays there are, and what they must be.

use std::path::{Path, PathBuf};

use ctc_wgpu::{Batch, Layout};
use indicatif::ProgressBar;

use crate::fault::Fault;
use crate::npz::{Array, NpzReader, Values};

/// Which of the three inputs the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputKind {
    Logits,
    LogProbs,
    Probs,
}

impl InputKind {
    const ALL: [Self; 3] = [Self::Logits, Self::LogProbs, Self::Probs];

    /// The array's name in the file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::LogProbs => "log_probs",
            Self::Probs => "probs",
        }
    }
}

/// All arrays that are read.
pub(crate) const NAMES: [&str; 10] = [
    "logits",
    "log_probs",
    "probs",
    "labels",
    "label_lengths",
    "logit_lengths",
    "weights",
    "blank",
    "loss_f64",
    "grad_f64",
];

/// A batch read from a file, with the truth that the file may carry.
#[derive(Debug)]
pub(crate) struct BatchFile {
    pub(crate) path: PathBuf,
    pub(crate) kind: InputKind,
    /// The input's shape as stored: `[N, T, C]` or `[T, N, C]`.
    pub(crate) shape: [usize; 3],
    pub(crate) layout: Layout,
    /// Whether the input was rounded from float64.
    rounded: bool,
    /// The arrays that have no name of [`NAMES`], such as a misspelled one.
    unread: Vec<String>,
    pub(crate) weights: Option<Vec<f32>>,
    pub(crate) blank: Option<u32>,
    /// The losses that another implementation found in float64, `[N]`.
    pub(crate) true_loss: Option<Vec<f64>>,
    /// The gradient of the summed loss, shaped as the input.
    pub(crate) true_grad: Option<Vec<f64>>,
    values: Vec<f32>,
    labels: Option<LabelArray>,
    label_lengths: Vec<i32>,
    logit_lengths: Option<Vec<i32>>,
}

#[derive(Debug)]
enum LabelArray {
    Padded(Vec<i32>),
    Concatenated(Vec<i32>),
}

impl BatchFile {
    pub(crate) fn read(path: &Path, layout: Layout, progress: ProgressBar) -> Result<Self, Fault> {
        let mut file = Arrays {
            path,
            npz: NpzReader::open(path, progress)?,
            wide: Vec::new(),
        };
        let (kind, input) = file.input()?;
        let [first, second, third] = input.shape[..] else {
            let axes = match layout {
                Layout::TimeMajor => "[T, N, C]",
                _ => "[N, T, C]",
            };
            return Err(file.wrong(kind.name(), &input, axes));
        };
        let shape = [first, second, third];
        let items = match layout {
            Layout::TimeMajor => second,
            _ => first,
        };
        let rounded = matches!(input.values, Values::F64(_));
        let values = file.floats(kind.name(), input)?;
        let (labels, width) = file.labels(items, kind.name())?.unzip();
        let label_lengths = match (file.lengths("label_lengths")?, width) {
            (Some(lengths), _) => lengths,
            (None, Some(Some(width))) => vec![i32::try_from(width).unwrap_or(i32::MAX); items],
            (None, Some(None)) => {
                let reason = "label_lengths is missing: labels of rank 1 are cut by it";
                return Err(Fault::file(path, reason));
            }
            (None, None) => Vec::new(),
        };
        file.refuse_wide(width.flatten(), &label_lengths)?;
        let known = |name: &String| NAMES.contains(&name.as_str());
        let unread = file.npz.names().filter(|name| !known(name)).collect();
        Ok(Self {
            path: path.to_owned(),
            kind,
            shape,
            layout,
            rounded,
            unread,
            logit_lengths: file.lengths("logit_lengths")?,
            weights: file.weights()?,
            blank: file.blank()?,
            true_loss: file.truth("loss_f64", &[items])?,
            true_grad: file.truth("grad_f64", &shape)?,
            values,
            labels,
            label_lengths,
        })
    }

    pub(crate) fn items(&self) -> usize {
        match self.layout {
            Layout::TimeMajor => self.shape[1],
            _ => self.shape[0],
        }
    }

    /// How many frames of an item count, as the file says.
    pub(crate) fn frames(&self, item: usize) -> usize {
        let lengths = self.logit_lengths.as_ref();
        let length = lengths.and_then(|lengths| lengths.get(item));
        match (length, self.layout) {
            (Some(length), _) => usize::try_from(*length).unwrap_or(0),
            (None, Layout::TimeMajor) => self.shape[0],
            (None, _) => self.shape[1],
        }
    }

    /// What a user should know of the file beside the results.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        let name = self.kind.name();
        let rounded = format!("{name} is float64 and is rounded to float32");
        let unread =
            |name: &String| format!("the array {name} is not read: {} are", NAMES.join(", "));
        let unread = self.unread.iter().map(unread);
        self.rounded.then_some(rounded).into_iter().chain(unread)
    }

    pub(crate) fn has_labels(&self) -> bool {
        self.labels.is_some()
    }

    /// The batch as the library takes it.
    pub(crate) fn batch(&self) -> Batch<'_> {
        let batch = match self.layout {
            Layout::TimeMajor => Batch::time_major(self.shape, &self.values),
            _ => Batch::new(self.shape, &self.values),
        };
        let batch = match &self.labels {
            Some(LabelArray::Padded(labels)) => batch.labels(labels, &self.label_lengths),
            Some(LabelArray::Concatenated(labels)) => {
                batch.labels_concatenated(labels, &self.label_lengths)
            }
            None => batch,
        };
        let batch = match &self.logit_lengths {
            Some(lengths) => batch.logit_lengths(lengths),
            None => batch,
        };
        match &self.weights {
            Some(weights) => batch.weights(weights),
            None => batch,
        }
    }
}

/// An array of integers: its shape and its elements.
type Integers = (Vec<usize>, Vec<i128>);

/// The arrays of one file, each with the check of its dtype and rank.
struct Arrays<'a> {
    path: &'a Path,
    npz: NpzReader,
    /// The labels that 32 bits do not hold, and where each stands in the array.
    wide: Vec<(usize, i128)>,
}

impl Arrays<'_> {
    fn wrong(&self, name: &str, array: &Array, needed: &str) -> Fault {
        let reason = format!("{name} has shape {:?}; {needed} is needed", array.shape);
        Fault::file(self.path, reason)
    }

    fn input(&mut self) -> Result<(InputKind, Array), Fault> {
        let mut found: Option<(InputKind, Array)> = None;
        for kind in InputKind::ALL {
            let Some(array) = self.npz.array(kind.name())? else {
                continue;
            };
            if let Some((first, _)) = found {
                let reason = format!(
                    "has both {} and {}: which is the input?",
                    first.name(),
                    kind.name()
                );
                return Err(Fault::file(self.path, reason));
            }
            found = Some((kind, array));
        }
        found.ok_or_else(|| {
            Fault::file(
                self.path,
                "one of the arrays logits, log_probs, probs is needed; it has none",
            )
        })
    }

    fn floats(&self, name: &str, array: Array) -> Result<Vec<f32>, Fault> {
        match array.values {
            Values::F32(values) => Ok(values),
            Values::F64(values) => Ok(values.into_iter().map(rounded).collect()),
            Values::Int(_) => {
                let reason = format!(
                    "{name} is of integers; float32 (or float64, which is rounded) is needed"
                );
                Err(Fault::file(self.path, reason))
            }
        }
    }

    /// An array of integers of any width.
    fn integers(&mut self, name: &str) -> Result<Option<Integers>, Fault> {
        match self.npz.array(name)? {
            None => Ok(None),
            Some(Array {
                shape,
                values: Values::Int(values),
            }) => Ok(Some((shape, values))),
            Some(Array { values, .. }) => {
                let reason = format!("{name} is {}; an integer type is needed", values.kind());
                Err(Fault::file(self.path, reason))
            }
        }
    }

    /// The labels, if the file has any, and the width of a row where they are padded.
    fn labels(
        &mut self,
        items: usize,
        input: &str,
    ) -> Result<Option<(LabelArray, Option<usize>)>, Fault> {
        let Some((shape, values)) = self.integers("labels")? else {
            return Ok(None);
        };
        let narrow = |(at, label): (usize, i128)| {
            i32::try_from(label).unwrap_or_else(|_| {
                self.wide.push((at, label));
                i32::MAX
            })
        };
        let values = values.into_iter().enumerate().map(narrow).collect();
        match shape[..] {
            [_] => Ok(Some((LabelArray::Concatenated(values), None))),
            [rows, width] if rows == items => Ok(Some((LabelArray::Padded(values), Some(width)))),
            [rows, _] => {
                let reason = format!(
                    "labels has {rows} rows, but {input} has {items} items (see `--layout`)"
                );
                Err(Fault::file(self.path, reason))
            }
            _ => {
                let reason = format!("labels has shape {shape:?}; [N, Lmax] or [ΣL] is needed");
                Err(Fault::file(self.path, reason))
            }
        }
    }

    fn lengths(&mut self, name: &str) -> Result<Option<Vec<i32>>, Fault> {
        let Some((shape, values)) = self.integers(name)? else {
            return Ok(None);
        };
        if shape.len() != 1 {
            let reason = format!("{name} has shape {shape:?}; [N] is needed");
            return Err(Fault::file(self.path, reason));
        }
        let length = |(item, length): (usize, i128)| {
            i32::try_from(length).map_err(|_| {
                let reason = format!("{name} is {length} for item {item}: must be below 2^31");
                Fault::file(self.path, reason)
            })
        };
        let lengths = values.into_iter().enumerate().map(length);
        lengths.collect::<Result<_, _>>().map(Some)
    }

    /// Padding may be any number, a label that counts may not. `width` is that of a row of padded labels.
    fn refuse_wide(&self, width: Option<usize>, lengths: &[i32]) -> Result<(), Fault> {
        for (at, label) in &self.wide {
            let place = match width {
                None => format!("label {label} at element {at} of labels"),
                Some(width) => {
                    let (item, position) = (at / width, at % width);
                    let length = lengths.get(item).copied().unwrap_or(0);
                    if usize::try_from(length).unwrap_or(0) <= position {
                        continue;
                    }
                    format!("item {item}: label {label} at position {position}")
                }
            };
            return Err(Fault::file(self.path, place + " is no class"));
        }
        Ok(())
    }

    fn weights(&mut self) -> Result<Option<Vec<f32>>, Fault> {
        let Some(array) = self.npz.array("weights")? else {
            return Ok(None);
        };
        if array.shape.len() != 1 {
            return Err(self.wrong("weights", &array, "[N]"));
        }
        if let Values::F64(weights) = &array.values
            && let Some(item) = weights.iter().position(|weight| is_lost(*weight))
        {
            let weight = weights[item];
            let reason = format!("item {item}: weight {weight:e} is out of the range of float32");
            return Err(Fault::file(self.path, reason));
        }
        self.floats("weights", array).map(Some)
    }

    fn blank(&mut self) -> Result<Option<u32>, Fault> {
        let Some((shape, values)) = self.integers("blank")? else {
            return Ok(None);
        };
        let [blank] = values[..] else {
            let reason = format!("blank has shape {shape:?}; one number is needed");
            return Err(Fault::file(self.path, reason));
        };
        u32::try_from(blank).map(Some).map_err(|_| {
            Fault::file(
                self.path,
                format!("blank is {blank}; the index of a class is needed"),
            )
        })
    }

    fn truth(&mut self, name: &str, shape: &[usize]) -> Result<Option<Vec<f64>>, Fault> {
        let Some(array) = self.npz.array(name)? else {
            return Ok(None);
        };
        if array.shape != shape {
            return Err(self.wrong(name, &array, &format!("{shape:?}")));
        }
        match array.values {
            Values::F64(values) => Ok(Some(values)),
            Values::F32(values) => Ok(Some(values.into_iter().map(f64::from).collect())),
            Values::Int(_) => Err(Fault::file(
                self.path,
                format!("{name} is of integers; float64 is needed"),
            )),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to float32 is what is asked for"
)]
fn rounded(value: f64) -> f32 {
    value as f32
}

/// Whether rounding to float32 makes 0 or an infinity of a number.
fn is_lost(value: f64) -> bool {
    let near = rounded(value);
    value.is_finite() && (near.is_infinite() || near == 0.0 && value != 0.0)
}
