//! One pool: how full it is, who holds it, who was refused, and its range.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::{
    LABEL,
    pools::{full_in, gauges, named},
};
use crate::{
    output::{
        map,
        records::{PoolRecord, Report},
        report::{grouped, per_second, share},
    },
    tui::{
        Look, PoolId, Ui, View,
        look::{bold, dim},
        table::{Column, fit, labelled, left, right, titles},
    },
};

pub(super) fn lines(
    view: &View,
    report: &Report,
    opened: &PoolId,
    ui: &Ui,
    columns: usize,
) -> Vec<Line<'static>> {
    let Some(pool) = report.pools.iter().find(|pool| PoolId::of(pool) == *opened) else {
        let told = format!("{} holds no port any more; Esc shows the others", opened.name());
        return vec![Line::styled(told, dim())];
    };
    let mut lines = gauges(view, pool, ui.look, columns);
    lines.extend(facts(pool, columns));
    lines.push(Line::default());
    lines.extend(holders(pool, columns));
    lines.push(Line::default());
    lines.extend(victims(view, opened, ui.look, columns));
    lines.push(Line::default());
    lines.extend(picture(view, opened, ui.look, columns));
    lines
}

/// What is known of its pace.
fn facts(pool: &PoolRecord, columns: usize) -> Vec<Line<'static>> {
    let mut told = Vec::new();
    let held = pool.held.iter().map(|(state, count)| format!("{} {state}", grouped(*count)));
    told.push(("held", held.collect::<Vec<_>>().join(", ")));
    if pool.barred_by_binds != 0 {
        told.push(("", format!("{} of the ports are barred by binds", grouped(pool.barred_by_binds))));
    }
    if let Some(hold) = &pool.hold {
        let kept = format!(
            "a port is out for {:.1} s on average, {:.1} s of it until the close; {} of the closes leave a TIME_WAIT",
            hold.seconds,
            hold.life_s,
            share(Some(hold.time_wait_share))
        );
        told.push(("hold", kept));
    }
    if pool.sustainable_per_s.is_some() {
        let cliff =
            pool.cliff_per_s.map(|rate| format!("; up to {} one half is enough", per_second(Some(rate))));
        told.push((
            "sustains",
            format!("{}{}", per_second(pool.sustainable_per_s), cliff.unwrap_or_default()),
        ));
    }
    if let Some(forecast) = &pool.exhausted_in_s {
        told.push(("full in", full_in(forecast)));
    }
    told.into_iter().flat_map(|(label, text)| labelled(label, LABEL, &text, columns)).collect()
}

fn name_column(title: &'static str, columns: usize, others: usize) -> Column {
    left(title, columns.saturating_sub(others).clamp(8, 60))
}

fn holders(pool: &PoolRecord, columns: usize) -> Vec<Line<'static>> {
    let table =
        [name_column("HELD BY", columns, 26), right("PORTS", 8), right("SHARE", 8), right("TIME_W", 7)];
    let mut lines = vec![titles(&table)];
    for one in &pool.holders {
        let part = f64::from(one.ports) / f64::from(pool.barred.max(1));
        let cells = [named(one), grouped(one.ports), share(Some(part)), grouped(one.time_wait)];
        lines.push(Line::raw(row(&table, &cells)));
    }
    if pool.holders.is_empty() {
        lines.push(Line::styled("nobody was asked: it is far from full", dim()));
    }
    lines
}

fn victims(view: &View, opened: &PoolId, look: Look, columns: usize) -> Vec<Line<'static>> {
    let table = [name_column("REFUSED TO", columns, 25), right("TIMES", 8), left("ERROR", 14)];
    let mut lines = vec![titles(&table)];
    for victims in view.seen.victims.iter().filter(|victims| victims.pool == *opened) {
        for one in &victims.rows {
            let error = victims.error.clone().unwrap_or_else(|| "?".to_owned());
            let text = row(&table, &[one.name.clone(), grouped(one.count), error]);
            lines.push(Line::styled(text, look.bad()));
        }
        let told = format!("{} of {} attempts", grouped(victims.count), grouped(victims.attempts));
        lines.push(Line::styled(told, dim()));
    }
    if lines.len() == 1 {
        lines.push(Line::styled("nobody in this time", dim()));
    }
    lines
}

fn row(table: &[Column], cells: &[String]) -> String {
    table.iter().zip(cells).map(|(column, cell)| fit(cell, *column)).collect::<Vec<_>>().join(" ")
}

/// The range, each half by itself.
fn picture(view: &View, opened: &PoolId, look: Look, columns: usize) -> Vec<Line<'static>> {
    let Some(picture) = view.seen.picture.as_ref().filter(|picture| picture.pool == *opened) else {
        return vec![Line::styled("the map comes with the next look at the host", dim())];
    };
    let drawn = map::Look { columns, unicode: look.unicode, color: false };
    let text = map::text(&picture.map, &view.seen.netns(opened.netns), drawn);
    text.lines().map(|line| if line.starts_with("  ") { cells(line, look) } else { plain(line) }).collect()
}

fn plain(line: &str) -> Line<'static> {
    let (label, text) = line.split_at_checked(map::LABEL).unwrap_or((line, ""));
    let is_label = !label.trim().is_empty();
    let style = if is_label { bold() } else { Style::new() };
    Line::from(vec![Span::styled(label.to_owned(), style), Span::raw(text.to_owned())])
}

/// The cells of a row in the colours of what they show; their shapes say the same.
fn cells(line: &str, look: Look) -> Line<'static> {
    let Some((port, cells)) = line.split_at_checked(map::LABEL).filter(|(port, _)| !port.trim().is_empty())
    else {
        return Line::raw(line.to_owned());
    };
    let mut spans = vec![Span::raw(port.to_owned())];
    for letter in cells.chars() {
        let style = match letter {
            'L' => look.listener(),
            'r' | '·' | '.' => dim(),
            '▁' | '▃' | '▅' | '▇' | '1'..='4' => look.warning(),
            _ => look.accent(),
        };
        spans.push(Span::styled(letter.to_string(), style));
    }
    Line::from(spans)
}
