//! What happens when memory runs out: one line and an exit status, not an abort.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::{fault, interrupt};

/// The system's allocator. Where it has no memory left, the run ends with a message: Rust itself
/// has no stable way to report that but to abort.
pub(crate) struct Reporting;

/// The file whose contents need the memory.
static BATCH: OnceLock<PathBuf> = OnceLock::new();

/// Names the file that is at fault if memory runs out from now on.
pub(crate) fn needed_for(batch: &Path) {
    BATCH.get_or_init(|| batch.to_owned());
}

#[allow(
    unsafe_code,
    reason = "an allocator is an unsafe trait; the argument stands at the implementation"
)]
// SAFETY: each call goes to `System` with the arguments as they came, and what `System` returns is
// returned, so its guarantees hold. Where that would be null the function does not return at all.
unsafe impl GlobalAlloc for Reporting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the one that `System` asks for.
        given(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the one that `System` asks for.
        given(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise is the one that `System` asks for.
        given(unsafe { System.realloc(block, layout, size) }, size)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the one that `System` asks for.
        unsafe { System.dealloc(block, layout) }
    }
}

fn given(block: *mut u8, size: usize) -> *mut u8 {
    if block.is_null() {
        give_up(size);
    }
    block
}

/// Ends the run. What it calls needs little memory, and what failed is seldom little.
#[cold]
fn give_up(size: usize) -> ! {
    interrupt::remove_unfinished();
    // Nothing is left to do if stderr is closed.
    let _ = match BATCH.get() {
        Some(batch) => writeln!(
            stderr(),
            "error: {}: memory ran out, {size} bytes were needed at once",
            fault::escaped(&batch.display().to_string())
        ),
        None => writeln!(
            stderr(),
            "error: memory ran out, {size} bytes were needed at once"
        ),
    };
    std::process::exit(if BATCH.get().is_some() { 2 } else { 1 });
}
