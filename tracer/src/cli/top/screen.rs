//! The terminal: taken over, and given back on every way out.

use std::{
    io::{self, Stdout, stdout},
    mem::ManuallyDrop,
    panic,
    sync::atomic::{AtomicBool, Ordering},
};

use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::Show,
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
    layout::Rect,
};
use rustix::process::{Signal, getpid, kill_process};

use crate::tui::{Ui, View, draw};

/// Whether the terminal is ours: what a panic must know.
static OURS: AtomicBool = AtomicBool::new(false);

/// A terminal in our hands.
pub(super) struct Screen {
    /// Never dropped: its end complains on stderr where the terminal is gone, and panics where that is gone with it.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>,
}

impl Screen {
    /// Takes it over.
    pub(super) fn open() -> io::Result<Self> {
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |panicked| {
            // What is said of a panic must be read on the usual screen.
            give_back();
            told(panicked);
        }));
        let terminal = ManuallyDrop::new(Terminal::new(CrosstermBackend::new(stdout()))?);
        take()?;
        let mut screen = Self { terminal };
        // From here on it is given back when this goes.
        screen.forget()?;
        Ok(screen)
    }

    /// Draws; the state learns the size first.
    pub(super) fn draw(&mut self, view: &View, ui: &mut Ui) -> io::Result<()> {
        let size = self.terminal.size()?;
        ui.size = (size.width, size.height);
        self.terminal.draw(|frame| draw(frame, view, ui)).map(|_| ())
    }

    /// Forgets what stands there, so that all of it is drawn.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        // `Terminal::clear` would ask the terminal where its cursor is, and wait for an answer.
        let size = self.terminal.size()?;
        self.terminal.resize(Rect::new(0, 0, size.width, size.height))
    }

    /// Gives the terminal back and stops; whoever waits for us is told so by the system.
    pub(super) fn suspend() -> io::Result<()> {
        give_back();
        kill_process(getpid(), Signal::STOP).map_err(io::Error::from)
    }

    /// Takes the terminal over again, after a stop: the shell may have set its modes.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        // Else it would be believed to be in our modes still.
        disable_raw_mode()?;
        take()?;
        self.forget()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
    OURS.store(true, Ordering::SeqCst);
    let taken = enable_raw_mode().and_then(|()| execute!(stdout(), EnterAlternateScreen));
    if taken.is_err() {
        give_back();
    }
    taken
}

/// Gives it back, once; a terminal that is gone needs nothing.
fn give_back() {
    if OURS.swap(false, Ordering::SeqCst) {
        drop(execute!(stdout(), LeaveAlternateScreen, Show));
        drop(disable_raw_mode());
    }
}
