//! What a fork leaves behind.
//!
//! A forked process has one thread and a copy of its parent's memory. The other threads, and what a GPU's driver had,
//! stayed in the parent: a lock that another thread held is never released, a pool never works, a device never answers,
//! and to drop one waits for its threads. So a forked process uses, locks and drops nothing of that kind.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::Error;

/// This process. Only Unix forks; elsewhere it is always the same.
fn here() -> u32 {
    if cfg!(unix) { std::process::id() } else { 1 }
}

/// The process in which something was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin(u32);

impl Origin {
    pub(crate) fn here() -> Self {
        Self(here())
    }

    pub(crate) fn is_here(self) -> bool {
        self.0 == here()
    }
}

/// Shared ownership, as of an [`Arc`], of what a forked process must neither use nor drop: there it is leaked.
#[derive(Debug)]
pub(crate) struct Resident<T> {
    value: Arc<T>,
    origin: Origin,
}

impl<T> Resident<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            value: Arc::new(value),
            origin: Origin::here(),
        }
    }

    /// What is made from this, on the same device, wherever that is done.
    pub(crate) fn derived<U>(&self, value: U) -> Resident<U> {
        Resident {
            value: Arc::new(value),
            origin: self.origin,
        }
    }

    /// # Errors
    /// [`Error::Forked`] in any process but the one in which this was made.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.origin.is_here() {
            Ok(())
        } else {
            Err(Error::Forked(
                "its GPU device stayed in the parent process: make a new context in the child",
            ))
        }
    }
}

impl<T> Clone for Resident<T> {
    fn clone(&self) -> Self {
        Self {
            value: Arc::clone(&self.value),
            origin: self.origin,
        }
    }
}

impl<T> Deref for Resident<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for Resident<T> {
    fn drop(&mut self) {
        if !self.origin.is_here() {
            std::mem::forget(Arc::clone(&self.value));
        }
    }
}

/// A call into a GPU's driver. Drivers have locks of the whole process, so a process that is forked during such a call of
/// another thread may wait for ever in its first one.
pub(crate) struct Driving(());

/// Whose calls are counted, from bit 32 on; whether a fork left one behind; how many there are.
static DRIVING: AtomicU64 = AtomicU64::new(0);
const LEFT_BEHIND: u64 = 1 << 31;
const COUNT: u64 = LEFT_BEHIND - 1;

impl Driving {
    /// # Errors
    /// [`Error::Forked`] if another thread was in such a call when this process was forked.
    pub(crate) fn begin() -> Result<Self, Error> {
        let process = u64::from(here()) << 32;
        let begun = |before: u64| {
            let ours = before >> 32 == process >> 32;
            match (ours, before & LEFT_BEHIND, before & COUNT) {
                (true, 0, _) => before + 1,
                (true, _, _) => before,
                (false, 0, 0) => process | 1,
                (false, _, _) => process | LEFT_BEHIND,
            }
        };
        let mut before = DRIVING.load(Ordering::Acquire);
        loop {
            let after = begun(before);
            let exchanged =
                DRIVING.compare_exchange_weak(before, after, Ordering::AcqRel, Ordering::Acquire);
            match exchanged {
                Ok(_) if after & LEFT_BEHIND == 0 => return Ok(Self(())),
                Ok(_) => {
                    return Err(Error::Forked(
                        "another thread was using the GPU when the process was forked, and its driver may be \
                         locked: use the CPU, or fork before the GPU is used",
                    ));
                }
                Err(now) => before = now,
            }
        }
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        DRIVING.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Whether this process was forked after the first call of the library.
fn is_forked() -> bool {
    static FIRST: AtomicU32 = AtomicU32::new(0);
    let here = here();
    match FIRST.compare_exchange(0, here, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => false,
        Err(first) => first != here,
    }
}

/// Runs `work` where its parallel iterators find threads: in rayon's current pool; in a forked process, where the global
/// pool has no threads any more and cannot be made anew, in a pool of this process, unless the caller is in one.
///
/// # Errors
/// [`Error::Forked`] if a forked process cannot start threads.
pub(crate) fn on_threads<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    if !is_forked() || rayon::current_thread_index().is_some() {
        return Ok(work());
    }
    match pool() {
        Some(pool) => Ok(pool.install(work)),
        None => Err(Error::Forked("no thread can be started")),
    }
}

/// The pool of this process, made when it is first needed. Never waits for the lock, which a thread of the parent may have
/// held when this process was forked: then, or while another thread makes the pool, it is one for the call.
fn pool() -> Option<Arc<ThreadPool>> {
    static POOL: RwLock<Option<(Origin, Arc<ThreadPool>)>> = RwLock::new(None);
    if let Ok(kept) = POOL.try_read()
        && let Some((origin, pool)) = &*kept
        && origin.is_here()
    {
        return Some(Arc::clone(pool));
    }
    let mut kept = POOL.try_write();
    let pool = Arc::new(ThreadPoolBuilder::new().build().ok()?);
    if let Ok(kept) = &mut kept {
        // That of the parent's threads cannot be dropped.
        std::mem::forget(kept.replace((Origin::here(), Arc::clone(&pool))));
    }
    Some(pool)
}
