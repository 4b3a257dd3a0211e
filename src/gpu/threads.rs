//! Independent work on several threads.

#[cfg(not(target_arch = "wasm32"))]
use std::sync::{Mutex, PoisonError};

#[cfg(not(target_arch = "wasm32"))]
use crate::blocking::locked;

/// Runs `work` on each item, the last one first, on this thread and up to `threads - 1` more.
/// Returns the results in the order of the items.
///
/// The last stages of a plan take longest to compile, so they are started first. The threads are
/// not rayon's, because those of its global pool do not survive a fork, which is how Python starts
/// processes.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn in_threads<T: Sync, U: Send>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> U + Sync,
) -> Vec<U> {
    let queue = Mutex::new(items.iter().enumerate().rev());
    let results = Mutex::new(Vec::with_capacity(items.len()));
    let worker = || {
        loop {
            let Some((index, item)) = locked(&queue).next() else {
                break;
            };
            let result = work(item);
            locked(&results).push((index, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            // A shader compiler may recurse deeply. If a thread cannot be started, the others take
            // its items.
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
            drop(thread.spawn_scoped(scope, worker));
        }
        worker();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Runs `work` on each item, on this thread: in a browser, wgpu is confined to one thread.
#[cfg(target_arch = "wasm32")]
pub(super) fn in_threads<T, U>(_: usize, items: &[T], work: impl Fn(&T) -> U) -> Vec<U> {
    items.iter().map(work).collect()
}

/// The stack size of a process's main thread on Linux.
#[cfg(not(target_arch = "wasm32"))]
const STACK_BYTES: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::in_threads;

    #[test]
    fn each_item_is_processed_once_and_the_results_keep_their_order() {
        let items: Vec<usize> = (0..100).collect();
        for threads in [0, 1, 2, 8, 200] {
            let done = std::sync::atomic::AtomicUsize::new(0);
            let results = in_threads(threads, &items, |item| {
                done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                item * item
            });
            assert!(
                results
                    .iter()
                    .copied()
                    .eq(items.iter().map(|item| item * item))
            );
            assert_eq!(done.into_inner(), items.len());
        }
        assert!(in_threads(4, &[(); 0], |()| ()).is_empty());
    }
}
