use std::collections::BTreeMap;

use tracer_ebpf::abi::{Record, kind, present};
use zerocopy::IntoBytes as _;

use super::*;
use crate::{
    output::records::{FilterValue, Header, SCHEMA},
    recording::{End, Facts, LostCount, SceneNote, Writer},
    stock::{Holders, Stock},
};

fn opening(start: u64) -> Opening {
    let header = Header {
        schema: SCHEMA,
        version: "0.1.0".into(),
        host: "h".into(),
        kernel: "6.1.0".into(),
        boot_id: Some("b".into()),
        started: "2026-11-22T12:00:00.000000000Z".into(),
        backend: "fentry".into(),
        fields_unavailable: Vec::new(),
        fields_approximate: Vec::new(),
        netns: Vec::new(),
        filters: BTreeMap::new(),
        hooks: Vec::new(),
        buffer_bytes: 4096,
    };
    Opening { header, facts: Facts { start: MonoNs(start), releases: true, ..Facts::default() } }
}

fn scene(began: u64) -> Note {
    let stock = Stock { began: MonoNs(began), ended: MonoNs(began), ..Stock::default() };
    Note::Scene(Box::new(SceneNote {
        stock,
        holders: Holders::default(),
        descriptors: Vec::new(),
        node_agents: Vec::new(),
        own_netns: None,
    }))
}

fn account(at: u64, lost: u64) -> Account {
    let lost_by = (lost != 0).then_some(LostCount { pid: 7, comm: [0; 16], cell: 9, count: lost });
    Account {
        at: MonoNs(at),
        filtered: lost * 10,
        lost,
        lost_by: lost_by.into_iter().collect(),
        ..Account::default()
    }
}

fn end(at: u64, lost: u64) -> Note {
    Note::End(Box::new(End { account: account(at, lost), lost_cells: vec![(9, lost)], ..End::default() }))
}

fn event(at: u64) -> Row {
    let record = Record {
        mono_ns: at,
        socket: at,
        pid: 7,
        kind: kind::BIND,
        protocol: 6,
        family: 4,
        present: present::ERROR,
        ..Record::default()
    };
    Row::of(record.as_bytes()).unwrap()
}

/// A recording of these: numbers are events at that time.
enum Told {
    Event(u64),
    Note(Note),
}
use Told::Event as Ev;

fn recorded(opening: &Opening, all: Vec<Told>) -> Part<std::io::Cursor<Vec<u8>>> {
    let mut out = Vec::new();
    let mut writer = Writer::begin(opening, &mut out).unwrap();
    for one in all {
        match one {
            Ev(at) => writer.event(&event(at)).unwrap(),
            Told::Note(note) => writer.note(&note).unwrap(),
        }
    }
    writer.end(&mut out).unwrap();
    Part {
        name: format!("{}", opening.facts.start.0),
        reader: Reader::open(std::io::Cursor::new(out)).unwrap(),
    }
}

fn chain(parts: Vec<Part<std::io::Cursor<Vec<u8>>>>) -> Chain<std::io::Cursor<Vec<u8>>> {
    let mut parts = VecDeque::from(parts);
    Chain::new(parts.pop_front().unwrap(), parts)
}

/// The times of the events, how many sockets they have, and the last accounts.
fn read(chain: &mut Chain<std::io::Cursor<Vec<u8>>>) -> (Vec<u64>, usize, Account) {
    let (mut times, mut sockets, mut last) =
        (Vec::new(), std::collections::BTreeSet::new(), Account::default());
    for entry in chain.by_ref() {
        match entry.unwrap() {
            Entry::Event(row) => {
                times.push(row.mono().0);
                sockets.insert(row.socket());
            }
            Entry::Note(note) => match *note {
                Note::Account(account) => last = account,
                Note::End(end) => {
                    let cells: u64 = end.lost_cells.iter().map(|(_, count)| count).sum();
                    assert_eq!(cells, end.account.lost);
                    last = end.account;
                }
                _ => {}
            },
        }
    }
    (times, sockets.len(), last)
}

