//! What C hands in, checked once and made what the library takes.

use std::ffi::{CStr, c_char};
use std::{ptr, slice};

use ctc_wgpu::{
    Batch, Blank, BlankInLabels, Impossible, Input, LabelLayout, Layout, Options, Reduction,
    RepeatedLabels, RepeatedOutputs,
};

use crate::fault::Fault;
use crate::types::{
    ctcw_batch, ctcw_impossible, ctcw_input, ctcw_labels, ctcw_layout, ctcw_options, ctcw_reduction,
};

/// A string, empty for NULL.
///
/// # Safety
/// `string` is NULL or ends with a zero byte, and lives as long as the answer is used.
pub(crate) unsafe fn text<'a>(string: *const c_char) -> Result<&'a str, Fault> {
    if string.is_null() {
        return Ok("");
    }
    // SAFETY: it is not NULL, and the caller's promise.
    let bytes = unsafe { CStr::from_ptr(string) };
    bytes
        .to_str()
        .map_err(|_| Fault::Argument("adapter is not UTF-8".into()))
}

/// A pointer that may be NULL is aligned.
pub(crate) fn aligned<T>(name: &str, pointer: *const T) -> Result<(), Fault> {
    if pointer.is_aligned() {
        return Ok(());
    }
    let bytes = align_of::<T>();
    Err(Fault::Argument(format!(
        "{name} is not aligned to {bytes} bytes"
    )))
}

/// An array; of no elements, whatever the pointer.
///
/// # Safety
/// `pointer` is NULL, or may be read for `count` elements, which nobody writes while the answer is used.
unsafe fn array<'a, T>(name: &str, pointer: *const T, count: usize) -> Result<&'a [T], Fault> {
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Fault::null(name));
    }
    aligned(name, pointer)?;
    match count.checked_mul(size_of::<T>()) {
        // SAFETY: not NULL, aligned, no longer than an object can be, and the caller's promise.
        Some(bytes) if isize::try_from(bytes).is_ok() => {
            Ok(unsafe { slice::from_raw_parts(pointer, count) })
        }
        _ => Err(Fault::Argument(format!(
            "{name}: {count} elements are more than memory has"
        ))),
    }
}

/// [`array`], or `None` for NULL.
///
/// # Safety
/// As [`array`].
unsafe fn optional<'a, T>(
    name: &str,
    pointer: *const T,
    count: usize,
) -> Result<Option<&'a [T]>, Fault> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    unsafe { array(name, pointer, count) }.map(Some)
}

/// A struct that later versions of the library may append fields to.
///
/// # Safety
/// It is plain data, of which any bytes are a value, with a `usize` for its size first.
unsafe trait Versioned: Copy {
    /// The sizes that it has had, that of this version last. A version that appends fields adds its own and writes the one
    /// before as `offset_of!` the first of them.
    const ENDS: &'static [usize] = &[size_of::<Self>()];
}

// SAFETY: integers and a float after the size.
unsafe impl Versioned for ctcw_options {}

// SAFETY: sizes and pointers after the size; pointers are not followed before they are checked.
unsafe impl Versioned for ctcw_batch {}

/// A struct whose first field is its size: of an older program it has fewer bytes, and zeros for the rest; of a newer one
/// more, which must be zeros. A size within a field is of no version: half a pointer would be taken for a whole one.
///
/// # Safety
/// `given` is NULL, or points to as many bytes as its size says.
unsafe fn sized<T: Versioned>(name: &str, given: *const T, zeros: T) -> Result<T, Fault> {
    if given.is_null() {
        return Err(Fault::null(name));
    }
    aligned(name, given)?;
    // SAFETY: not NULL and aligned; a struct of any version begins with its size.
    let size = unsafe { given.cast::<usize>().read() };
    let whole = size_of::<T>();
    // A later version ends at a multiple of the alignment; none will ever have so many fields, but memory that nobody has
    // set may say so.
    let later = size > whole && size <= 4096 && size.is_multiple_of(align_of::<T>());
    if !T::ENDS.contains(&size) && !later {
        return Err(Fault::Argument(format!(
            "{name}: no version of the struct had size = {size}: set it to sizeof(ctcw_{name}), which is {whole} in \
             this version"
        )));
    }
    let known = size.min(whole);
    // SAFETY: the caller lets `size` bytes be read.
    let bytes = unsafe { slice::from_raw_parts(given.cast::<u8>(), size) };
    if bytes[known..].iter().any(|byte| *byte != 0) {
        return Err(Fault::Argument(format!(
            "{name} has fields that this version of the library does not know"
        )));
    }
    let mut whole = zeros;
    // SAFETY: `known` bytes are within both, which do not overlap; any bytes are a value of plain data.
    unsafe {
        ptr::copy_nonoverlapping(bytes.as_ptr(), ptr::from_mut(&mut whole).cast(), known);
    }
    Ok(whole)
}

/// The options, whole; the defaults for NULL.
///
/// # Safety
/// `given` is NULL, or points to as many bytes as its size says.
pub(crate) unsafe fn options(given: *const ctcw_options) -> Result<ctcw_options, Fault> {
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
        layout: 0,
        labels: 0,
    };
    if given.is_null() {
        return Ok(zeros);
    }
    // SAFETY: the caller's promise.
    unsafe { sized("options", given, zeros) }
}

