use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::output::records::{ConntrackRecord, NetnsState, SelfCost, TracingRecord, VerdictRecord};

fn space(id: u32, label: &str) -> SpaceRecord {
    SpaceRecord {
        state: NetnsState {
            id,
            name: Some(label.into()),
            range: Some([32_768, 60_999]),
            reserved: Some(String::new()),
            effective: Some(28_232),
            step_width: None,
            tcp_tw_reuse: Some(2),
            tcp_tw_reuse_delay_ms: None,
            tcp_timestamps: Some(1),
        },
        label: label.into(),
        cliff: Some(14_116),
        pays_back_per_s: Some(28_232.0 / 60.0),
        sockets: Some(400),
        tcp_fin_timeout_s: Some(60),
        tcp_max_tw_buckets: Some(131_072),
        ip_unprivileged_port_start: Some(1024),
        ip_autobind_reuse: Some(0),
        time_waits: Some(74),
        conntrack: ConntrackRecord { count: Some(3_114), max: Some(262_144), time_wait_s: Some(120) },
    }
}

fn holder(pid: Option<u32>, processes: u32, comm: Option<&str>, ports: u32) -> PoolHolderRecord {
    PoolHolderRecord {
        pid,
        processes,
        comm: comm.map(str::to_owned),
        exe: None,
        unit: None,
        container: None,
        pod: None,
        ports,
        time_wait: 0,
    }
}

fn pool(netns: u32, laddr: &str, raddr: &str, barred: u32) -> PoolRecord {
    PoolRecord {
        netns,
        proto: "tcp".into(),
        local_addr: laddr.parse().unwrap(),
        remote_addr: Some(raddr.parse().unwrap()),
        remote_port: Some(5432),
        range: [32_768, 60_999],
        effective: 28_232,
        held_after_s: None,
        barred,
        peak_barred: barred,
        utilisation: Some(f64::from(barred) / 28_232.0),
        barred_by_binds: 0,
        held: BTreeMap::from([("ESTABLISHED".to_owned(), 237), ("TIME_WAIT".to_owned(), 74)]),
        reusable_time_wait: Some(0),
        halves: None,
        failures: None,
        sustainable_per_s: None,
        cliff_per_s: None,
        hold: None,
        exhausted_in_s: None,
        search: None,
        holders: vec![
            holder(Some(5), 1, Some("postgres-export"), 96),
            holder(None, 0, None, 74),
            holder(Some(6), 4, Some("api"), 71),
            holder(Some(7), 1, Some("a"), 40),
            holder(Some(8), 1, Some("b"), 30),
        ],
    }
}

fn lint(netns: u32, title: &str) -> FindingRecord {
    FindingRecord {
        id: "PS006".into(),
        severity: "info".into(),
        lint: true,
        takes_in: Vec::new(),
        title: title.into(),
        evidence: BTreeMap::from([("netns".to_owned(), json!(netns))]),
        lines: vec![crate::output::records::LineRecord { label: "why".into(), text: "so".into() }],
        advice: Vec::new(),
        wont_help: Vec::new(),
        commands: Vec::new(),
    }
}

fn check() -> Check {
    Check {
        schema: 1,
        version: "0.1.0".into(),
        host: "prod-7".into(),
        kernel: "6.1.0-56".into(),
        time: "2026-11-22T03:12:40.123456789Z".into(),
        verdict: VerdictRecord {
            word: "OK".into(),
            reason: "no pool above 2 %, nothing near a limit".into(),
            finding: None,
        },
        netns: vec![space(1, "host"), space(2, "pod api-7f9")],
        pools: vec![pool(1, "10.0.3.14", "10.0.9.2", 311), pool(2, "10.244.1.9", "10.96.0.1", 4)],
        findings: vec![lint(1, "grpc-server listens on 50051, inside the range, not reserved")],
        tracing: TracingRecord {
            possible: vec!["fentry".into(), "kprobe".into()],
            impossible: vec!["tracepoint: no cgroup version 2 hierarchy is mounted".into()],
            missing_capabilities: Vec::new(),
        },
        unanswered: Vec::new(),
        unreadable_processes: 0,
        truncated: false,
        cost: SelfCost::default(),
    }
}

fn utc(check: &Check) -> String {
    text(check, Look { utc: true, ..Look::default() })
}

