//! What `serve` keeps of a day of churn: resident memory as the hours go by, and the CPU time of each task.
//!
//! ```text
//! cargo bench --bench day -- EVENTS PROCESSES DESTINATIONS NAMESPACES HOURS HISTORY_MINUTES
//! ```
//!
//! The events of a day (12,000,000: 20,000 a second for ten minutes) come with the clock of a day. Each process is
//! gone after a minute, so that none of the later ones is known. Windows are made every ten seconds, as figures are, and
//! parts end as they do in `serve`: what is measured is all that it keeps, but for the sockets of the host.
#![forbid(unsafe_code)]

mod crowd;
mod memory;

use std::{
    env,
    hint::black_box,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use crowd::Crowd;
use memory::resident_kib;
use portscope::{
    enrich::Processes,
    event::MonoNs,
    output::records::Accounting,
    pipeline::{
        Choices, Consumer as _, Gatherer, History, Intake, Ledger, Part, Player as _, Shown, Sliding, Spaces,
        window_at,
    },
    stock::{Stock, Wanted},
};
use tracer_ebpf::abi::Record;
use zerocopy::IntoBytes as _;

const SECOND_NS: u64 = 1_000_000_000;
const START_NS: u64 = 81_895_158_000_000;
/// Between two windows.
const WINDOW_S: u64 = 10;
/// Programs that have a place.
const TOP: usize = 20;

fn main() {
    let numbers: Vec<u32> = env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let number = |at: usize, or: u32| numbers.get(at).copied().unwrap_or(or).max(1);
    let (events, hours) = (number(0, 12_000_000), u64::from(number(4, 24)));
    let crowd = Crowd { processes: number(1, 100), destinations: number(2, 1_000) };
    let namespaces = number(3, 1);
    let keep = Duration::from_secs(u64::from(number(5, 60)) * 60);
    let step_ns = hours * 3_600 * SECOND_NS / u64::from(events);

    let Ok(stock) = Stock::take(Path::new("/proc"), &Wanted::default()).map(Arc::new) else { return };
    let spaces = Spaces::new(Path::new("/proc"), true);
    let intake = Intake::new(Processes::new(Path::new("/nowhere")), spaces, Shown::default());
    let settings = window_at(MonoNs(START_NS), true, true);
    let mut gatherer = Gatherer::of_recording(intake, settings).with_course(keep);
    let mut sliding = Sliding::begin(&gatherer, &stock).keeping_parts();
    let (mut history, mut ledger) = (History::new(keep), Ledger::new(TOP));
    let mut choices = Choices::default();
    let mut spent = Spent::default();
    let mut out = Vec::new();
    say("hour   resident KiB     events   ns/event   cut µs   window µs   part µs");
    for index in 0..events {
        let at = MonoNs(START_NS + u64::from(index) * step_ns);
        let (minute, like) = ((at.0 - START_NS) / SECOND_NS / 60, crowd.record(index));
        let record = Record {
            mono_ns: at.0,
            pid: like.pid + u32::try_from(minute * u64::from(crowd.processes) % 4_000_000).unwrap_or(0),
            netns: like.netns + index % namespaces,
            ..like
        };
        let before = Instant::now();
        gatherer.begin_batch();
        choices.note(record.as_bytes());
        gatherer.take(record.as_bytes(), &mut out);
        gatherer.end_batch();
        spent.events += before.elapsed();
        let next = START_NS + u64::from(index + 1) * step_ns;
        if (at.0 - START_NS) / SECOND_NS / WINDOW_S != (next - START_NS) / SECOND_NS / WINDOW_S {
            gatherer.reached(at);
            let began = Instant::now();
            let cut = sliding.cut(at, &mut gatherer, &Accounting::default(), &[]);
            let mut ended = sliding.ended();
            spent.cuts += began.elapsed();
            let began = Instant::now();
            black_box(ledger.bring_up(ended.iter().map(Part::stats), cut.current(), at));
            ended.iter_mut().for_each(Part::condense);
            black_box(cut.join());
            spent.windows += began.elapsed();
            let began = Instant::now();
            for part in ended {
                history.push(part);
            }
            spent.parts += began.elapsed();
            spent.count += 1;
        }
        let hour = |at: u64| (at - START_NS) / SECOND_NS / 3_600;
        if hour(at.0) != hour(next) {
            spent.tell(hour(next), index + 1);
        }
    }
    black_box((history, choices));
}

/// Time that went into what.
#[derive(Default)]
struct Spent {
    events: Duration,
    cuts: Duration,
    windows: Duration,
    parts: Duration,
    count: u32,
}

impl Spent {
    fn tell(&self, hour: u64, events: u32) {
        let each = self.events.as_nanos() / u128::from(events);
        let count = u128::from(self.count.max(1));
        let [cut, window, part] = [self.cuts, self.windows, self.parts].map(|time| time.as_micros() / count);
        let resident = resident_kib().unwrap_or_default();
        say(&format!("{hour:>4} {resident:>14} {events:>10} {each:>10} {cut:>8} {window:>11} {part:>9}"));
    }
}

#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
fn say(text: &str) {
    println!("{text}");
}
