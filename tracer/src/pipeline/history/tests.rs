use super::*;
use crate::{
    event::{Kind, Outcome, Pid, Protocol, Site},
    pipeline::{look::Look, series::Count},
    stats::{Lost, Settings, Stats},
};

const START: MonoNs = MonoNs(1_000_000_000_000);

fn after(seconds: u64) -> MonoNs {
    MonoNs(START.0 + seconds * 1_000_000_000)
}

/// Half a minute in which so many ports were asked for.
fn part(number: u64, asked: u64) -> Part {
    let begin = after(number * 30);
    let mut stats = Stats::new(Settings::new(begin));
    stats.absorb(&Lost {
        pid: Some(Pid(1)),
        comm: None,
        kind: Kind::Allocation(Site::Connect),
        protocol: Protocol::Tcp,
        result: Outcome::Ok,
        count: asked,
    });
    Part {
        begin,
        end: after(number * 30 + 30),
        accounting: Accounting { emitted: number, ..Accounting::default() },
        stock: Arc::default(),
        stats: stats.into(),
        peaks: Peaks::default(),
    }
}

fn history(parts: u64, keep: Duration) -> History {
    let mut history = History::new(keep);
    (0..parts).for_each(|number| history.push(part(number, 1)));
    history
}

#[test]
fn a_window_has_all_parts_since_it_begins() {
    let history = history(240, Duration::from_hours(2));
    for asked in [1_u64, 60, 600, 3_600, 7_000] {
        let window = joined(&history.since(after(7_200 - asked))).unwrap();
        let (begin, end) = (window.begin, window.end);
        assert_eq!(end, after(7_200));
        assert!(begin <= after(7_200 - asked), "{asked}: {begin:?}");
        let seconds = end.since(begin) / 1_000_000_000;
        // At most a third longer, or a part.
        assert!(seconds <= asked + (asked / 3).max(30), "{seconds} for {asked}");
        assert_eq!(window.stats.totals().allocations(), seconds / 30);
        assert_eq!(window.accounting.emitted, begin.since(START) / 30_000_000_000);
    }
}

#[test]
fn parts_are_few_and_what_is_too_old_is_dropped() {
    let history = history(2_880, Duration::from_hours(1));
    assert!(history.parts.len() <= 40, "{}", history.parts.len());
    let end = after(2_880 * 30);
    let kept = Duration::from_nanos(end.since(history.begin().unwrap()));
    assert!(kept >= Duration::from_hours(1) && kept <= Duration::from_hours(2), "{kept:?}");
    // More than there is: all of it.
    assert_eq!(history.since(START).first().map(|all| all.begin), history.begin());
}

#[test]
fn nothing_is_told_of_a_history_without_parts() {
    assert!(joined(&History::new(Duration::from_hours(1)).since(START)).is_none());
}

#[test]
fn the_course_of_a_window_is_that_of_its_seconds() {
    let mut course = Course::new(Duration::from_mins(10));
    for second in 0..1_200_u64 {
        course.sample(after(second), || Count { allocations: second * 5, failures: 0 });
        course.sample(MonoNs(after(second).0 + 1), || panic!("once a second"));
        let look = Look { at: after(second), all: false, ..Look::default() };
        course.look(&look);
    }
    let series = course.series(after(1_100), after(1_200), Count { allocations: 6_000, failures: 0 });
    assert_eq!(series.counts().iter().map(|count| count.allocations).sum::<u64>(), 500);
    assert!(series.counts().iter().take(99).all(|count| count.allocations == 5), "{:?}", series.counts());
    assert!(course.kept().0 <= 601 && course.kept().1 <= 601, "{:?}", course.kept());
    assert!(series.tracks().is_empty());
}
