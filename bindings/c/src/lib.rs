//! ctc-wgpu behind a C ABI. `include/ctc_wgpu.h` is made from this crate and documents it for C; the README shows a program.
//!
//! The rules at the border: every pointer and size that can be checked is checked; what goes wrong is a
//! [`Result`](ctcw_result) and a message of the calling thread; a panic is one of the results and never unwinds into C; no
//! output is touched by a call that fails.
#![allow(
    unsafe_code,
    reason = "C hands over pointers; each use of one has its argument beside it"
)]
#![allow(non_camel_case_types, reason = "the names are those of the C header")]

mod fault;
mod input;
mod types;

use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ctc_wgpu::{
    Backend, BatchShape, CacheLimits, Ctc, LossAndGradOutput, LossOutput, Plan, Reduction, Task,
};

use fault::{Fault, guard, message};
use input::{batch, layouts, options, text};
use types::describe;
pub use types::*;

/// A device, or the CPU backend, with its compiled kernels and its memory for shapes that come again. Threads may share it.
pub struct ctcw_context {
    ctc: Ctc,
    /// As C wants it.
    name: CString,
    /// Of calls that have ended, to be used again. Nobody waits for the lock: in a forked process it may be held by a thread
    /// that stayed in the parent.
    outputs: Mutex<Vec<LossAndGradOutput>>,
    /// How many of them are kept.
    kept: AtomicUsize,
}

/// The version of the library, as "0.1.0". Never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn ctcw_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// What a result means in general, in English. Never NULL. `ctcw_last_error` tells what was wrong in particular.
#[unsafe(no_mangle)]
pub extern "C" fn ctcw_result_string(result: i32) -> *const c_char {
    describe(result).as_ptr()
}

/// What went wrong in the latest call of this thread that failed, in English: item, value and rule. Never NULL; empty if
/// nothing has. It holds until the thread's next call that fails.
#[unsafe(no_mangle)]
pub extern "C" fn ctcw_last_error() -> *const c_char {
    message()
}

/// Opens a context and puts it at `context`; `ctcw_destroy` frees it.
///
/// `backend` is a `ctcw_backend`. `adapter` is NULL, or a part of the name of the GPU that is wanted, whatever its case;
/// the CPU backend has no use for it.
///
/// # Safety
/// `adapter`, if not NULL, ends with a zero byte. `context` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctcw_create(
    backend: i32,
    adapter: *const c_char,
    context: *mut *mut ctcw_context,
) -> ctcw_result {
    use ctcw_backend::{CTCW_BACKEND_AUTO, CTCW_BACKEND_CPU, CTCW_BACKEND_GPU};
    guard(|| {
        if context.is_null() {
            return Err(Fault::null("context"));
        }
        // SAFETY: the caller's promise; NULL is told apart inside.
        let name = unsafe { text(adapter) }?;
        let gpu = || match name {
            "" => Ctc::gpu(),
            name => Ctc::gpu_named(name),
        };
        let ctc = match backend {
            x if x == CTCW_BACKEND_AUTO as i32 => gpu().unwrap_or_else(|_| Ctc::cpu()),
            x if x == CTCW_BACKEND_GPU as i32 => gpu()?,
            x if x == CTCW_BACKEND_CPU as i32 => Ctc::cpu(),
            x => return Err(Fault::value("backend", x)),
        };
        let name = CString::new(ctc.backend().to_string()).unwrap_or_default();
        let made = Box::new(ctcw_context {
            ctc,
            name,
            outputs: Mutex::default(),
            kept: AtomicUsize::new(CacheLimits::default().shapes),
        });
        // SAFETY: it is not NULL, and the caller lets it be written.
        unsafe { context.write(Box::into_raw(made)) };
        Ok(())
    })
}

/// Frees a context. NULL is fine.
///
/// # Safety
/// `context` is NULL, or comes from `ctcw_create`, was not destroyed before, and no thread uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctcw_destroy(context: *mut ctcw_context) {
    if context.is_null() {
        return;
    }
    // There is nobody to tell of a failure here.
    let _ = guard(|| {
        // SAFETY: it was made by Box::into_raw, and the caller has the last pointer to it.
        drop(unsafe { Box::from_raw(context) });
        Ok(())
    });
}

/// Bounds what the context keeps for later batches, from now on. What is beyond the bound goes at once, the least recently
/// used first.
///
/// - `pipelines`: compiled kernels, 128 by default, about 0.3 MiB each on a software driver. Of the CPU there are none.
/// - `sessions`: buffers and workspaces, one for each recent shape and for each call at the same time; on the CPU the tables
///   of a call. 4 by default.
///
/// # Safety
/// `context` is NULL or a living context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctcw_set_cache_limits(
    context: *const ctcw_context,
    pipelines: usize,
    sessions: usize,
) -> ctcw_result {
    guard(|| {
        // SAFETY: the caller's promise.
        let context = unsafe { context.as_ref() }.ok_or(Fault::null("context"))?;
        context.kept.store(sessions, Ordering::Relaxed);
        if let Ok(mut outputs) = context.outputs.try_lock() {
            outputs.truncate(sessions);
        }
        context
            .ctc
            .set_cache_limits(CacheLimits::default().pipelines(pipelines).shapes(sessions));
        Ok(())
    })
}

/// Where the context computes: the GPU with its driver, or the CPU backend with its instructions. NULL for NULL; else it holds
/// until the context is destroyed.
///
/// # Safety
/// `context` is NULL or a living context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctcw_backend_name(context: *const ctcw_context) -> *const c_char {
    // SAFETY: the caller's promise.
    match unsafe { context.as_ref() } {
        Some(context) => context.name.as_ptr(),
        None => ptr::null(),
    }
}

