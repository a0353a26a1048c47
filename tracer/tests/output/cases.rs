//! Events to write: a fixed list, and any at all.

use std::{net::Ipv6Addr, sync::Arc};

use portscope::{
    enrich::{Cgroup, Process, UtcNs},
    event::{Event, Reserved, Search, SearchRules, decode},
    output::{
        Observation,
        records::{
            Diagnostics, FilterValue, Footer, Header, Holder, HookState, LostBy, NetnsState, SelfCost, Totals,
        },
    },
};
use proptest::prelude::*;
use tracer_ebpf::abi::{Met, Record, flags, kind, option, present};
use zerocopy::{FromBytes as _, IntoBytes as _};

/// An event and its process, owned.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) event: Event,
    pub(crate) search: Search,
    pub(crate) process: Process,
    pub(crate) utc: UtcNs,
    pub(crate) holders: Option<Vec<Holder>>,
}

impl Case {
    pub(crate) fn seen(&self) -> Observation<'_> {
        Observation {
            event: &self.event,
            search: self.search,
            utc: self.utc,
            process: &self.process,
            holders: self.holders.as_deref(),
        }
    }
}

fn v4(octets: [u8; 4]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&octets);
    bytes
}

pub(crate) fn name(text: &[u8]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..text.len()].copy_from_slice(text);
    bytes
}

const SEEN: u16 = !present::SEARCH_UPPER;

pub(crate) fn connect() -> Record {
    Record {
        mono_ns: 81_895_158_000_123,
        socket: 0x1a2b,
        cgroup_id: 1,
        pid: 101,
        tid: 101,
        uid: 0,
        netns: 4_026_531_840,
        search_ns: 2230,
        search_start: 7344,
        local_addr: v4([10, 0, 0, 1]),
        remote_addr: v4([10, 0, 0, 9]),
        comm: name(b"curl"),
        local_port: 40_112,
        remote_port: 443,
        range_low: 32_768,
        range_high: 60_999,
        present: SEEN,
        kind: kind::CONNECT,
        protocol: 6,
        family: 4,
        flags: flags::CANDIDATES_EXACT,
        ..Record::default()
    }
}

pub(crate) fn records() -> Vec<Record> {
    let six = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
    let nobody = Record { remote_addr: [0; 16], remote_port: 0, ..connect() };
    let met = |record: Record, met| {
        let mut record = record;
        record.note_met(met);
        record
    };
    let taken = Met::Connect { tuple: 9, waiting: 4 };
    vec![
        connect(),
        Record { local_port: 0, error: 99, search_ns: 1_512_345, options: option::REUSEADDR, ..connect() },
        Record { local_port: 40_113, tid: 107, comm: name(b"pool-1"), flags: 0, ..connect() },
        Record {
            local_port: 40_119,
            family: 6,
            local_addr: six("2001:db8:1:2:3:4:5:6"),
            remote_addr: six("2001:db8::9"),
            flags: flags::CANDIDATES_EXACT | flags::TIME_WAIT_REUSED | flags::KERNEL_SOCKET,
            options: option::NO_PORT | option::FREEBIND | option::MPTCP | option::REUSEPORT,
            ..connect()
        },
        Record { kind: kind::BIND, local_port: 50_000, comm: name(b"\x1b[2J\xff"), ..nobody },
        Record {
            kind: kind::FIXED_BIND,
            local_port: 0,
            requested_port: 8080,
            error: 98,
            search_ns: 950,
            local_addr: [0; 16],
            ..nobody
        },
        Record { kind: kind::AUTOBIND, protocol: 17, local_port: 0, error: 11, search_ns: 999_960, ..nobody },
        Record { kind: kind::FIXED_CONNECT, local_port: 0, requested_port: 40_000, error: 99, ..connect() },
        Record { kind: kind::LISTEN, local_port: 40_001, present: present::ERROR, ..nobody },
        Record {
            local_port: 0,
            present: SEEN & !(present::ERROR | present::SEARCH_START) | present::SEARCH_UPPER,
            ..connect()
        },
        Record { kind: kind::RELEASE, state: 6, search_ns: 58_593_750, ..connect() },
        Record { kind: kind::RELEASE, state: 7, search_ns: u32::MAX, protocol: 17, ..connect() },
        met(Record { local_port: 40_180, options: option::FREEBIND, ..connect() }, taken),
        met(Record { local_port: 40_180, flags: 0, ..connect() }, taken),
        met(Record { kind: kind::BIND, local_port: 50_000, ..nobody }, Met::Port { bucket: 12 }),
    ]
}