/// The batch as the library takes it, and its number of items.
///
/// # Safety
/// `given` is NULL, or points to as many bytes as its size says, and its arrays have the elements that its numbers say,
/// which nobody writes while the answer is used.
pub(crate) unsafe fn batch<'a>(
    given: *const ctcw_batch,
    options: &ctcw_options,
) -> Result<(Batch<'a>, usize), Fault> {
    let zeros = ctcw_batch {
        size: size_of::<ctcw_batch>(),
        items: 0,
        frames: 0,
        classes: 0,
        logits: ptr::null(),
        labels: ptr::null(),
        label_count: 0,
        label_lengths: ptr::null(),
        logit_lengths: ptr::null(),
        weights: ptr::null(),
    };
    // SAFETY: the caller's promise.
    let given = unsafe { sized("batch", given, zeros) }?;
    let ctcw_batch {
        items,
        frames,
        classes,
        ..
    } = given;
    let count = items
        .checked_mul(frames)
        .and_then(|rows| rows.checked_mul(classes))
        .ok_or_else(|| {
            Fault::Argument(format!(
                "logits: {items} * {frames} * {classes} elements are more than memory has"
            ))
        })?;
    // SAFETY: the caller's promise, for each.
    let (logits, labels, label_lengths, logit_lengths, weights) = unsafe {
        (
            array("logits", given.logits, count)?,
            array("labels", given.labels, given.label_count)?,
            array("label_lengths", given.label_lengths, items)?,
            optional("logit_lengths", given.logit_lengths, items)?,
            optional("weights", given.weights, items)?,
        )
    };
    let (layout, label_layout) = layouts(options)?;
    let batch = match layout {
        Layout::BatchMajor => Batch::new([items, frames, classes], logits),
        Layout::TimeMajor => Batch::time_major([frames, items, classes], logits),
        _ => return Err(Fault::value("layout", options.layout)),
    };
    let mut batch = match label_layout {
        LabelLayout::Padded => batch.labels(labels, label_lengths),
        LabelLayout::Concatenated => batch.labels_concatenated(labels, label_lengths),
        _ => return Err(Fault::value("labels", options.labels)),
    };
    if let Some(lengths) = logit_lengths {
        batch = batch.logit_lengths(lengths);
    }
    if let Some(weights) = weights {
        batch = batch.weights(weights);
    }
    Ok((batch, items))
}

/// Of the options what tells how arrays lie.
pub(crate) fn layouts(options: &ctcw_options) -> Result<(Layout, LabelLayout), Fault> {
    use ctcw_labels::{CTCW_LABELS_CONCATENATED, CTCW_LABELS_PADDED};
    use ctcw_layout::{CTCW_LAYOUT_BATCH_MAJOR, CTCW_LAYOUT_TIME_MAJOR};
    let layout = match options.layout {
        x if x == CTCW_LAYOUT_BATCH_MAJOR as i32 => Layout::BatchMajor,
        x if x == CTCW_LAYOUT_TIME_MAJOR as i32 => Layout::TimeMajor,
        x => return Err(Fault::value("layout", x)),
    };
    let labels = match options.labels {
        x if x == CTCW_LABELS_PADDED as i32 => LabelLayout::Padded,
        x if x == CTCW_LABELS_CONCATENATED as i32 => LabelLayout::Concatenated,
        x => return Err(Fault::value("labels", x)),
    };
    Ok((layout, labels))
}

/// Of the options what tells what the loss means.
pub(crate) fn meaning(options: &ctcw_options) -> Result<Options, Fault> {
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
        blank => Blank::Index(u32::try_from(blank).map_err(|_| Fault::value("blank", blank))?),
    };
    let input = match options.input {
        x if x == CTCW_INPUT_LOGITS as i32 => Input::Logits,
        x if x == CTCW_INPUT_LOG_PROBS as i32 => Input::LogProbs,
        x if x == CTCW_INPUT_LOG_PROBS_EXACT as i32 => Input::LogProbsExact,
        x if x == CTCW_INPUT_PROBS as i32 => Input::Probs {
            epsilon: options.epsilon,
        },
        x => return Err(Fault::value("input", x)),
    };
    let reduction = match options.reduction {
        x if x == CTCW_REDUCTION_NONE as i32 => Reduction::None,
        x if x == CTCW_REDUCTION_SUM as i32 => Reduction::Sum,
        x if x == CTCW_REDUCTION_MEAN_BATCH as i32 => Reduction::MeanBatch,
        x if x == CTCW_REDUCTION_MEAN_LABEL as i32 => Reduction::MeanLabel,
        x if x == CTCW_REDUCTION_MEAN_VOLUME as i32 => Reduction::MeanVolume,
        x if x == CTCW_REDUCTION_MEAN_WEIGHTED as i32 => Reduction::MeanWeighted,
        x => return Err(Fault::value("reduction", x)),
    };
    let impossible = match options.impossible {
        x if x == CTCW_IMPOSSIBLE_INFINITY as i32 => Impossible::Infinity,
        x if x == CTCW_IMPOSSIBLE_ZERO as i32 => Impossible::Zero,
        x if x == CTCW_IMPOSSIBLE_ERROR as i32 => Impossible::Error,
        x => return Err(Fault::value("impossible", x)),
    };
    let [blank_in_labels, collapse, distinct] = [
        ("blank_in_labels", options.blank_in_labels),
        ("collapse_labels", options.collapse_labels),
        ("distinct_outputs", options.distinct_outputs),
    ]
    .map(|(name, value)| match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Fault::value(name, value)),
    });
    Ok(Options::default()
        .blank(blank)
        .input(input)
        .reduction(reduction)
        .impossible(impossible)
        .blank_in_labels(match blank_in_labels? {
            false => BlankInLabels::Reject,
            true => BlankInLabels::Allow,
        })
        .repeated_labels(match collapse? {
            false => RepeatedLabels::Keep,
            true => RepeatedLabels::Collapse,
        })
        .repeated_outputs(match distinct? {
            false => RepeatedOutputs::Merge,
            true => RepeatedOutputs::Distinct,
        }))
}
