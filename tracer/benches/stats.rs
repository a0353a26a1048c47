//! Events per second through the statistics, alone and from the bytes on; one destination against 10,000.
#![forbid(unsafe_code)]

mod crowd;

use std::{hint::black_box, path::Path};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crowd::Crowd;
use portscope::{
    enrich::{Process, Processes},
    event::{Event, MonoNs, Reserved, Search, SearchRules, decode},
    stats::{Settings, Stats},
};
use zerocopy::IntoBytes as _;

const EVENTS: u32 = 100_000;

fn stats(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stats");
    group.throughput(Throughput::Elements(EVENTS.into()));
    let reserved = Reserved::default();
    let rules = SearchRules { reserved: Some(&reserved), ..SearchRules::default() };
    let process = Process::new(Some("worker-pool"), Some("/usr/bin/worker-pool"), None);
    let start = Settings::new(MonoNs(81_895_158_000_000));
    for (processes, destinations) in [(1, 1), (1, 10_000), (10_000, 1), (10_000, 10_000)] {
        let crowd = Crowd { processes, destinations };
        let events: Vec<(Event, Search)> = (0..EVENTS)
            .filter_map(|index| crowd.event(index))
            .map(|event| (event, Search::of(&event, &rules)))
            .collect();
        let mut stats = Stats::new(start);
        group.bench_function(format!("take, {processes} to {destinations}"), |bencher| {
            bencher.iter(|| {
                for (event, search) in &events {
                    stats.take(event, search, &process);
                }
                stats.settle();
            });
        });
        black_box(&stats);
    }
    for (processes, destinations) in [(100, 1), (100, 10_000)] {
        let crowd = Crowd { processes, destinations };
        let records: Vec<_> = (0..EVENTS).map(|index| crowd.record(index)).collect();
        let mut known = Processes::new(Path::new("/nowhere"));
        let mut stats = Stats::new(start);
        group.bench_function(format!("decode to stats, {processes} to {destinations}"), |bencher| {
            bencher.iter(|| {
                for event in records.iter().flat_map(|record| decode(record.as_bytes())) {
                    let search = Search::of(&event, &rules);
                    stats.take(&event, &search, known.of(&event));
                }
                stats.settle();
            });
        });
        black_box(&stats);
    }
    group.finish();
}

criterion_group!(benches, stats);
criterion_main!(benches);
