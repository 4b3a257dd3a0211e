//! Waiting in the calling thread, for a future or for a lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Error;

/// Waits for `future` and returns its result.
#[cfg(not(target_arch = "wasm32"))]
pub fn block_on<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    pollster::block_on(future)
}

/// Returns the result of `future` if it is ready at once, as on the CPU backend. A browser
/// completes a GPU's work only after the call has returned to it.
///
/// # Errors
/// [`Error::Blocking`] if `future` is not ready.
#[cfg(target_arch = "wasm32")]
pub fn block_on<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    use futures::FutureExt;
    future.now_or_never().unwrap_or(Err(Error::Blocking))
}

/// Locks `mutex`, even if a thread panicked while it held the lock. The values behind our locks are
/// valid at all times: none is changed in two steps, and scratch memory is filled before it is
/// read.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
