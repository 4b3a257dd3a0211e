//! A map of a bounded number of entries.

use std::collections::HashMap;
use std::hash::Hash;

/// Beyond the bound, those used least recently are taken out.
#[derive(Debug)]
pub(super) struct Lru<K, V> {
    /// Each with the time of its latest use.
    entries: HashMap<K, (u64, V)>,
    uses: u64,
    most: usize,
}

impl<K: Clone + Eq + Hash, V: Clone> Lru<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            entries: HashMap::new(),
            uses: 0,
            most,
        }
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// The entry of a key.
    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        self.uses += 1;
        let (used, value) = self.entries.get_mut(key)?;
        *used = self.uses;
        Some(value.clone())
    }

    /// Inserts an entry. Returns what has no place any more, for the caller to drop.
    #[must_use]
    pub(super) fn insert(&mut self, key: K, value: V) -> Vec<V> {
        self.uses += 1;
        self.entries.insert(key, (self.uses, value));
        self.trimmed()
    }

    /// Keeps at most so many from now on. Returns what has no place any more.
    #[must_use]
    pub(super) fn keep_at_most(&mut self, most: usize) -> Vec<V> {
        self.most = most;
        self.trimmed()
    }

    fn trimmed(&mut self) -> Vec<V> {
        let mut dropped = Vec::new();
        while self.entries.len() > self.most {
            let oldest = self.entries.iter().min_by_key(|(_, (used, _))| *used);
            let oldest = oldest.map(|(key, _)| key.clone());
            let entry = oldest.and_then(|key| self.entries.remove(&key));
            dropped.extend(entry.map(|(_, value)| value));
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::Lru;

    #[test]
    fn the_least_recently_used_are_dropped_beyond_the_bound() {
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
