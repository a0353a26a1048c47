//! Rows of a table whose columns keep their places although a cell may be too wide.

use std::iter;

/// A column: where it begins is the sum of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// What stands above it.
    pub(super) title: &'static str,
    /// Columns of the terminal that it has.
    pub(super) width: usize,
    /// Where its text stands.
    pub(super) align: Align,
}

/// Where a text stands in its cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

const RED: &[u8] = b"\x1b[31m";
const PLAIN: &[u8] = b"\x1b[0m";

/// A row in the making. A cell that is too wide pushes the next ones on; they take back what they can.
pub(super) struct Row<'a> {
    out: &'a mut Vec<u8>,
    /// Where the next column should begin.
    stop: usize,
    /// Where the text ends.
    end: usize,
}

impl<'a> Row<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, stop: 0, end: 0 }
    }

    /// Appends a cell, in red if asked.
    pub(super) fn cell(&mut self, column: Column, text: &[u8], red: bool) {
        // Every byte begins a character but those that go on with one.
        let length = text.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        let begin = match column.align {
            Align::Left => self.stop,
            Align::Right => self.stop.saturating_add(column.width.saturating_sub(length)),
        };
        let gap = usize::from(self.stop > 0);
        let begin = begin.max(self.end.saturating_add(gap));
        self.blanks(begin.saturating_sub(self.end));
        if red {
            self.out.extend_from_slice(RED);
        }
        self.out.extend_from_slice(text);
        if red {
            self.out.extend_from_slice(PLAIN);
        }
        self.end = begin.saturating_add(length);
        self.stop = self.stop.saturating_add(column.width).saturating_add(1);
    }

    fn blanks(&mut self, count: usize) {
        const BLANKS: &[u8; 64] = &[b' '; 64];
        match BLANKS.get(..count) {
            Some(blanks) => self.out.extend_from_slice(blanks),
            None => self.out.extend(iter::repeat_n(b' ', count)),
        }
    }

    /// Ends the row.
    pub(super) fn finish(self) {
        self.out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[(usize, Align, &str)]) -> String {
        let mut out = Vec::new();
        let mut row = Row::new(&mut out);
        for (width, align, text) in cells {
            row.cell(Column { title: "", width: *width, align: *align }, text.as_bytes(), false);
        }
        row.finish();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn cells_stand_in_their_columns() {
        assert_eq!(
            row(&[(4, Align::Left, "a"), (4, Align::Right, "b"), (2, Align::Left, "c")]),
            "a       b c\n"
        );
    }

    #[test]
    fn a_wide_cell_is_made_up_for_by_the_next() {
        let wide = [(4, Align::Left, "abcdefg"), (6, Align::Right, "12"), (2, Align::Left, "c")];
        assert_eq!(row(&wide), "abcdefg  12 c\n");
        let wider = [
            (2, Align::Left, "abcdefg"),
            (2, Align::Left, "12"),
            (9, Align::Left, "c"),
            (1, Align::Left, "d"),
        ];
        assert_eq!(row(&wider), "abcdefg 12 c    d\n");
    }

    #[test]
    fn colour_takes_no_room() {
        let mut out = Vec::new();
        let column = Column { title: "", width: 4, align: Align::Left };
        let mut row = Row::new(&mut out);
        row.cell(column, "nö".as_bytes(), true);
        row.cell(column, b"x", false);
        row.finish();
        assert_eq!(out, "\x1b[31mnö\x1b[0m   x\n".as_bytes());
    }
}
