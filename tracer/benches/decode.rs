//! Events per second: decoded, understood, looked up, written.
#![forbid(unsafe_code)]

mod flood;

use std::{hint::black_box, path::Path};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portscope::{
    enrich::{Clock, Processes},
    event::{Event, Reserved, Search, SearchRules, decode},
    output::{JsonOutput, Observation, TraceOutput as _},
};

fn stages(criterion: &mut Criterion) {
    let records = flood::records();
    let events: Vec<Event> = records.iter().flat_map(|record| decode(record)).collect();
    let reserved = Reserved::default();
    let rules = SearchRules { reserved: Some(&reserved), ..SearchRules::default() };
    let mut processes = Processes::new(Path::new("/nowhere"));
    let mut group = criterion.benchmark_group("event");
    group.throughput(Throughput::Elements(events.len() as u64));
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            for record in &records {
                black_box(decode(record)).ok();
            }
        });
    });
    group.bench_function("search", |bencher| {
        bencher.iter(|| {
            for event in &events {
                black_box(Search::of(event, &rules));
            }
        });
    });
    group.bench_function("process", |bencher| {
        bencher.iter(|| {
            for event in &events {
                black_box(processes.of(event));
            }
        });
    });
    let one = flood::of_one_thread();
    for (name, records) in [("decode to JSON", &records), ("decode to JSON, one thread", &one)] {
        group.bench_function(name, |bencher| {
            let (mut json, mut out, clock) =
                (JsonOutput::new(), Vec::new(), Clock::with_offset(1_795_348_800_000_000_000));
            bencher.iter(|| {
                out.clear();
                for event in records.iter().flat_map(|record| decode(record)) {
                    let seen = Observation {
                        search: Search::of(&event, &rules),
                        utc: clock.utc(event.mono()),
                        process: processes.of(&event),
                        event: &event,
                        holders: None,
                    };
                    json.event(&seen, &mut out);
                }
                black_box(&out);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
