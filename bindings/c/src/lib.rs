//! The C ABI of ctc-wgpu. `include/ctc_wgpu.h` is generated from this crate and documents it for C;
//! the README shows a complete program.
//!
//! Rules of the interface: every pointer and size that can be checked is checked. An error is a
//! [`ctcw_result`] and a message for the calling thread. A panic becomes a result and never unwinds
//! into C. A call that fails writes no output.
#![allow(
    unsafe_code,
    reason = "C passes pointers; the argument for each use stands beside it"
)]
#![allow(non_camel_case_types, reason = "the names are those of the C header")]

mod error;
mod input;
mod types;

use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ctc_wgpu::{
    Backend, BatchShape, CacheLimits, Ctc, LossAndGradOutput, LossOutput, Plan, Reduction, Task,
};

use error::{CError, guard, message};
use types::describe;
pub use types::*;

/// A GPU or the CPU backend, with its compiled kernels and the memory for recent batch shapes.
/// Threads may share a context.
pub struct ctcw_context {
    ctc: Ctc,
    /// For `ctcw_backend_name`.
    name: CString,
    /// Outputs of earlier calls, whose memory is reused. Only `try_lock` is used: in a forked
    /// process the lock may be held by a thread that exists only in the parent.
    outputs: Mutex<Vec<LossAndGradOutput>>,
    /// The maximum length of `outputs`.
    max_outputs: AtomicUsize,
}

/// Returns the version of the library, for example "0.1.0". Never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn ctcw_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// Returns a general description of a result, in English. Never NULL. `ctcw_last_error` has the
/// details of a particular failure.
#[unsafe(no_mangle)]
pub extern "C" fn ctcw_result_string(result: i32) -> *const c_char {
    describe(result).as_ptr()
}

/// Returns the message of the calling thread's latest failed call, in English: the item, the value
/// and the rule. Never NULL; empty if no call of the thread has failed. The string is valid until
/// the thread's next call that fails.
#[unsafe(no_mangle)]
pub extern "C" fn ctcw_last_error() -> *const c_char {
    message()
}

/// Creates a context and stores it in `context`. Free it with `ctcw_destroy`.
///
/// `backend` is a `ctcw_backend`. `adapter` is NULL or a part of the name of the GPU to use; case
/// is ignored. If no GPU has such a name, or it cannot be opened, `CTCW_BACKEND_AUTO` creates a
/// context on the CPU. `CTCW_BACKEND_CPU` ignores `adapter`. A call that fails does not write to
/// `context`.
///
/// # Safety
/// `adapter` is NULL or a NUL-terminated string. `context` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctcw_create(
    backend: i32,
    adapter: *const c_char,
    context: *mut *mut ctcw_context,
) -> ctcw_result {
    use ctcw_backend::{CTCW_BACKEND_AUTO, CTCW_BACKEND_CPU, CTCW_BACKEND_GPU};
    guard(|| {
        if context.is_null() {
            return Err(CError::null("context"));
        }
        // SAFETY: the caller guarantees it.
        let adapter = unsafe { input::adapter_name(adapter) }?;
        let gpu = || match adapter {
            "" => Ctc::gpu(),
            adapter => Ctc::gpu_named(adapter),
        };
        let ctc = match backend {
            x if x == CTCW_BACKEND_AUTO as i32 => gpu().unwrap_or_else(|_| Ctc::cpu()),
            x if x == CTCW_BACKEND_GPU as i32 => gpu()?,
            x if x == CTCW_BACKEND_CPU as i32 => Ctc::cpu(),
            x => return Err(CError::value("backend", x)),
        };
        let name = CString::new(ctc.backend().to_string()).unwrap_or_default();
        let created = Box::new(ctcw_context {
            ctc,
            name,
            outputs: Mutex::default(),
            max_outputs: AtomicUsize::new(CacheLimits::default().shapes),
        });
        // SAFETY: `context` is not NULL, and the caller guarantees that it is writable.
        unsafe { context.write(Box::into_raw(created)) };
        Ok(())
    })
}

/// Frees a context. Does nothing for NULL.
///
/// # Safety
/// `context` is NULL or a context from `ctcw_create` that has not been destroyed and that no thread
/// uses any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctcw_destroy(context: *mut ctcw_context) {
    if context.is_null() {
        return;
    }
    // The function has no result, so a panic has nowhere to be reported.
    let _ = guard(|| {
        // SAFETY: the pointer comes from `Box::into_raw`, and the caller guarantees that it is the
        // last one.
        drop(unsafe { Box::from_raw(context) });
        Ok(())
    });
}

