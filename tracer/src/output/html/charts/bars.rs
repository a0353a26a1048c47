//! How long searches took, and which ports were given.

use super::{
    super::{
        Exhibits, PageError,
        parts::{Cell, Chart, Entry, Key, Section, Table, columns},
    },
    canvas::{Plot, Shape, WIDTH},
    map,
    marks::Marks,
};
use crate::{
    event::Reserved,
    output::{
        records::{DistributionRecord, Report},
        report::{duration_ns, grouped, share},
    },
    stock::parse_reserved,
};

const HEIGHT: u32 = 170;
/// Times the median from which on a port has a mark.
const HOT: f64 = 5.0;

/// The bar of a time: up to 1, 2, 5 … of each power of ten.
fn edges() -> impl Iterator<Item = u64> {
    (2..10).flat_map(|power| [1, 2, 5].map(|times| times * 10_u64.pow(power)))
}

/// The time of searches that found a port.
pub(in super::super) fn searches(report: &Report, times: &[(u64, u64)]) -> Result<Section, PageError> {
    let mut section = Section { id: "search", title: "How long searches took", ..Section::default() };
    let search = &report.search;
    let bound = if search.upper_bound { "at most " } else { "" };
    let mut bars: Vec<(u64, u64)> = edges().map(|edge| (edge, 0)).collect();
    for (ns, count) in times {
        let bar = bars.iter().position(|(edge, _)| ns <= edge).unwrap_or(bars.len() - 1);
        bars.get_mut(bar).into_iter().for_each(|(_, sum)| *sum += count);
    }
    let first = bars.iter().position(|(_, count)| *count != 0);
    let last = bars.iter().rposition(|(_, count)| *count != 0);
    let Some((first, last)) = first.zip(last) else {
        section.sentences.push("No search that found a port was timed.".to_owned());
        return Ok(section);
    };
    let bars = bars.get(first..=last).unwrap_or_default();
    let all: u64 = bars.iter().map(|(_, count)| count).sum();
    let time = |ns: Option<u64>| {
        ns.map_or_else(|| "not known of so few".to_owned(), |ns| format!("{bound}{}", duration_ns(ns)))
    };
    section.sentences.push(format!(
        "{} searches that found a port: median {}, 99 % {}, longest {}.{}",
        grouped(all),
        time(search.found_ns.p50),
        time(search.found_ns.p99),
        time(Some(search.found_ns.max)),
        match search.failed_mean_ns {
            Some(mean) => {
                format!(
                    " {} failed, in {bound}{mean} on average.",
                    grouped(search.failed),
                    mean = mean_ns(mean)
                )
            }
            None => String::new(),
        },
    ));
    let from = first.checked_sub(1).and_then(|at| edges().nth(at)).unwrap_or(0);
    let most = bars.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let shapes = bars.iter().enumerate().filter(|(_, (_, count))| *count != 0).map(|(at, (_, count))| {
        let left = real(at as u64);
        Shape::Bar(0, (left + 0.04, 0.0), (left + 0.96, real(*count)))
    });
    let says = |mark: f64| {
        let at = marks_at(mark);
        let edge = if at == 0 { Some(from) } else { bars.get(at - 1).map(|(edge, _)| *edge) };
        edge.map_or_else(String::new, duration_ns)
    };
    let plot = Plot {
        height: HEIGHT,
        across: Marks::new(0.0..real(bars.len() as u64), (0..=bars.len() as u64).map(real)),
        up: Marks::up_to(real(most)),
        across_says: &says,
        up_says: &super::canvas::count,
        shapes: shapes.collect(),
    };
    section.charts.push(Chart {
        id: "times",
        title: "Searches by time".to_owned(),
        description: section.sentences.join(" "),
        legend: Vec::new(),
        width: WIDTH,
        height: HEIGHT,
        body: plot.draw()?,
    });
    let rows = bars.iter().map(|(edge, count)| {
        vec![
            Cell::name(&format!("up to {}", duration_ns(*edge))),
            Cell::number(grouped(*count)),
            Cell::number(share(Some(real(*count) / real(all)))),
        ]
    });
    section.folded.push(Table {
        id: "search-times",
        caption: "The numbers of this chart".to_owned(),
        columns: columns(&["Time"], &["Searches", "Share"]),
        rows: rows.collect(),
        note: Some("Times are counted within 1 %.".to_owned()),
        ..Table::default()
    });
    Ok(section)
}

/// The map of the range, and the ports that were given.
pub(in super::super) fn ports(report: &Report, exhibits: &Exhibits) -> Result<Section, PageError> {
    let mut section = Section { id: "ports", title: "The range and its ports", ..Section::default() };
    match &exhibits.map {
        Some((netns, map)) => map::add(&mut section, netns, map),
        None => section.sentences.push("The range of no network namespace could be read.".to_owned()),
    }
    given(&mut section, report)?;
    Ok(section)
}