/// A fixed list of everything that has a look of its own.
pub(crate) fn fixed() -> Vec<Case> {
    let cgroup = Arc::new(Cgroup::new(Some("/system.slice/app.service"), Some("app.service"), None, None));
    let processes = [
        Process::new(Some("curl"), Some("/usr/bin/curl"), Some(cgroup)),
        Process::new(Some("say \"hi\", \u{202e}\x1b[31m"), Some("/opt/a b,c (deleted)"), None),
        Process::unknown(),
    ];
    let reserved = Reserved::from_ports(40_100..=40_105);
    let rules = SearchRules { reserved: Some(&reserved), ..SearchRules::default() };
    let holder = Holder {
        pid: Some(977),
        comm: Some("otel-agent".into()),
        since: None,
        since_basis: None,
        remote_addr: "10.0.8.4".parse().ok(),
        remote_port: Some(4317),
        state: "ESTAB".into(),
    };
    records()
        .iter()
        .enumerate()
        .map(|(index, record)| {
            let event = decode(record.as_bytes()).unwrap();
            Case {
                search: Search::of(&event, &rules),
                process: processes[index % processes.len()].clone(),
                utc: UtcNs(1_795_348_800_123_456_789 + i64::try_from(index).unwrap() * 700_000_001),
                holders: (record.kind == kind::FIXED_BIND).then(|| vec![holder.clone()]),
                event,
            }
        })
        .collect()
}

/// Any event of any process.
pub(crate) fn any_case() -> impl Strategy<Value = Case> {
    let text = || proptest::option::of(any::<String>());
    (
        any::<[[u8; 8]; 15]>(),
        0_u8..8,
        3_u8..8,
        any::<bool>(),
        any::<i64>(),
        [text(), text(), text(), text(), text()],
    )
        .prop_map(|(bytes, kind, family, tame, utc, [comm, exe, unit, container, pod])| {
            let mut record = Record::read_from_bytes(bytes.as_bytes()).unwrap();
            record.kind = kind;
            record.family = family;
            if tame {
                record.error %= 3;
                record.range_low = record.local_port.saturating_sub(1000);
                record.range_high = record.local_port.saturating_add(999);
                record.protocol = 6;
            }
            let event = decode(record.as_bytes()).unwrap();
            let reserved = Reserved::default();
            let rules = SearchRules { reserved: Some(&reserved), ..SearchRules::default() };
            let cgroup = Arc::new(Cgroup::new(None, unit.as_deref(), container.as_deref(), pod.as_deref()));
            Case {
                event,
                search: Search::of(&event, &rules),
                process: Process::new(comm.as_deref(), exe.as_deref(), Some(cgroup)),
                utc: UtcNs(utc),
                holders: None,
            }
        })
}

pub(crate) fn header() -> Header {
    Header {
        schema: 1,
        version: "0.1.0".into(),
        host: "h".into(),
        kernel: "6.1.0".into(),
        boot_id: None,
        started: "2026-11-22T12:00:00.123456789Z".into(),
        backend: "fentry".into(),
        fields_unavailable: vec![],
        fields_approximate: vec!["search_ns".into()],
        netns: vec![NetnsState {
            id: 4_026_531_840,
            name: Some("host".into()),
            range: Some([32_768, 60_999]),
            reserved: Some(String::new()),
            effective: Some(28_232),
            step_width: None,
            tcp_tw_reuse: Some(2),
            tcp_tw_reuse_delay_ms: None,
            tcp_timestamps: Some(1),
        }],
        filters: [
            ("failed".to_owned(), FilterValue::Set(true)),
            ("pid".to_owned(), FilterValue::Any(vec!["101".into()])),
        ]
        .into(),
        hooks: vec![HookState {
            hook: "__inet_hash_connect".into(),
            program: "fe_connect".into(),
            verdict: "attached".into(),
            reason: None,
        }],
        buffer_bytes: 8_388_608,
    }
}

pub(crate) fn footer() -> Footer {
    Footer {
        seen: 1_204,
        emitted: 1_190,
        filtered: 2,
        lost: 12,
        missed: Some(3),
        inner_calls: Some(41_300),
        inner_missed: Some(17),
        ended: "2026-11-22T12:00:30.000000000Z".into(),
        totals: Totals {
            allocations: 1_202,
            failures: 7,
            by_error: [("EADDRNOTAVAIL".to_owned(), 7)].into(),
            by_cause: [("exhausted".to_owned(), 7)].into(),
            by_site: [("connect".to_owned(), 1_202)].into(),
            by_proto: [("tcp".to_owned(), 1_202)].into(),
        },
        lost_by: vec![LostBy {
            pid: Some(101),
            comm: Some("curl\x1b".into()),
            site: "connect".into(),
            proto: "tcp".into(),
            error: Some("EADDRNOTAVAIL".into()),
            count: 12,
        }],
        diagnostics: Diagnostics { no_entry: 1, ..Diagnostics::default() },
        cost: SelfCost { cpu_s: 0.1, rss_bytes: 1, kernel_ns_per_event: None },
        host: None,
    }
}
