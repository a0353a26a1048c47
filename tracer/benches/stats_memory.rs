//! Resident memory after ten million events, and one run to count the instructions of:
//!
//! ```text
//! cargo bench --bench stats_memory
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null stats_memory-… 100000 100 1000
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null stats_memory-… 200000 100 1000
//! ```
//!
//! Arguments: events, processes, destinations, and 0 to leave out the statistics. The difference over 100,000 is
//! the cost of one event; less that of a run without, what the statistics add.
#![forbid(unsafe_code)]

mod crowd;
mod memory;

use std::{env, hint::black_box, path::Path};

use crowd::Crowd;
use memory::resident_kib;
use portscope::{
    enrich::Processes,
    event::{MonoNs, Reserved, Search, SearchRules, decode},
    stats::{By, Settings, Stats},
};
use zerocopy::IntoBytes as _;

fn main() {
    let numbers: Vec<u32> = env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let number = |at: usize, or: u32| numbers.get(at).copied().unwrap_or(or);
    let events = number(0, 10_000_000);
    let crowd = Crowd { processes: number(1, 10_000), destinations: number(2, 10_000) };
    let with_stats = number(3, 1) != 0;
    let reserved = Reserved::default();
    let rules = SearchRules { reserved: Some(&reserved), ..SearchRules::default() };
    let mut known = Processes::new(Path::new("/nowhere"));
    let mut stats = Stats::new(Settings::new(MonoNs(81_895_158_000_000)));
    let before = resident_kib();
    for event in (0..events).filter_map(|index| decode(crowd.record(index).as_bytes()).ok()) {
        let search = Search::of(&event, &rules);
        let process = known.of(&event);
        if with_stats {
            stats.take(&event, &search, process);
        } else {
            black_box((search, process));
        }
    }
    stats.settle();
    let after = resident_kib();
    let totals = stats.totals();
    report(&format!(
        "{} allocations, {} failures, {} programs, {} destinations\nresident: {before:?} KiB before, {after:?} KiB after",
        totals.allocations(),
        totals.failures(),
        stats.processes(By::Program).len(),
        stats.destinations().len(),
    ));
}

#[expect(clippy::print_stdout, reason = "the figure is what it is run for")]
fn report(text: &str) {
    println!("{text}");
}
