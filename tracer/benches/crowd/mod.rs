//! Records of many processes that connect to many destinations.

use tracer_ebpf::abi::{Record, flags, kind, present};

/// How many there are of what.
#[derive(Clone, Copy)]
pub(crate) struct Crowd {
    /// Processes, which take turns.
    pub(crate) processes: u32,
    /// Destinations, which take turns.
    pub(crate) destinations: u32,
}

impl Crowd {
    /// The record of one event: a connect, and every fiftieth time one that fails.
    pub(crate) fn record(self, index: u32) -> Record {
        // A turn that is no period of the other: every process meets every destination.
        let mixed = index.wrapping_mul(0x9e37_79b1) >> 7;
        let pid = 1_000 + mixed % self.processes;
        let [_, b, c, d] = (index.wrapping_mul(0x85eb_ca6b) >> 5).rem_euclid(self.destinations).to_be_bytes();
        let mut comm = [0; 16];
        comm[..11].copy_from_slice(b"worker-pool");
        let mut remote_addr = [0; 16];
        remote_addr[..4].copy_from_slice(&[10, b, c, d]);
        let mut local_addr = [0; 16];
        local_addr[..4].copy_from_slice(&[10, 0, 3, 14]);
        let failed = index.is_multiple_of(50);
        let step = u16::try_from(mixed % 14_116 * 2).unwrap_or(0);
        Record {
            mono_ns: 81_895_158_000_123 + u64::from(index) * 20_011,
            socket: u64::from(index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            cgroup_id: 9_182,
            pid,
            tid: pid,
            uid: 1000,
            netns: 4_026_531_840,
            search_ns: 2_000 + mixed % 1_000,
            search_start: u32::from(step),
            local_addr,
            remote_addr,
            comm,
            local_port: if failed { 0 } else { 32_768 + step },
            remote_port: 5432,
            range_low: 32_768,
            range_high: 60_999,
            present: !present::SEARCH_UPPER,
            error: if failed { 99 } else { 0 },
            kind: kind::CONNECT,
            protocol: 6,
            family: 4,
            flags: flags::CANDIDATES_EXACT,
            start: 7_000 + pid,
            ..Record::default()
        }
    }
}
