//! A map with a bounded number of entries.

use std::collections::HashMap;
use std::hash::Hash;

/// A map that evicts the least recently used entries beyond its capacity.
#[derive(Debug)]
pub(super) struct Lru<K, V> {
    /// Each value with the count of uses at its latest use.
    entries: HashMap<K, (u64, V)>,
    uses: u64,
    capacity: usize,
}

impl<K: Clone + Eq + Hash, V: Clone> Lru<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            uses: 0,
            capacity,
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Returns the value of `key`, and marks it as used.
    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        self.uses += 1;
        let (used, value) = self.entries.get_mut(key)?;
        *used = self.uses;
        Some(value.clone())
    }

    /// Inserts an entry. Returns the evicted values, for the caller to drop.
    #[must_use]
    pub(super) fn insert(&mut self, key: K, value: V) -> Vec<V> {
        self.uses += 1;
        self.entries.insert(key, (self.uses, value));
        self.evict()
    }

    /// Changes the capacity. Returns the evicted values.
    #[must_use]
    pub(super) fn keep_at_most(&mut self, capacity: usize) -> Vec<V> {
        self.capacity = capacity;
        self.evict()
    }

    fn evict(&mut self) -> Vec<V> {
        let mut evicted = Vec::new();
        while self.entries.len() > self.capacity {
            let oldest = self.entries.iter().min_by_key(|(_, (used, _))| *used);
            let oldest = oldest.map(|(key, _)| key.clone());
            let entry = oldest.and_then(|key| self.entries.remove(&key));
            evicted.extend(entry.map(|(_, value)| value));
        }
        evicted
    }
}

#[cfg(test)]
mod tests {
    use super::Lru;

    #[test]
    fn the_least_recently_used_are_evicted_beyond_the_capacity() {
        let mut recent = Lru::new(2);
        assert!(recent.insert("a", 1).is_empty() && recent.insert("b", 2).is_empty());
        assert_eq!(recent.get(&"a"), Some(1));
        assert_eq!(recent.insert("c", 3), [2]);
        assert_eq!((recent.get(&"b"), recent.get(&"a")), (None, Some(1)));
        assert_eq!(recent.keep_at_most(1), [3]);
        assert_eq!(recent.keep_at_most(0), [1]);
        assert_eq!(recent.insert("d", 4), [4]);
        assert_eq!(recent.get(&"d"), None);
    }
}