#[test]
fn a_healthy_host_is_ten_lines() {
    let expected = "\
OK  no pool above 2 %, nothing near a limit                     prod-7 · 6.1.0-56 · 2026-11-22 03:12:40 +00:00
NETNS        RANGE       RESERVED  USABLE  FULLEST TCP CONNECT POOL                       HELD   CLIFF    WALL
host         32768-60999        0  28,232  10.0.3.14 > 10.0.9.2:5432               311 (1.1 %)  14,116  28,232
pod api-7f9  32768-60999        0  28,232  10.244.1.9 > 10.96.0.1:5432               4 (0.0 %)  14,116  28,232
held by      237 ESTAB + 74 TIME_WAIT: postgres-export 96, no process any more 74, api x4 71, 2 others 70
pays back    470/s per destination if this side closes first (TIME_WAIT 60 s, fixed); cliff from 235/s
settings     tcp_tw_reuse=2 (127/8, ::1 only) timestamps=1  TIME_WAIT 74/131,072  conntrack 3,114/262,144
tracing      fentry, else kprobe: not tried (portscope check --hooks does); not tracepoint: no cgroup version
             2 hierarchy is mounted
note         PS006 host: grpc-server listens on 50051, inside the range, not reserved
             what to do: portscope check -v; what it means: portscope explain PS006
";
    assert_eq!(utc(&check()), expected);
}

#[test]
fn what_is_not_known_is_a_dash_and_what_was_not_seen_is_told() {
    let mut host = space(1, "host");
    host.state.range = None;
    host.state.effective = None;
    (host.cliff, host.pays_back_per_s, host.state.tcp_tw_reuse, host.time_waits) = (None, None, None, None);
    host.conntrack = ConntrackRecord::default();
    let told = utc(&Check {
        netns: vec![host],
        pools: Vec::new(),
        findings: Vec::new(),
        unanswered: vec!["netns host: cannot enter".into(), "netns x: cannot enter".into()],
        unreadable_processes: 7,
        truncated: true,
        ..check()
    });
    assert!(
        told.contains("settings     tcp_tw_reuse=- timestamps=1  TIME_WAIT -/131,072  conntrack -/-"),
        "{told}"
    );
    assert!(told.contains("not seen     netns host: cannot enter, and 1 questions more"), "{told}");
    assert!(told.contains("7 processes may not be looked at") && told.contains("lower bounds"), "{told}");
    assert!(!told.contains("pays back") && !told.contains("held by"), "{told}");
}

#[test]
fn the_fullest_pool_is_told_with_its_namespace_where_that_is_not_the_first() {
    let told = utc(&Check { pools: vec![pool(2, "10.0.0.1", "10.0.0.2", 9_000)], ..check() });
    assert!(told.contains("held by      pod api-7f9: 237 ESTAB"), "{told}");
    assert!(told.contains("settings     pod api-7f9: tcp_tw_reuse=2"), "{told}");
}

#[test]
fn no_line_is_wider_than_the_screen_whatever_it_names() {
    let long = "x".repeat(40);
    let v6 = "fd00:1111:2222:3333:4444:5555:6666:7777";
    let told = utc(&Check {
        netns: (0..12).map(|id| space(id, &format!("{long}\x1b[2J"))).collect(),
        pools: vec![pool(0, v6, v6, 28_232)],
        findings: (0..9).map(|id| lint(id, &"many words ".repeat(20))).collect(),
        host: long.clone(),
        ..check()
    });
    assert!(told.lines().all(|line| line.chars().count() <= 110), "{told}");
    assert!(!told.contains('\x1b') && told.contains("… 4 more, none of them fuller"), "{told}");
    assert!(told.contains("5 notes more"), "{told}");
}

#[test]
fn a_finding_that_is_the_verdict_is_not_named_twice() {
    let finding = FindingRecord {
        id: "PS001".into(),
        lint: false,
        takes_in: Vec::new(),
        severity: "critical".into(),
        ..lint(1, "10.0.3.14 is full")
    };
    let told = utc(&Check {
        verdict: VerdictRecord {
            word: "EXHAUSTED".into(),
            reason: "10.0.3.14 is full".into(),
            finding: Some("PS001".into()),
        },
        findings: vec![finding],
        ..check()
    });
    assert!(told.starts_with("EXHAUSTED  10.0.3.14 is full [PS001]"), "{told}");
    assert!(told.matches("PS001").count() == 1 && told.contains("why          so"), "{told}");
}
