use std::{
    collections::{BTreeMap, VecDeque},
    io::Cursor,
};

use tracer_ebpf::abi::{Record, kind, present};
use zerocopy::IntoBytes as _;

use super::*;
use crate::{
    enrich::{Clock, Processes},
    event::{MonoNs, Row},
    output::{
        HostOutput, HostStyle, JsonOutput, TraceOutput,
        records::{Header, SCHEMA},
    },
    pipeline::{Between, Intake, Shown, Spaces},
    recording::{Facts, Opening, Part, Reader, Writer},
};

struct Kept(String);

impl Outlet for Kept {
    fn flush(&mut self, gathered: &mut Vec<u8>) -> io::Result<()> {
        self.0.push_str(&String::from_utf8_lossy(gathered));
        gathered.clear();
        Ok(())
    }
}

/// A recording of events at these times, by a clock that is so far ahead.
fn chain(host: &str, offset: i64, times: &[u64]) -> Chain<Cursor<Vec<u8>>> {
    let header = Header {
        schema: SCHEMA,
        version: "0.1.0".into(),
        host: host.into(),
        kernel: "6.1.0".into(),
        boot_id: None,
        started: "2026-11-22T12:00:00.000000000Z".into(),
        backend: "fentry".into(),
        fields_unavailable: Vec::new(),
        fields_approximate: Vec::new(),
        netns: Vec::new(),
        filters: BTreeMap::new(),
        hooks: Vec::new(),
        buffer_bytes: 4096,
    };
    let opening = Opening { header, facts: Facts { clock_offset_ns: offset, ..Facts::default() } };
    let mut out = Vec::new();
    let mut writer = Writer::begin(&opening, &mut out).unwrap();
    for at in times {
        let record = Record {
            mono_ns: *at,
            pid: 7,
            kind: kind::CONNECT,
            protocol: 6,
            family: 4,
            local_port: 40_000,
            present: present::ERROR,
            ..Record::default()
        };
        writer.event(&Row::of(record.as_bytes()).unwrap()).unwrap();
    }
    writer.end(&mut out).unwrap();
    Chain::new(Part { name: host.into(), reader: Reader::open(Cursor::new(out)).unwrap() }, VecDeque::new())
}

/// Which host's event at which time of its own comes when.
fn told(most: Option<u64>) -> Vec<(String, u64)> {
    let mut chains =
        [chain("a", 1_000_000, &[1_000, 5_000, 9_000]), chain("b", 0, &[1_002_000, 1_003_000, 1_010_000])];
    let mut outputs: Vec<HostOutput> = ["a", "b"]
        .map(|host| HostOutput::new(Box::new(JsonOutput::new()), HostStyle::Json, host, true))
        .into();
    let mut members: Vec<_> = chains
        .iter_mut()
        .zip(&mut outputs)
        .map(|(chain, output)| {
            let facts = chain.opening().facts.clone();
            let intake = Intake::new(Processes::told(), Spaces::told(false), Shown::default());
            let clock = Clock::with_offset(facts.clock_offset_ns);
            let output: &mut dyn TraceOutput = output;
            let observer = Observer::of_recording(output, intake, clock);
            Member::new(chain, Replay::begin(&facts, &Between::default()), observer)
        })
        .collect();
    let mut kept = Kept(String::new());
    merge(&mut members, most, &mut kept).unwrap();
    let emitted: u64 = members.iter().map(|member| member.observer.intake().emitted()).sum();
    assert_eq!(kept.0.lines().count() as u64, emitted);
    for member in members {
        assert!(member.end().0.at >= MonoNs(1_000));
    }
    let line = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        (event["host"].as_str().unwrap().to_owned(), event["mono_us"].as_u64().unwrap())
    };
    kept.0.lines().map(line).collect()
}

#[test]
fn events_of_two_hosts_come_in_the_order_of_the_time_of_day() {
    let expected = [("a", 1), ("b", 1002), ("b", 1003), ("a", 5), ("a", 9), ("b", 1010)];
    let expected: Vec<_> = expected.map(|(host, at)| (host.to_owned(), at)).into();
    assert_eq!(told(None), expected);
    assert_eq!(told(Some(2)), expected[..2]);
}
