use arrow_ipc::writer::EncodedData;
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};
use tracer_ebpf::abi::{Met, Record, kind, present};
use zerocopy::IntoBytes as _;

use super::{
    frame::{self, Frame, Frames},
    *,
};
use crate::{
    enrich::Process,
    event::{MonoNs, Pid, Row, StartTime},
    output::records::{Header, SCHEMA},
    stock::{Holders, Stock},
};

fn opening() -> Opening {
    let header = Header {
        schema: SCHEMA,
        version: "0.1.0".into(),
        host: "h".into(),
        kernel: "6.1.0".into(),
        boot_id: None,
        started: "2026-11-22T12:00:00.000000000Z".into(),
        backend: "fentry".into(),
        fields_unavailable: Vec::new(),
        fields_approximate: Vec::new(),
        netns: Vec::new(),
        filters: std::collections::BTreeMap::new(),
        hooks: Vec::new(),
        buffer_bytes: 4096,
    };
    Opening { header, facts: Facts { start: MonoNs(1_000), ..Facts::default() } }
}

fn row(at: u64) -> Row {
    let number = u32::try_from(at).unwrap();
    let record = Record {
        // Out of order now and then, and once after a long pause.
        mono_ns: 1_000 + at * 40_000 - at % 3 * 50_000 * u64::from(at > 5) + u64::from(at > 20) * (1 << 40),
        socket: if at.is_multiple_of(7) { 0 } else { (at / 2 + 1) * 0x0034_5678_9abc_def1 },
        pid: 7 + number % 2,
        tid: 7 + number % 3,
        kind: if at.is_multiple_of(5) { kind::BIND } else { kind::CONNECT },
        protocol: 6,
        family: if at.is_multiple_of(4) { 6 } else { 4 },
        comm: *b"worker\0\0\0\0\0\0\0\0\0\0",
        local_addr: [u8::try_from(at % 250).unwrap(); 16],
        local_port: 40_000 + u16::try_from(at).unwrap(),
        present: if at.is_multiple_of(6) { present::ERROR } else { u16::MAX },
        start: 9,
        ..Record::default()
    };
    Row::of(record.as_bytes()).unwrap()
}

fn process(pid: u32) -> Note {
    let process = Process::new(Some("worker"), Some("/bin/worker"), None);
    Note::Process(TellProcess { pid: Pid(pid), start: Some(StartTime(9)), process })
}

/// Three batches, and where each ends.
fn sample() -> (Vec<u8>, Vec<usize>) {
    let mut out = Vec::new();
    let mut writer = Writer::begin(&opening(), &mut out).unwrap();
    let mut ends = vec![out.len()];
    for batch in 0..3 {
        writer.note(&process(7 + batch)).unwrap();
        for at in 0..12 {
            writer.event(&row(u64::from(batch) * 12 + at)).unwrap();
        }
        writer.note(&Note::Account(Account { at: MonoNs(batch.into()), ..Account::default() })).unwrap();
        writer.flush(&mut out).unwrap();
        ends.push(out.len());
    }
    writer.note(&Note::End(Box::default())).unwrap();
    writer.end(&mut out).unwrap();
    (out, ends)
}

/// What is in a recording as text, up to an error or the end.
fn read(bytes: &[u8]) -> (Vec<String>, Result<Option<Ending>, ReadError>) {
    let mut entries = Vec::new();
    let mut reader = match Reader::open(bytes) {
        Ok(reader) => reader,
        Err(error) => return (entries, Err(error)),
    };
    for entry in reader.by_ref() {
        match entry {
            Ok(Entry::Event(row)) => entries.push(format!("{row:?}")),
            Ok(Entry::Note(note)) => entries.push(serde_json::to_string(&note).unwrap()),
            Err(error) => return (entries, Err(error)),
        }
    }
    assert!(reader.next().is_none());
    (entries, Ok(reader.ending()))
}

#[test]
fn what_was_written_is_read() {
    let (bytes, _) = sample();
    let mut reader = Reader::open(bytes.as_slice()).unwrap();
    assert_eq!(*reader.opening(), opening());
    let mut sockets = std::collections::HashMap::new();
    let mut at = 0;
    for entry in reader.by_ref() {
        let Entry::Event(found) = entry.unwrap() else { continue };
        let written = row(at);
        // Sockets have other numbers, which tell the same of them.
        assert_eq!(*sockets.entry(written.socket()).or_insert(found.socket()), found.socket());
        assert_eq!(found, written.with(written.mono(), found.socket()), "{at}");
        at += 1;
    }
    assert_eq!((at, sockets[&0], sockets.len()), (36, 0, 19));
    let different: std::collections::HashSet<_> = sockets.values().collect();
    assert_eq!(different.len(), sockets.len());
    assert_eq!(reader.ending(), Some(Ending::Complete));
}

