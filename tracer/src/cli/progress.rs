//! The line on stderr that says how far a command is: for a person at a terminal, wiped before anything is printed.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use rustix::termios::tcgetwinsize;

/// Fast enough to look alive, slow enough to read.
const EVERY: Duration = Duration::from_millis(500);
/// Columns of a terminal that does not tell.
const USUAL_COLUMNS: u16 = 80;
/// Back to the start of the line, and erase it (ECMA-48).
const WIPE: &str = "\r\x1b[2K";

/// One line, drawn again and again.
#[derive(Debug)]
pub(super) struct Progress {
    next: Instant,
    shown: bool,
}

impl Progress {
    /// On stderr, if that is a terminal.
    pub(super) fn on_stderr() -> Option<Self> {
        io::stderr().is_terminal().then(|| Self { next: Instant::now() + EVERY, shown: false })
    }

    /// Draws the line anew when it is time to. A stderr that is gone takes nothing more.
    pub(super) fn show(&mut self, text: impl FnOnce() -> String) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + EVERY;
        self.shown = true;
        drop(write!(io::stderr(), "{WIPE}{}", fitting(&text(), columns())));
    }

    /// Takes the line away until it is drawn again.
    pub(super) fn wipe(&mut self) {
        if std::mem::take(&mut self.shown) {
            drop(write!(io::stderr(), "{WIPE}"));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.wipe();
    }
}

fn columns() -> u16 {
    tcgetwinsize(io::stderr()).map_or(USUAL_COLUMNS, |size| size.ws_col).max(1)
}

/// As much of a text as one row holds: what goes on in a second row could not be wiped.
fn fitting(text: &str, columns: u16) -> String {
    text.chars().take(usize::from(columns).saturating_sub(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_never_fills_the_row() {
        assert_eq!(fitting("gathering", 80), "gathering");
        assert_eq!(fitting("gathering", 5), "gath");
        assert_eq!(fitting("größer", 4), "grö");
        assert_eq!(fitting("x", 0), "");
    }
}
