//! Events per second through the statistics, alone and from the bytes on; one destination against 10,000.
#![forbid(unsafe_code)]

mod crowd;

use std::{hint::black_box, path::Path};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use crowd::Crowd;
use portscope::{
    enrich::{Process, Processes},
    event::{Course, Event, Glimpse, MonoNs, Reserved, Search, SearchRules, decode},
    stats::{Settings, Stats},
};
use tracer_ebpf::abi::Record;
use zerocopy::IntoBytes as _;

const EVENTS: u32 = 100_000;

fn stats(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stats");
    group.throughput(Throughput::Elements(EVENTS.into()));
    let reserved = Reserved::default();
    let rules = SearchRules { reserved: Some(&reserved), ..SearchRules::default() };
    let process = Process::new(Some("worker-pool"), Some("/usr/bin/worker-pool"), None);
    let start = Settings::new(MonoNs(81_895_158_000_000));
    // Time goes on from one iteration to the next, as it does in life.
    let mut round = 0_u32;
    for (processes, destinations) in [(1, 1), (1, 10_000), (10_000, 1), (10_000, 10_000)] {
        let crowd = Crowd { processes, destinations };
        let mut stats = Stats::new(start);
        group.bench_function(format!("take, {processes} to {destinations}"), |bencher| {
            let events = || -> Vec<(Event, Search)> {
                round += 1;
                let events = of(round).filter_map(|index| decode(crowd.record(index).as_bytes()).ok());
                events.map(|event| (event, Search::of(&event, &rules))).collect()
            };
            let take = |events: Vec<(Event, Search)>| {
                for (event, search) in &events {
                    stats.take(event, search, &process);
                }
                stats.settle();
                events
            };
            bencher.iter_batched(events, take, BatchSize::PerIteration);
        });
        black_box(&stats);
    }
    for (processes, destinations) in [(1, 1), (100, 1), (100, 10_000)] {
        let crowd = Crowd { processes, destinations };
        let mut known = Processes::new(Path::new("/nowhere"));
        let mut stats = Stats::new(start);
        group.bench_function(format!("decode to stats, {processes} to {destinations}"), |bencher| {
            let records = || -> Vec<Record> {
                round += 1;
                of(round).map(|index| crowd.record(index)).collect()
            };
            let take = |records: Vec<Record>| {
                for bytes in records.iter().map(Record::as_bytes) {
                    if Glimpse::of(bytes).is_some_and(|glimpse| stats.take_more(glimpse)) {
                        continue;
                    }
                    let Ok(event) = decode(bytes) else { continue };
                    let search = Search::of(&event, &rules);
                    if stats.take(&event, &search, known.of(&event))
                        && let Some(course) = Course::of(&event, &rules)
                    {
                        stats.expect_more(&event, course);
                    }
                }
                stats.settle();
                records
            };
            bencher.iter_batched(records, take, BatchSize::PerIteration);
        });
        black_box(&stats);
    }
    group.finish();
}

/// The events of an iteration.
fn of(round: u32) -> std::ops::Range<u32> {
    let first = round.wrapping_mul(EVENTS);
    first..first.saturating_add(EVENTS)
}

criterion_group!(benches, stats);
criterion_main!(benches);
