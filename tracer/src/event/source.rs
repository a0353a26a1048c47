//! Which events come from one source: they can be counted together.

use tracer_ebpf::abi::Record;

use super::Event;

/// What multiplies a word so that all of its bits reach the product's highest (2^64 divided by the golden ratio).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Event {
    /// Whether both are of one process, kind, result, protocol, namespace, range, local address and peer, and the
    /// same was seen of them.
    #[must_use]
    #[inline]
    pub fn is_of_source_of(&self, other: &Self) -> bool {
        let (one, other) = (&self.record, &other.record);
        let numbers = |record: &Record| [record.pid, record.start, record.netns];
        let bytes = |record: &Record| [record.error, record.kind, record.protocol, record.family];
        numbers(one) == numbers(other)
            && one.remote_addr == other.remote_addr
            && one.local_addr == other.local_addr
            && [one.remote_port, one.range_low] == [other.remote_port, other.range_low]
            && [one.range_high, one.present] == [other.range_high, other.present]
            && bytes(one) == bytes(other)
            && one.state == other.state
    }

    /// A number that is the same for events of one source, and rarely for others: its highest bits are the best.
    #[must_use]
    #[inline]
    pub fn source(&self) -> u64 {
        source(&self.record)
    }
}

#[inline]
pub(super) fn source(record: &Record) -> u64 {
    let Record { pid, remote_addr, remote_port, kind, protocol, .. } = record;
    let (high, low) = remote_addr.split_at(8);
    let word = |half: &[u8]| half.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let what = u64::from(*pid) << 32 | u64::from(*remote_port) << 16 | u64::from(*kind) << 8;
    let spread = (what | u64::from(*protocol)).wrapping_mul(SPREAD).rotate_left(32);
    (spread ^ word(high) ^ word(low).rotate_left(17)).wrapping_mul(SPREAD)
}
