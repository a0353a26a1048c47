use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use super::*;
use crate::operation::{Family, Kind, Proto, Site};

fn connect(port: u16) -> Operation {
    Operation {
        scene: "tcp v4: connect".to_owned(),
        site: Site::Connect,
        proto: Proto::Tcp,
        family: Some(Family::Ipv4),
        kind: Kind::Allocation,
        ok: true,
        errno: None,
        call_errno: None,
        cause: None,
        local_addr: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        local_port: port,
        requested_port: 0,
        remote_addr: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        remote_port: Some(80),
        pid: 7,
        tid: 8,
        comm: "workload".to_owned(),
        thread_comm: "thread".to_owned(),
        netns: 1,
        range: Some([32768, 60999]),
        options: vec![],
    }
}

fn event(port: u16) -> Value {
    json!({
        "type": "allocation", "site": "connect", "result": "ok", "error": null, "cause": null, "proto": "tcp",
        "family": "ipv4", "pid": 7, "tid": 8, "comm": "workload", "thread_comm": "thread", "netns": 1,
        "local_addr": "127.0.0.1", "local_port": port, "requested_port": 0, "remote_addr": "127.0.0.1",
        "remote_port": 80, "range": [32768, 60999], "options": [],
    })
}

fn capture(unavailable: &[&str], events: &[Value]) -> Capture {
    let header = json!({"type": "header", "fields_unavailable": unavailable});
    let footer = json!({"type": "footer"});
    let lines: Vec<String> =
        [&header].into_iter().chain(events).chain([&footer]).map(Value::to_string).collect();
    Capture::parse(&lines.join("\n"), String::new()).unwrap()
}

#[test]
fn equal_sets_agree_in_any_order_and_others_processes_do_not_count() {
    let mut stranger = event(3);
    stranger["pid"] = json!(9);
    let capture = capture(&[], &[event(2), stranger, event(1)]);
    compare(&[connect(1), connect(2)], &capture).unwrap();
}

#[test]
fn one_event_does_not_serve_two_operations() {
    let found = Comparison::of(&[connect(1), connect(1)], &capture(&[], &[event(1)]), &[7]);
    assert_eq!((found.missing.len(), found.surplus.len(), found.differing.len()), (1, 0, 0));
}

#[test]
fn an_event_without_operation_is_surplus() {
    let found = Comparison::of(&[connect(1)], &capture(&[], &[event(1), event(1)]), &[7]);
    assert_eq!((found.missing.len(), found.surplus.len(), found.differing.len()), (0, 1, 0));
}

#[test]
fn a_wrong_field_is_named_with_both_values() {
    let mut wrong = event(1);
    wrong["netns"] = json!(2);
    let error = compare(&[connect(1)], &capture(&[], &[wrong])).unwrap_err().to_string();
    assert!(error.contains("netns is 2, not 1"), "{error}");
}

#[test]
fn a_null_passes_only_where_the_field_is_listed() {
    let mut unseen = event(1);
    unseen["thread_comm"] = json!(null);
    let error = compare(&[connect(1)], &capture(&[], &[unseen.clone()])).unwrap_err().to_string();
    assert!(error.contains("not in fields_unavailable"), "{error}");
    compare(&[connect(1)], &capture(&["thread_comm"], &[unseen])).unwrap();
}

#[test]
fn a_failure_has_its_errno_and_no_port() {
    let mut failed = connect(0);
    (failed.ok, failed.errno, failed.cause) =
        (false, Some("EADDRNOTAVAIL".to_owned()), Some("exhausted".to_owned()));
    let mut told = event(0);
    told["result"] = json!("failed");
    told["error"] = json!("EADDRNOTAVAIL");
    told["cause"] = json!("exhausted");
    told["local_port"] = json!(null);
    compare(&[failed.clone()], &capture(&[], &[told.clone()])).unwrap();
    told["local_port"] = json!(40_000);
    assert!(compare(&[failed], &capture(&[], &[told])).is_err());
}

#[test]
fn options_are_compared_in_any_order_and_the_kernels_mark_is_passed_over() {
    let mut done = connect(1);
    done.options = vec!["reuseport".to_owned(), "fastopen_connect".to_owned(), "freebind".to_owned()];
    let mut told = event(1);
    told["options"] = json!(["freebind", "bindport_lock", "reuseport"]);
    compare(&[done.clone()], &capture(&[], &[told.clone()])).unwrap();
    told["options"] = json!(["freebind"]);
    assert!(compare(&[done], &capture(&[], &[told])).is_err());
}

#[test]
fn a_fixed_port_that_is_checked_is_no_bind() {
    let mut done = connect(1);
    (done.kind, done.requested_port, done.range) = (Kind::Explicit, 1, None);
    let mut told = event(1);
    told["type"] = json!("check");
    told["requested_port"] = json!(1);
    compare(&[done.clone()], &capture(&[], &[told.clone()])).unwrap();
    told["type"] = json!("bind");
    assert!(compare(&[done], &capture(&[], &[told])).is_err());
}

#[test]
fn nothing_to_compare_is_an_error() {
    assert!(compare(&[], &capture(&[], &[])).is_err());
}