/// Limits what the context keeps for later batches. The limits take effect immediately: what
/// exceeds them is freed, the least recently used first.
///
/// - `pipelines`: the number of compiled kernels; 128 by default. On a software driver one takes
///   about 0.3 MiB. The CPU backend has none.
/// - `shapes`: the number of recent batch shapes whose buffers and workspace are kept; 4 by
///   default. Concurrent calls with the same shape count separately. On the CPU it is the number
///   of workspaces.
///
/// # Safety
/// `context` is NULL or a valid context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctcw_set_cache_limits(
    context: *const ctcw_context,
    pipelines: usize,
    shapes: usize,
) -> ctcw_result {
    guard(|| {
        // SAFETY: the caller guarantees it.
        let context = unsafe { context.as_ref() }.ok_or(CError::null("context"))?;
        context.max_outputs.store(shapes, Ordering::Relaxed);
        if let Ok(mut outputs) = context.outputs.try_lock() {
            outputs.truncate(shapes);
        }
        let limits = CacheLimits::default().pipelines(pipelines).shapes(shapes);
        context.ctc.set_cache_limits(limits);
        Ok(())
    })
}

/// Returns the name of the device that the context computes on: the GPU and its driver, or the CPU
/// backend and its instruction set. The string is valid until the context is destroyed. Returns
/// NULL for NULL.
///
/// # Safety
/// `context` is NULL or a valid context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctcw_backend_name(context: *const ctcw_context) -> *const c_char {
    // SAFETY: the caller guarantees it.
    match unsafe { context.as_ref() } {
        Some(context) => context.name.as_ptr(),
        None => ptr::null(),
    }
}

/// Returns 1 if the context computes on a GPU, and 0 for the CPU backend or NULL.
///
/// # Safety
/// `context` is NULL or a valid context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctcw_is_gpu(context: *const ctcw_context) -> i32 {
    // SAFETY: the caller guarantees it.
    let context = unsafe { context.as_ref() };
    i32::from(context.is_some_and(|context| matches!(context.ctc.backend(), Backend::Gpu(_))))
}

/// Stores the size of the workspace of a batch in `bytes`. The library allocates the workspace
/// itself; the size is for information.
///
/// - `batch` supplies the shape: `items`, `frames`, `classes`, `layout` and `label_layout`. Its
///   arrays are not read and may be NULL.
/// - `max_labels` is the largest label length.
/// - `options` may be NULL: the defaults.
/// - `with_grad` is 0 for losses without a gradient.
///
/// On a GPU the size is that of the device memory in addition to the batch's own arrays. It is
/// exact, also before the first computation. On the CPU the workspace depends on the lengths, so
/// the size is that of the memory that the context has kept from earlier calls of any shape.
///
/// # Safety
/// `context` is NULL or a valid context. `batch` and `options` are NULL or readable for as many
/// bytes as their `size` states. `bytes` is NULL or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctcw_workspace_bytes(
    context: *const ctcw_context,
    batch: *const ctcw_batch,
    max_labels: usize,
    options: *const ctcw_options,
    with_grad: i32,
    bytes: *mut u64,
) -> ctcw_result {
    guard(|| {
        // SAFETY: the caller guarantees it.
        let context = unsafe { context.as_ref() }.ok_or(CError::null("context"))?;
        // SAFETY: the caller guarantees it.
        let (batch, options) =
            unsafe { (input::read_batch(batch)?, input::read_options(options)?) };
        if bytes.is_null() {
            return Err(CError::null("bytes"));
        }
        let mut shape = BatchShape::new(batch.items, batch.frames, batch.classes, max_labels);
        shape.layout = input::layout(&batch)?;
        shape.label_layout = input::label_layout(&batch)?;
        let task = match with_grad {
            0 => Task::Loss,
            _ => Task::LossAndGrad,
        };
        let size = match context.ctc.limits() {
            Some(limits) => {
                let plan = Plan::new(&shape, &options, task, limits);
                plan.map_err(ctc_wgpu::Error::from)?.workspace_bytes()
            }
            None => context.ctc.cached_bytes().unwrap_or(0),
        };
        // SAFETY: `bytes` is not NULL, and the caller guarantees that it is writable.
        unsafe { bytes.write(size) };
        Ok(())
    })
}