#[test]
fn collisions_by_kind_are_kept_and_are_none_of_an_older_readers_business() {
    let counted = |kind, met| {
        let mut record = Record { kind, pid: 7, protocol: 6, present: present::ERROR, ..Record::default() };
        record.note_met(met);
        Row::of(record.as_bytes()).unwrap()
    };
    let rows = [
        counted(kind::CONNECT, Met::Connect { tuple: 28_232, waiting: 513 }),
        counted(kind::BIND, Met::Port { bucket: 14_116 }),
    ];
    let counting = Opening { facts: Facts { collisions: true, ..opening().facts }, ..opening() };
    let mut out = Vec::new();
    let mut writer = Writer::begin(&counting, &mut out).unwrap();
    for row in &rows {
        writer.event(row).unwrap();
    }
    writer.end(&mut out).unwrap();
    let mut reader = Reader::open(out.as_slice()).unwrap();
    assert!(reader.opening().facts.collisions);
    let found = reader.by_ref().filter_map(|entry| match entry.unwrap() {
        Entry::Event(row) => Some(row),
        Entry::Note(_) => None,
    });
    assert!(found.eq(rows.iter().map(|row| row.with(MonoNs(0), 0))));
    assert_eq!((format::version(&counting.facts), format::version(&opening().facts)), (VERSION, VERSION - 1));
}

