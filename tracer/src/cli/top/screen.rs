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

#[cfg(test)]
mod tests {
    use std::{env, fs::File, io::Read as _, os::fd::AsFd as _, process::Command, thread};

    use rustix::{
        fs::{Mode, OFlags, open},
        pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
        termios::{Winsize, tcgetattr, tcsetwinsize},
    };

    use super::*;

    /// In the process that is to panic.
    const PANICS: &str = "PORTSCOPE_TEST_PANICS_ON_THE_SCREEN";

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_is_told() {
        if env::var_os(PANICS).is_some() {
            let _screen = Screen::open().unwrap();
            panic!("as it was to");
        }
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal: File =
            open(ptsname(&person, Vec::new()).unwrap(), flags, Mode::empty()).unwrap().into();
        tcsetwinsize(&terminal, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let modes = || format!("{:?}", tcgetattr(terminal.as_fd()).unwrap());
        let usual = modes();
        let name = "cli::top::screen::tests::a_panic_gives_the_terminal_back_before_it_is_told";
        let mut child = Command::new(env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture", "--test-threads=1"])
            .env(PANICS, "1")
            .env("TERM", "xterm-256color")
            .stdin(terminal.try_clone().unwrap())
            .stdout(terminal.try_clone().unwrap())
            .stderr(terminal.try_clone().unwrap())
            .spawn()
            .unwrap();
        // Somebody must read, or the child waits for room.
        let reader = thread::spawn(move || {
            let (mut said, mut person, mut part) = (Vec::new(), File::from(person), [0; 4_096]);
            // It fails when the last one who has the terminal is gone.
            while let Ok(count @ 1..) = person.read(&mut part) {
                said.extend_from_slice(part.get(..count).unwrap_or_default());
            }
            String::from_utf8_lossy(&said).into_owned()
        });
        assert!(!child.wait().unwrap().success());
        assert_eq!(modes(), usual);
        drop(terminal);
        let said = reader.join().unwrap();
        let (on_screen, after) = said.rsplit_once("\x1b[?1049l").unwrap_or_else(|| panic!("{said:?}"));
        assert!(on_screen.contains("\x1b[?1049h"), "the screen was not taken over: {said:?}");
        assert!(after.contains("as it was to"), "told on the other screen: {said:?}");
        assert!(after.contains("\x1b[?25h"), "the cursor stays hidden: {said:?}");
    }
}
