//! Reads a batch from an `.npz` file and checks the names, dtypes and shapes of its arrays.

use std::path::{Path, PathBuf};

use ctc_wgpu::{Batch, Layout};
use indicatif::ProgressBar;

use crate::error::FileError;
use crate::npz::{Array, NpzReader, Values};

/// The kind of input that the file contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// Raw scores.
    Logits,
    /// Log-probabilities.
    LogProbs,
    /// Probabilities.
    Probs,
}

impl InputKind {
    const ALL: [Self; 3] = [Self::Logits, Self::LogProbs, Self::Probs];

    /// Returns the array's name in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::LogProbs => "log_probs",
            Self::Probs => "probs",
        }
    }
}

/// The names of all arrays that are read.
pub const NAMES: [&str; 10] = [
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

/// A batch that was read from a file, with the reference values that the file may contain.
#[derive(Debug)]
pub struct BatchFile {
    /// The path of the file.
    pub path: PathBuf,
    /// The kind of the input.
    pub kind: InputKind,
    /// The input's shape as stored: `[N, T, C]` or `[T, N, C]`.
    pub shape: [usize; 3],
    /// The layout of `shape`, which the file does not state.
    pub layout: Layout,
    /// True if the input was rounded from float64.
    rounded: bool,
    /// The arrays whose names are not in [`NAMES`], for example because of a spelling mistake.
    unread: Vec<String>,
    /// The weights of the items, `[N]`.
    pub weights: Option<Vec<f32>>,
    /// The index of the blank.
    pub blank: Option<u32>,
    /// The losses that another implementation computed in float64, `[N]`.
    pub reference_loss: Option<Vec<f64>>,
    /// The gradient of the summed loss, in the shape of the input.
    pub reference_grad: Option<Vec<f64>>,
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
    /// Reads a batch whose input has this layout, and shows the bytes read in `progress`.
    ///
    /// # Errors
    /// The file cannot be read, or an array in it has a wrong type or shape.
    pub fn read(path: &Path, layout: Layout, progress: ProgressBar) -> Result<Self, FileError> {
        let mut file = Arrays {
            path,
            npz: NpzReader::open(path, progress)?,
            wide_labels: Vec::new(),
        };
        let (kind, input) = file.input()?;
        let [first, second, third] = input.shape[..] else {
            let axes = match layout {
                Layout::TimeMajor => "[T, N, C]",
                _ => "[N, T, C]",
            };
            return Err(file.wrong_shape(kind.name(), &input.shape, axes));
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
                let reason =
                    "the array label_lengths is missing: concatenated labels [ΣL] require it";
                return Err(FileError::new(path, reason));
            }
            (None, None) => Vec::new(),
        };
        file.reject_wide_labels(width.flatten(), &label_lengths)?;
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
            reference_loss: file.reference("loss_f64", &[items])?,
            reference_grad: file.reference("grad_f64", &shape)?,
            values,
            labels,
            label_lengths,
        })
    }

    /// Returns the number of items.
    #[must_use]
    pub fn items(&self) -> usize {
        match self.layout {
            Layout::TimeMajor => self.shape[1],
            _ => self.shape[0],
        }
    }

    /// Returns the number of valid frames of an item.
    #[must_use]
    pub fn frames(&self, item: usize) -> usize {
        let lengths = self.logit_lengths.as_ref();
        let length = lengths.and_then(|lengths| lengths.get(item));
        match (length, self.layout) {
            (Some(length), _) => usize::try_from(*length).unwrap_or(0),
            (None, Layout::TimeMajor) => self.shape[0],
            (None, _) => self.shape[1],
        }
    }

    /// Returns notes for the user about rounded values and ignored arrays.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        let name = self.kind.name();
        let rounded = format!("{name} is float64 and was rounded to float32");
        let unread = |name: &String| {
            format!(
                "the array {name} was ignored: expected {}",
                NAMES.join(", ")
            )
        };
        let unread = self.unread.iter().map(unread);
        self.rounded.then_some(rounded).into_iter().chain(unread)
    }

    /// Returns true if the file contains labels.
    #[must_use]
    pub fn has_labels(&self) -> bool {
        self.labels.is_some()
    }

    /// Returns the batch as the library's type.
    #[must_use]
    pub fn batch(&self) -> Batch<'_> {
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

/// Reads the arrays of one file and checks their dtypes and ranks.
struct Arrays<'a> {
    path: &'a Path,
    npz: NpzReader,
    /// The labels that do not fit into 32 bits, each with its index in the array.
    wide_labels: Vec<(usize, i128)>,
}

