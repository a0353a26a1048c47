//! The live log.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use crate::{
    output::headings,
    tui::{
        Ui, View,
        look::dim,
        table::{Column, fit, titles},
    },
};

/// Columns that a narrow window does without, the first ones first.
const LESS: [&str; 8] = ["OPTS", "NETNS", "COLL", "US", "LADDR", "PROTO", "PID", "TIME"];

pub(super) fn lines(view: &View, ui: &Ui, columns: usize, rows: usize) -> Vec<Line<'static>> {
    // A mark before each line.
    let mut shown: Vec<(usize, Column)> = headings()
        .iter()
        .map(|one| Column {
            title: one.title,
            width: wide_enough(view, one.title, one.width),
            right: one.right,
        })
        .enumerate()
        .collect();
    for title in LESS {
        if shown.iter().map(|(_, column)| column.width + 1).sum::<usize>() < columns {
            break;
        }
        shown.retain(|(_, column)| column.title != title);
    }
    let headed: Vec<Column> = shown.iter().map(|(_, column)| *column).collect();
    let mut title = titles(&headed);
    title.spans.insert(0, Span::raw("  "));
    let mut lines = vec![title];
    let room = rows.saturating_sub(1);
    let end = view.events.len().saturating_sub(ui.back.min(view.events.len().saturating_sub(room)));
    let begin = end.saturating_sub(room);
    for row in view.events.get(begin..end).unwrap_or_default() {
        let cells: Vec<String> = shown
            .iter()
            .map(|(at, column)| fit(row.cells.get(*at).map_or("", String::as_str), *column))
            .collect();
        let mut spans = vec![if row.failed { Span::styled("! ", ui.look.bad()) } else { Span::raw("  ") }];
        for ((_, column), cell) in shown.iter().zip(cells) {
            let is_bad = row.failed && column.title == "RET";
            let style = if is_bad { ui.look.bad() } else { Style::new() };
            spans.push(Span::styled(cell, style));
            spans.push(Span::raw(" "));
        }
        lines.push(Line::from(spans));
    }
    if view.events.is_empty() {
        let told = if ui.filter.is_empty() {
            "nothing has asked for a port yet"
        } else {
            "none of the last events is one of these; Esc shows all"
        };
        lines.push(Line::styled(told, dim()));
    }
    if !ui.follows()
        && let Some(last) = lines.last_mut()
        && room > 1
    {
        *last = Line::styled(
            format!("... {} newer lines and what came since; End follows again", ui.back),
            dim(),
        );
    }
    lines
}

/// Addresses and results need what the longest of them needs, within reason.
fn wide_enough(view: &View, title: &str, usual: usize) -> usize {
    let at = headings()
        .iter()
        .position(|one| one.title == title)
        .filter(|_| title.ends_with("ADDR") || title == "RET");
    let widest = at.and_then(|at| {
        view.events.iter().filter_map(|row| row.cells.get(at)).map(|cell| cell.chars().count()).max()
    });
    widest.unwrap_or(usual).clamp(usual, 39)
}
