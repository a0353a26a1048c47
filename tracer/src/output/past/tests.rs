use super::*;
use crate::output::records::VerdictRecord;

fn owner(pid: u32, comm: &str) -> OwnerRecord {
    OwnerRecord { pid, comm: Some(comm.into()), exe: None, unit: None, container: None, pod: None }
}

fn time(clock: &str) -> String {
    format!("2026-11-22T{clock}000000Z")
}

fn had(comm: &str) -> TenureRecord {
    TenureRecord {
        netns: Some(1),
        label: Some("shop".into()),
        proto: "tcp".into(),
        owner: Some(owner(7, comm)),
        local_addr: "127.0.0.1".parse().ok(),
        remote_addr: "127.0.0.1".parse().ok(),
        remote_port: Some(80),
        how: Some("connect".into()),
        from: Some(time("03:12:00.100")),
        seen_from: None,
        seen_to: time("03:12:05.000"),
        to: Some(time("03:12:05.000")),
        end: "released".into(),
        gone_by: None,
        accepted: 0,
        at_that_time: None,
    }
}

fn served(end: &str, gone_by: Option<&str>) -> TenureRecord {
    TenureRecord {
        owner: Some(OwnerRecord { unit: Some("web.service".into()), ..owner(9, "web") }),
        remote_addr: None,
        remote_port: None,
        how: None,
        from: None,
        seen_from: Some(time("03:11:00.000")),
        seen_to: time("03:11:30.000"),
        to: None,
        end: end.into(),
        gone_by: gone_by.map(time),
        accepted: 3,
        ..had("x")
    }
}

fn who(history: Vec<TenureRecord>, refused: Vec<RefusedRecord>) -> Who {
    Who {
        schema: 1,
        host: "h".into(),
        kernel: "6.1.0".into(),
        time: time("03:13:00.000"),
        ports: vec![PortRecord {
            port: 8080,
            places: Vec::new(),
            verdict: Some(VerdictRecord {
                word: "CONFLICT".into(),
                reason: "8080: 3 refusals; 2 had it".into(),
                finding: None,
            }),
            history,
            refused,
        }],
        netns_asked: 1,
        unanswered: Vec::new(),
        unreadable_processes: 0,
        truncated: false,
        bound_untold: false,
        recorded: None,
    }
}

fn recorded(releases: bool) -> RecordedRecord {
    RecordedRecord {
        from: time("03:10:00.000"),
        to: time("03:14:00.000"),
        at: None,
        releases,
        looks: vec![time("03:10:00.000"), time("03:14:00.000")],
        lost: 0,
        cut: false,
    }
}

#[test]
fn a_history_is_told_in_the_order_of_its_times() {
    let refused = RefusedRecord {
        netns: Some(1),
        label: Some("shop".into()),
        proto: "tcp".into(),
        owner: owner(8, "\x1b[2Jweb"),
        local_addr: "0.0.0.0".parse().ok(),
        remote_addr: None,
        remote_port: None,
        site: "bind".into(),
        error: Some("EADDRINUSE".into()),
        count: 3,
        first: time("03:12:01.000"),
        last: time("03:12:03.000"),
    };
    let all = who(vec![had("cli"), served("gone", Some("03:11:59.000"))], vec![refused]);
    let expected = "\
CONFLICT  8080: 3 refusals; 2 had it                                                                netns shop
03:11:00.000 web (pid 9, web.service) tcp 127.0.0.1:8080, had it already at this look; seen until
             03:11:30.000, gone by 03:11:59.000, with 3 connections beside it
03:12:00.100 cli (pid 7) tcp 127.0.0.1:8080 > 127.0.0.1:80, given by connect; released at 03:12:05.000
03:12:01.000 refused: \\x1b[2Jweb (pid 8) tcp bind 0.0.0.0:8080 EADDRINUSE, 3 times until 03:12:03.000

recording    host h, 2026-11-22 03:10:00.000 to 03:14:00.000
looks        the sockets were looked at 2 times, from 03:10:00.000 to 03:14:00.000; named ports are seen to
             end only so
";
    assert_eq!(text(&all, &recorded(true), &TimeZone::UTC, false), expected);
}

#[test]
fn what_could_not_be_seen_is_said() {
    let all = who(
        vec![served("unknown", None), TenureRecord { end: "held".into(), to: None, ..had("cli") }],
        Vec::new(),
    );
    let recorded = RecordedRecord { lost: 1_200, cut: true, ..recorded(false) };
    let told = text(&all, &recorded, &TimeZone::UTC, false);
    // Wherever the lines are broken.
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "its end was not seen; seen until 03:11:30.000",
        "still had it at the end",
        "releases were not recorded",
        "1,200 events of which the count alone is known",
        "the recording has no end",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
