//! Any bytes into everything that reads what others wrote: what `cargo xtask fuzz` drives, and what the tests run over the
//! inputs that it kept in `fuzz/seeds`.
#![expect(clippy::missing_panics_doc, reason = "to panic over what must not be is what they are for")]

use std::{ffi::OsString, os::unix::ffi::OsStringExt as _, path::Path, sync::LazyLock};

use clap::Parser as _;

use super::{Cli, config::read_any};
use crate::{
    enrich::{Cgroup, Clock, Processes, TimeColumn},
    event::{self, Comm, Protocol, Reserved, Search, SearchRules},
    kernel::btf::KernelTypes,
    output::{Columns, CsvOutput, JsonOutput, Observation, TextOutput, TraceOutput, escape},
    recording::{Reader, seal_anew},
    stock::read_reply,
};

static RESERVED: LazyLock<Reserved> = LazyLock::new(|| Reserved::from_ports(40_000..40_100));

/// Any bytes, read as the type information of a kernel: no panic, no endless loop through types that are each other's
/// members.
pub fn btf(bytes: &[u8]) {
    KernelTypes::read_any(bytes);
}

/// Any text, read as a configuration file: what it may say, the command line may.
pub fn config(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        read_any(text);
    }
}

/// Any bytes, read as a record of the ring and told in every format: each line of JSON is JSON, and nothing that a
/// terminal obeys gets into any of them.
pub fn decode(bytes: &[u8]) {
    let Ok(event) = event::decode(bytes) else { return };
    let rules = SearchRules { reserved: Some(&RESERVED), ..SearchRules::default() };
    let mut processes = Processes::new(Path::new("/nowhere"));
    let seen = Observation {
        search: Search::of(&event, &rules),
        utc: Clock::with_offset(1_795_348_800_000_000_000).utc(event.mono()),
        process: processes.of(&event),
        event: &event,
        holders: None,
    };
    let columns = Columns { time: TimeColumn::utc(), netns: true, color: false, fields: None };
    let told = |output: &mut dyn TraceOutput| {
        let mut out = Vec::new();
        output.event(&seen, &mut out);
        let text = String::from_utf8(out);
        assert!(text.is_ok(), "{text:?}");
        text.unwrap_or_default()
    };
    let json = told(&mut JsonOutput::new());
    for line in json.lines() {
        let read: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(read.is_ok(), "{line}");
    }
    let (csv, text) = (told(&mut CsvOutput::new().for_terminal(true)), told(&mut TextOutput::new(columns)));
    for text in [json, csv, text] {
        let harmful = text.chars().find(|char| char.is_control() && *char != '\n');
        assert_eq!(harmful, None, "{text:?}");
    }
}

/// Any bytes, as a name that a process, a control group or a namespace may have: nothing that a terminal obeys gets
/// through, and no mark of direction.
pub fn names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let group = Cgroup::parse(&text);
    let comm = Comm::from_name(bytes);
    let texts = [text.as_ref().to_owned(), comm.lossy().into_owned()];
    let of_group =
        [group.unit(), group.container(), group.pod(), group.path()].into_iter().flatten().map(str::to_owned);
    for text in texts.into_iter().chain(of_group) {
        let escaped = escape(&text);
        let harmful = escaped.chars().find(|char| {
            char.is_control() || matches!(*char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(harmful, None, "{escaped:?}");
    }
}

/// Any bytes, read as a recording: no panic, and no more memory than the limits of the reader.
///
/// Seals keep almost all mutations out. With the first byte odd, each message is sealed anew, so that what lies behind
/// them is met, too.
pub fn recording(bytes: &[u8]) {
    let Some((mode, bytes)) = bytes.split_first() else { return };
    let sealed = if mode & 1 == 1 { seal_anew(bytes) } else { bytes.to_vec() };
    let Ok(reader) = Reader::open(sealed.as_slice()) else { return };
    for entry in reader {
        if entry.is_err() {
            return;
        }
    }
}

/// Any bytes, read as an answer of `sock_diag`: no panic, and no more sockets than were wanted.
pub fn sock_diag(bytes: &[u8]) {
    let Some((first, datagram)) = bytes.split_first() else { return };
    let protocol = Protocol::of(*first);
    let mut sockets = Vec::new();
    // The sequence of the first message, so that what lies behind it is met, too.
    let sequence = datagram.get(8..12).and_then(|bytes| bytes.try_into().ok()).map_or(1, u32::from_ne_bytes);
    let _told = read_reply(datagram, protocol, sequence, 16, &mut sockets);
    assert!(sockets.len() <= 16);
}

/// Any bytes, cut at each NUL and read as the words of a command line: nothing is run, and what is wrong with them is told.
pub fn words(bytes: &[u8]) {
    let words = bytes.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec()));
    let all: Vec<OsString> = std::iter::once("portscope".into()).chain(words).collect();
    if let Err(error) = Cli::try_parse_from(&all) {
        assert!(!error.render().to_string().is_empty());
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, panic};

    use super::*;

    /// What reads the inputs of a folder.
    type Target = (&'static str, fn(&[u8]));

    const TARGETS: [Target; 7] = [
        ("btf", btf),
        ("config", config),
        ("decode", decode),
        ("names", names),
        ("recording", recording),
        ("sock_diag", sock_diag),
        ("words", words),
    ];

    #[test]
    fn every_input_that_was_kept_is_read() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
        for (name, target) in TARGETS {
            let inputs: Vec<_> =
                fs::read_dir(seeds.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(!inputs.is_empty(), "{name} has no inputs");
            for input in inputs {
                let bytes = fs::read(&input).unwrap();
                assert!(panic::catch_unwind(|| target(&bytes)).is_ok(), "{}", input.display());
            }
        }
    }

    #[test]
    fn every_folder_of_inputs_has_its_reader_and_every_reader_its_target() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
        let listed = |folder: &str| {
            let mut names: Vec<String> = fs::read_dir(root.join(folder))
                .unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
                .collect();
            names.sort_unstable();
            names
        };
        let readers = TARGETS.map(|(name, _)| name);
        assert_eq!(
            (listed("seeds"), listed("fuzz_targets")),
            (readers.map(str::to_owned).to_vec(), readers.map(str::to_owned).to_vec())
        );
    }
}
