//! One stage over and over, to count its instructions:
//!
//! ```text
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null stages-… json 100
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null stages-… json 200
//! ```
//!
//! Each round is 1,000 events: the difference over 100,000 is the cost of one.
#![forbid(unsafe_code)]

mod flood;

use std::{env, fs, hint::black_box, os::unix::fs::MetadataExt as _, path::Path};

use portscope::{
    enrich::{Clock, Process, Processes, TimeColumn},
    event::{Event, MonoNs, Reserved, Search, SearchRules, decode},
    output::{Columns, CsvOutput, JsonOutput, Observation, TextOutput, TraceOutput},
    pipeline::{Consumer as _, Gatherer, Intake, Shown, Spaces},
    stats::{Settings, Stats},
};
use tracer_ebpf::abi::Record;
use zerocopy::{FromBytes as _, IntoBytes as _};

fn main() {
    let mut arguments = env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let stage = arguments.next().unwrap_or_default();
    let rounds: u32 = arguments.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(1);
    let records = flood::records();
    let one = flood::of_one_thread();
    let events: Vec<Event> = records.iter().flat_map(|record| decode(record)).collect();
    let reserved = Reserved::default();
    let rules = SearchRules { reserved: Some(&reserved), ..SearchRules::default() };
    let mut processes = Processes::new(Path::new("/nowhere"));
    let columns = Columns { time: TimeColumn::utc(), netns: true, color: false, fields: None };
    let (mut json, mut csv, mut text) = (JsonOutput::new(), CsvOutput::new(), TextOutput::new(columns));
    let settings = Settings::new(MonoNs(81_895_158_000_000));
    let mut stats = Stats::new(settings);
    let mut gatherer = gatherer(settings);
    let (here, one_here) = (here(&records), here(&one));
    let one_events: Vec<Event> = one.iter().flat_map(|record| decode(record)).collect();
    let known = Process::new(Some("worker-pool"), Some("/usr/bin/worker-pool"), None);
    for _ in 0..rounds {
        match stage.as_str() {
            "decode" => records.iter().for_each(|record| keep(decode(record))),
            "search" => events.iter().for_each(|event| keep(Search::of(event, &rules))),
            "search-reserved" => {
                let some = Reserved::from_ports(40_000..40_100);
                let rules = SearchRules { reserved: Some(&some), ..rules };
                for event in &events {
                    keep(Search::of(event, &rules));
                }
            }
            "process" => events.iter().for_each(|event| {
                black_box(processes.of(event));
            }),
            "search-one" => one_events.iter().for_each(|event| keep(Search::of(event, &rules))),
            "process-one" => one_events.iter().for_each(|event| {
                black_box(processes.of(event));
            }),
            "stats" => take(&mut stats, &events, &rules, &known),
            "stats-one" => take(&mut stats, &one_events, &rules, &known),
            "report" => gather(&mut gatherer, &here),
            "report-one" => gather(&mut gatherer, &one_here),
            "all" | "json" => write(&mut json, &records, &rules, &mut processes),
            "json-one" => write(&mut json, &one, &rules, &mut processes),
            "json-afresh" => write(&mut JsonOutput::new(), &records, &rules, &mut processes),
            "csv" => write(&mut csv, &records, &rules, &mut processes),
            "text" => write(&mut text, &records, &rules, &mut processes),
            _ => {}
        }
    }
}

fn keep<T>(value: T) {
    black_box(value);
}

/// Searches and statistics, without what `search` takes.
fn take(stats: &mut Stats, events: &[Event], rules: &SearchRules<'_>, process: &Process) {
    for event in events {
        stats.take(event, &Search::of(event, rules), process);
    }
    stats.settle();
}

/// All that an event goes through in `report`, but for the ring.
fn gather(gatherer: &mut Gatherer, records: &[Vec<u8>]) {
    let mut out = Vec::new();
    gatherer.begin_batch();
    for record in records {
        gatherer.take(record, &mut out);
    }
    gatherer.end_batch();
}

fn gatherer(settings: Settings) -> Gatherer {
    let mut spaces = Spaces::new(Path::new("/proc"), true);
    keep(spaces.survey().is_ok());
    let processes = Processes::new(Path::new("/nowhere"));
    Gatherer::new(Intake::new(processes, spaces, Shown::default()), settings, Path::new("/proc"))
}

/// The records as if of this namespace, whose settings can be read.
fn here(records: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let netns = fs::metadata("/proc/self/ns/net").ok().and_then(|file| u32::try_from(file.ino()).ok());
    let moved = records.iter().filter_map(|record| {
        let record = Record::read_from_bytes(record).ok()?;
        Some(Record { netns: netns?, ..record }.as_bytes().to_vec())
    });
    moved.collect()
}

fn write(
    output: &mut dyn TraceOutput,
    records: &[Vec<u8>],
    rules: &SearchRules<'_>,
    processes: &mut Processes,
) {
    let clock = Clock::with_offset(1_795_348_800_000_000_000);
    let mut out = Vec::with_capacity(1 << 20);
    for event in records.iter().flat_map(|record| decode(record)) {
        let seen = Observation {
            search: Search::of(&event, rules),
            utc: clock.utc(event.mono()),
            process: processes.of(&event),
            event: &event,
            holders: None,
        };
        output.event(&seen, &mut out);
    }
    black_box(&out);
}
