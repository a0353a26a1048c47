//! From a view to cells.

mod events;
mod help;
mod overview;
mod pool;
mod pools;

use std::ops::Range;

use ratatui::{
    Frame,
    layout::Rect,
    style::Modifier,
    text::{Line, Span},
};

use super::{
    Screen, Ui, View,
    look::{bold, dim},
    table::{cut, width},
};
use crate::output::{
    closing, escape,
    records::{Accounting, Report},
    report::grouped,
    wrapped,
};

/// Fewer columns or rows show nothing that is of use.
const LEAST: (u16, u16) = (12, 3);
/// Labels stand in so many columns.
const LABEL: usize = 11;

/// Where things stand.
#[derive(Clone, Debug)]
struct Places {
    /// The verdict.
    head: Vec<Line<'static>>,
    /// Tabs and what is watched.
    tabs: bool,
    body: Rect,
    /// What keys do.
    keys: bool,
    /// The accounts.
    accounts: bool,
}

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, view: &View, ui: &Ui) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let columns = usize::from(area.width);
        put(frame, area, &[Line::from(cut("too small", columns))]);
        return;
    }
    let places = places(view, ui, area);
    let row = |y: u16| Rect { y, height: 1, ..area };
    let head = u16::try_from(places.head.len()).unwrap_or(u16::MAX);
    put(frame, Rect { height: head.min(area.height), ..area }, &places.head);
    if places.tabs {
        put(frame, row(area.y + head), &[tabs(view, ui, area.width.into())]);
    }
    let body = places.body;
    let lines = body_lines(view, ui, body);
    put(frame, body, lines.get(scrolled(lines.len(), body, ui)..).unwrap_or_default());
    let mut bottom = area.bottom();
    if places.accounts {
        bottom -= 1;
        put(frame, row(bottom), &[accounts(view, area.width.into())]);
    }
    if places.keys {
        bottom -= 1;
        put(frame, row(bottom), &[keys(view, ui, area.width.into())]);
    }
    if ui.help {
        help::draw(frame, ui, area);
    }
}

/// Lines that are left out at the top of so many.
fn scrolled(lines: usize, body: Rect, ui: &Ui) -> usize {
    ui.scroll.min(lines.saturating_sub(body.height.into()))
}

/// Lines that a page has.
pub(super) fn page(view: &View, ui: &Ui) -> usize {
    let body = places(view, ui, whole(ui)).body;
    // The titles of a table stay.
    let titles = u16::from(ui.screen != Screen::Overview && ui.opened.is_none());
    body.height.saturating_sub(titles).into()
}

/// How far the body of a screen can be scrolled.
pub(super) fn most_scroll(view: &View, ui: &Ui) -> usize {
    let body = places(view, ui, whole(ui)).body;
    body_lines(view, ui, body).len().saturating_sub(body.height.into())
}

/// Rows of the body that nothing stands in.
pub(super) fn unused(view: &View, ui: &Ui) -> Range<usize> {
    let body = places(view, ui, whole(ui)).body;
    let end = usize::from(body.bottom());
    (usize::from(body.y) + body_lines(view, ui, body).len()).min(end)..end
}

fn whole(ui: &Ui) -> Rect {
    Rect::new(0, 0, ui.size.0, ui.size.1)
}

fn places(view: &View, ui: &Ui, area: Rect) -> Places {
    let head = head(view, ui, area);
    let is_typed = ui.prompt.is_some();
    let tabs = area.height >= 6;
    let accounts = area.height >= 4 && (!is_typed || area.height >= 8);
    let keys = is_typed || (area.height >= 8 && !ui.plain);
    let above = u16::try_from(head.len()).unwrap_or(u16::MAX) + u16::from(tabs);
    let below = u16::from(accounts) + u16::from(keys);
    let body = Rect {
        y: area.y + above.min(area.height),
        height: area.height.saturating_sub(above).saturating_sub(below),
        ..area
    };
    Places { head, tabs, body, keys, accounts }
}

