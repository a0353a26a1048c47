//! A line does not hang on the lines before it, though parts of them are used again.

use std::sync::Arc;

use portscope::{
    enrich::{Cgroup, Process, UtcNs},
    event::{Event, Search, decode},
    output::{JsonOutput, Observation, TraceOutput as _},
};
use proptest::prelude::*;
use tracer_ebpf::abi::Record;
use zerocopy::IntoBytes as _;

use crate::cases::{any_case, connect, name, records};

fn line(output: &mut JsonOutput, event: &Event, process: &Process) -> String {
    let (search, utc) = (Search::default(), UtcNs(1_795_348_800_123_456_789));
    let mut out = Vec::new();
    output.event(&Observation { event, search, utc, process, holders: None }, &mut out);
    String::from_utf8(out).unwrap()
}

fn afresh(event: &Event, process: &Process) -> String {
    line(&mut JsonOutput::new(), event, process)
}

/// Writes both in turn, and holds each line to what an output that wrote nothing before makes of it.
fn in_turn(one: (&Event, &Process), other: (&Event, &Process)) {
    let mut output = JsonOutput::new();
    let [first, second] = [one, other].map(|(event, process)| (event, process, afresh(event, process)));
    for (event, process, expected) in [&first, &second, &second, &first, &first, &second] {
        assert_eq!(line(&mut output, event, process), *expected);
    }
}

#[test]
fn every_bit_of_a_record_counts() {
    let process = Process::new(Some("curl"), Some("/usr/bin/curl"), None);
    for record in records() {
        let event = decode(record.as_bytes()).unwrap();
        for bit in 0..size_of::<Record>() * 8 {
            let mut bytes = record.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(changed) = decode(&bytes) {
                in_turn((&event, &process), (&changed, &process));
            }
        }
    }
}

#[test]
fn what_a_thread_changes_about_itself_shows_in_its_next_line() {
    let process = Process::new(Some("curl"), Some("/usr/bin/curl"), None);
    let before = decode(connect().as_bytes()).unwrap();
    let table = [
        (Record { uid: 1000, ..connect() }, r#""uid":1000,"#),
        (Record { comm: name(b"\"\x1b[2J"), ..connect() }, r#""thread_comm":"\"\u001b[2J","#),
        (Record { cgroup_id: 77, ..connect() }, r#""cgroup_id":"77","#),
        (Record { netns: 4_026_532_000, ..connect() }, r#""netns":4026532000,"#),
        (Record { tid: 102, ..connect() }, r#""tid":102,"#),
    ];
    for (record, shown) in table {
        let after = decode(record.as_bytes()).unwrap();
        let mut output = JsonOutput::new();
        assert!(!line(&mut output, &before, &process).contains(shown));
        assert!(line(&mut output, &after, &process).contains(shown), "{shown}");
        assert!(!line(&mut output, &before, &process).contains(shown));
    }
}

#[test]
fn a_process_that_is_read_again_shows_as_it_is_now() {
    let event = decode(connect().as_bytes()).unwrap();
    let cgroup = |unit: &str| Some(Arc::new(Cgroup::new(None, Some(unit), None, None)));
    let before = Process::new(Some("sh"), Some("/bin/sh"), cgroup("a.service"));
    let table = [
        (Process::new(Some("curl"), Some("/bin/sh"), cgroup("a.service")), r#""comm":"curl","#),
        (Process::new(Some("sh"), Some("/usr/bin/curl"), cgroup("a.service")), r#""exe":"/usr/bin/curl","#),
        (Process::new(Some("sh"), Some("/bin/sh"), cgroup("b.service")), r#""unit":"b.service","#),
        (Process::unknown(), r#""comm":null,"#),
    ];
    for (after, shown) in table {
        in_turn((&event, &before), (&event, &after));
        assert!(afresh(&event, &after).replacen("thread_comm", "", 1).contains(shown), "{shown}");
    }
}

#[test]
fn names_longer_than_any_buffer_are_written_again_and_again() {
    let long = Process::new(Some("curl"), Some(&"/x\u{202e}".repeat(3000)), None);
    let event = decode(connect().as_bytes()).unwrap();
    in_turn((&event, &long), (&event, &Process::unknown()));
}

proptest! {
    #[test]
    fn any_events_in_any_order_are_written_as_if_each_were_the_first(
        cases in proptest::collection::vec(any_case(), 1..6), order in proptest::collection::vec(0_usize..6, 1..20),
    ) {
        let mut output = JsonOutput::new();
        for index in order {
            let case = &cases[index % cases.len()];
            let (mut out, mut first) = (Vec::new(), Vec::new());
            output.event(&case.seen(), &mut out);
            JsonOutput::new().event(&case.seen(), &mut first);
            prop_assert_eq!(String::from_utf8(out).unwrap(), String::from_utf8(first).unwrap());
        }
    }
}