/// Whether the context computes on a GPU: 1 or 0, and 0 for NULL.
///
/// # Safety
/// `context` is NULL or a living context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctcw_is_gpu(context: *const ctcw_context) -> i32 {
    // SAFETY: the caller's promise.
    let context = unsafe { context.as_ref() };
    i32::from(context.is_some_and(|context| matches!(context.ctc.backend(), Backend::Gpu(_))))
}

/// The workspace of a batch of N = `items`, T = `frames`, C = `classes` and at most `max_labels` labels an item, in bytes
/// at `bytes`. The library allocates it, the caller need not.
///
/// On a GPU this is exact, and known before anything runs: device memory beside the arrays themselves. The tables of the CPU
/// twin depend on the lengths: there it is what the context keeps from its calls so far, whatever the shape.
///
/// `options` may be NULL: the defaults. `with_grad` is 0 for losses only.
///
/// # Safety
/// `context` is NULL or a living context; `options` is NULL or points to `options->size` bytes; `bytes` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ctcw_workspace_bytes(
    context: *const ctcw_context,
    items: usize,
    frames: usize,
    classes: usize,
    max_labels: usize,
    options: *const ctcw_options,
    with_grad: i32,
    bytes: *mut u64,
) -> ctcw_result {
    guard(|| {
        // SAFETY: the caller's promise.
        let context = unsafe { context.as_ref() }.ok_or(Fault::null("context"))?;
        // SAFETY: the caller's promise.
        let given = unsafe { self::options(options) }?;
        if bytes.is_null() {
            return Err(Fault::null("bytes"));
        }
        let (layout, label_layout) = layouts(&given)?;
        let shape = BatchShape {
            layout,
            label_layout,
            ..BatchShape::new(items, frames, classes, max_labels)
        };
        let task = match with_grad {
            0 => Task::Loss,
            _ => Task::LossAndGrad,
        };
        let counted = match context.ctc.limits() {
            Some(limits) => {
                let plan = Plan::new(&shape, &input::meaning(&given)?, task, limits);
                plan.map_err(ctc_wgpu::Error::from)?.workspace_bytes()
            }
            None => context.ctc.cached_bytes().unwrap_or(0),
        };
        // SAFETY: it is not NULL, and the caller lets it be written.
        unsafe { bytes.write(counted) };
        Ok(())
    })
}

/// The losses of a batch and, where `grad` is not NULL, their gradient. It returns when they are there.
///
/// - `options` may be NULL: the defaults.
/// - `loss` is `[N]`, in nats.
/// - `grad` is NULL, or has the shape and layout of the logits; every element is written. It may be the logits' own
///   memory. Without it the call takes about half the work.
/// - `status` is NULL, or `[N]`: a `ctcw_status` each.
/// - `reduced` is NULL, or one number: what the options' reduction makes of the losses.
///
/// A call that fails writes nothing.
///
/// # Safety
/// `context` is NULL or a living context. `batch` and `options` are NULL or point to as many bytes as their `size` says.
/// The arrays of `batch` have the elements that its numbers say, and nobody writes them during the call. The outputs, where
/// not NULL, may be written in the lengths above, and overlap neither each other nor, but for `grad` on the logits, an array
/// of `batch`.
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
        // SAFETY: the caller's promise.
        let context = unsafe { context.as_ref() }.ok_or(Fault::null("context"))?;
        // SAFETY: the caller's promise.
        let given = unsafe { self::options(options) }?;
        let options = input::meaning(&given)?;
        if !reduced.is_null() && options.reduction == Reduction::None {
            return Err(Fault::Argument(
                "reduced is not NULL, but the options ask for no reduction".into(),
            ));
        }
        // SAFETY: the caller's promise; the slices end with this call, before `grad` is written.
        let (batch, items) = unsafe { self::batch(batch, &given) }?;
        if items > 0 && loss.is_null() {
            return Err(Fault::null("loss"));
        }
        input::aligned("loss", loss)?;
        input::aligned("grad", grad)?;
        input::aligned("status", status)?;
        input::aligned("reduced", reduced)?;

        let mut output = context.take();
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
        // SAFETY: none is NULL, or its length is 0; each is aligned; the lengths are those that the caller promised to be
        // writable, and no slice of the caller's memory is alive any more.
        unsafe {
            write(&output.loss, loss);
            if !grad.is_null() {
                write(&output.grad, grad);
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
        context.keep(output);
        Ok(())
    })
}

/// Copies to where the caller wants it.
///
/// # Safety
/// `to` is aligned and may be written for as many elements, unless there are none.
unsafe fn write(from: &[f32], to: *mut f32) {
    if !from.is_empty() {
        // SAFETY: the caller's promise; `from` is a vector of ours, so the two do not overlap.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) };
    }
}

impl ctcw_context {
    fn take(&self) -> LossAndGradOutput {
        let outputs = self.outputs.try_lock();
        outputs
            .map_or(None, |mut outputs| outputs.pop())
            .unwrap_or_default()
    }

    fn keep(&self, output: LossAndGradOutput) {
        if let Ok(mut outputs) = self.outputs.try_lock() {
            outputs.push(output);
            outputs.truncate(self.kept.load(Ordering::Relaxed));
        }
    }
}

/// For the tests: a C string of ours.
///
/// # Safety
/// `string` ends with a zero byte and lives as long as the answer is used.
#[doc(hidden)]
#[must_use]
pub unsafe fn to_str<'a>(string: *const c_char) -> &'a str {
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(string) }.to_str().unwrap_or("")
}
