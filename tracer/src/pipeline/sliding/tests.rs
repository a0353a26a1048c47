//! Times are made up: no test waits for a part to end.

use std::path::Path;

use tracer_ebpf::abi::{Protocol, Record, ResultClass, flags, kind, present};
use zerocopy::IntoBytes as _;

use super::*;
use crate::{
    enrich::Processes,
    kernel::counts::Cell,
    pipeline::{
        Consumer as _, Intake, Shown, Spaces,
        report::{self, Span},
    },
    stats::{By, Settings},
};

const START: MonoNs = MonoNs(1_000_000_000_000);
const NOWHERE: &str = "/nowhere";

fn at(second: u64) -> MonoNs {
    MonoNs(START.0 + second * 1_000_000_000)
}

fn connect(second: u64, pid: u32, port: u16) -> Record {
    Record {
        mono_ns: at(second).0,
        socket: u64::from(port) + 1,
        pid,
        tid: pid,
        start: 7,
        netns: 4_026_531_840,
        search_ns: 1_000 + u32::from(port),
        local_addr: [10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        remote_addr: [10, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        local_port: port,
        remote_port: 443,
        range_low: 32_768,
        range_high: 60_999,
        present: !present::SEARCH_UPPER,
        error: if port == 0 { 99 } else { 0 },
        kind: kind::CONNECT,
        protocol: 6,
        family: 4,
        flags: flags::CANDIDATES_EXACT,
        ..Record::default()
    }
}

fn gatherer() -> Gatherer {
    let spaces = Spaces::new(Path::new(NOWHERE), false);
    let intake = Intake::new(Processes::new(Path::new(NOWHERE)), spaces, Shown::default());
    Gatherer::new(intake, Settings { checks: true, ..Settings::new(START) }, Path::new(NOWHERE))
}

fn take(gatherer: &mut Gatherer, records: impl IntoIterator<Item = Record>) {
    gatherer.begin_batch();
    for record in records {
        gatherer.take(record.as_bytes(), &mut Vec::new());
    }
    gatherer.end_batch();
}

/// The events of a second: two processes, one of them refused now and then.
fn second(number: u64) -> Vec<Record> {
    let port = u16::try_from(40_000 + number).unwrap();
    let mut all = vec![connect(number, 1, port)];
    if number.is_multiple_of(3) {
        all.push(connect(number, 2, 0));
    }
    all
}

/// Lost events, of which the kernel half keeps the count since the start.
fn lost(count: u64) -> Vec<Tally> {
    let cell = Cell { kind: kind::CONNECT, protocol: Protocol::Tcp, result: ResultClass::Ok, count };
    vec![Tally { pid: 1, comm: [b'a'; 16], cell }]
}

fn accounting(emitted: u64, lost: u64) -> Accounting {
    Accounting { seen: emitted + lost, emitted, filtered: 0, lost, missed: Some(0), ..Accounting::default() }
}

/// The events, refusals and accounts of a window, and when it began.
fn told(window: &Windowed) -> (u64, u64, u64, u64, u64) {
    let Windowed { gathered, .. } = window;
    let totals = gathered.stats.totals();
    let began = gathered.stats.settings().start.since(START) / 1_000_000_000;
    (totals.allocations(), totals.failures(), gathered.accounting.emitted, gathered.accounting.lost, began)
}

#[test]
fn what_is_older_than_the_window_no_longer_counts() {
    let mut gatherer = gatherer();
    let mut sliding = Sliding::begin(&gatherer, &Arc::new(Stock::default()));
    let (mut emitted, mut windows) = (0, Vec::new());
    for number in 0..100 {
        let records = second(number);
        emitted += records.len() as u64;
        take(&mut gatherer, records);
        // Five events are lost in the 41st second; the counts of lost events never fall.
        let gone = if number < 40 { 0 } else { 5 };
        if [9, 29, 44, 59, 60, 74, 99].contains(&number) {
            let window =
                sliding.window_of(at(number + 1), &mut gatherer, &accounting(emitted, gone), &lost(gone));
            windows.push((number + 1, told(&window)));
        }
    }
    assert_eq!(
        windows,
        [
            // Events, refusals, both accounts, and the second in which the window began. A part ends when
            // somebody looks and it is 30 s long: here after 30 s, 60 s and 100 s.
            (10, (14, 4, 14, 0, 0)),
            (30, (40, 10, 40, 0, 0)),
            (45, (65, 15, 60, 5, 0)),
            (60, (45, 10, 40, 5, 30)),
            (61, (47, 11, 42, 5, 30)),
            (75, (65, 15, 60, 5, 30)),
            // The lost events are as old as the others of their second.
            (100, (54, 14, 54, 0, 60)),
        ]
    );
}

#[test]
fn parts_add_up_to_the_whole_to_the_event() {
    let (mut parted, mut whole) = (gatherer(), gatherer());
    let mut sliding = Sliding::begin(&parted, &Arc::new(Stock::default()));
    let mut emitted = 0;
    for number in 0..400 {
        emitted += second(number).len() as u64;
        take(&mut parted, second(number));
        take(&mut whole, second(number));
        if number.is_multiple_of(7) {
            let gone = number / 10;
            drop(sliding.window_of(at(number + 1), &mut parted, &accounting(emitted, gone), &lost(gone)));
        }
    }
    let all = sliding.whole_of(parted, at(400), accounting(emitted, 40), &lost(40));
    let mut expected = whole.into_gathered(at(400), accounting(emitted, 40), &[]);
    absorb(&mut expected.stats, &lost(40));
    let span = Span { start: START, at: at(400) };
    assert_eq!(all.stats.settings().start, START);
    // How finely the course of a run is known depends on when somebody looked: one for both.
    let course = &expected.series;
    assert_eq!(report::totals(&all.stats, span, course), report::totals(&expected.stats, span, course));
    assert_eq!(
        report::processes(&all.stats, By::Pid, span),
        report::processes(&expected.stats, By::Pid, span)
    );
    assert_eq!(report::destinations(&all.stats, span), report::destinations(&expected.stats, span));
    assert_eq!(report::search(&all.stats, span), report::search(&expected.stats, span));
    assert_eq!(all.stats.totals().allocations(), emitted + 40);
    assert_eq!(all.accounting, expected.accounting);
}
