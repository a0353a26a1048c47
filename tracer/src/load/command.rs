//! Starting a command inside its cgroup, and what became of it.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::unix::{
        ffi::OsStrExt as _,
        process::{CommandExt as _, ExitStatusExt as _},
    },
    path::{Path, PathBuf},
    process::{self, ExitStatus, Stdio},
};

use crate::event;
use rustix::{
    fs::{Access, access},
    io::Errno,
    process::{Pid, Signal, kill_process, kill_process_group},
};

/// Our own failure, as env(1) and timeout(1) tell it.
const OWN_FAILURE: u8 = 125;
/// The command is there and cannot be run.
const NOT_EXECUTABLE: u8 = 126;
/// There is no such command.
const NOT_FOUND: u8 = 127;

/// A command that cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot run {command}: {source}")]
pub struct LoadError {
    command: String,
    source: io::Error,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit status, 128 + n for signal n.
    pub status: u8,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

/// A command that runs.
#[derive(Debug)]
pub struct Load {
    child: tokio::process::Child,
    /// It has a process group of its own.
    is_apart: bool,
}

/// Whom to signal, as long as it was not waited for.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pid: Pid,
    is_group: bool,
}

impl Target {
    /// Sends a signal.
    pub fn signal(self, signal: Signal) {
        let sent =
            if self.is_group { kill_process_group(self.pid, signal) } else { kill_process(self.pid, signal) };
        if let Err(error) = sent {
            log::debug!("the command cannot be signalled: {error}");
        }
    }
}

impl Load {
    /// Starts a command, in a cgroup whose `cgroup.procs` is `entrance` if one is given. In the context of a
    /// runtime. With a log it reads nothing, writes there, and has a process group of its own: what is on the terminal
    /// and what is typed there is not its.
    ///
    /// This very program is started first, with words that [`enter_and_run`] knows: a process enters a cgroup
    /// before it becomes the command, so that nothing of the command runs outside.
    ///
    /// # Errors
    ///
    /// No process can be made.
    pub fn start(
        command: &[OsString],
        entrance: Option<&Path>,
        log: Option<&File>,
    ) -> Result<Self, LoadError> {
        let failed = |source| LoadError { command: shown(command), source };
        let mut start = tokio::process::Command::new("/proc/self/exe");
        start.arg(ENTER).arg(entrance.unwrap_or(Path::new(NOWHERE))).arg("--").args(command);
        if let Some(log) = log {
            let again = || log.try_clone().map_err(failed);
            start.stdin(Stdio::null()).stdout(again()?).stderr(again()?).process_group(0);
        }
        let is_apart = log.is_some();
        start.kill_on_drop(false).spawn().map(|child| Self { child, is_apart }).map_err(failed)
    }

    /// Its process; none when it has ended.
    #[must_use]
    pub fn pid(&self) -> Option<event::Pid> {
        self.child.id().map(event::Pid)
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// The kernel does not tell.
    pub async fn wait(&mut self) -> io::Result<Ended> {
        self.child.wait().await.map(ended)
    }

    /// Passes an interrupt on.
    pub fn interrupt(&self) {
        if let Some(target) = self.target() {
            target.signal(Signal::INT);
        }
    }

    /// Whom to signal; none when it has ended.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))?;
        Some(Target { pid, is_group: self.is_apart })
    }

    /// Whether it has a process group of its own, which no key of the terminal interrupts.
    #[must_use]
    pub const fn is_apart(&self) -> bool {
        self.is_apart
    }
}

fn ended(status: ExitStatus) -> Ended {
    let signal = status.signal();
    let number = status.code().or(signal.map(|signal| signal + 128)).unwrap_or(i32::from(OWN_FAILURE));
    Ended { status: u8::try_from(number).unwrap_or(OWN_FAILURE), signal }
}

fn shown(command: &[OsString]) -> String {
    command.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Why a command cannot be run, and the exit status that says so; none where it can, as far as can be told before.
/// Looked for as execvp(3) does.
#[must_use]
pub fn unrunnable(command: &OsStr, path: Option<&OsStr>) -> Option<(io::Error, u8)> {
    let places: Vec<PathBuf> = if command.as_bytes().contains(&b'/') {
        vec![PathBuf::from(command)]
    } else {
        env::split_paths(path.unwrap_or(OsStr::new(USUAL_PATH))).map(|folder| folder.join(command)).collect()
    };
    let mut worst = (io::Error::from_raw_os_error(Errno::NOENT.raw_os_error()), NOT_FOUND);
    for place in places {
        match access(&place, Access::EXEC_OK) {
            Ok(()) if !place.is_dir() => return None,
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            found => {
                let errno = found.err().unwrap_or(Errno::ACCESS);
                worst = (io::Error::from_raw_os_error(errno.raw_os_error()), NOT_EXECUTABLE);
            }
        }
    }
    Some(worst)
}

/// Where commands are looked for without `PATH`.
const USUAL_PATH: &str = "/bin:/usr/bin";

/// The hidden word of the command line.
pub const ENTER: &str = "enter-cgroup-and-run";
/// In place of a cgroup: stay where you are.
const NOWHERE: &str = "-";

/// Enters a cgroup and becomes a command; returns only if that fails, with what to say and the exit status.
#[must_use]
pub fn enter_and_run(entrance: &Path, command: &[OsString]) -> (String, u8) {
    if entrance != Path::new(NOWHERE)
        && let Err(error) = fs::write(entrance, process::id().to_string())
    {
        return (format!("cannot enter {}: {error}", entrance.display()), OWN_FAILURE);
    }
    let Some((program, arguments)) = command.split_first() else {
        return ("no command".to_owned(), OWN_FAILURE);
    };
    let error = process::Command::new(program).args(arguments).exec();
    let status = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
    (format!("cannot run {}: {error}", shown(command)), status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_a_shell() {
        assert_eq!(ended(ExitStatus::from_raw(3 << 8)), Ended { status: 3, signal: None });
        assert_eq!(ended(ExitStatus::from_raw(9)), Ended { status: 137, signal: Some(9) });
    }

    #[test]
    fn what_cannot_be_run_is_known_before() {
        let status =
            |word: &str, path| unrunnable(OsStr::new(word), Some(OsStr::new(path))).map(|(_, status)| status);
        assert_eq!(status("/bin/sh", ""), None);
        assert_eq!(status("sh", "/nowhere:/bin"), None);
        assert_eq!(status("sh", "/nowhere"), Some(127));
        assert_eq!(status("/etc/hostname/x", ""), Some(127));
        assert_eq!(status("/bin", ""), Some(126));
        let (error, _) = unrunnable(OsStr::new("/nowhere/at/all"), None).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_cannot_be_run_is_named() {
        let words = |word: &str| vec![OsString::from(word)];
        let (told, status) = enter_and_run(Path::new("-"), &words("/nowhere/at/all"));
        assert!(told.contains("/nowhere/at/all") && status == 127, "{told}");
        let (told, status) = enter_and_run(Path::new("-"), &words("/etc/passwd"));
        assert!(told.contains("/etc/passwd") && status == 126, "{told}");
        assert_eq!(enter_and_run(Path::new("/nowhere/x"), &words("true")).1, 125);
    }
}