fn body_lines(view: &View, ui: &Ui, body: Rect) -> Vec<Line<'static>> {
    let (columns, rows) = (usize::from(body.width), usize::from(body.height));
    let Some(report) = &view.report else { return vec![Line::styled("looking at the host ...", dim())] };
    match ui.screen {
        Screen::Overview => overview::lines(view, report, ui, columns, rows),
        Screen::Pools => match &ui.opened {
            None => pools::lines(view, ui, columns, rows),
            Some(opened) => pool::lines(view, report, opened, ui, columns),
        },
        Screen::Events => events::lines(view, ui, columns, rows),
    }
}

fn put(frame: &mut Frame<'_>, area: Rect, lines: &[Line<'static>]) {
    let area = area.intersection(frame.area());
    for (line, y) in lines.iter().zip(area.y..area.bottom()) {
        frame.buffer_mut().set_line(area.x, y, line, area.width);
    }
}

/// The word, and why.
fn head(view: &View, ui: &Ui, area: Rect) -> Vec<Line<'static>> {
    let (word, reason) = match &view.report {
        None => ("...", String::new()),
        Some(report) => {
            let verdict = &report.verdict;
            let finding = verdict.finding.as_ref().map(|id| format!(" [{id}]")).unwrap_or_default();
            (verdict.word.as_str(), format!("{}{finding}", verdict.reason))
        }
    };
    let word = format!(" {} ", escape(word));
    let columns = usize::from(area.width);
    let indent = width(&word) + 1;
    let word =
        Span::styled(word, ui.look.verdict(view.report.as_ref().map_or("", |r| r.verdict.word.as_str())));
    // A narrow window has no room beside the word.
    if columns < indent + 16 {
        let mut lines = vec![Line::from(word)];
        if area.height >= 5 {
            lines.push(Line::styled(cut(&escape(&reason), columns), bold()));
        }
        return lines;
    }
    let most = usize::from(area.height / 8).clamp(1, 3);
    let mut parts = wrapped(&escape(&reason), columns - indent);
    if parts.len() > most {
        let rest = parts.split_off(most - 1).join(" ");
        parts.push(cut(&rest, columns - indent));
    }
    let mut word = Some(word);
    let line = |part: String| {
        let first = word.take().unwrap_or_else(|| Span::raw(" ".repeat(indent - 1)));
        Line::from(vec![first, Span::raw(" "), Span::styled(part, bold())])
    };
    parts.into_iter().map(line).collect()
}

/// The screens, and what is watched.
fn tabs(view: &View, ui: &Ui, columns: usize) -> Line<'static> {
    let mut spans = Vec::new();
    if !ui.plain {
        for (at, screen) in Screen::ALL.into_iter().enumerate() {
            let is_shown = screen == ui.screen;
            let (before, after) = if is_shown { ("[", "]") } else { (" ", " ") };
            let style = if is_shown { bold().patch(ui.look.accent()) } else { dim() };
            spans.push(Span::styled(format!("{before}{} {}{after}", at + 1, screen.name()), style));
        }
        spans.push(Span::raw("  "));
    }
    if ui.paused {
        spans.push(Span::styled(
            " PAUSED ",
            ui.look.warning().add_modifier(Modifier::REVERSED | Modifier::BOLD),
        ));
        spans.push(Span::raw(" "));
    }
    if !ui.filter.is_empty() {
        spans.push(Span::styled(format!("shown: {}", escape(&ui.filter.to_string())), ui.look.accent()));
        spans.push(Span::raw("  "));
    }
    let used: usize = spans.iter().map(Span::width).sum();
    let watched = view.report.as_ref().map(|report| watched(view, report)).unwrap_or_default();
    let watched = fitting(&watched, columns.saturating_sub(used));
    let gap = columns.saturating_sub(used + width(&watched));
    if !ui.plain {
        spans.push(Span::raw(" ".repeat(gap)));
    }
    spans.push(Span::styled(watched, dim()));
    Line::from(spans)
}

