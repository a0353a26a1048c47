//! A made-up run: a pool that fills within 20 seconds, and who was refused.

use std::collections::BTreeMap;

use portscope::{
    event::{Port, PortRange, Protocol},
    output::{
        html::{Course, Exhibits, Step, Timeline},
        records::{
            Accounting, CommandRecord, ConntrackRecord, DestinationRecord, DistributionRecord, FindingRecord,
            HotPortRecord, LineRecord, NetnsState, PoolRecord, ProcessRecord, Report, RowRecord, SpaceRecord,
            Totals, Window,
        },
    },
    stock::{Parity, PoolKey, PortMap, PortSet},
};

pub(super) const HOST: u32 = 4_026_531_840;

pub(super) fn process(comm: &str, allocations: u64, failures: u64) -> ProcessRecord {
    ProcessRecord {
        pid: Some(101),
        processes: 1,
        comm: Some(comm.to_owned()),
        exe: Some(format!("/usr/bin/{comm}")),
        unit: None,
        container: None,
        pod: None,
        row: row(allocations, failures),
        bound_connects: 0,
        time_wait_made: None,
    }
}

pub(super) fn row(allocations: u64, failures: u64) -> RowRecord {
    RowRecord { allocations, failures, churn_mean: Some(1.5), churn_peak: 9, ..RowRecord::default() }
}

pub(super) fn destination(port: u16) -> DestinationRecord {
    DestinationRecord {
        netns: Some(HOST),
        proto: "tcp".to_owned(),
        remote_addr: "10.0.9.2".parse().unwrap(),
        remote_port: Some(port),
        row: row(2_000, 500),
    }
}

fn line(label: &str, text: &str) -> LineRecord {
    LineRecord { label: label.to_owned(), text: text.to_owned() }
}

pub(in super::super) fn finding(reason: &str) -> FindingRecord {
    let set = |range: &str| format!("sysctl -w net.ipv4.ip_local_port_range=\"{range}\"");
    FindingRecord {
        id: "PS001".to_owned(),
        severity: "critical".to_owned(),
        lint: false,
        takes_in: Vec::new(),
        title: reason.to_owned(),
        evidence: BTreeMap::new(),
        lines: vec![
            line("held by", "1,000 of 1,000: 1,000 ESTAB; api 100.0 %"),
            line("refused to", "worker 500"),
            line("why", "the range 40000-40999 has 1,000 ports"),
            line("do 1", "keep connections open in api"),
            line("undo", "=\"40000 40999\""),
        ],
        advice: vec![
            "keep connections open in api".to_owned(),
            format!("{}   46,000 ports (risk: a port given out)", set("15000 60999")),
        ],
        wont_help: vec!["tcp_fin_timeout".to_owned(), "ulimit -n".to_owned()],
        commands: vec![CommandRecord {
            netns: Some(HOST),
            run: set("15000 60999"),
            persist: Some("a file in /etc/sysctl.d".to_owned()),
            undo: Some(set("40000 40999")),
            risk: Some("a port given out".to_owned()),
        }],
    }
}

pub(super) fn pool(port: u16, barred: u32) -> PoolRecord {
    PoolRecord {
        range: [40_000, 40_999],
        effective: 1_000,
        utilisation: Some(f64::from(barred) / 1_000.0),
        remote_port: Some(port),
        ..crate::report::pool(barred)
    }
}

