//! A set of ports as a bitmap.

use serde::{Deserialize, Serialize};

use crate::event::{PortRange, Reserved};

const WORDS: usize = 1024;
const EVEN: u64 = 0x5555_5555_5555_5555;

/// Even or odd ports: the two halves in which TCP searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parity {
    /// Ports divisible by two.
    Even,
    /// The others.
    Odd,
}

impl Parity {
    /// The parity of a port.
    #[must_use]
    pub const fn of(port: u16) -> Self {
        if port & 1 == 0 { Self::Even } else { Self::Odd }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Even => Self::Odd,
            Self::Odd => Self::Even,
        }
    }

    /// The word that stands in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Even => "even",
            Self::Odd => "odd",
        }
    }

    const fn mask(self) -> u64 {
        match self {
            Self::Even => EVEN,
            Self::Odd => !EVEN,
        }
    }
}

/// Any of the 65,536 ports, host byte order, in 8 KiB.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u16, u16)>", into = "Vec<(u16, u16)>")]
pub struct PortSet {
    /// Bit `p % 64` of word `p / 64` is port `p`.
    words: Box<[u64; WORDS]>,
}

impl PortSet {
    /// The ports of a range that are not reserved: the effective range.
    #[must_use]
    pub fn effective(range: PortRange, reserved: &Reserved) -> Self {
        let mut set: Self = (range.low()..=range.high()).collect();
        for (first, last) in reserved.stretches() {
            for port in first..=last {
                set.remove(port);
            }
        }
        set
    }

    /// Adds a port; says whether it was new.
    pub fn insert(&mut self, port: u16) -> bool {
        let bit = bit(port);
        let word = self.word_mut(port);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Takes a port out.
    pub fn remove(&mut self, port: u16) {
        *self.word_mut(port) &= !bit(port);
    }

    /// Whether the port is in it.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.word(port) & bit(port) != 0
    }

    /// How many ports it has: 0 to 65,536.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// How many ports of a parity it has: 0 to 32,768.
    #[must_use]
    pub fn count_of(&self, parity: Parity) -> u32 {
        self.words.iter().map(|word| (word & parity.mask()).count_ones()).sum()
    }

    /// How many ports of a range, and of a parity if one is given, it has.
    #[must_use]
    pub fn count_in(&self, range: PortRange, parity: Option<Parity>) -> u32 {
        let class = parity.map_or(u64::MAX, Parity::mask);
        let (low, high) = (usize::from(range.low() >> 6), usize::from(range.high() >> 6));
        let inner = self.words.get(low..=high).unwrap_or_default();
        let all: u32 = inner.iter().map(|word| (word & class).count_ones()).sum();
        let below = self.word(range.low()) & class & !u64::MAX.wrapping_shl(u32::from(range.low() & 63));
        let above = self.word(range.high()) & class & !ones_up_to(range.high());
        all.saturating_sub(below.count_ones()).saturating_sub(above.count_ones())
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The ports of both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        self.combined(other, |one, other| one & other)
    }

    /// The ports of either.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        self.combined(other, |one, other| one | other)
    }

    /// The ports of this one that are not in the other.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        self.combined(other, |one, other| one & !other)
    }

    /// The ports in rising order.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        (0_u16..).zip(self.words.iter()).flat_map(|(place, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = u16::try_from(left.trailing_zeros()).ok().filter(|bit| *bit < 64)?;
                left &= left.wrapping_sub(1);
                Some(place << 6 | bit)
            })
        })
    }

    fn combined(&self, other: &Self, work: impl Fn(u64, u64) -> u64) -> Self {
        let mut all = self.clone();
        for (word, other) in all.words.iter_mut().zip(other.words.iter()) {
            *word = work(*word, *other);
        }
        all
    }

    fn word(&self, port: u16) -> u64 {
        // A port has ten bits above its lowest six: as many words as there are.
        self.words[usize::from(port >> 6)]
    }

    fn word_mut(&mut self, port: u16) -> &mut u64 {
        &mut self.words[usize::from(port >> 6)]
    }
}

const fn bit(port: u16) -> u64 {
    1 << (port & 63)
}

/// The bits of a port's word up to its own.
const fn ones_up_to(port: u16) -> u64 {
    u64::MAX >> (63 - (port & 63))
}