fn given(section: &mut Section, report: &Report) -> Result<(), PageError> {
    let found = &report.distribution;
    let (Some(first), Some(end)) = (found.bucket_edges.first(), found.bucket_edges.last()) else {
        section.sentences.push("No port was given in a namespace whose range is known.".to_owned());
        return Ok(());
    };
    let holes = holes(report, found, *first, *end);
    let most = found.counts.iter().copied().max().unwrap_or(0);
    let up = Marks::up_to(real(most));
    let top = plotters::coord::ranged1d::Ranged::range(&up).end;
    let mut shapes: Vec<Shape> = holes
        .iter()
        .map(|(low, high)| Shape::Bar(7, (f64::from(*low), 0.0), (f64::from(*high) + 1.0, top)))
        .collect();
    let buckets = found.bucket_edges.windows(2).zip(&found.counts);
    for (edges, count) in buckets.clone().filter(|(_, count)| **count != 0) {
        if let [low, high] = edges {
            let gap = f64::from(high - low) * 0.06;
            shapes.push(Shape::Bar(0, (f64::from(*low) + gap, 0.0), (f64::from(*high) - gap, real(*count))));
        }
    }
    let hot = found.hot_ports.iter().filter(|hot| hot.to_median.is_some_and(|ratio| ratio >= HOT));
    let hot: Vec<Shape> = hot.map(|hot| Shape::Hot(f64::from(hot.port))).collect();
    let any_hot = !hot.is_empty();
    shapes.extend(hot);
    let marks =
        (0..=8).map(|eighth| f64::from(*first) + f64::from(end - 1 - first) * f64::from(eighth) / 8.0);
    let plot = Plot {
        height: HEIGHT,
        across: Marks::new(f64::from(*first)..f64::from(*end), marks.map(f64::round)),
        up,
        across_says: &|port| format!("{port:.0}"),
        up_says: &super::canvas::count,
        shapes,
    };
    let all: u64 = found.counts.iter().sum();
    let mut legend = vec![Entry { key: Key::Bar(0), text: "ports given".to_owned() }];
    if !holes.is_empty() {
        legend.push(Entry { key: Key::Hatch, text: "reserved: never given".to_owned() });
    }
    if any_hot {
        legend.push(Entry {
            key: Key::Hot,
            text: format!("given at least {HOT} times as often as the median port"),
        });
    }
    section.charts.push(Chart {
        id: "given",
        title: format!("Source ports given ({})", found.proto.as_deref().unwrap_or("?")),
        description: description(found, all, *first, *end, holes.len()),
        legend,
        width: WIDTH,
        height: HEIGHT,
        body: plot.draw()?,
    });
    let rows = buckets.map(|(edges, count)| {
        let [low, high] = [edges.first().copied().unwrap_or(0), edges.last().copied().unwrap_or(0)];
        vec![Cell::name(&format!("{low}-{}", high.saturating_sub(1))), Cell::number(grouped(*count))]
    });
    section.folded.push(Table {
        id: "given-ports",
        caption: "The numbers of the ports given".to_owned(),
        columns: columns(&["Ports"], &["Given"]),
        rows: rows.collect(),
        ..Table::default()
    });
    if !found.hot_ports.is_empty() {
        section.tables.push(hot_ports(found));
    }
    Ok(())
}

fn description(found: &DistributionRecord, all: u64, first: u32, end: u32, holes: usize) -> String {
    let parts = [
        Some(format!("{} ports given between {first} and {}", grouped(all), end - 1)),
        (holes != 0).then(|| format!("{holes} stretches of reserved ports among them")),
        (found.out_of_range != 0)
            .then(|| format!("{} more were given outside of the range", grouped(found.out_of_range))),
        found
            .p_value
            .map(|p_value| format!("chance alone is this uneven with a probability of {p_value:.3}")),
    ];
    format!("{}.", parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
}

/// Stretches of reserved ports inside of what is shown.
fn holes(report: &Report, found: &DistributionRecord, first: u32, end: u32) -> Vec<(u16, u16)> {
    let space = report.header.netns.iter().find(|space| Some(space.id) == found.netns);
    let reserved: Option<Reserved> = space.and_then(|space| parse_reserved(space.reserved.as_deref()?).ok());
    let inside = |(low, high): &(u16, u16)| u32::from(*high) >= first && u32::from(*low) < end;
    let clip = |port: u16| u16::try_from(u32::from(port).clamp(first, end - 1)).unwrap_or(port);
    let stretches = reserved.iter().flat_map(Reserved::stretches).filter(inside);
    // Narrower ones than a pixel would not be seen.
    let seen = |(low, high): &(u16, u16)| (u32::from(high - low) + 1) * WIDTH >= end - first;
    stretches.map(|(low, high)| (clip(low), clip(high))).filter(seen).take(200).collect()
}

fn hot_ports(found: &DistributionRecord) -> Table {
    let row = |hot: &crate::output::records::HotPortRecord| {
        let ratio = hot.to_median.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.1}"));
        vec![
            Cell::name(&hot.port.to_string()),
            Cell::number(grouped(hot.uses)),
            Cell::number(ratio),
            Cell::number(hot.behind_hole.map_or_else(|| "-".to_owned(), grouped)),
        ]
    };
    Table {
        id: "hot-ports",
        caption: "Ports given far more often than others, or right behind reserved ones".to_owned(),
        sorts: true,
        columns: columns(&["Port"], &["Given", "Times the median", "Reserved before it"]),
        rows: found.hot_ports.iter().map(row).collect(),
        ..Table::default()
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time below five seconds")]
fn mean_ns(mean: f64) -> String {
    duration_ns(mean.max(0.0) as u64)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the place of a mark")]
fn marks_at(mark: f64) -> usize {
    mark.round().max(0.0) as usize
}

#[expect(clippy::cast_precision_loss, reason = "counts of a picture")]
fn real(number: u64) -> f64 {
    number as f64
}
