//! The keys.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::Clear,
};

use super::put;
use crate::tui::{
    Ui,
    filter::WORDS,
    look::bold,
    table::{fit, labelled, left},
};

/// Columns of the names of keys.
const KEYS: usize = 16;
const WIDEST: u16 = 78;

const ALL: [(&str, &str); 12] = [
    ("Tab, 1 2 3", "next screen; Overview, Pools, Events"),
    ("arrows, j k", "one line; PgUp PgDn a page, Home End the ends"),
    ("Enter", "Pools: who holds the pool, who was refused, and its map"),
    ("F6, > <", "Pools: sort by the next column, the one before; I: turn"),
    ("F3, /", "show only some; an empty filter shows all"),
    ("p, blank", "pause: the screen stands still, counting goes on"),
    ("+ -, right", "of a recording (-r): faster, slower, 10 s ahead"),
    ("Esc", "back: to all pools, to the newest events, to no filter"),
    ("Ctrl-L", "draw anew"),
    ("Ctrl-Z", "stop; fg goes on"),
    ("F1, ?, h", "this; any of them closes it"),
    ("q, F10, Ctrl-C", "end, and print the verdict on the whole time"),
];

pub(super) fn draw(frame: &mut Frame<'_>, ui: &Ui, area: Rect) {
    // Narrow rests beside it would only disturb.
    let width = if area.width < WIDEST + 8 { area.width } else { WIDEST };
    let columns = usize::from(width.saturating_sub(2));
    let mut lines = vec![Line::styled("KEYS", bold().patch(ui.look.accent()))];
    for (key, does) in ALL {
        let key = Span::styled(fit(key, left("", KEYS)), bold());
        lines.push(Line::from(vec![key, Span::raw(does)]));
    }
    lines.push(Line::default());
    lines.extend(labelled("Filters", KEYS, &format!("{WORDS}; a word by itself is part of a name"), columns));
    lines.extend(labelled("Verdict", KEYS, "on the last 30 to 60 s; more: portscope explain ID", columns));
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2).min(area.height);
    let over =
        Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    frame.render_widget(Clear, over);
    let edge = if ui.look.unicode { "─" } else { "-" }.repeat(over.width.into());
    put(frame, Rect { height: 1.min(height), ..over }, &[Line::raw(edge.clone())]);
    let last = Rect { y: over.bottom().saturating_sub(1), height: 1.min(height), ..over };
    let inside = Rect {
        x: over.x + 1,
        y: over.y + 1,
        width: over.width.saturating_sub(2),
        height: height.saturating_sub(2),
    };
    put(frame, inside, &lines);
    put(frame, last, &[Line::raw(edge)]);
}
