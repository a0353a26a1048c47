//! Any bytes, read as a record of the ring and told in every format: each line of JSON is JSON, and nothing that a
//! terminal obeys gets into text.
#![no_main]

use std::{path::Path, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use portscope::{
    enrich::{Clock, Processes, TimeColumn},
    event::{Reserved, Search, SearchRules, decode},
    output::{Columns, CsvOutput, JsonOutput, Observation, TextOutput, TraceOutput},
};

static RESERVED: LazyLock<Reserved> = LazyLock::new(|| Reserved::from_ports(40_000..40_100));

fuzz_target!(|bytes: &[u8]| {
    let Ok(event) = decode(bytes) else { return };
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
        String::from_utf8(out).expect("text")
    };
    for line in told(&mut JsonOutput::new()).lines() {
        let read: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(read.is_ok(), "{line}");
    }
    for text in [told(&mut CsvOutput::new()), told(&mut TextOutput::new(columns))] {
        let harmful = text.chars().find(|char| char.is_control() && *char != '\n');
        assert_eq!(harmful, None, "{text:?}");
    }
});
