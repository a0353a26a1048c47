//! What was seen lately, by a 64-bit key, in bounded memory.

/// Places that one key may stand in.
const WAYS: usize = 4;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Way<V> {
    /// 0 where the way is empty.
    key: u64,
    used: u32,
    value: V,
}

/// A table of four ways that forgets the least recently written of a set. Keys are well mixed, and 0 is none.
///
/// Nothing is allocated before the first write.
#[derive(Clone, Debug)]
pub(super) struct Recent<V> {
    sets: Vec<[Way<V>; WAYS]>,
    capacity: usize,
    clock: u32,
    forgotten: u64,
}

impl<V: Copy + Default> Recent<V> {
    /// Room for `capacity`, rounded up to a power of two of at least four.
    pub(super) fn new(capacity: usize) -> Self {
        Self { sets: Vec::new(), capacity, clock: 0, forgotten: 0 }
    }

    fn set(&mut self, key: u64) -> Option<&mut [Way<V>; WAYS]> {
        let mask = self.sets.len().checked_sub(1)?;
        // The top bits are the best mixed of a product.
        let at = usize::try_from(key >> 32).ok()? & mask;
        self.sets.get_mut(at)
    }

    /// The value of a key.
    #[inline]
    pub(super) fn find(&mut self, key: u64) -> Option<&mut V> {
        let way = self.set(key)?.iter_mut().find(|way| way.key == key && key != 0)?;
        Some(&mut way.value)
    }

    /// Writes a value, over that of its key or over the oldest of its set.
    pub(super) fn put(&mut self, key: u64, value: V) {
        if self.sets.is_empty() {
            let sets = self.capacity.div_ceil(WAYS).next_power_of_two();
            self.sets = vec![[Way::default(); WAYS]; sets];
        }
        self.clock = self.clock.wrapping_add(1);
        let clock = self.clock;
        let Some(set) = self.set(key) else { return };
        let age = |way: &Way<V>| match way.key {
            same if same == key => u64::from(u32::MAX) + 2,
            0 => u64::from(u32::MAX) + 1,
            _ => u64::from(clock.wrapping_sub(way.used)),
        };
        let Some(way) = set.iter_mut().max_by_key(|way| age(way)) else { return };
        let forgets = way.key != 0 && way.key != key;
        *way = Way { key, used: clock, value };
        self.forgotten += u64::from(forgets);
    }

    /// Takes a key out.
    pub(super) fn remove(&mut self, key: u64) -> Option<V> {
        let way = self.set(key)?.iter_mut().find(|way| way.key == key && key != 0)?;
        way.key = 0;
        Some(way.value)
    }

    /// The same count of what was forgotten, and nothing else.
    pub(super) fn emptied(&self) -> Self {
        Self { forgotten: self.forgotten, ..Self::new(self.capacity) }
    }

    /// Counts anew what is forgotten.
    pub(super) fn forget_count(&mut self) {
        self.forgotten = 0;
    }

    /// Values that were written over by those of other keys.
    pub(super) const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(super) fn merge(&mut self, other: &Self, choose: impl Fn(Option<V>, V) -> V) {
        for way in other.sets.iter().flatten().filter(|way| way.key != 0) {
            let mine = self.find(way.key).copied();
            self.put(way.key, choose(mine, way.value));
        }
        self.forgotten += other.forgotten;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
    }

    #[test]
    fn what_was_put_is_found_until_four_others_came() {
        let mut recent = Recent::<u32>::new(4);
        (1..=4).for_each(|number| recent.put(key(number), 10));
        recent.put(key(1), 11);
        assert_eq!(recent.find(key(1)).copied(), Some(11));
        assert_eq!(recent.forgotten(), 0);
        recent.put(key(5), 50);
        assert!(recent.find(key(2)).is_none());
        assert_eq!(recent.forgotten(), 1);
        assert_eq!(recent.remove(key(5)), Some(50));
        assert!(recent.find(key(5)).is_none());
    }

    #[test]
    fn an_empty_one_finds_nothing() {
        let mut recent = Recent::<u8>::new(100);
        assert!(recent.find(0).is_none() && recent.find(7).is_none());
        assert_eq!(recent.remove(7), None);
    }
}
