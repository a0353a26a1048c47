//! Ports asked for, ports refused, and how full the pools were, over the same time.

use jiff::Timestamp;

use super::{
    super::{
        Course, PageError, Step, Timeline,
        parts::{Cell, Chart, Column, Entry, Key, Section, Table, shown, told},
    },
    canvas::{Plot, Shape, WIDTH},
    marks::Marks,
};
use crate::output::{
    records::Report,
    report::{grouped, share},
};

/// Utilisation below which a line would lie on its axis.
const WORTH_A_CHART: f32 = 0.02;
/// Seconds of a step below which it is not drawn.
const SCRAP_S: f64 = 0.1;
/// Lines that can be told apart.
const LINES: [u8; 5] = [2, 3, 4, 5, 6];

pub(in super::super) fn course(report: &Report, timeline: &Timeline) -> Result<Section, PageError> {
    let clock = Clock::of(report);
    let mut section = Section { id: "course", title: "How it went", ..Section::default() };
    let failures: u64 = timeline.steps.iter().map(|step| step.failures).sum();
    if timeline.steps.iter().all(|step| step.allocations == 0) {
        section.sentences.push("No port was asked for.".to_owned());
    } else {
        let rate = |step: &Step| step.allocations;
        section.charts.push(counts(timeline, &clock, "churn", "Ports asked for, per second", 0, rate)?);
        if failures == 0 {
            section.sentences.push("No port was refused at any time.".to_owned());
        } else {
            let rate = |step: &Step| step.failures;
            section.charts.push(counts(timeline, &clock, "refused", "Ports refused, per second", 1, rate)?);
        }
    }
    let highest = timeline.pools.iter().filter_map(peak).reduce(f32::max);
    if highest.is_some_and(|highest| highest < WORTH_A_CHART) {
        let highest = share(highest.map(f64::from));
        section.sentences.push(format!("No pool was seen with more than {highest} of its ports held."));
    } else if highest.is_some() {
        section.charts.push(pools(timeline, &clock)?);
    }
    if timeline.step_s > 1 {
        section.sentences.push(format!("A point stands for {} seconds.", timeline.step_s));
    }
    if report.accounting.lost != 0 {
        let lost = grouped(report.accounting.lost);
        section.sentences.push(format!("{lost} events were lost: they are in no point of these charts."));
    }
    section.folded.extend(numbers(timeline, &clock));
    Ok(section)
}

/// What the time axis says.
struct Clock {
    /// Seconds of the window.
    seconds: f64,
    /// When it began.
    began: Option<Timestamp>,
}

impl Clock {
    fn of(report: &Report) -> Self {
        Self { seconds: report.window.seconds, began: report.window.started.parse().ok() }
    }

    fn marks(&self) -> Marks {
        Marks::times(self.seconds, self.second_of_day())
    }

    #[expect(clippy::cast_precision_loss, reason = "a second of a day")]
    fn second_of_day(&self) -> f64 {
        let Some(began) = self.began else { return 0.0 };
        let second = began.as_second().rem_euclid(86_400) as f64;
        second + f64::from(began.subsec_nanosecond()) / 1e9
    }

    /// A time of day in UTC; without one, seconds since the start.
    #[expect(clippy::cast_possible_truncation, reason = "seconds of a run")]
    fn says(&self, at: f64) -> String {
        let Some(began) = self.began else { return format!("+{at:.0} s") };
        // A mark on a whole second may be a little less than that by its fractions.
        let micros = began.as_microsecond() + (at * 1e6).round() as i64 + 2;
        let time = Timestamp::from_second(micros.div_euclid(1_000_000));
        time.map_or_else(|_far| format!("+{at:.0} s"), |time| time.strftime("%H:%M:%S").to_string())
    }

    /// Where a step begins and ends.
    fn step(&self, timeline: &Timeline, at: usize) -> (f64, f64) {
        let (from, to) = (real(at as u64 * timeline.step_s), real((at as u64 + 1) * timeline.step_s));
        (from.min(self.seconds), to.min(self.seconds))
    }
}

