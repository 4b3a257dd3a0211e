//! Checks the arguments of a call and converts them to the library's types.

use std::ffi::{CStr, c_char};
use std::{ptr, slice};

use ctc_wgpu::{
    Batch, Blank, BlankInLabels, Impossible, Input, LabelLayout, Layout, Options, Reduction,
    RepeatedLabels, RepeatedOutputs,
};

use crate::error::CError;
use crate::types::{
    ctcw_batch, ctcw_impossible, ctcw_input, ctcw_label_layout, ctcw_layout, ctcw_options,
    ctcw_reduction,
};

/// Returns the name of an adapter, or an empty string for NULL.
///
/// # Safety
/// `name` is NULL or a NUL-terminated string that outlives the returned reference.
pub(crate) unsafe fn adapter_name<'a>(name: *const c_char) -> Result<&'a str, CError> {
    if name.is_null() {
        return Ok("");
    }
    // SAFETY: `name` is not NULL; the caller guarantees the rest.
    let bytes = unsafe { CStr::from_ptr(name) };
    bytes
        .to_str()
        .map_err(|_| CError::Argument("adapter is not UTF-8".into()))
}

/// Returns an error if a pointer is not aligned. NULL is aligned.
pub(crate) fn check_aligned<T>(name: &str, pointer: *const T) -> Result<(), CError> {
    if pointer.is_aligned() {
        return Ok(());
    }
    let bytes = align_of::<T>();
    Err(CError::Argument(format!(
        "{name} is not aligned to {bytes} bytes"
    )))
}

fn too_large(name: &str, elements: impl std::fmt::Display) -> CError {
    CError::Argument(format!(
        "{name}: {elements} elements exceed the address space, so no memory can hold them"
    ))
}

/// Returns `count` elements at `pointer`, which may have any value if `count` is 0.
///
/// # Safety
/// `pointer` is NULL or valid for reading `count` elements, and nobody writes them while the
/// returned slice is in use.
unsafe fn array<'a, T>(name: &str, pointer: *const T, count: usize) -> Result<&'a [T], CError> {
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(CError::null(name));
    }
    check_aligned(name, pointer)?;
    match count.checked_mul(size_of::<T>()) {
        // SAFETY: `pointer` is aligned and not NULL, and the length is at most `isize::MAX` bytes;
        // the caller guarantees the rest.
        Some(bytes) if isize::try_from(bytes).is_ok() => {
            Ok(unsafe { slice::from_raw_parts(pointer, count) })
        }
        _ => Err(too_large(name, count)),
    }
}

/// Returns an [`array`], or `None` for NULL.
///
/// # Safety
/// As for [`array`].
unsafe fn optional<'a, T>(
    name: &str,
    pointer: *const T,
    count: usize,
) -> Result<Option<&'a [T]>, CError> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller guarantees it.
    unsafe { array(name, pointer, count) }.map(Some)
}

/// A struct that begins with its size and to which later versions of the library may append fields.
///
/// # Safety
/// The type is plain data for which every bit pattern is valid, and its first field is a `usize`.
unsafe trait Versioned: Copy {
    /// The sizes of the struct in all versions, that of this version last. A version that appends
    /// fields adds its own size, and replaces the size of the previous version by `offset_of!` of
    /// the first new field.
    const SIZES: &'static [usize] = &[size_of::<Self>()];
}

// SAFETY: integers and a float follow the size.
unsafe impl Versioned for ctcw_options {}

// SAFETY: integers and pointers follow the size; no pointer is dereferenced before it is checked.
unsafe impl Versioned for ctcw_batch {}