/// A recording in two files, as a recorder goes from one to the next.
fn segments() -> Vec<Part<std::io::Cursor<Vec<u8>>>> {
    let moments = || Told::Note(Note::Moments { moments: Vec::new() });
    let before = End { account: account(300, 4), lost_cells: vec![(9, 4)], ..End::default() };
    let one = vec![
        Told::Note(scene(90)),
        Ev(110),
        Told::Note(Note::Account(account(150, 1))),
        Ev(290),
        moments(),
        Told::Note(end(300, 4)),
    ];
    // One CPU's event comes a little late.
    let other = vec![
        Told::Note(Note::Before(Box::new(before))),
        Told::Note(scene(298)),
        moments(),
        Ev(289),
        Ev(310),
        Told::Note(end(400, 5)),
    ];
    vec![recorded(&opening(100), one), recorded(&opening(300), other)]
}

#[test]
fn a_recording_in_two_files_is_one() {
    let mut both = chain(segments());
    let (times, sockets, last) = read(&mut both);
    assert_eq!((times.as_slice(), sockets), ([110, 290, 289, 310].as_slice(), 4));
    assert_eq!((last.lost, last.filtered), (5, 50));
    assert_eq!((both.skipped(), both.gaps().len(), both.ending()), (0, 0, Some(Ending::Complete)));
}

#[test]
fn a_file_without_those_before_it_counts_what_is_in_it() {
    let mut second = chain(vec![segments().pop().unwrap()]);
    let (times, _, last) = read(&mut second);
    assert_eq!((times.as_slice(), last.lost, last.filtered), ([289, 310].as_slice(), 1, 10));
}

#[test]
fn two_recorders_add_up_and_the_time_between_them_is_told() {
    let one = || vec![Told::Note(scene(90)), Ev(110), Told::Note(end(400, 5))];
    let late = 400 + GAP_NS + 1;
    let other = vec![Told::Note(scene(late)), Ev(late + 10), Told::Note(end(late + 20, 2))];
    let mut both = chain(vec![recorded(&opening(100), one()), recorded(&opening(late), other)]);
    let (times, _, last) = read(&mut both);
    assert_eq!((times.len(), last.lost), (2, 7));
    assert_eq!(both.gaps(), [[MonoNs(400), MonoNs(late)]]);
    // A recorder that was killed has told its accounts, too.
    let mut cut = one();
    cut.pop();
    cut.push(Told::Note(Note::Account(account(350, 3))));
    let other = vec![Told::Note(scene(500)), Ev(510), Told::Note(end(520, 2))];
    let (times, _, last) =
        read(&mut chain(vec![recorded(&opening(100), cut), recorded(&opening(500), other)]));
    assert_eq!((times.len(), last.lost), (2, 5));
}

#[test]
fn what_two_files_have_is_counted_once() {
    let twice = || segments().remove(1);
    let mut same = chain(vec![twice(), twice()]);
    let (times, _, last) = read(&mut same);
    assert_eq!((times.as_slice(), last.lost, same.skipped()), ([289, 310].as_slice(), 1, 2));
    // A copy of a part of the time, between the files that it was taken from.
    let copy = vec![Told::Note(scene(200)), Ev(290), Ev(289), Ev(310)];
    let mut parts = segments();
    parts.insert(1, recorded(&opening(100), copy));
    let mut all = chain(parts);
    let (mut times, ..) = read(&mut all);
    times.sort_unstable();
    // The late one lies before what the first file ends with: it is one of those that it may have.
    assert_eq!(times, [110, 290, 310]);
}

#[test]
fn what_was_recorded_beside_with_other_filters_is_refused() {
    let mut filtered = opening(200);
    filtered.header.filters.insert("failed".into(), FilterValue::Set(true));
    let one = vec![Told::Note(scene(90)), Ev(110), Ev(290), Told::Note(end(400, 0))];
    let other = vec![Told::Note(scene(190)), Ev(280), Told::Note(end(300, 0))];
    let mut both = chain(vec![recorded(&opening(100), one), recorded(&filtered, other)]);
    let error = both.find_map(Result::err).unwrap();
    assert!(matches!(error, ReadError::Beside) && error.hint().is_some(), "{error}");
}
