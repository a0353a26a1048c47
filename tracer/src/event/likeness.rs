//! What the events of one thread usually have in common, so that it need not be worked out for each of them.

use tracer_ebpf::abi::{Record, flags};

use super::Event;

/// What multiplies a word so that all of its bits reach the product's highest (2^64 divided by the golden ratio).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Event {
    /// Whether everything that can be asked of both is the same but for the time, the port chosen, the search,
    /// the socket, and what [`Event::has_peer_of`] compares.
    #[must_use]
    #[inline]
    pub fn is_like(&self, other: &Self) -> bool {
        // All fields, so that a new one is not forgotten.
        let Record {
            mono_ns: _,
            socket: _,
            cgroup_id,
            pid,
            tid,
            uid,
            netns,
            search_ns: _,
            search_start: _,
            local_addr,
            remote_addr: _,
            comm,
            local_port: _,
            requested_port: _,
            remote_port: _,
            range_low,
            range_high,
            options,
            present,
            error,
            kind,
            protocol,
            family,
            flags,
            state,
            start,
        } = &self.record;
        let other = &other.record;
        let one_of_search = flags::CANDIDATES_EXACT;
        [*pid, *tid, *uid, *netns] == [other.pid, other.tid, other.uid, other.netns]
            && *comm == other.comm
            && *local_addr == other.local_addr
            && *cgroup_id == other.cgroup_id
            && [*range_low, *range_high, *options, *present]
                == [other.range_low, other.range_high, other.options, other.present]
            && [*error, *kind, *protocol, *family] == [other.error, other.kind, other.protocol, other.family]
            && *flags | one_of_search == other.flags | one_of_search
            && *state == other.state
            && *start == other.start
    }

    /// Whether an event of the same family names the same port and has the same peer.
    #[must_use]
    #[inline]
    pub fn has_peer_of(&self, other: &Self) -> bool {
        let (one, other) = (&self.record, &other.record);
        one.remote_addr == other.remote_addr
            && one.remote_port == other.remote_port
            && one.requested_port == other.requested_port
    }

    /// A number that is the same for events that are alike, and rarely for others: its highest bits are the best.
    #[must_use]
    #[inline]
    pub fn likeness(&self) -> u64 {
        let Record { pid, tid, local_addr, error, kind, protocol, .. } = &self.record;
        let who = u64::from(*pid) << 32 | u64::from(*tid);
        let what = u64::from(u32::from_le_bytes([*kind, *protocol, *error, 0]));
        let local = local_addr.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let spread = who.wrapping_mul(SPREAD).rotate_left(32) ^ what ^ local;
        spread.wrapping_mul(SPREAD)
    }
}