pub(in super::super) fn report() -> Report {
    let plain = crate::report::report("EXHAUSTED", Some("PS001"), vec![pool(6379, 1_000), pool(5432, 12)]);
    let mut header = plain.header.clone();
    header.netns[0].range = Some([40_000, 40_999]);
    header.netns[0].reserved = Some("40200-40299".to_owned());
    Report {
        header,
        interval: None,
        window: Window {
            started: "2026-11-22T12:00:00.500000000Z".to_owned(),
            ended: "2026-11-22T12:00:20.750000000Z".to_owned(),
            seconds: 20.25,
        },
        totals: portscope::output::records::ReportTotals {
            counted: Totals { allocations: 2_100, failures: 500, ..Totals::default() },
            churn_mean: Some(103.7),
            churn_peak: 140,
            churn_dispersion: Some(1.4),
            failures_dispersion: None,
        },
        processes: vec![process("worker", 1_500, 500), process("api", 500, 0)],
        destinations: vec![destination(6379)],
        distribution: DistributionRecord {
            netns: Some(HOST),
            proto: Some("tcp".to_owned()),
            bucket_edges: (0..=20).map(|at| 40_000 + 50 * at).collect(),
            counts: (0..20).map(|at| if (4..6).contains(&at) { 0 } else { 90 + at % 7 }).collect(),
            chi2: None,
            p_value: Some(0.25),
            hot_ports: vec![HotPortRecord {
                port: 40_300,
                uses: 61,
                to_median: Some(30.5),
                behind_hole: Some(100),
            }],
            out_of_range: 0,
        },
        call_sites: Some(crate::report::call_sites("worker", "open_all")),
        findings: vec![finding(&plain.verdict.reason)],
        accounting: Accounting {
            seen: 2_112,
            emitted: 2_100,
            filtered: 12,
            lost: 0,
            ..Accounting::default()
        },
        ..plain
    }
}

pub(super) fn space(id: u32, label: &str) -> SpaceRecord {
    SpaceRecord {
        state: NetnsState {
            id,
            name: Some(label.to_owned()),
            range: Some([40_000, 40_999]),
            reserved: Some("40200-40299".to_owned()),
            effective: Some(900),
            step_width: None,
            tcp_tw_reuse: Some(2),
            tcp_tw_reuse_delay_ms: None,
            tcp_timestamps: Some(1),
        },
        label: label.to_owned(),
        cliff: Some(450),
        pays_back_per_s: Some(15.0),
        sockets: Some(1_002),
        tcp_fin_timeout_s: Some(60),
        tcp_max_tw_buckets: Some(131_072),
        ip_unprivileged_port_start: Some(1_024),
        ip_autobind_reuse: Some(0),
        time_waits: Some(3),
        conntrack: ConntrackRecord::default(),
    }
}

pub(super) fn map(range: PortRange) -> PortMap {
    let ports =
        |keep: fn(u16) -> bool| (range.low()..=range.high()).filter(|port| keep(*port)).collect::<PortSet>();
    let reserved = ports(|port| (40_200..40_300).contains(&port));
    let barred = ports(|port| port % 7 < 4).without(&reserved);
    PortMap {
        key: Some(PoolKey::Connect {
            proto: Protocol::Tcp,
            laddr: "10.0.3.14".parse().unwrap(),
            raddr: "10.0.9.2".parse().unwrap(),
            rport: Port::new(6379).unwrap(),
        }),
        range,
        first: Some(Parity::Even),
        time_wait: ports(|port| port % 7 == 3).without(&reserved),
        listening: ports(|port| port == 40_500),
        reusable: 0,
        reserved,
        barred,
    }
}

pub(super) fn timeline(count: u16, step_s: u64) -> Timeline {
    let step = |at: u16| Step { allocations: 100 + u64::from(at), failures: u64::from(at.saturating_sub(9)) };
    let share = |at: u16| (at != 2).then(|| (f32::from(at) / 10.0).min(1.0));
    Timeline {
        step_s,
        steps: (0..count).map(step).collect(),
        pools: vec![
            Course {
                name: "10.0.3.14 > 10.0.9.2:6379 in host".to_owned(),
                shares: (0..count).map(share).collect(),
            },
            Course {
                name: "10.0.3.14 > 10.0.9.2:5432 in host".to_owned(),
                shares: vec![Some(0.01), Some(0.02)],
            },
        ],
    }
}

pub(super) fn exhibits() -> Exhibits {
    Exhibits {
        timeline: timeline(21, 1),
        search_times: vec![(900, 3), (1_900, 40), (19_000, 400), (130_000, 57)],
        map: Some(("host".to_owned(), map(PortRange::new(40_000, 40_999).unwrap()))),
        spaces: vec![space(HOST, "host")],
    }
}
