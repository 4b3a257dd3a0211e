//! Safety after a fork.
//!
//! A forked process has one thread and a copy of its parent's memory. The parent's other threads
//! and the state of its GPU driver do not exist in the child: a lock that another thread held is
//! never released, a thread pool runs nothing, a device never completes its work, and dropping a
//! pool or a device waits for threads that do not exist. A forked process therefore never uses,
//! locks or drops such values.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::Error;

/// Returns the ID of this process, or 1 on platforms other than Unix, where processes do not fork.
fn process_id() -> u32 {
    if cfg!(unix) { std::process::id() } else { 1 }
}

/// The process in which a value was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessId(u32);

impl ProcessId {
    pub(crate) fn current() -> Self {
        Self(process_id())
    }

    pub(crate) fn is_current(self) -> bool {
        self.0 == process_id()
    }
}

/// A shared pointer like [`Arc`], to a value that a forked process must neither use nor drop. A
/// forked process leaks the value instead of dropping it.
#[derive(Debug)]
pub(crate) struct ProcessBound<T> {
    value: Arc<T>,
    process: ProcessId,
}

impl<T> ProcessBound<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value: Arc::new(value),
            process: ProcessId::current(),
        }
    }

    /// Wraps a value that was created from this one, on the same device. It belongs to the process
    /// of this one, even if this method is called in a forked process.
    pub(crate) fn derived<U>(&self, value: U) -> ProcessBound<U> {
        ProcessBound {
            value: Arc::new(value),
            process: self.process,
        }
    }

    /// Checks that the value may be used in this process.
    ///
    /// # Errors
    /// [`Error::Forked`] in any process but the one in which this was created.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.process.is_current() {
            Ok(())
        } else {
            Err(Error::Forked(
                "the GPU device belongs to the parent process: create a new one in the child",
            ))
        }
    }
}

impl<T> Clone for ProcessBound<T> {
    fn clone(&self) -> Self {
        Self {
            value: Arc::clone(&self.value),
            process: self.process,
        }
    }
}

impl<T> Deref for ProcessBound<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for ProcessBound<T> {
    fn drop(&mut self) {
        if !self.process.is_current() {
            std::mem::forget(Arc::clone(&self.value));
        }
    }
}

/// A use of a GPU driver, from creation to drop. Drivers have process-wide locks, so a process that
/// was forked while another thread used the driver could wait forever in its own first call.
pub(crate) struct DeviceUse(());

/// In one word: the ID of the process whose uses are counted (bits 32 to 63), the bit
/// [`USED_AT_FORK`], and the number of current uses (bits 0 to 30).
static DEVICE_USES: AtomicU64 = AtomicU64::new(0);
/// Set if a driver was in use when this process was forked.
const USED_AT_FORK: u64 = 1 << 31;
const COUNT: u64 = USED_AT_FORK - 1;

impl DeviceUse {
    /// Begins a use.
    ///
    /// # Errors
    /// [`Error::Forked`] if another thread was using a driver when this process was forked.
    pub(crate) fn begin() -> Result<Self, Error> {
        let process = u64::from(process_id()) << 32;
        let counted = |before: u64| {
            let ours = before >> 32 == process >> 32;
            match (ours, before & USED_AT_FORK, before & COUNT) {
                (true, 0, _) => before + 1,
                (true, _, _) => before,
                (false, 0, 0) => process | 1,
                (false, _, _) => process | USED_AT_FORK,
            }
        };
        let mut before = DEVICE_USES.load(Ordering::Acquire);
        loop {
            let after = counted(before);
            let exchanged = DEVICE_USES.compare_exchange_weak(
                before,
                after,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match exchanged {
                Ok(_) if after & USED_AT_FORK == 0 => return Ok(Self(())),
                Ok(_) => {
                    return Err(Error::Forked(
                        "another thread was using the GPU when the process was forked, so the driver may be \
                         locked: use the CPU backend, or fork before using the GPU",
                    ));
                }
                Err(now) => before = now,
            }
        }
    }
}

impl Drop for DeviceUse {
    fn drop(&mut self) {
        DEVICE_USES.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Returns true if this process was forked after the first call of this function.
fn is_forked() -> bool {
    static FIRST: AtomicU32 = AtomicU32::new(0);
    let current = process_id();
    match FIRST.compare_exchange(0, current, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => false,
        Err(first) => first != current,
    }
}

/// Runs `work`, which uses rayon's current pool. In a forked process the global pool has no threads
/// and cannot be replaced, so `work` runs in a pool of this process, unless the caller is in a
/// pool.
///
/// # Errors
/// [`Error::Forked`] if a forked process cannot start threads.
pub(crate) fn on_threads<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    if !is_forked() || rayon::current_thread_index().is_some() {
        return Ok(work());
    }
    match pool() {
        Some(pool) => Ok(pool.install(work)),
        None => Err(Error::Forked("could not start threads")),
    }
}

/// Returns the pool of this process, which is created at the first call, or `None` if its threads
/// cannot be started. Never waits for the lock of the stored pool, because a thread of the parent
/// may have held it when this process was forked. If the lock is held, returns a new pool, which
/// serves one call only.
fn pool() -> Option<Arc<ThreadPool>> {
    static POOL: RwLock<Option<(ProcessId, Arc<ThreadPool>)>> = RwLock::new(None);
    if let Ok(stored) = POOL.try_read()
        && let Some((process, pool)) = &*stored
        && process.is_current()
    {
        return Some(Arc::clone(pool));
    }
    let mut stored = POOL.try_write();
    let pool = Arc::new(ThreadPoolBuilder::new().build().ok()?);
    if let Ok(stored) = &mut stored {
        // Dropping the parent's pool would wait for its threads.
        std::mem::forget(stored.replace((ProcessId::current(), Arc::clone(&pool))));
    }
    Some(pool)
}
