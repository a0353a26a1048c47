//! Made-up events.

use tracer_ebpf::abi::{Record, flags, kind, option, present};
use zerocopy::IntoBytes as _;

use super::super::{Settings, Stats};
use crate::{
    enrich::Process,
    event::{Course, Event, Glimpse, MonoNs, Reserved, Search, SearchRules, decode},
};

pub(super) const START: MonoNs = MonoNs(1_000_000_000_000);
pub(super) const NETNS: u32 = 4_026_531_840;

/// Nanoseconds after the start.
pub(super) fn at(ms: u64) -> u64 {
    START.0 + ms * 1_000_000
}

/// A connect of process `pid` to destination `to`, `ms` after the start, that is given `port`; 0: it fails.
pub(super) fn connect(ms: u64, pid: u32, to: u8, port: u16) -> Record {
    Record {
        mono_ns: at(ms),
        socket: u64::from(port) + 1,
        pid,
        tid: pid,
        start: 7,
        netns: NETNS,
        search_ns: 1_000 + u32::from(port),
        search_start: 4,
        local_addr: [10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        remote_addr: [10, 0, 1, to, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        local_port: port,
        remote_port: 443,
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

/// The release of what `connect` was given, `ms` after the start, held for `held_ms`.
pub(super) fn release(ms: u64, held_ms: u64, state: u8, of: &Record) -> Record {
    let held = u32::try_from((held_ms * 1_000_000) >> 10).unwrap();
    Record { mono_ns: at(ms), kind: kind::RELEASE, state, search_ns: held, flags: 0, ..*of }
}

/// A bind to port 0 that is given `port`.
pub(super) fn bind(ms: u64, pid: u32, port: u16) -> Record {
    Record { kind: kind::BIND, remote_addr: [0; 16], remote_port: 0, ..connect(ms, pid, 0, port) }
}

/// A check of a named port at a site, `kind` a number of the interface.
pub(super) fn check(kind: u8, error: u8, of: &Record) -> Record {
    Record { kind, error, requested_port: of.local_port, remote_port: 443, ..*of }
}

pub(super) fn no_port(record: Record) -> Record {
    Record { options: record.options | option::NO_PORT, ..record }
}

pub(super) fn event(record: &Record) -> Event {
    decode(record.as_bytes()).unwrap()
}

pub(super) fn settings() -> Settings {
    Settings { releases: true, checks: true, ..Settings::new(START) }
}

/// Takes records; their processes are called after their number modulo 3.
pub(super) fn feed(stats: &mut Stats, records: &[Record]) {
    feed_as(stats, records, |record| {
        let number = record.pid % 3;
        Process::new(Some(&format!("app-{number}")), Some(&format!("/usr/bin/{number}")), None)
    });
}

/// Takes records of processes that are called like that.
pub(super) fn feed_as(stats: &mut Stats, records: &[Record], called: impl Fn(&Record) -> Process) {
    let reserved = Reserved::default();
    let rules = SearchRules { reserved: Some(&reserved), ..SearchRules::default() };
    for record in records {
        let event = event(record);
        stats.take(&event, &Search::of(&event, &rules), &called(record));
    }
    stats.settle();
}

/// As [`feed`], in the short way for records that are like an event before them; how many went it.
pub(super) fn feed_shortly(stats: &mut Stats, records: &[Record]) -> usize {
    let reserved = Reserved::default();
    let rules = SearchRules { reserved: Some(&reserved), ..SearchRules::default() };
    let programs: Vec<Process> = (0..3)
        .map(|number| Process::new(Some(&format!("app-{number}")), Some(&format!("/usr/bin/{number}")), None))
        .collect();
    let mut short = 0;
    for record in records {
        if stats.take_more(Glimpse::of(record.as_bytes()).unwrap()) {
            short += 1;
            continue;
        }
        let event = event(record);
        let process = &programs[(record.pid % 3) as usize];
        if stats.take(&event, &Search::of(&event, &rules), process)
            && let Some(course) = Course::of(&event, &rules)
        {
            stats.expect_more(&event, course);
        }
    }
    stats.settle();
    short
}

pub(super) fn fed(settings: Settings, records: &[Record]) -> Stats {
    let mut stats = Stats::new(settings);
    feed(&mut stats, records);
    stats
}