/// Counts per second as steps.
fn counts(
    timeline: &Timeline,
    clock: &Clock,
    id: &'static str,
    title: &str,
    class: u8,
    of: impl Fn(&Step) -> u64,
) -> Result<Chart, PageError> {
    let rates: Vec<(f64, f64, f64)> = timeline
        .steps
        .iter()
        .enumerate()
        .map(|(at, step)| {
            let (from, to) = clock.step(timeline, at);
            (from, to, real(of(step)) / (to - from))
        })
        // The last one may be a scrap, which tells no rate.
        .filter(|(from, to, _)| to > from && to - from >= SCRAP_S.min(clock.seconds))
        .collect();
    let (mut most, mut when) = (0.0, 0.0);
    for (from, _, rate) in &rates {
        if *rate > most {
            (most, when) = (*rate, *from);
        }
    }
    let shapes = rates.iter().filter(|(.., rate)| *rate > 0.0);
    let shapes = shapes.map(|(from, to, rate)| Shape::Bar(class, (*from, 0.0), (*to, *rate))).collect();
    let sum: u64 = timeline.steps.iter().map(of).sum();
    let plot = Plot {
        height: 130,
        across: clock.marks(),
        up: Marks::up_to(most),
        across_says: &|at| clock.says(at),
        up_says: &super::canvas::count,
        shapes,
    };
    Ok(Chart {
        id,
        title: title.to_owned(),
        description: format!(
            "{} in {:.1} seconds; most at {} UTC, {} a second.",
            grouped(sum),
            clock.seconds,
            clock.says(when),
            super::canvas::count(most)
        ),
        legend: Vec::new(),
        width: WIDTH,
        height: 130,
        body: plot.draw()?,
    })
}

fn pools(timeline: &Timeline, clock: &Clock) -> Result<Chart, PageError> {
    let mut shapes = Vec::new();
    let mut legend = Vec::new();
    let mut peaks = Vec::new();
    let seen = timeline.pools.iter().zip(LINES).map(|(pool, class)| (pool, class, peak(pool)));
    for (pool, class, peak) in seen.filter(|(.., peak)| peak.is_some_and(|peak| peak >= WORTH_A_CHART)) {
        let points = pool.shares.iter().enumerate().filter_map(|(at, share)| {
            let (from, to) = clock.step(timeline, at);
            Some((from, to, f64::from((*share)?) * 100.0))
        });
        let mut line: Vec<_> = points.map(|(from, to, share)| (f64::midpoint(from, to), share)).collect();
        // A point alone would not be seen.
        if let [(at, share)] = line[..] {
            line = vec![((at - 0.5).max(0.0), share), ((at + 0.5).min(clock.seconds), share)];
        }
        shapes.push(Shape::Line(class, line));
        let told = format!("{}, at most {}", pool.name, share(peak.map(f64::from)));
        legend.push(Entry { key: Key::Line(class), text: shown(&told) });
        peaks.push(told);
    }
    let plot = Plot {
        height: 190,
        across: clock.marks(),
        up: Marks::new(0.0..105.0, [0.0, 25.0, 50.0, 75.0, 100.0]),
        across_says: &|at| clock.says(at),
        up_says: &|share| format!("{share:.0} %"),
        shapes,
    };
    Ok(Chart {
        id: "utilisation",
        title: "Share of a pool's ports that are held".to_owned(),
        description: told(&format!("Looked at about once a second. {}.", peaks.join("; "))),
        legend,
        width: WIDTH,
        height: 190,
        body: plot.draw()?,
    })
}

/// The highest utilisation of a pool; none where nobody looked.
fn peak(pool: &Course) -> Option<f32> {
    pool.shares.iter().flatten().copied().reduce(f32::max)
}

/// What the columns of pools are called.
const POOLS: [&str; 5] = ["Pool 1", "Pool 2", "Pool 3", "Pool 4", "Pool 5"];

/// The numbers behind the charts.
fn numbers(timeline: &Timeline, clock: &Clock) -> Option<Table> {
    let longest = timeline.pools.iter().map(|pool| pool.shares.len()).max().unwrap_or(0);
    let rows = timeline.steps.len().max(longest);
    if rows == 0 {
        return None;
    }
    let mut columns = vec![
        Column { title: "Time (UTC)", number: false },
        Column { title: "Asked for", number: true },
        Column { title: "Refused", number: true },
    ];
    columns.extend(POOLS.iter().zip(&timeline.pools).map(|(title, _)| Column { title, number: true }));
    let row = |at: usize| {
        let step = timeline.steps.get(at).copied().unwrap_or_default();
        let mut cells = vec![
            Cell::name(&clock.says(clock.step(timeline, at).0)),
            Cell::number(grouped(step.allocations)),
            Cell::number(grouped(step.failures)),
        ];
        cells.extend(timeline.pools.iter().take(POOLS.len()).map(|pool| {
            let found = pool.shares.get(at).copied().flatten();
            Cell::number(share(found.map(f64::from)))
        }));
        cells
    };
    let names = timeline.pools.iter().zip(POOLS).map(|(pool, title)| format!("{title}: {}", pool.name));
    let names: Vec<String> = names.collect();
    Some(Table {
        id: "numbers",
        caption: "The numbers of these charts".to_owned(),
        columns,
        rows: (0..rows).map(row).collect(),
        note: (!names.is_empty())
            .then(|| told(&format!("{}. - stands where nobody looked.", names.join("; ")))),
        ..Table::default()
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts and seconds of a picture")]
fn real(number: u64) -> f64 {
    number as f64
}