impl Default for PortSet {
    /// No port at all.
    fn default() -> Self {
        Self { words: Box::new([0; WORDS]) }
    }
}

impl FromIterator<u16> for PortSet {
    fn from_iter<T: IntoIterator<Item = u16>>(ports: T) -> Self {
        let mut set = Self::default();
        set.extend(ports);
        set
    }
}

impl Extend<u16> for PortSet {
    fn extend<T: IntoIterator<Item = u16>>(&mut self, ports: T) {
        for port in ports {
            self.insert(port);
        }
    }
}

/// The stretches of ports, first and last included, in rising order.
impl From<PortSet> for Vec<(u16, u16)> {
    fn from(set: PortSet) -> Self {
        let mut stretches: Self = Vec::new();
        for port in set.iter() {
            match stretches.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(port) => *last = port,
                _ => stretches.push((port, port)),
            }
        }
        stretches
    }
}

impl From<Vec<(u16, u16)>> for PortSet {
    fn from(stretches: Vec<(u16, u16)>) -> Self {
        // However many there are: no port is put in more than once.
        let mut set = Self::default();
        let mut next = 0_u32;
        for (first, last) in stretches {
            for port in u32::from(first).max(next)..=u32::from(last) {
                set.insert(u16::try_from(port).unwrap_or(u16::MAX));
            }
            next = next.max(u32::from(last).saturating_add(1));
        }
        set
    }
}

impl std::fmt::Debug for PortSet {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "PortSet({} ports)", self.count())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::btree_set, prelude::*};

    use super::*;

    fn set(ports: &BTreeSet<u16>) -> PortSet {
        ports.iter().copied().collect()
    }

    #[test]
    fn the_full_set_is_counted() {
        let full: PortSet = (0..=u16::MAX).collect();
        assert_eq!((full.count(), full.count_of(Parity::Even)), (65_536, 32_768));
        let all = PortRange::new(0, u16::MAX).unwrap();
        assert_eq!((full.count_in(all, None), full.count_in(all, Some(Parity::Odd))), (65_536, 32_768));
        assert_eq!(full.iter().count(), 65_536);
    }

    #[test]
    fn the_effective_range_leaves_the_reserved_out() {
        let range = PortRange::new(32_768, 60_999).unwrap();
        let reserved = Reserved::from_ports((40_000..=40_009).chain([8080, 60_999]));
        let set = PortSet::effective(range, &reserved);
        assert_eq!((set.count(), set.contains(60_999), set.contains(60_998)), (28_221, false, true));
    }

    proptest! {
        #[test]
        fn it_is_a_set(one in btree_set(any::<u16>(), 0..200), other in btree_set(0_u16..400, 0..200)) {
            let (a, b) = (set(&one), set(&other));
            prop_assert_eq!(a.iter().collect::<BTreeSet<_>>(), one.clone());
            prop_assert_eq!(a.and(&b), set(&(&one & &other)));
            prop_assert_eq!(a.or(&b), set(&(&one | &other)));
            prop_assert_eq!(a.without(&b), set(&(&one - &other)));
            prop_assert_eq!(a.count() as usize, one.len());
            prop_assert_eq!(a.count_of(Parity::Even) + a.count_of(Parity::Odd), a.count());
            prop_assert_eq!(a.is_empty(), one.is_empty());
        }

        #[test]
        fn counts_in_a_range_agree_with_a_walk(
            ports in btree_set(0_u16..2000, 0..600), low in 0_u16..2000, length in 0_u16..2000,
        ) {
            let range = PortRange::new(low, low + length).unwrap();
            let walk = |parity: Option<Parity>| {
                ports.iter().filter(|port| range.contains(**port) && parity.is_none_or(|one| one == Parity::of(**port))).count()
            };
            for parity in [None, Some(Parity::Even), Some(Parity::Odd)] {
                prop_assert_eq!(set(&ports).count_in(range, parity) as usize, walk(parity));
            }
        }

        #[test]
        fn what_was_put_in_comes_out(ports in btree_set(any::<u16>(), 1..50), port in any::<u16>()) {
            let mut set = set(&ports);
            prop_assert_eq!(set.insert(port), !ports.contains(&port));
            prop_assert!(set.contains(port));
            set.remove(port);
            prop_assert!(!set.contains(port));
        }
    }
}