impl Arrays<'_> {
    fn wrong_shape(&self, name: &str, shape: &[usize], expected: &str) -> FileError {
        let reason = format!("{name} has shape {shape:?}: expected {expected}");
        FileError::new(self.path, reason)
    }

    fn input(&mut self) -> Result<(InputKind, Array), FileError> {
        let mut found: Option<(InputKind, Array)> = None;
        for kind in InputKind::ALL {
            let Some(array) = self.npz.array(kind.name())? else {
                continue;
            };
            if let Some((first, _)) = found {
                let reason = format!(
                    "contains both {} and {}: expected exactly one of logits, log_probs, probs",
                    first.name(),
                    kind.name()
                );
                return Err(FileError::new(self.path, reason));
            }
            found = Some((kind, array));
        }
        found.ok_or_else(|| {
            FileError::new(
                self.path,
                "contains none of the arrays logits, log_probs, probs: expected exactly one",
            )
        })
    }

    fn floats(&self, name: &str, array: Array) -> Result<Vec<f32>, FileError> {
        match array.values {
            Values::F32(values) => Ok(values),
            Values::F64(values) => Ok(values.into_iter().map(rounded).collect()),
            Values::Int(_) => {
                let reason = format!("{name} is an integer array: expected float32 or float64");
                Err(FileError::new(self.path, reason))
            }
        }
    }

    /// Reads an array of integers of any width.
    fn integers(&mut self, name: &str) -> Result<Option<Integers>, FileError> {
        match self.npz.array(name)? {
            None => Ok(None),
            Some(Array {
                shape,
                values: Values::Int(values),
            }) => Ok(Some((shape, values))),
            Some(Array { values, .. }) => {
                let reason = format!("{name} is {}: expected an integer array", values.kind());
                Err(FileError::new(self.path, reason))
            }
        }
    }

    /// Reads the labels, if the file has any, and the width of a row if they are padded.
    fn labels(
        &mut self,
        items: usize,
        input: &str,
    ) -> Result<Option<(LabelArray, Option<usize>)>, FileError> {
        let Some((shape, values)) = self.integers("labels")? else {
            return Ok(None);
        };
        let narrow = |(at, label): (usize, i128)| {
            i32::try_from(label).unwrap_or_else(|_| {
                self.wide_labels.push((at, label));
                i32::MAX
            })
        };
        let values = values.into_iter().enumerate().map(narrow).collect();
        match shape[..] {
            [_] => Ok(Some((LabelArray::Concatenated(values), None))),
            [rows, width] if rows == items => Ok(Some((LabelArray::Padded(values), Some(width)))),
            [rows, _] => {
                let reason = format!(
                    "labels has {rows} rows, but {input} has {items} items; `--layout` sets the order \
                     of the input's axes"
                );
                Err(FileError::new(self.path, reason))
            }
            _ => Err(self.wrong_shape("labels", &shape, "[N, Lmax] or [ΣL]")),
        }
    }

    fn lengths(&mut self, name: &str) -> Result<Option<Vec<i32>>, FileError> {
        let Some((shape, values)) = self.integers(name)? else {
            return Ok(None);
        };
        if shape.len() != 1 {
            return Err(self.wrong_shape(name, &shape, "[N]"));
        }
        let length = |(item, length): (usize, i128)| {
            i32::try_from(length).map_err(|_| {
                let reason = format!(
                    "item {item}: {name} {length} is out of range: expected 0 ≤ length < 2^31"
                );
                FileError::new(self.path, reason)
            })
        };
        let lengths = values.into_iter().enumerate().map(length);
        lengths.collect::<Result<_, _>>().map(Some)
    }

    /// Rejects labels that do not fit into 32 bits, except in the padding, which may hold any
    /// number. `width` is that of a row of padded labels.
    fn reject_wide_labels(&self, width: Option<usize>, lengths: &[i32]) -> Result<(), FileError> {
        for (at, label) in &self.wide_labels {
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
            return Err(FileError::new(self.path, place + " is not a valid class"));
        }
        Ok(())
    }

    fn weights(&mut self) -> Result<Option<Vec<f32>>, FileError> {
        let Some(array) = self.npz.array("weights")? else {
            return Ok(None);
        };
        if array.shape.len() != 1 {
            return Err(self.wrong_shape("weights", &array.shape, "[N]"));
        }
        if let Values::F64(weights) = &array.values
            && let Some(item) = weights.iter().position(|weight| is_out_of_range(*weight))
        {
            let weight = weights[item];
            let reason = format!("item {item}: weight {weight:e} is outside the range of float32");
            return Err(FileError::new(self.path, reason));
        }
        self.floats("weights", array).map(Some)
    }

    fn blank(&mut self) -> Result<Option<u32>, FileError> {
        let Some((shape, values)) = self.integers("blank")? else {
            return Ok(None);
        };
        let [blank] = values[..] else {
            return Err(self.wrong_shape("blank", &shape, "one number"));
        };
        u32::try_from(blank).map(Some).map_err(|_| {
            FileError::new(
                self.path,
                format!("blank is {blank}: expected the index of a class"),
            )
        })
    }

    fn reference(&mut self, name: &str, shape: &[usize]) -> Result<Option<Vec<f64>>, FileError> {
        let Some(array) = self.npz.array(name)? else {
            return Ok(None);
        };
        if array.shape != shape {
            return Err(self.wrong_shape(name, &array.shape, &format!("{shape:?}")));
        }
        match array.values {
            Values::F64(values) => Ok(Some(values)),
            Values::F32(values) => Ok(Some(values.into_iter().map(f64::from).collect())),
            Values::Int(_) => Err(FileError::new(
                self.path,
                format!("{name} is an integer array: expected float32 or float64"),
            )),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to float32 is intended"
)]
fn rounded(value: f64) -> f32 {
    value as f32
}

/// Returns true if rounding to float32 turns a finite number into an infinity, or a number other
/// than 0 into 0.
fn is_out_of_range(value: f64) -> bool {
    let near = rounded(value);
    value.is_finite() && (near.is_infinite() || near == 0.0 && value != 0.0)
}