#[test]
fn files_that_follow_each_other_read_alone_and_as_one() {
    let (mut first, mut second, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    let mut writer = Writer::begin(&opening(), &mut first).unwrap();
    (0..18).for_each(|at| writer.event(&row(at)).unwrap());
    writer.end_file(&mut first).unwrap();
    let mut next = writer.next(&opening(), &mut second).unwrap();
    let head = second.len();
    assert_eq!(frame::head(&second), head as u64);
    (18..36).for_each(|at| next.event(&row(at)).unwrap());
    next.end_file(&mut second).unwrap();
    Writer::postscript(&opening(), &[Note::End(Box::default())], &mut rest).unwrap();
    for (alone, events) in [(&first, 18), (&second, 18)] {
        let (entries, ending) = read(alone);
        assert_eq!((entries.len(), ending.unwrap()), (events, Some(Ending::Complete)));
    }
    let without_end = |file: &[u8]| file[..file.len() - frame::END.len()].to_vec();
    let one = [without_end(&first), without_end(&second)[head..].to_vec(), rest].concat();
    let mut reader = Reader::open(one.as_slice()).unwrap();
    let mut sockets = std::collections::HashMap::new();
    let mut at = 0;
    for entry in reader.by_ref() {
        let Entry::Event(found) = entry.unwrap() else { continue };
        let written = row(at);
        assert_eq!(*sockets.entry(written.socket()).or_insert(found.socket()), found.socket());
        assert_eq!(found, written.with(written.mono(), found.socket()), "{at}");
        at += 1;
    }
    // As many as in one file: what both have is the same, and what they do not is not.
    let different: std::collections::HashSet<_> = sockets.values().collect();
    assert_eq!((at, sockets.len(), different.len()), (36, 19, 19));
    assert_eq!(reader.ending(), Some(Ending::Complete));
}

#[test]
fn a_recording_that_is_cut_at_any_byte_reads_up_to_its_last_whole_batch() {
    let (bytes, ends) = sample();
    let (all, ending) = read(&bytes);
    assert_eq!(ending.unwrap(), Some(Ending::Complete));
    let whole = |batches: usize| read(&bytes[..ends[batches]]).0.len();
    let lengths: Vec<usize> = (0..=3).map(whole).collect();
    assert_eq!(lengths, [0, 14, 28, 42]);
    for cut in 0..bytes.len() {
        let (entries, ending) = read(&bytes[..cut]);
        let batches = ends.iter().filter(|end| **end <= cut).count();
        if batches == 0 {
            assert!(matches!(ending, Err(ReadError::Headless { .. })), "{cut}: {ending:?}");
            continue;
        }
        if cut >= bytes.len() - 8 {
            // Only the words behind the stream are missing.
            assert!(matches!(ending, Ok(Some(Ending::Complete))) && entries == all, "{cut}: {ending:?}");
            continue;
        }
        let Ok(Some(Ending::Cut { at, batches: found })) = ending else { panic!("{cut}: {ending:?}") };
        // The last message holds the end alone.
        let all_batches = cut >= bytes.len() - 16;
        assert_eq!(found, u64::try_from(batches - 1).unwrap() + u64::from(all_batches), "{cut}");
        assert!(usize::try_from(at).unwrap() <= cut);
        let expected = if all_batches { all.len() } else { lengths[batches - 1] };
        assert_eq!(entries, all[..expected], "{cut}");
    }
}

#[test]
fn what_a_file_system_never_filled_is_no_damage() {
    let (bytes, ends) = sample();
    let padded = [&bytes[..ends[2]], &[0; 5000]].concat();
    let (entries, ending) = read(&padded);
    assert_eq!(entries.len(), 28);
    assert!(matches!(ending, Ok(Some(Ending::Cut { batches: 2, .. }))), "{ending:?}");
}

/// Random places, bytes and lengths.
fn chances(runner: &mut TestRunner, length: usize) -> (usize, u8, u8) {
    (0..length, 1_u8.., 0_u8..).new_tree(runner).unwrap().current()
}

#[test]
fn a_recording_that_is_damaged_anywhere_says_where_or_reads_the_same() {
    let rounds = if cfg!(debug_assertions) { 2_000 } else { 100_000 };
    let (bytes, _) = sample();
    let (all, _) = read(&bytes);
    let mut runner = TestRunner::deterministic();
    let mut told = 0;
    for round in 0..rounds {
        let (place, change, length) = chances(&mut runner, bytes.len());
        let mut damaged = bytes.clone();
        match round % 4 {
            // A bit or some of one byte, a stretch of zeros, a stretch that is missing, one that comes twice.
            0 | 1 => damaged[place] ^= change,
            2 => damaged.iter_mut().skip(place).take(length.into()).for_each(|byte| *byte = 0),
            _ if change % 2 == 0 => _ = damaged.drain(place..bytes.len().min(place + usize::from(length))),
            _ => {
                let twice = bytes[place..bytes.len().min(place + usize::from(length))].to_vec();
                damaged.splice(place..place, twice);
            }
        }
        let (entries, ending) = read(&damaged);
        assert!(all.starts_with(&entries), "round {round}, byte {place}: other entries");
        match ending {
            Ok(Some(Ending::Complete)) => assert_eq!(entries, all, "round {round}, byte {place}"),
            Ok(Some(Ending::Cut { .. })) => {
                assert!(damaged.len() != bytes.len() || !damaged.ends_with(&frame::END));
            }
            Ok(None) => panic!("round {round}: no end"),
            Err(error) => {
                told += 1;
                let text = error.to_string();
                assert!(matches!(error, ReadError::Foreign(_)) || text.contains("byte"), "{text}");
            }
        }
    }
    assert!(told > rounds * 3 / 4, "{told} of {rounds}");
}

/// The messages of a recording.
fn messages(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut frames = Frames::new(bytes);
    let mut all = Vec::new();
    while let Frame::Message { metadata, body } = frames.next().unwrap() {
        all.push((metadata, body));
    }
    all
}

#[test]
fn what_is_sealed_and_makes_no_sense_is_refused_without_a_panic() {
    let rounds = if cfg!(debug_assertions) { 2_000 } else { 100_000 };
    let (bytes, _) = sample();
    let messages = messages(&bytes);
    let mut runner = TestRunner::deterministic();
    let mut refused = 0;
    for round in 0..rounds {
        let mut out = Vec::new();
        for (at, (metadata, body)) in messages.iter().enumerate() {
            let (mut metadata, mut body) = (metadata.clone(), body.clone());
            if at == round % messages.len() {
                let (place, change, kind) = chances(&mut runner, metadata.len());
                if kind % 3 != 0 || body.is_empty() {
                    metadata[place] ^= change;
                } else {
                    let place = chances(&mut runner, body.len()).0;
                    body[place] ^= change;
                }
            }
            frame::write(&EncodedData { ipc_message: metadata, arrow_data: body }, &mut out);
        }
        out.extend_from_slice(&frame::END);
        refused += u32::from(read(&out).1.is_err());
    }
    assert!(refused > u32::try_from(rounds).unwrap() / 4, "{refused}");
}

#[test]
fn what_is_sealed_anew_reads_as_before() {
    let (bytes, _) = sample();
    assert_eq!(seal_anew(&bytes), bytes);
    let (mut other, place) = (bytes.clone(), bytes.len() / 2);
    other[place] ^= 1;
    assert!(matches!(read(&other).1, Err(ReadError::Damaged { .. })));
    assert_ne!(seal_anew(&other), other);
}

#[test]
fn a_long_note_comes_in_parts() {
    let name = "ü".repeat(3 << 20);
    let mut out = Vec::new();
    let mut writer = Writer::begin(&opening(), &mut out).unwrap();
    let process = Process::new(Some(&name), None, None);
    writer.note(&Note::Process(TellProcess { pid: Pid(1), start: None, process })).unwrap();
    writer.flush(&mut out).unwrap();
    writer.end(&mut out).unwrap();
    let mut reader = Reader::open(out.as_slice()).unwrap();
    let Some(Ok(Entry::Note(note))) = reader.next() else { panic!("no note") };
    let Note::Process(found) = *note else { panic!("another note") };
    assert_eq!(found.process.comm(), Some(name.as_str()));
    assert!(reader.next().is_none());
}

#[test]
fn looks_are_complete_although_only_changes_are_written() {
    use crate::{event::NetnsId, event::Protocol, stock::PoolKey};
    let pool = |last, barred| PoolLook {
        netns: NetnsId::new(1).unwrap(),
        key: PoolKey::Bind { proto: Protocol::Udp, laddr: std::net::Ipv4Addr::new(10, 0, 0, last).into() },
        barred,
        share: Some(0.5),
        halves: None,
    };
    let looks = [vec![pool(1, 5), pool(2, 6)], vec![pool(1, 5), pool(2, 7)], vec![pool(2, 7)], Vec::new()];
    let mut out = Vec::new();
    let mut writer = Writer::begin(&opening(), &mut out).unwrap();
    for pools in &looks {
        let look = LookNote {
            at: MonoNs(1),
            all: true,
            pools: pools.clone(),
            gone: Vec::new(),
            moments: Vec::new(),
        };
        writer.look(look).unwrap();
    }
    writer.end(&mut out).unwrap();
    let found = Reader::open(out.as_slice()).unwrap().map(|entry| match entry.unwrap() {
        Entry::Note(note) => match *note {
            Note::Look(look) => look.pools,
            other => panic!("{other:?}"),
        },
        Entry::Event(row) => panic!("{row:?}"),
    });
    assert_eq!(found.collect::<Vec<_>>(), looks);
}

#[test]
fn a_scene_comes_back_as_it_was() {
    let stock = Stock::take(std::path::Path::new("/proc"), &crate::stock::Wanted::default()).unwrap();
    let scene = SceneNote {
        stock,
        holders: Holders::default(),
        descriptors: vec![(Pid(1), 2, 3)],
        node_agents: vec!["kubelet".into()],
        own_netns: None,
    };
    let text = serde_json::to_string(&Note::Scene(Box::new(scene))).unwrap();
    let Note::Scene(again) = serde_json::from_str(&text).unwrap() else { panic!("another note") };
    assert!(!again.stock.spaces.is_empty());
    assert_eq!(serde_json::to_string(&Note::Scene(again)).unwrap(), text);
}

#[test]
fn later_notes_are_left_out_and_later_formats_refused() {
    let note: Note = serde_json::from_str(r#"{"note":"weather","rain":true}"#).unwrap();
    assert!(matches!(note, Note::Unknown));
    let (bytes, _) = sample();
    let messages = messages(&bytes);
    let (mut metadata, _) = messages[0].clone();
    let key = metadata.windows(19).position(|window| window == b"portscope.recording").unwrap();
    let value = metadata.windows(5).position(|window| window == [1, 0, 0, 0, b'1']).unwrap();
    assert!(key != value);
    metadata[value + 4] = b'9';
    let mut out = Vec::new();
    frame::write(&EncodedData { ipc_message: metadata, arrow_data: Vec::new() }, &mut out);
    assert!(matches!(Reader::open(out.as_slice()), Err(ReadError::Later { found: 9, known: VERSION })));
}