/// Reads a struct whose first field is its size.
///
/// A program of an older version passes fewer bytes, and the missing fields become 0. A program of
/// a newer version passes more bytes, which must be 0. Any other size is an error: a size that ends
/// within a pointer, for example, would combine half of an address with zeros.
///
/// # Safety
/// `source` is NULL or valid for reading as many bytes as its first field states.
unsafe fn read_versioned<T: Versioned>(
    name: &str,
    source: *const T,
    zeros: T,
) -> Result<T, CError> {
    if source.is_null() {
        return Err(CError::null(name));
    }
    check_aligned(name, source)?;
    // SAFETY: `source` is aligned and not NULL, and every version of the struct begins with its
    // size.
    let size = unsafe { source.cast::<usize>().read() };
    let current = size_of::<T>();
    // A later version has a size that is a multiple of the alignment. The upper bound rejects the
    // size of a struct that was never initialised.
    let later = size > current && size <= 4096 && size.is_multiple_of(align_of::<T>());
    if !T::SIZES.contains(&size) && !later {
        return Err(CError::Argument(format!(
            "{name}: size = {size} is not the size of any version of the struct: set it to \
             sizeof(ctcw_{name}), which is {current} in this version"
        )));
    }
    let known = size.min(current);
    // SAFETY: the caller guarantees that `size` bytes are readable.
    let bytes = unsafe { slice::from_raw_parts(source.cast::<u8>(), size) };
    if bytes[known..].iter().any(|byte| *byte != 0) {
        return Err(CError::Argument(format!(
            "{name} sets fields that this version of the library does not support"
        )));
    }
    let mut value = zeros;
    // SAFETY: both sides are at least `known` bytes long and do not overlap, and every bit pattern
    // is a valid `T`.
    unsafe {
        ptr::copy_nonoverlapping(bytes.as_ptr(), ptr::from_mut(&mut value).cast(), known);
    }
    Ok(value)
}

/// Reads the options; NULL stands for the defaults.
///
/// # Safety
/// `source` is NULL or valid for reading as many bytes as its first field states.
pub(crate) unsafe fn read_options(source: *const ctcw_options) -> Result<Options, CError> {
    let zeros = ctcw_options {
        size: size_of::<ctcw_options>(),
        blank: 0,
        input: 0,
        epsilon: 0.0,
        reduction: 0,
        impossible: 0,
        blank_in_labels: 0,
        collapse_labels: 0,
        distinct_outputs: 0,
    };
    if source.is_null() {
        return convert_options(&zeros);
    }
    // SAFETY: the caller guarantees it.
    convert_options(&unsafe { read_versioned("options", source, zeros) }?)
}

/// Reads the struct of a batch, whose arrays are not checked yet.
///
/// # Safety
/// `source` is NULL or valid for reading as many bytes as its first field states.
pub(crate) unsafe fn read_batch(source: *const ctcw_batch) -> Result<ctcw_batch, CError> {
    let zeros = ctcw_batch {
        size: size_of::<ctcw_batch>(),
        items: 0,
        frames: 0,
        classes: 0,
        layout: 0,
        label_layout: 0,
        logits: ptr::null(),
        labels: ptr::null(),
        label_count: 0,
        label_lengths: ptr::null(),
        logit_lengths: ptr::null(),
        weights: ptr::null(),
    };
    // SAFETY: the caller guarantees it.
    unsafe { read_versioned("batch", source, zeros) }
}

/// Converts a batch to the library's type.
///
/// # Safety
/// The arrays of `batch` are valid for reading as many elements as its other fields state, and
/// nobody writes them while the returned batch is in use.
pub(crate) unsafe fn convert_batch<'a>(batch: &ctcw_batch) -> Result<Batch<'a>, CError> {
    let ctcw_batch {
        items,
        frames,
        classes,
        ..
    } = *batch;
    let count = items
        .checked_mul(frames)
        .and_then(|rows| rows.checked_mul(classes))
        .ok_or_else(|| too_large("logits", format_args!("{items} * {frames} * {classes}")))?;
    // SAFETY: the caller guarantees it for each array.
    let (logits, labels, label_lengths, logit_lengths, weights) = unsafe {
        (
            array("logits", batch.logits, count)?,
            array("labels", batch.labels, batch.label_count)?,
            array("label_lengths", batch.label_lengths, items)?,
            optional("logit_lengths", batch.logit_lengths, items)?,
            optional("weights", batch.weights, items)?,
        )
    };
    let converted = match layout(batch)? {
        Layout::TimeMajor => Batch::time_major([frames, items, classes], logits),
        _ => Batch::new([items, frames, classes], logits),
    };
    let mut converted = match label_layout(batch)? {
        LabelLayout::Concatenated => converted.labels_concatenated(labels, label_lengths),
        _ => converted.labels(labels, label_lengths),
    };
    if let Some(lengths) = logit_lengths {
        converted = converted.logit_lengths(lengths);
    }
    if let Some(weights) = weights {
        converted = converted.weights(weights);
    }
    Ok(converted)
}

