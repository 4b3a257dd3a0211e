//! Waiting in the calling thread: for an answer, and for a lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Error;

/// Until the future has its answer.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    pollster::block_on(future)
}

/// The answer that is there at once, as the CPU backend's is: what a browser has to say comes only after we have returned
/// to it.
#[cfg(target_arch = "wasm32")]
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    use futures::FutureExt;
    future.now_or_never().unwrap_or(Err(Error::Blocking))
}

/// Locks `mutex`, also after a thread panicked while it held the lock. What our locks guard is always whole: no value is
/// changed in two steps, and tables are filled before they are read.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
