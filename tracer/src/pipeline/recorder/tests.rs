use std::path::Path;

use tracer_ebpf::abi::{Record, kind, present};
use zerocopy::IntoBytes as _;

use super::*;
use crate::{
    enrich::Processes,
    event::{MonoNs, NetnsId, PortRange, Reserved},
    output::records::{Header, SCHEMA},
    pipeline::{Between, Gatherer, Outlet, Shown, Spaces, replay, window_at},
    recording::{Chain, Ending, Entry, Facts, Reader},
    stock::{Namespace, NetnsConfig, NetnsStock, Stock},
};

fn opening() -> Opening {
    let header = Header {
        schema: SCHEMA,
        version: String::new(),
        host: String::new(),
        kernel: String::new(),
        boot_id: None,
        started: String::new(),
        backend: "tracepoint".into(),
        fields_unavailable: Vec::new(),
        fields_approximate: Vec::new(),
        netns: Vec::new(),
        filters: std::collections::BTreeMap::new(),
        hooks: Vec::new(),
        buffer_bytes: 0,
    };
    Opening { header, facts: Facts::default() }
}

fn scene() -> SceneNote {
    let id = NetnsId::new(5).unwrap();
    let space = NetnsStock {
        namespace: Namespace { id, name: Some("shop".into()), pid: None, path: "/nowhere".into() },
        config: Some(NetnsConfig {
            id,
            range: PortRange::new(40_000, 40_009).unwrap(),
            reserved: Reserved::from_ports([]),
            reserved_text: String::new(),
            step_width: None,
        }),
        settings: None,
        counters: None,
        sockets: None,
    };
    SceneNote {
        stock: Stock { spaces: vec![space], ..Stock::default() },
        holders: crate::stock::Holders::default(),
        descriptors: Vec::new(),
        node_agents: Vec::new(),
        own_netns: None,
    }
}

fn connect(at: u16) -> Record {
    Record {
        mono_ns: 1_000 + u64::from(at),
        socket: 7 + u64::from(at),
        kind: kind::CONNECT,
        protocol: 6,
        family: 4,
        pid: u32::MAX,
        tid: u32::MAX,
        netns: 5,
        local_port: 40_000 + at,
        comm: *b"gone\0\0\0\0\0\0\0\0\0\0\0\0",
        present: present::ERROR | present::COMM | present::NETNS,
        ..Record::default()
    }
}

fn recorder(out: &mut Vec<u8>) -> Recorder {
    let nowhere = Path::new("/nowhere");
    let intake = Intake::new(Processes::new(nowhere), Spaces::new(nowhere, false), Shown::default());
    Recorder::begin(intake, opening(), scene(), nowhere, out).unwrap()
}

/// The notes of a file by their names, and its events.
fn read(bytes: &[u8]) -> (Vec<String>, usize) {
    let (mut notes, mut events) = (Vec::new(), 0);
    let mut reader = Reader::open(bytes).unwrap();
    for entry in reader.by_ref() {
        match entry.unwrap() {
            Entry::Event(_) => events += 1,
            Entry::Note(note) => {
                let value = serde_json::to_value(&note).unwrap();
                notes.push(value["note"].as_str().unwrap().to_owned());
                // Whether the clock has moved is not ours to say.
                notes.retain(|name| name != "clock");
            }
        }
    }
    assert_eq!(reader.ending(), Some(Ending::Complete));
    (notes, events)
}

#[test]
fn a_file_that_follows_another_can_be_read_without_it() {
    let mut first = Vec::new();
    let mut recorder = recorder(&mut first);
    recorder.begin_batch();
    recorder.take(connect(0).as_bytes(), &mut first);
    recorder.take(connect(1).as_bytes(), &mut first);
    let mut second = Vec::new();
    recorder.close_file(&End::default(), &mut first).unwrap();
    recorder.begin_file(End::default(), scene(), &mut second).unwrap();
    recorder.take(connect(2).as_bytes(), &mut second);
    recorder.end(Ok(scene()), End::default(), &mut second).unwrap();
    assert_eq!(read(&first), (names("config scene process moments end"), 2));
    assert_eq!(read(&second), (names("before config scene moments process moments scene end"), 1));
}

fn names(all: &str) -> Vec<String> {
    all.split(' ').map(str::to_owned).collect()
}

struct Nowhere;

impl Outlet for Nowhere {
    fn flush(&mut self, gathered: &mut Vec<u8>) -> std::io::Result<()> {
        gathered.clear();
        Ok(())
    }
}

#[test]
fn a_part_of_a_recording_has_its_own_accounts() {
    let mut out = Vec::new();
    let mut recorder = recorder(&mut out);
    recorder.begin_batch();
    for at in 0..10 {
        recorder.take(connect(at).as_bytes(), &mut out);
        let account =
            Account { at: MonoNs(1_000 + u64::from(at)), filtered: 3 * u64::from(at), ..Account::default() };
        recorder.writer.note(&Note::Account(account)).unwrap();
    }
    let account = Account { at: MonoNs(2_000), filtered: 50, lost: 1, ..Account::default() };
    recorder.end(Ok(scene()), End { account, ..End::default() }, &mut out).unwrap();
    let ask = |between: Between| {
        let intake = Intake::new(Processes::told(), Spaces::told(false), Shown::default());
        let mut gatherer = Gatherer::of_recording(intake, window_at(MonoNs(0), true, false));
        let mut chain = Chain::of(String::new(), Reader::open(out.as_slice()).unwrap());
        let told = replay(&mut chain, &between, &mut gatherer, &mut Nowhere).unwrap();
        let (tallies, unjudged) = told.tallies(None);
        let accounts = told.accounts(gatherer.intake(), &tallies, unjudged, false);
        assert_eq!(accounts.seen, accounts.emitted + accounts.filtered + accounts.lost);
        let comm = gatherer.stats().processes(crate::stats::By::Pid);
        assert!(comm.iter().all(|one| one.identity.comm.as_deref() == Some("gone")));
        (accounts.emitted, accounts.filtered, accounts.lost, told.at.0)
    };
    assert_eq!(ask(Between::default()), (10, 50, 1, 2_000));
    let part = Between { from: Some(MonoNs(1_002)), to: Some(MonoNs(1_005)), ..Between::default() };
    assert_eq!(ask(part), (4, 9, 0, 1_005));
}
