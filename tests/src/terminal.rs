//! A pseudoterminal, and portscope on it.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::fs::{Mode, OFlags, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

use crate::{deadline, program};

const PATIENCE: Duration = Duration::from_mins(1);

/// What a terminal obeys, and what turns or hides a text: none of it may be told as it is.
#[must_use]
pub fn is_harmful(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A pseudoterminal: the end of the person before the screen.
#[derive(Debug)]
pub struct Pseudo {
    /// None after it was hung up.
    person: Option<OwnedFd>,
    program: File,
    shown: Vec<u8>,
}

impl Pseudo {
    /// A new one of so many columns and rows.
    ///
    /// # Errors
    ///
    /// When the kernel has none.
    pub fn open(columns: u16, rows: u16) -> Result<Self> {
        let person =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).context("openpt")?;
        grantpt(&person).context("grantpt")?;
        unlockpt(&person).context("unlockpt")?;
        let name = ptsname(&person, Vec::new()).context("ptsname")?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let program = rustix::fs::open(name, flags, Mode::empty()).context("the terminal")?.into();
        fcntl_setfl(&person, OFlags::RDWR | OFlags::NONBLOCK).context("O_NONBLOCK")?;
        let terminal = Self { person: Some(person), program, shown: Vec::new() };
        terminal.resize(columns, rows)?;
        Ok(terminal)
    }

    /// Starts portscope on it, with its locale set to UTF-8.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start(&self, args: &[&str]) -> Result<Child> {
        let mut command = Command::new(program::portscope()?);
        command.args(args);
        self.spawn(command)
    }

    /// Starts a program in a session of its own whose controlling terminal it is: there the kernel tells of new sizes,
    /// and keys are signals.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start_session(&self, program: &str, args: &[&str]) -> Result<Child> {
        let mut command = Command::new("setsid");
        command.args(["-c", program]).args(args);
        self.spawn(command)
    }

    fn spawn(&self, mut command: Command) -> Result<Child> {
        command.env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR");
        command.stdin(self.program.try_clone()?).stdout(self.program.try_clone()?);
        command.stderr(self.program.try_clone()?);
        command.spawn().with_context(|| format!("starting {command:?}"))
    }

    /// The modes of the terminal, every bit of them.
    ///
    /// # Errors
    ///
    /// When they cannot be asked for.
    pub fn modes(&self) -> Result<String> {
        Ok(format!("{:?}", tcgetattr(self.program.as_fd()).context("tcgetattr")?))
    }

    /// Gives it another size. The kernel tells those who have it as their controlling terminal; others see it when
    /// they draw next.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.program, size).context("tcsetwinsize")
    }

    /// Presses keys.
    ///
    /// # Errors
    ///
    /// When they are not taken.
    pub fn press(&mut self, keys: &[u8]) -> Result<()> {
        self.read()?;
        let person = self.person.as_ref().context("the terminal was hung up")?;
        rustix::io::write(person, keys).context("pressing keys")?;
        Ok(())
    }

    /// Sends a signal to a process that draws on it.
    ///
    /// # Errors
    ///
    /// When it is gone.
    pub fn signal(&mut self, child: &Child, signal: Signal) -> Result<()> {
        self.read()?;
        kill_process(number(child)?, signal).context("the process is gone")
    }

    /// Waits until something was shown since the last [`Self::forget`].
    ///
    /// # Errors
    ///
    /// When it never is.
    pub fn wait_for(&mut self, text: &str) -> Result<()> {
        let shown = deadline::until(text, PATIENCE, || {
            self.read()?;
            Ok(self.said().contains(text).then_some(()))
        });
        shown.with_context(|| self.said())
    }

    /// Forgets what was shown.
    pub fn forget(&mut self) {
        self.shown.clear();
    }

    /// What was shown, byte by byte.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.shown
    }

    /// What was shown, escape sequences included.
    #[must_use]
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.shown).into_owned()
    }

    /// Goes away, as a connection that breaks off.
    pub fn hang_up(&mut self) {
        self.person = None;
    }

    /// Reads all there is: a terminal that nobody reads blocks who draws on it.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read(&mut self) -> Result<()> {
        let Some(person) = &self.person else { return Ok(()) };
        let mut part = [0; 16_384];
        loop {
            match rustix::io::read(person, &mut part) {
                Ok(0) | Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Ok(count) => self.shown.extend_from_slice(&part[..count]),
                Err(error) => bail!("reading the terminal: {}", io::Error::from(error)),
            }
        }
    }
}

fn number(child: &Child) -> Result<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no such process")
}

/// Whether a process is stopped.
///
/// # Errors
///
/// When it is gone.
pub fn stopped(child: &Child) -> Result<bool> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).context("the process is gone")?;
    Ok(stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
}

/// Waits for the end of a process, reading what it shows; its exit status, none when a signal ended it.
///
/// # Errors
///
/// When it does not end.
pub fn ended(child: &mut Child, terminal: &mut Pseudo) -> Result<Option<i32>> {
    let ended = deadline::until("the end of the process", PATIENCE, || {
        terminal.read()?;
        Ok(child.try_wait()?)
    });
    terminal.read()?;
    if ended.is_err() {
        child.kill()?;
        child.wait()?;
    }
    Ok(ended.with_context(|| terminal.said())?.code())
}
