//! The set of ports of one row.

/// Ports that are kept one by one.
const FEW: usize = 32;
const WORDS: usize = 1024;

/// A set of ports: one by one while there are few, as a bitmap of 8 KiB where the row may have one, else
/// unknown. Never an estimate.
#[derive(Clone, Debug)]
pub(super) enum PortSet {
    /// At most 32, the rest 0, which is no port.
    Few {
        len: u8,
        ports: [u16; FEW],
    },
    Many {
        count: u32,
        bits: Box<[u64; WORDS]>,
    },
    Unknown,
}

#[inline]
fn set(count: &mut u32, bits: &mut [u64; WORDS], port: u16) {
    if let Some(word) = bits.get_mut(usize::from(port >> 6)) {
        let bit = 1 << (port & 63);
        *count += u32::from(*word & bit == 0);
        *word |= bit;
    }
}

impl Default for PortSet {
    fn default() -> Self {
        Self::Few { len: 0, ports: [0; FEW] }
    }
}

impl PortSet {
    /// Adds ports.
    pub(super) fn insert_all(&mut self, ports: &[u16], may_grow: bool) {
        if let Self::Many { count, bits } = self {
            for port in ports {
                set(count, bits, *port);
            }
            return;
        }
        for port in ports {
            self.insert(*port, may_grow);
        }
    }

    /// Adds a port; the 33rd needs a bitmap.
    pub(super) fn insert(&mut self, port: u16, may_grow: bool) {
        match self {
            Self::Few { len, ports } => {
                // All 32 are compared: without a way out in the middle that is a few vector operations.
                let known = ports.iter().fold(0_u16, |known, one| known | u16::from(*one == port));
                if known != 0 {
                    return;
                }
                if let Some(slot) = ports.get_mut(usize::from(*len)) {
                    *slot = port;
                    *len += 1;
                    return;
                }
                *self = if may_grow { Self::bitmap(ports) } else { Self::Unknown };
                if may_grow {
                    self.insert(port, true);
                }
            }
            Self::Many { count, bits } => set(count, bits, port),
            Self::Unknown => {}
        }
    }

    fn bitmap(ports: &[u16]) -> Self {
        let mut set = Self::Many { count: 0, bits: Box::new([0; WORDS]) };
        for port in ports {
            set.insert(*port, true);
        }
        set
    }

    /// How many; none where it is not known.
    pub(super) fn count(&self) -> Option<u32> {
        match self {
            Self::Few { len, .. } => Some(u32::from(*len)),
            Self::Many { count, .. } => Some(*count),
            Self::Unknown => None,
        }
    }

    /// The ports, in no order; none where they are not known.
    fn list(&self) -> Option<Vec<u16>> {
        match self {
            Self::Few { len, ports } => Some(ports.iter().take(usize::from(*len)).copied().collect()),
            Self::Many { bits, .. } => Some(
                (1..=u16::MAX)
                    .filter(|port| {
                        bits.get(usize::from(port >> 6)).is_some_and(|word| word >> (port & 63) & 1 == 1)
                    })
                    .collect(),
            ),
            Self::Unknown => None,
        }
    }

    pub(super) fn merge(&mut self, other: &Self, may_grow: bool) {
        match (&mut *self, other) {
            (Self::Many { count, bits }, Self::Many { bits: more, .. }) => {
                bits.iter_mut().zip(more.iter()).for_each(|(word, more)| *word |= more);
                *count = bits.iter().map(|word| word.count_ones()).sum();
            }
            (Self::Unknown, _) => {}
            _ => match other.list() {
                Some(ports) => {
                    for port in ports {
                        self.insert(port, may_grow);
                    }
                }
                None => *self = Self::Unknown,
            },
        }
        if !may_grow {
            self.give_up_bitmap();
        }
    }

    /// Goes on without a bitmap.
    pub(super) fn give_up_bitmap(&mut self) {
        let Self::Many { count, .. } = self else { return };
        let few = usize::try_from(*count).is_ok_and(|count| count <= FEW);
        let list = if few { self.list() } else { None };
        *self = Self::Unknown;
        if let Some(list) = list {
            *self = Self::default();
            for port in list {
                self.insert(port, false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(ports: &[u16], may_grow: bool) -> PortSet {
        let mut set = PortSet::default();
        for port in ports {
            set.insert(*port, may_grow);
        }
        set
    }

    #[test]
    fn without_a_bitmap_the_33rd_port_makes_it_unknown() {
        let ports: Vec<u16> = (1..=33).collect();
        assert_eq!(set(&ports[..32], false).count(), Some(32));
        assert_eq!((set(&ports, false).count(), set(&ports, true).count()), (None, Some(33)));
        let mut lost = set(&ports, true);
        lost.give_up_bitmap();
        assert_eq!(lost.count(), None);
    }

    proptest! {
        #[test]
        fn a_union_counts_each_port_once(
            one in proptest::collection::vec(1_u16..200, 0..80), other in proptest::collection::vec(1_u16..200, 0..80)
        ) {
            let all: BTreeSet<u16> = one.iter().chain(&other).copied().collect();
            let mut union = set(&one, true);
            union.merge(&set(&other, true), true);
            prop_assert_eq!(union.count(), Some(u32::try_from(all.len()).unwrap()));
            let mut few = set(&one, false);
            few.merge(&set(&other, false), false);
            let known = few.count().is_some();
            prop_assert_eq!(known, all.len() <= 32);
        }
    }
}
