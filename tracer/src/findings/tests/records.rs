//! Made-up records.

use tracer_ebpf::abi::{Record, flags, kind, present};

use super::sample::{NETNS, START};

fn at(ms: u64) -> u64 {
    START.0 + ms * 1_000_000
}

/// A connect to redis `ms` after the start that is given `port`; 0: it fails.
pub(super) fn connect(ms: u64, port: u16) -> Record {
    Record {
        mono_ns: at(ms),
        socket: ms * 65_536 + u64::from(port) + 1,
        pid: 101,
        tid: 101,
        start: 7,
        netns: NETNS,
        search_ns: 3_000,
        search_start: 4,
        local_addr: [10, 0, 3, 14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        remote_addr: [10, 0, 9, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        local_port: port,
        remote_port: 6_379,
        range_low: 32_768,
        range_high: 60_999,
        present: !present::SEARCH_UPPER,
        error: if port == 0 { 99 } else { 0 },
        kind: kind::CONNECT,
        protocol: 6,
        family: 4,
        flags: flags::CANDIDATES_EXACT,
        ..Record::default()
    }
}

/// The end of the hold of what `of` was given, `ms` after the start.
pub(super) fn release(ms: u64, state: u8, of: &Record) -> Record {
    let held = u32::try_from((at(ms) - of.mono_ns) >> 10).unwrap();
    Record { mono_ns: at(ms), kind: kind::RELEASE, state, search_ns: held, flags: 0, ..*of }
}

/// A bind to port 0 and a connect from the port that it was given.
pub(super) fn bound_connect(ms: u64, port: u16) -> [Record; 2] {
    let connected = connect(ms, port);
    let bound = Record { kind: kind::BIND, remote_addr: [0; 16], remote_port: 0, ..connected };
    [bound, Record { kind: kind::FIXED_CONNECT, requested_port: port, ..connected }]
}
