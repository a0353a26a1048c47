//! A screen as text.

use std::ops::Range;

use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};

use super::{Ui, View, draw, screens::unused};

/// The screen in the size of the [`Ui`], for a log without the rows that are not needed, as lines without an escape sequence and without blanks at the end.
#[must_use]
pub fn frame(view: &View, ui: &Ui) -> String {
    let (columns, rows) = ui.size;
    let Ok(mut terminal) = Terminal::new(TestBackend::new(columns, rows));
    let Ok(completed) = terminal.draw(|frame| draw(frame, view, ui));
    text(completed.buffer, if ui.plain { unused(view, ui) } else { 0..0 })
}

fn text(buffer: &Buffer, left_out: Range<usize>) -> String {
    let columns = usize::from(buffer.area.width).max(1);
    let mut all = String::new();
    let mut empty = 0;
    for (at, row) in buffer.content.chunks(columns).enumerate() {
        if left_out.contains(&at) {
            continue;
        }
        let mut line = String::new();
        let mut covered = 0;
        for cell in row {
            // A wide letter covers the cell behind it.
            if covered == 0 {
                line.push_str(cell.symbol());
                covered = super::table::width(cell.symbol()).saturating_sub(1);
            } else {
                covered -= 1;
            }
        }
        let line = line.trim_end();
        if line.is_empty() {
            empty += 1;
            continue;
        }
        // Empty lines between others stay, those at the end do not.
        all.push_str(&"\n".repeat(std::mem::take(&mut empty)));
        all.push_str(line);
        all.push('\n');
    }
    all
}
