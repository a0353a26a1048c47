//! All pools as a table, and the gauges of one.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use crate::{
    output::{
        escape,
        records::{ForecastRecord, HalfRecord, PoolHolderRecord, PoolRecord},
        report::{grouped, share, who},
    },
    tui::{
        Look, PoolId, Ui, View,
        look::{bold, chosen, dim},
        order::{pools, time_wait},
        table::{Column, cut, fit, left, right, titles, width},
    },
};

/// Columns in the order in which they stand; those with a higher number go first where there is no room.
const COLUMNS: [(Column, u8); 10] = [
    (left("POOL", 24), 0),
    (left("NETNS", 14), 4),
    (left("RANGE", 11), 5),
    (right("HELD", 7), 0),
    (right("OF", 7), 3),
    (right("FULL", 7), 0),
    (right("TIME_W", 7), 3),
    (right("REFUSED", 8), 1),
    (right("FULL IN", 10), 6),
    (left("HELD BY", 18), 2),
];
/// Narrower windows have no room for both halves.
const NARROW: usize = 40;
/// Widest name of a pool: two IPv6 addresses with ports.
const WIDEST_NAME: usize = 84;

/// The columns that there is room for; what is left over is the name's, and the holder's.
pub(super) fn table(view: &View, ui: &Ui, columns: usize) -> Vec<Column> {
    let names = pools(view, &ui.filter, ui.order, ui.reversed);
    let widest = names.iter().map(|pool| width(&PoolId::of(pool).name())).max().unwrap_or(0);
    let mut shown = COLUMNS.to_vec();
    let taken = |shown: &[(Column, u8)]| shown.iter().map(|(column, _)| column.width + 1).sum::<usize>();
    while taken(&shown) > columns + 1 {
        let Some(last) = shown.iter().map(|(_, rank)| *rank).max().filter(|rank| *rank > 0) else { break };
        shown.retain(|(_, rank)| *rank != last);
    }
    let left = (columns + 1).saturating_sub(taken(&shown));
    let mut all: Vec<Column> = shown.into_iter().map(|(column, _)| column).collect();
    if let Some(name) = all.first_mut() {
        name.width = (name.width + left).min(widest.clamp(name.width, WIDEST_NAME));
    }
    let left = (columns + 1).saturating_sub(all.iter().map(|column| column.width + 1).sum());
    if let Some(holder) = all.last_mut().filter(|column| column.title == "HELD BY") {
        holder.width = (holder.width + left).min(44);
    }
    all
}

/// A row.
pub(super) fn row(view: &View, pool: &PoolRecord, look: Look, table: &[Column]) -> Line<'static> {
    let refused = pool.failures.unwrap_or(0);
    let cell = |title: &str| match title {
        "POOL" => PoolId::of(pool).name(),
        "NETNS" => escape(&view.seen.netns(pool.netns)).into_owned(),
        "RANGE" => format!("{}-{}", pool.range[0], pool.range[1]),
        "HELD" => grouped(pool.barred),
        "OF" => grouped(pool.effective),
        "FULL" => share(pool.utilisation),
        "TIME_W" => grouped(time_wait(pool)),
        "REFUSED" => grouped(refused),
        "FULL IN" => pool.exhausted_in_s.as_ref().map_or_else(|| "-".to_owned(), full_in),
        "HELD BY" => pool.holders.first().map_or_else(|| "-".to_owned(), |one| holder(one, pool.barred)),
        _ => String::new(),
    };
    let style = |title: &str| match title {
        "FULL" => look.fullness(pool.utilisation),
        "REFUSED" if refused != 0 => look.bad(),
        _ => Style::new(),
    };
    let spans = table
        .iter()
        .map(|column| Span::styled(format!("{} ", fit(&cell(column.title), *column)), style(column.title)));
    Line::from(spans.collect::<Vec<_>>())
}

/// `100 % python3 (pid 77)`.
pub(super) fn holder(one: &PoolHolderRecord, of: u32) -> String {
    let part = f64::from(one.ports) / f64::from(of.max(1));
    format!("{:.0} % {}", part * 100.0, named(one))
}

/// Who holds; nobody is known of ports that the kernel keeps in TIME_WAIT.
pub(super) fn named(one: &PoolHolderRecord) -> String {
    let name = one.comm.as_deref().or(one.exe.as_deref());
    if name.is_none() && one.pid.is_none() {
        return if one.time_wait == one.ports { "TIME_WAIT" } else { "not known" }.to_owned();
    }
    who(name, one.processes.into(), [one.container.as_deref(), one.unit.as_deref()], one.pid)
}

/// When a pool will be full, in few letters.
pub(super) fn full_in(forecast: &ForecastRecord) -> String {
    match (forecast.estimate, forecast.levels_off_at) {
        (Some(seconds), _) if seconds < 0.5 => "now".to_owned(),
        (Some(seconds), _) if seconds < 120.0 => format!("{seconds:.0} s"),
        (Some(seconds), _) if seconds < 7_200.0 => format!("{:.0} min", seconds / 60.0),
        (Some(seconds), _) => format!("{:.0} h", (seconds / 3600.0).min(9_999.0)),
        (None, Some(part)) => format!("never {:.0} %", part * 100.0),
        (None, None) => "never".to_owned(),
    }
}

