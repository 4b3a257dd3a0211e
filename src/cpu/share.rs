//! Work that the calling thread shares with those of rayon's current pool.

use std::sync::Mutex;

use crate::blocking::locked;

/// Calls `each` with all values, on the calling thread and on threads of the pool. Each thread
/// takes the next value when it has finished one. The calling thread begins at once, while with a
/// parallel iterator it would wait for the others, unless it is a thread of the pool. At the end it
/// waits until each thread has found no value left.
pub(super) fn share<T: Send>(
    values: impl ExactSizeIterator<Item = T> + Send,
    each: impl Fn(T) + Sync,
) {
    let threads = rayon::current_num_threads().min(values.len());
    let values = Mutex::new(values);
    let next = || locked(&values).next();
    let work = || {
        while let Some(value) = next() {
            each(value);
        }
    };
    if threads <= 1 {
        work();
    } else if rayon::current_thread_index().is_some() {
        on_each(threads, &work);
    } else {
        rayon::in_place_scope(|scope| {
            scope.spawn(|_| on_each(threads - 1, &work));
            work();
        });
    }
}

/// Runs `work` on up to `threads` threads of the pool. Unlike a scope, this allocates nothing.
fn on_each(threads: usize, work: &(impl Fn() + Sync)) {
    if threads == 1 {
        work();
    } else {
        let half = threads / 2;
        rayon::join(|| on_each(half, work), || on_each(threads - half, work));
    }
}