pub(crate) fn layout(batch: &ctcw_batch) -> Result<Layout, CError> {
    use ctcw_layout::{CTCW_LAYOUT_BATCH_MAJOR, CTCW_LAYOUT_TIME_MAJOR};
    match batch.layout {
        x if x == CTCW_LAYOUT_BATCH_MAJOR as i32 => Ok(Layout::BatchMajor),
        x if x == CTCW_LAYOUT_TIME_MAJOR as i32 => Ok(Layout::TimeMajor),
        x => Err(CError::value("layout", x)),
    }
}

pub(crate) fn label_layout(batch: &ctcw_batch) -> Result<LabelLayout, CError> {
    use ctcw_label_layout::{CTCW_LABELS_CONCATENATED, CTCW_LABELS_PADDED};
    match batch.label_layout {
        x if x == CTCW_LABELS_PADDED as i32 => Ok(LabelLayout::Padded),
        x if x == CTCW_LABELS_CONCATENATED as i32 => Ok(LabelLayout::Concatenated),
        x => Err(CError::value("label_layout", x)),
    }
}

fn convert_options(options: &ctcw_options) -> Result<Options, CError> {
    use ctcw_impossible::{CTCW_IMPOSSIBLE_ERROR, CTCW_IMPOSSIBLE_INFINITY, CTCW_IMPOSSIBLE_ZERO};
    use ctcw_input::{
        CTCW_INPUT_LOG_PROBS, CTCW_INPUT_LOG_PROBS_EXACT, CTCW_INPUT_LOGITS, CTCW_INPUT_PROBS,
    };
    use ctcw_reduction::{
        CTCW_REDUCTION_MEAN_BATCH, CTCW_REDUCTION_MEAN_LABEL, CTCW_REDUCTION_MEAN_VOLUME,
        CTCW_REDUCTION_MEAN_WEIGHTED, CTCW_REDUCTION_NONE, CTCW_REDUCTION_SUM,
    };
    let blank = match options.blank {
        -1 => Blank::Last,
        blank => Blank::Index(u32::try_from(blank).map_err(|_| CError::value("blank", blank))?),
    };
    let input = match options.input {
        x if x == CTCW_INPUT_LOGITS as i32 => Input::Logits,
        x if x == CTCW_INPUT_LOG_PROBS as i32 => Input::LogProbs,
        x if x == CTCW_INPUT_LOG_PROBS_EXACT as i32 => Input::LogProbsExact,
        x if x == CTCW_INPUT_PROBS as i32 => Input::Probs {
            epsilon: options.epsilon,
        },
        x => return Err(CError::value("input", x)),
    };
    let reduction = match options.reduction {
        x if x == CTCW_REDUCTION_NONE as i32 => Reduction::None,
        x if x == CTCW_REDUCTION_SUM as i32 => Reduction::Sum,
        x if x == CTCW_REDUCTION_MEAN_BATCH as i32 => Reduction::MeanBatch,
        x if x == CTCW_REDUCTION_MEAN_LABEL as i32 => Reduction::MeanLabel,
        x if x == CTCW_REDUCTION_MEAN_VOLUME as i32 => Reduction::MeanVolume,
        x if x == CTCW_REDUCTION_MEAN_WEIGHTED as i32 => Reduction::MeanWeighted,
        x => return Err(CError::value("reduction", x)),
    };
    let impossible = match options.impossible {
        x if x == CTCW_IMPOSSIBLE_INFINITY as i32 => Impossible::Infinity,
        x if x == CTCW_IMPOSSIBLE_ZERO as i32 => Impossible::Zero,
        x if x == CTCW_IMPOSSIBLE_ERROR as i32 => Impossible::Error,
        x => return Err(CError::value("impossible", x)),
    };
    let flag = |name, value| match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(CError::value(name, value)),
    };
    let blank_in_labels = flag("blank_in_labels", options.blank_in_labels)?;
    let collapse_labels = flag("collapse_labels", options.collapse_labels)?;
    let distinct_outputs = flag("distinct_outputs", options.distinct_outputs)?;
    Ok(Options::default()
        .blank(blank)
        .input(input)
        .reduction(reduction)
        .impossible(impossible)
        .blank_in_labels(match blank_in_labels {
            false => BlankInLabels::Reject,
            true => BlankInLabels::Allow,
        })
        .repeated_labels(match collapse_labels {
            false => RepeatedLabels::Keep,
            true => RepeatedLabels::Collapse,
        })
        .repeated_outputs(match distinct_outputs {
            false => RepeatedOutputs::Merge,
            true => RepeatedOutputs::Distinct,
        }))
}
