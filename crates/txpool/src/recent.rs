//! What the pool remembers of transactions that left it.

use alloy_primitives::{B256, map::HashMap};
use std::collections::VecDeque;

/// A bounded memory: the oldest entry goes when a new one comes.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    bound: usize,
    order: VecDeque<B256>,
    values: HashMap<B256, T>,
}

impl<T> Recent<T> {
    pub(crate) fn new(bound: usize) -> Self {
        Self { bound, order: VecDeque::new(), values: HashMap::default() }
    }

    pub(crate) fn insert(&mut self, hash: B256, value: T) {
        if self.values.insert(hash, value).is_some() {
            return;
        }
        self.order.push_back(hash);
        if self.order.len() > self.bound
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
    }

    pub(crate) fn get(&self, hash: &B256) -> Option<&T> {
        self.values.get(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let hash = B256::repeat_byte;
        let mut recent = Recent::new(2);
        recent.insert(hash(1), 'a');
        recent.insert(hash(2), 'b');
        recent.insert(hash(1), 'c');
        assert_eq!(recent.get(&hash(1)), Some(&'c'));
        recent.insert(hash(3), 'd');
        assert_eq!((recent.get(&hash(1)), recent.get(&hash(2))), (None, Some(&'b')));
        assert_eq!((recent.order.len(), recent.values.len()), (2, 2));
    }
}
