//! The ports of `ip_local_reserved_ports`, counted in constant time.

use std::{iter, sync::Arc};

const WORDS: usize = 1024;
const EVEN: u64 = 0x5555_5555_5555_5555;
const ODD: u64 = !EVEN;

/// A set of ports that automatic choice leaves out, with prefix sums for each parity.
///
/// 12 KiB that copies share, so that counting the reserved ports of a stretch takes two look-ups however long it is; none
/// where no port is reserved, as in most namespaces.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Reserved {
    /// Bit `p % 64` of word `p / 64` is port `p`; words that are not there are 0.
    bits: Arc<[u64]>,
    /// Reserved ports of even and of odd number before word `i`; one more entry than words.
    before: Arc<[(u16, u16)]>,
    total: u32,
}

/// Which ports of a stretch are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stride {
    /// Every port.
    Every,
    /// The ports of the parity of the stretch's first.
    Second,
}

impl Reserved {
    /// A set of these ports.
    #[must_use]
    pub fn from_ports(ports: impl IntoIterator<Item = u16>) -> Self {
        let mut ports = ports.into_iter().peekable();
        if ports.peek().is_none() {
            return Self::default();
        }
        let mut bits = vec![0_u64; WORDS];
        for port in ports {
            if let Some(word) = bits.get_mut(usize::from(port >> 6)) {
                *word |= 1_u64.wrapping_shl(u32::from(port & 63));
            }
        }
        let count = |word: u64| u16::try_from(word.count_ones()).unwrap_or(0);
        let mut sum = (0_u16, 0_u16);
        let before = iter::once(sum)
            .chain(bits.iter().map(|word| {
                // 32,768 ports of each parity fit a u16.
                sum = (sum.0.saturating_add(count(word & EVEN)), sum.1.saturating_add(count(word & ODD)));
                sum
            }))
            .collect();
        Self { bits: bits.into(), before, total: u32::from(sum.0).saturating_add(u32::from(sum.1)) }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// How many there are in all.
    #[must_use]
    pub const fn total(&self) -> u32 {
        self.total
    }

    /// Whether the port is one of them.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        let word = self.bits.get(usize::from(port >> 6)).copied().unwrap_or(0);
        word.wrapping_shr(u32::from(port & 63)) & 1 == 1
    }

    /// Counts those from `first` to `last`, both included: 0 where `last` comes before `first`.
    #[must_use]
    pub fn count(&self, first: u16, last: u16, stride: Stride) -> u32 {
        if self.total == 0 || last < first {
            return 0;
        }
        let class = match stride {
            Stride::Every => !0,
            Stride::Second if first & 1 == 0 => EVEN,
            Stride::Second => ODD,
        };
        let before_end = self.below(u32::from(last).wrapping_add(1), class);
        before_end.saturating_sub(self.below(u32::from(first), class))
    }

    /// The stretches of ports, first and last included, in rising order.
    pub fn stretches(&self) -> impl Iterator<Item = (u16, u16)> {
        let mut next = 0_u32;
        iter::from_fn(move || {
            let first = self.seek(next, true)?;
            let end = self.seek(u32::from(first), false).map_or(65_536, u32::from);
            next = end;
            Some((first, u16::try_from(end.saturating_sub(1)).unwrap_or(u16::MAX)))
        })
    }

    /// The first port from `start` on that is reserved, or that is not.
    fn seek(&self, start: u32, reserved: bool) -> Option<u16> {
        let mut port = start;
        while let Ok(now) = u16::try_from(port) {
            let word = self.bits.get(usize::from(now >> 6)).copied().unwrap_or(0);
            let wanted = if reserved { word } else { !word };
            let ahead = wanted.wrapping_shr(u32::from(now & 63)).trailing_zeros();
            let rest = 64_u32.saturating_sub(u32::from(now & 63));
            if ahead < rest {
                return u16::try_from(port.saturating_add(ahead)).ok();
            }
            port = port.saturating_add(rest);
        }
        None
    }

    /// Those below `port`, which may be 65,536, of a class of bits within each word.
    fn below(&self, port: u32, class: u64) -> u32 {
        let index = usize::try_from(port >> 6).unwrap_or(WORDS);
        let (even, odd) = self.before.get(index).copied().unwrap_or((0, 0));
        let word = self.bits.get(index).copied().unwrap_or(0);
        let here = (word & class & !u64::MAX.wrapping_shl(port & 63)).count_ones();
        let before = match class {
            EVEN => u32::from(even),
            ODD => u32::from(odd),
            _ => u32::from(even).wrapping_add(u32::from(odd)),
        };
        before.wrapping_add(here)
    }
}

impl std::fmt::Debug for Reserved {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Reserved").field(&self.stretches().collect::<Vec<_>>()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_ports_may_be_reserved() {
        let all = Reserved::from_ports(0..=u16::MAX);
        assert_eq!(all.total(), 65_536);
        assert_eq!(all.count(0, u16::MAX, Stride::Every), 65_536);
        assert_eq!(all.count(1, u16::MAX, Stride::Second), 32_768);
        assert_eq!(all.stretches().collect::<Vec<_>>(), [(0, u16::MAX)]);
    }

    #[test]
    fn a_set_without_ports_takes_no_memory() {
        let none = Reserved::from_ports([]);
        assert_eq!((none.bits.len(), none.before.len(), &none), (0, 0, &Reserved::default()));
        assert!(!none.contains(7) && none.is_empty() && none.stretches().next().is_none());
    }

    #[test]
    fn an_empty_stretch_has_none() {
        let some = Reserved::from_ports([5]);
        assert_eq!((some.count(6, 5, Stride::Every), some.count(5, 5, Stride::Second)), (0, 1));
    }

    proptest! {
        #[test]
        fn counts_agree_with_a_walk(
            ports in proptest::collection::btree_set(any::<u16>(), 0..300),
            first in any::<u16>(), length in 0_u16..3000, every in any::<bool>(),
        ) {
            let set = Reserved::from_ports(ports.iter().copied());
            let last = first.saturating_add(length);
            let walked = (first..=last)
                .step_by(if every { 1 } else { 2 })
                .filter(|port| ports.contains(port))
                .count();
            let stride = if every { Stride::Every } else { Stride::Second };
            prop_assert_eq!(set.count(first, last, stride) as usize, walked);
            let listed = set.stretches().flat_map(|(first, last)| first..=last).collect::<Vec<_>>();
            prop_assert_eq!(listed, ports.iter().copied().collect::<Vec<_>>());
            prop_assert!(ports.iter().all(|port| set.contains(*port)));
        }
    }
}
