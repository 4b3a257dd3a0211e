//! What calls have made and later calls can use: a bounded number of it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::blocking::locked;
use crate::fork::Origin;

/// Values that are in no call at present. Beyond a bound, those that have been idle longest are dropped.
#[derive(Debug)]
pub(crate) struct Idle<T> {
    /// The latest last.
    values: Mutex<Vec<T>>,
    most: AtomicUsize,
    origin: Origin,
}

impl<T> Idle<T> {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            values: Mutex::default(),
            most: AtomicUsize::new(most),
            origin: Origin::here(),
        }
    }

    /// How many are kept at most.
    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// Keeps at most so many from now on.
    pub(crate) fn keep_at_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
        self.change(|_| ());
    }

    /// The latest that `fits`.
    pub(crate) fn take(&self, fits: impl Fn(&T) -> bool) -> Option<T> {
        // A forked process neither waits for the lock, which another thread may have held, nor needs what is there.
        if !self.origin.is_here() {
            return None;
        }
        let mut values = locked(&self.values);
        let found = values.iter().rposition(fits)?;
        Some(values.remove(found))
    }

    /// Leaves a value for later calls.
    pub(crate) fn put(&self, value: T) {
        self.change(|values| values.push(value));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<T>)) {
        if !self.origin.is_here() {
            return;
        }
        let mut values = locked(&self.values);
        change(&mut values);
        let past = values.len().saturating_sub(self.most());
        let dropped: Vec<T> = values.drain(..past).collect();
        // What it takes to drop them keeps nobody waiting.
        drop(values);
        drop(dropped);
    }

    /// The sum of `size` over what is kept.
    pub(crate) fn sum(&self, size: impl Fn(&T) -> usize) -> usize {
        if !self.origin.is_here() {
            return 0;
        }
        locked(&self.values).iter().map(size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Idle;

    #[test]
    fn the_longest_idle_are_dropped_beyond_the_bound() {
        let idle = Idle::new(2);
        for value in 0..4 {
            idle.put(value);
        }
        assert_eq!(idle.take(|value| *value < 2), None);
        assert_eq!(idle.take(|value| *value == 2), Some(2));
        idle.put(2);
        // It was used last, so 3 has been idle longer.
        idle.put(4);
        assert_eq!(idle.sum(|value| *value), 2 + 4);
        idle.keep_at_most(1);
        assert_eq!(idle.sum(|value| *value), 4);
        idle.keep_at_most(0);
        idle.put(5);
        assert_eq!(idle.take(|_| true), None);
    }
}
