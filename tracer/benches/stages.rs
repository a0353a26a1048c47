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

use std::{env, hint::black_box, path::Path};

use portscope::{
    enrich::{Clock, Processes, TimeColumn},
    event::{Event, Reserved, Search, SearchRules, decode},
    output::{Columns, CsvOutput, JsonOutput, Observation, TextOutput, TraceOutput},
};

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
