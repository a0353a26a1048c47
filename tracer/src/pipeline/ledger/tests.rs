use proptest::prelude::*;

use super::*;
use crate::{
    event::{Errno, Kind, Outcome, Pid, Protocol, Site},
    stats::{Lost, Settings},
};

const START: MonoNs = MonoNs(1_000_000_000_000);

fn after(seconds: u64) -> MonoNs {
    MonoNs(START.0 + seconds * 1_000_000_000)
}

fn stats() -> Stats {
    Stats::new(Settings::new(START))
}

fn ask(stats: &mut Stats, program: &str, count: u64, failed: bool) {
    let errno = Some(Errno::EADDRNOTAVAIL);
    stats.absorb(&Lost {
        pid: Some(Pid(program.bytes().map(u32::from).sum())),
        comm: Some(program.to_owned()),
        kind: Kind::Allocation(Site::Connect),
        protocol: Protocol::Tcp,
        result: if failed { Outcome::Failed { errno } } else { Outcome::Ok },
        count,
    });
}

fn named(told: &Told) -> Vec<(&str, u64, u64)> {
    let rows = told.programs.iter();
    rows.map(|(program, count)| (program.name.as_str(), count.allocations, count.failures)).collect()
}

fn all(told: &Told) -> u64 {
    told.programs.iter().map(|(_, count)| count.allocations).sum::<u64>()
        + told.others.allocations
        + told.gone.allocations
}

#[test]
fn who_comes_when_all_places_are_taken_is_among_the_others() {
    let mut ledger = Ledger::new(2);
    let mut current = stats();
    ask(&mut current, "one", 10, false);
    ask(&mut current, "two", 5, true);
    ask(&mut current, "three", 3, false);
    let told = ledger.bring_up(&[], &current, after(1));
    assert_eq!(named(&told), [("one", 10, 0), ("two", 5, 5)]);
    assert_eq!((told.others.allocations, told.others.failures), (3, 0));
    ask(&mut current, "three", 100, false);
    let told = ledger.bring_up(&[], &current, after(2));
    assert_eq!(named(&told), [("one", 10, 0), ("two", 5, 5)]);
    assert_eq!(told.others.allocations, 103);
}

#[test]
fn parts_add_up() {
    let mut ledger = Ledger::new(2);
    let mut first = stats();
    ask(&mut first, "one", 10, false);
    ledger.bring_up(&[], &first, after(1));
    ask(&mut first, "one", 1, true);
    let mut second = stats();
    ask(&mut second, "one", 4, false);
    let told = ledger.bring_up(&[first], &second, after(31));
    assert_eq!(named(&told), [("one", 15, 1)]);
    assert_eq!(told.others, Count::default());
}

#[test]
fn an_idle_program_gives_its_place_away_and_nothing_is_counted_twice() {
    let mut ledger = Ledger::new(1);
    let mut first = stats();
    ask(&mut first, "old", 10, false);
    ledger.bring_up(&[], &first, after(1));
    let mut second = stats();
    ask(&mut second, "new", 7, false);
    // Before the hour is over it is among the others.
    let told = ledger.bring_up(&[first], &second, after(60));
    assert_eq!((named(&told), told.others.allocations), (vec![("old", 10, 0)], 7));
    ask(&mut second, "new", 2, false);
    let told = ledger.bring_up(&[], &second, after(3_700));
    // What was told of it as one of the others stays with them.
    assert_eq!(named(&told), [("new", 2, 0)]);
    assert_eq!((told.others.allocations, told.gone.allocations), (7, 10));
}

proptest! {
    #[test]
    fn nothing_goes_back_and_the_sum_is_the_total(
        steps in prop::collection::vec((0..6_usize, 1..50_u64, any::<bool>(), 0..4_u8, 0..2_000_u64), 1..60),
        most in 1..5_usize,
    ) {
        const NAMES: [&str; 6] = ["a", "bb", "ccc", "dddd", "eeeee", "ffffff"];
        let (mut ledger, mut current, mut total, mut time) = (Ledger::new(most), stats(), 0, 0);
        let mut before: Option<Told> = None;
        for (name, count, failed, what, seconds) in steps {
            ask(&mut current, NAMES[name], count, failed);
            total += count;
            time += seconds;
            let ended = (what == 0).then(|| std::mem::replace(&mut current, stats()));
            let told = ledger.bring_up(&ended, &current, after(time));
            prop_assert_eq!(all(&told), total);
            prop_assert!(told.programs.len() <= most);
            if let Some(before) = &before {
                prop_assert!(told.others.allocations >= before.others.allocations);
                prop_assert!(told.gone.allocations >= before.gone.allocations);
                // The same program, unless it left and came back.
                if told.gone == before.gone {
                    for (program, count) in &before.programs {
                        let now = told.programs.iter().find(|(one, _)| one == program);
                        let now = now.map_or(0, |(_, now)| now.allocations);
                        prop_assert!(now >= count.allocations);
                    }
                }
            }
            before = Some(told);
        }
    }
}
