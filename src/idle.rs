//! A bounded pool of values that calls create and later calls reuse.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::blocking::locked;
use crate::fork::ProcessId;

/// Values that no call is using. Beyond a capacity, those that have been idle longest are dropped.
#[derive(Debug)]
pub(crate) struct Idle<T> {
    /// In the order in which they became idle.
    values: Mutex<Vec<T>>,
    capacity: AtomicUsize,
    process: ProcessId,
}

impl<T> Idle<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            values: Mutex::default(),
            capacity: AtomicUsize::new(capacity),
            process: ProcessId::current(),
        }
    }

    /// Returns the maximum number of values.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity.load(Ordering::Relaxed)
    }

    /// Changes the maximum number of values, and drops those beyond it.
    pub(crate) fn keep_at_most(&self, capacity: usize) {
        self.capacity.store(capacity, Ordering::Relaxed);
        self.change(|_| ());
    }

    /// Removes and returns the value that became idle last among those for which `fits` returns
    /// true.
    pub(crate) fn take(&self, fits: impl Fn(&T) -> bool) -> Option<T> {
        // In a forked process the lock may be held forever, and the parent's values are of no use.
        if !self.process.is_current() {
            return None;
        }
        let mut values = locked(&self.values);
        let found = values.iter().rposition(fits)?;
        Some(values.remove(found))
    }

    /// Adds a value for later calls.
    pub(crate) fn put(&self, value: T) {
        self.change(|values| values.push(value));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<T>)) {
        if !self.process.is_current() {
            return;
        }
        let mut values = locked(&self.values);
        change(&mut values);
        let excess = values.len().saturating_sub(self.capacity());
        let dropped: Vec<T> = values.drain(..excess).collect();
        // Dropping values may take long, so the lock is released first.
        drop(values);
        drop(dropped);
    }

    /// Returns the sum of `size` over all values.
    pub(crate) fn sum(&self, size: impl Fn(&T) -> usize) -> usize {
        if !self.process.is_current() {
            return 0;
        }
        locked(&self.values).iter().map(size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Idle;

    #[test]
    fn the_longest_idle_are_dropped_beyond_the_capacity() {
        let idle = Idle::new(2);
        for value in 0..4 {
            idle.put(value);
        }
        assert_eq!(idle.take(|value| *value < 2), None);
        assert_eq!(idle.take(|value| *value == 2), Some(2));
        idle.put(2);
        // 2 was added last, so 3 has been idle for longer.
        idle.put(4);
        assert_eq!(idle.sum(|value| *value), 2 + 4);
        idle.keep_at_most(1);
        assert_eq!(idle.sum(|value| *value), 4);
        idle.keep_at_most(0);
        idle.put(5);
        assert_eq!(idle.take(|_| true), None);
    }
}
