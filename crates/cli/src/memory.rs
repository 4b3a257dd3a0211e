//! Reports an allocation failure with one line and an exit status instead of an abort.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::interrupt;

/// The system's allocator, except that an allocation failure ends the process with a message.
/// Stable Rust can only abort.
pub(crate) struct ReportingAllocator;

/// The file that an error message names.
static BATCH: OnceLock<PathBuf> = OnceLock::new();

/// Sets the file that the messages of later allocation failures name.
pub(crate) fn set_batch_file(batch: &Path) {
    BATCH.get_or_init(|| batch.to_owned());
}

#[allow(
    unsafe_code,
    reason = "GlobalAlloc is an unsafe trait; see the SAFETY comment of the implementation"
)]
// SAFETY: each function passes its arguments to `System` and returns the result of `System`, so the
// guarantees of `System` hold. If the result is null, the function does not return.
unsafe impl GlobalAlloc for ReportingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the contract of `System`.
        or_exit(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the contract of `System`.
        or_exit(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller upholds the contract of `System`.
        or_exit(unsafe { System.realloc(block, layout, size) }, size)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract of `System`.
        unsafe { System.dealloc(block, layout) }
    }
}

fn or_exit(block: *mut u8, size: usize) -> *mut u8 {
    if block.is_null() {
        exit_out_of_memory(size);
    }
    block
}

/// Ends the process with a message. The calls here allocate little, and a failed allocation is
/// usually large.
#[cold]
fn exit_out_of_memory(size: usize) -> ! {
    interrupt::remove_unfinished();
    // If stderr is closed, nothing can be reported.
    let _ = match BATCH.get() {
        Some(batch) => writeln!(
            stderr(),
            "error: {}: out of memory: could not allocate {size} bytes",
            ctc_wgpu_npz::escaped(&batch.display().to_string())
        ),
        None => writeln!(
            stderr(),
            "error: out of memory: could not allocate {size} bytes"
        ),
    };
    std::process::exit(if BATCH.get().is_some() { 2 } else { 1 });
}
