//! Numbers of sockets that take less room than the hashes they come with.
//!
//! A hash says nothing but which events are of one socket. A number that counts sockets in the order in which they are
//! first seen says the same, and how far back one was seen is mostly 0, which takes no room.

use rustc_hash::FxHashMap;

/// Sockets that one generation remembers: 6 MiB each. One that comes again after two generations is a new one.
const GENERATION: usize = 1 << 18;

/// Numbers sockets.
#[derive(Debug, Default)]
pub(super) struct SocketNumbers {
    count: u64,
    young: FxHashMap<u64, u64>,
    old: FxHashMap<u64, u64>,
}

impl SocketNumbers {
    /// How many sockets have been numbered.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// How far back the socket of this hash was first seen: 0 for one that was not; none where there is no socket.
    pub(super) fn back(&mut self, hash: u64) -> Option<u32> {
        if hash == 0 {
            return None;
        }
        let known = self.young.get(&hash).or_else(|| self.old.get(&hash)).copied();
        let back = known.map(|number| self.count.saturating_sub(number).saturating_add(1));
        let back = back.and_then(|back| u32::try_from(back).ok());
        if back.is_none() {
            self.count = self.count.saturating_add(1);
            if self.young.len() >= GENERATION {
                self.old = std::mem::take(&mut self.young);
            }
            self.young.insert(hash, self.count);
        }
        Some(back.unwrap_or(0))
    }
}

/// The number of the socket of an event, when `count` have been numbered before; 0 where there is none.
pub(super) fn number(back: Option<u32>, count: &mut u64) -> u64 {
    match back {
        None => 0,
        Some(0) => {
            *count = count.saturating_add(1);
            *count
        }
        // Further back than the first one there is none: not written so.
        Some(back) => count.saturating_add(1).saturating_sub(back.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_tell_the_same_sockets_apart_as_hashes() {
        let hashes = [9, 7, 0, 9, 9, 3, 7, 0, 3, 9];
        let mut numbers = SocketNumbers::default();
        let mut count = 0;
        let found: Vec<u64> = hashes.map(|hash| number(numbers.back(hash), &mut count)).into();
        assert_eq!(found, [1, 2, 0, 1, 1, 3, 2, 0, 3, 1]);
        assert_eq!(numbers.count(), count);
    }
}
