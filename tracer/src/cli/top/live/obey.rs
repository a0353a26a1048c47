//! What comes from the terminal, and what becomes of it.

use std::io::{self, IsTerminal as _};

use rustix::process::Signal;

use super::{
    super::{input::Input, screen::Screen},
    Face, Live,
};
use crate::{
    kernel::{Armed, KernelError},
    tui::Action,
};

impl Live {
    /// Ends, or where a command runs interrupts it, whose end will be ours; when asked again, ends.
    fn quit(&mut self) {
        match self.target.take() {
            None => self.is_done = true,
            Some(target) => {
                target.signal(Signal::INT);
                if let Some(command) = &mut self.view.command {
                    command.is_interrupted = true;
                }
            }
        }
    }

    /// A terminal that takes nothing more is gone; anything else is told.
    pub(super) fn noted(&mut self, done: io::Result<()>) {
        let Err(error) = done else { return };
        self.is_done = true;
        self.is_gone |= is_gone(&error);
        if !self.is_gone {
            self.failed = Some(error);
        }
    }

    /// Does what came from the terminal; whether something looks different.
    pub(super) fn obey(&mut self, armed: &Armed) -> Result<bool, KernelError> {
        let mut looks_different = false;
        while let Ok(input) = self.inputs.try_recv() {
            let action = match input {
                Input::Key(key) => self.ui.key(key, &self.view),
                Input::Resized => Action::Draw,
                Input::Stop => Action::Suspend,
                Input::GoOn => {
                    self.is_stopped = false;
                    let resumed = self.on_screen(Screen::resume);
                    self.noted(resumed);
                    Action::Draw
                }
                Input::Gone => {
                    self.is_gone = true;
                    self.is_done = true;
                    if let Some(target) = self.target.take() {
                        target.signal(Signal::HUP);
                    }
                    Action::Nothing
                }
            };
            match action {
                Action::Nothing => continue,
                Action::Quit => self.quit(),
                // There is no recording to play.
                Action::Draw | Action::Faster | Action::Slower | Action::Ahead => {}
                Action::Redraw => {
                    let forgotten = self.on_screen(Screen::forget);
                    self.noted(forgotten);
                }
                Action::Refresh => {
                    self.refresh(armed)?;
                    if !self.ui.paused {
                        self.begin_report(armed)?;
                    }
                }
                Action::Suspend => {
                    self.is_stopped = true;
                    let stopped = Screen::suspend();
                    self.noted(stopped);
                }
            }
            looks_different = true;
        }
        Ok(looks_different)
    }

    fn on_screen(&mut self, act: impl FnOnce(&mut Screen) -> io::Result<()>) -> io::Result<()> {
        match &mut self.face {
            Face::Screen(screen) => act(screen),
            Face::Text => Ok(()),
        }
    }
}

pub(in crate::cli::top) fn is_gone(error: &io::Error) -> bool {
    let gone =
        [rustix::io::Errno::IO, rustix::io::Errno::PIPE, rustix::io::Errno::NXIO, rustix::io::Errno::BADF];
    let tells = |number| gone.iter().any(|one| one.raw_os_error() == number);
    // Not every error tells; a terminal that was hung up is none any more.
    error.raw_os_error().is_some_and(tells) || !io::stdout().is_terminal()
}