pub(super) fn lines(view: &View, ui: &Ui, columns: usize, rows: usize) -> Vec<Line<'static>> {
    let shown = pools(view, &ui.filter, ui.order, ui.reversed);
    let table = table(view, ui, columns);
    let arrow = match (ui.look.unicode, ui.reversed) {
        (true, false) => '▼',
        (true, true) => '▲',
        (false, false) => 'v',
        (false, true) => '^',
    };
    let mut title = titles(&table);
    let sorted = titles(&table).to_string();
    if let Some(at) = sorted.find(ui.order.title()) {
        // The mark stands where the blank before or behind the title is.
        let mark = |title: &str| {
            let (before, after) =
                (sorted.get(..at).unwrap_or(""), sorted.get(at + title.len()..).unwrap_or(""));
            match (before.strip_suffix(' '), after.strip_prefix(' ')) {
                (Some(before), _) => format!("{before}{arrow}{title}{after}"),
                (None, Some(after)) => format!("{before}{title}{arrow}{after}"),
                (None, None) => sorted.clone(),
            }
        };
        title = Line::styled(mark(ui.order.title()), bold());
    }
    let mut lines = vec![title];
    let room = rows.saturating_sub(1).max(1);
    let cursor = ui.cursor(view);
    // The cursor stays in sight.
    let begin = (cursor + 1).saturating_sub(room);
    for (at, pool) in shown.iter().enumerate().skip(begin).take(room) {
        let line = row(view, pool, ui.look, &table);
        // One look for the whole row: colours on a turned background are hard to read.
        lines.push(if at == cursor { Line::styled(line.to_string(), chosen()) } else { line });
    }
    if shown.is_empty() {
        let told = if ui.filter.is_empty() {
            "no pool holds a port"
        } else {
            "no pool is one of those that are shown; Esc shows all"
        };
        lines.push(Line::styled(told, dim()));
    }
    lines
}

/// What a pool is, and how full its halves are.
pub(super) fn gauges(view: &View, pool: &PoolRecord, look: Look, columns: usize) -> Vec<Line<'static>> {
    let name = PoolId::of(pool).name();
    if columns < NARROW {
        let part = look.fullness(pool.utilisation);
        let bar = look.bar(pool.utilisation.unwrap_or(0.0), columns);
        let told = format!("{} of {} ports", grouped(pool.barred), grouped(pool.effective));
        return vec![
            Line::from(vec![Span::styled(share(pool.utilisation), part), Span::raw(format!(" {told}"))]),
            Line::styled(bar, part),
        ];
    }
    let held = format!("{} of {}", grouped(pool.barred), grouped(pool.effective));
    let refused = pool.failures.filter(|count| *count != 0);
    let refused = refused.map(|count| format!("  {} refused", grouped(count))).unwrap_or_default();
    let outlook =
        pool.exhausted_in_s.as_ref().and_then(|forecast| forecast.estimate.map(|_| full_in(forecast)));
    let outlook = outlook.map(|time| format!("  full {}{time}", if time == "now" { "" } else { "in " }));
    let place = format!("{}-{}", pool.range[0], pool.range[1]);
    let netns = format!("  netns {}", escape(&view.seen.netns(pool.netns)));
    let share_text = format!("  {}", share(pool.utilisation));
    let tail = format!("{}{refused}", outlook.unwrap_or_default());
    let used = width(&name) + width(&held) + width(&share_text) + width(&tail) + 4 + width(&place);
    let mut spans = vec![
        Span::styled(cut(&name, columns.saturating_sub(18).max(10)), bold()),
        Span::raw(format!("  {held}")),
        Span::styled(share_text, look.fullness(pool.utilisation)),
        Span::styled(tail, look.bad()),
        Span::styled(format!("  {place}"), dim()),
    ];
    if used + width(&netns) <= columns {
        spans.push(Span::styled(netns, dim()));
    }
    vec![Line::from(spans), halves(pool, look, columns)]
}

/// A bar for each half, the one that is taken first before the other; one for all where there are no halves.
fn halves(pool: &PoolRecord, look: Look, columns: usize) -> Line<'static> {
    let part = |half: &HalfRecord| f64::from(half.barred) / f64::from(half.of.max(1));
    let bars: Vec<(String, f64)> = match &pool.halves {
        None => vec![("all".to_owned(), pool.utilisation.unwrap_or(0.0))],
        Some(halves) => {
            let (even, odd) = (("even", part(&halves.even)), ("odd", part(&halves.odd)));
            let (first, second) = if halves.first == "odd" { (odd, even) } else { (even, odd) };
            let first_name = if columns >= 60 { format!("{} first", first.0) } else { first.0.to_owned() };
            vec![(first_name, first.1), (second.0.to_owned(), second.1)]
        }
    };
    let count = bars.len().max(1);
    let texts: usize = bars.iter().map(|(name, _)| width(name) + 13).sum();
    let each = (columns.saturating_sub(texts) / count).min(60);
    let mut spans = Vec::new();
    for (name, part) in bars {
        let style = look.fullness(Some(part));
        spans.push(Span::raw(format!("  {name} ")));
        spans.push(Span::styled(look.bar(part, each), style));
        spans.push(Span::styled(format!(" {:>7}", share(Some(part))), style));
    }
    Line::from(spans)
}