/// What is watched, the least important last.
fn watched(view: &View, report: &Report) -> Vec<String> {
    let what = match &report.command {
        Some(command) if command.alone => escape(&command.name).into_owned(),
        _ if report.header.filters.is_empty() => "whole host".to_owned(),
        _ => "filtered".to_owned(),
    };
    let mut parts = vec![view.time.clone(), format!("last {:.0} s", report.window.seconds)];
    if let Some(played) = &view.played {
        let at = if played.state.is_empty() { "" } else { " at " };
        parts.insert(0, format!("RECORDING{at}{}", played.state));
    }
    // What is older than a look usually is.
    if view.age_s > 5 {
        parts.push(format!("pools of {} s ago", view.age_s));
    }
    parts.push(escape(&report.header.host).into_owned());
    parts.push(what);
    parts.push(report.header.backend.clone());
    parts.extend(view.command.iter().map(|command| format!("output in {}", escape(&command.output))));
    parts
}

/// As many parts as there is room for.
fn fitting(parts: &[String], columns: usize) -> String {
    let whole = |count: usize| parts.get(..count).unwrap_or_default().join(" · ");
    let count = (0..=parts.len()).rev().find(|count| width(&whole(*count)) <= columns).unwrap_or(0);
    whole(count)
}

/// What became of all events since the start.
fn accounts(view: &View, columns: usize) -> Line<'static> {
    let all = &view.accounting;
    let missed = all.missed.map_or_else(|| "not known".to_owned(), grouped);
    let text = format!("{}; missed {missed}", closing::identity(&Accounting { missed: None, ..all.clone() }));
    let short = format!("seen {} lost {} missed {missed}", grouped(all.seen), grouped(all.lost));
    let text = if width(&text) <= columns { text } else { cut(&short, columns) };
    let style = if all.lost == 0 && all.missed.unwrap_or(0) == 0 { dim() } else { bold() };
    Line::styled(text, style)
}

/// What keys do, or the line that is being typed.
fn keys(view: &View, ui: &Ui, columns: usize) -> Line<'static> {
    if let Some(prompt) = &ui.prompt {
        let typed = format!("show only: {}_", escape(&prompt.text));
        let error = prompt.error.as_ref().map(|error| format!("  {}", escape(error))).unwrap_or_default();
        // The end of what was typed is what counts.
        let skipped = width(&typed).saturating_sub(columns.saturating_sub(1));
        let typed: String = typed.chars().skip(skipped).collect();
        let room = columns.saturating_sub(width(&typed));
        return Line::from(vec![Span::styled(typed, bold()), Span::styled(cut(&error, room), ui.look.bad())]);
    }
    if let Some(command) = view.command.as_ref().filter(|command| command.is_interrupted) {
        let told =
            format!("{} was interrupted and has not ended; q again leaves it alone", escape(&command.name));
        return Line::styled(cut(&told, columns), bold());
    }
    let mut keys = vec![("F1", "Help"), ("F3", "Filter")];
    match ui.screen {
        Screen::Pools if ui.opened.is_none() => keys.extend([("F6", "Sort"), ("Enter", "Open")]),
        Screen::Pools => keys.push(("Esc", "Back")),
        Screen::Overview | Screen::Events => {}
    }
    if view.played.is_some() {
        keys.extend([("+ -", "Speed"), ("Right", "10 s on")]);
    }
    keys.extend([
        ("Tab", "Next"),
        ("p", if ui.paused { "Go on" } else { "Pause" }),
        ("q", if view.command.is_some() { "End the command" } else { "Quit" }),
    ]);
    let mut spans = Vec::new();
    for (key, does) in keys {
        spans.push(Span::styled(key, bold().patch(ui.look.accent())));
        spans.push(Span::raw(format!(" {does}  ")));
    }
    Line::from(spans)
}