/// Computes the losses of a batch and, if `grad` is not NULL, their gradient. Returns when the
/// results are in the caller's memory.
///
/// - `options` may be NULL: the defaults.
/// - `loss` is `[N]`, in nats, without the weights.
/// - `grad` is NULL or has the shape and layout of the logits; every element is written. It may
///   point to the logits. Without a gradient the call does about half the work.
/// - `status` is NULL or `[N]`: the `ctcw_status` of each item.
/// - `reduced` is NULL or one number: the reduced loss. The options must then set a reduction.
///
/// A call that fails writes no output.
///
/// # Safety
/// `context` is NULL or a valid context. `batch` and `options` are NULL or readable for as many
/// bytes as their `size` states. The arrays of `batch` are readable for as many elements as its
/// fields state, and no thread writes them during the call. The outputs that are not NULL are
/// writable for the lengths above. They overlap neither each other nor an array of `batch`, except
/// that `grad` may be `logits`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctcw_compute(
    context: *const ctcw_context,
    batch: *const ctcw_batch,
    options: *const ctcw_options,
    loss: *mut f32,
    grad: *mut f32,
    status: *mut i32,
    reduced: *mut f32,
) -> ctcw_result {
    guard(|| {
        // SAFETY: the caller guarantees it.
        let context = unsafe { context.as_ref() }.ok_or(CError::null("context"))?;
        // SAFETY: the caller guarantees it.
        let options = unsafe { input::read_options(options) }?;
        if !reduced.is_null() && options.reduction == Reduction::None {
            return Err(CError::Argument(
                "reduced is not NULL, but the options set no reduction".into(),
            ));
        }
        // SAFETY: the caller guarantees it.
        let batch = unsafe { input::read_batch(batch) }?;
        let items = batch.items;
        // SAFETY: the caller guarantees it; the slices are last used before `grad` is written.
        let batch = unsafe { input::convert_batch(&batch) }?;
        if items > 0 && loss.is_null() {
            return Err(CError::null("loss"));
        }
        input::check_aligned("loss", loss)?;
        input::check_aligned("grad", grad)?;
        input::check_aligned("status", status)?;
        input::check_aligned("reduced", reduced)?;

        let mut output = context.take_output();
        if grad.is_null() {
            let LossOutput {
                loss,
                status,
                reduced,
                ..
            } = context.ctc.loss(&batch, &options)?;
            (output.loss, output.status, output.reduced) = (loss, status, reduced);
        } else {
            context
                .ctc
                .loss_and_grad_into(&batch, &options, &mut output)?;
        }
        // SAFETY: each pointer is aligned, and not NULL unless its length is 0. The caller
        // guarantees that the lengths are writable, and no slice of the caller's memory is in use
        // any more.
        unsafe {
            copy_to_caller(&output.loss, loss);
            if !grad.is_null() {
                copy_to_caller(&output.grad, grad);
            }
            if !status.is_null() {
                for (item, value) in output.status.iter().enumerate() {
                    status.add(item).write(*value as i32);
                }
            }
            if let (false, Some(number)) = (reduced.is_null(), output.reduced) {
                reduced.write(number);
            }
        }
        context.keep_output(output);
        Ok(())
    })
}

/// Copies an output to the caller's memory.
///
/// # Safety
/// Unless `from` is empty, `to` is aligned and writable for as many elements.
unsafe fn copy_to_caller(from: &[f32], to: *mut f32) {
    if !from.is_empty() {
        // SAFETY: the caller guarantees it; `from` is a vector of ours, so the two do not overlap.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) };
    }
}

impl ctcw_context {
    /// Returns the output of an earlier call, so that its memory is reused, or an empty one.
    fn take_output(&self) -> LossAndGradOutput {
        let outputs = self.outputs.try_lock();
        outputs
            .map_or(None, |mut outputs| outputs.pop())
            .unwrap_or_default()
    }

    fn keep_output(&self, output: LossAndGradOutput) {
        if let Ok(mut outputs) = self.outputs.try_lock() {
            outputs.push(output);
            outputs.truncate(self.max_outputs.load(Ordering::Relaxed));
        }
    }
}
