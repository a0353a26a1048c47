//! Records as the kernel half would send them: a hundred processes that connect, and now and then fail.

use tracer_ebpf::abi::{Record, flags, kind, option, present};
use zerocopy::IntoBytes as _;

/// Records of one flood.
const RECORDS: u32 = 1000;

/// The bytes of each record.
pub(crate) fn records() -> Vec<Vec<u8>> {
    (0..RECORDS).map(|index| record(index).as_bytes().to_vec()).collect()
}

/// The same from one thread that connects to one peer.
pub(crate) fn of_one_thread() -> Vec<Vec<u8>> {
    let first = record(1);
    let alike = |index| {
        let Record { pid, tid, start, remote_addr, options, .. } = first;
        Record { pid, tid, start, remote_addr, options, ..record(index) }
    };
    (0..RECORDS)
        .filter(|index| !index.is_multiple_of(50))
        .chain(1..=RECORDS / 50)
        .map(|index| alike(index).as_bytes().to_vec())
        .collect()
}

fn record(index: u32) -> Record {
    let pid = 1000 + index % 100;
    let mut comm = [0; 16];
    comm[..11].copy_from_slice(b"worker-pool");
    let [.., c, d] = index.to_be_bytes();
    let mut remote_addr = [0; 16];
    remote_addr[..4].copy_from_slice(&[10, 20, c, d]);
    let mut local_addr = [0; 16];
    local_addr[..4].copy_from_slice(&[10, 0, 3, 14]);
    let failed = index.is_multiple_of(50);
    let step = u16::try_from(index * 2 % 28_000).unwrap_or(0);
    Record {
        mono_ns: 81_895_158_000_123 + u64::from(index) * 20_011,
        socket: u64::from(index).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        cgroup_id: 9_182,
        pid,
        tid: pid + index % 2,
        uid: 1000,
        netns: 4_026_531_840,
        search_ns: 2_000 + index,
        search_start: u32::from(step),
        local_addr,
        remote_addr,
        comm,
        local_port: if failed { 0 } else { 32_768 + step },
        remote_port: 5432,
        range_low: 32_768,
        range_high: 60_999,
        options: if index.is_multiple_of(10) { option::REUSEADDR } else { 0 },
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
