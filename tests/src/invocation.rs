//! One call of portscope that is to end by itself: its exit status and what it said.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::scratch::Scratch;
use crate::{deadline, program};

const PATIENCE: Duration = Duration::from_mins(2);

/// How a call ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// Holds the call to this exit status and to a standard error that names the thing.
    ///
    /// # Errors
    ///
    /// When it ended otherwise, said nothing of it, or panicked.
    pub fn must_fail(&self, status: i32, naming: &[&str]) -> Result<()> {
        ensure!(self.status == Some(status), "exit status {:?}, not {status}: {}", self.status, self.stderr);
        self.must_not_panic()?;
        ensure!(!self.stderr.trim().is_empty(), "exit status {status} without a word");
        for name in naming {
            ensure!(self.stderr.contains(name), "it does not name {name:?}: {}", self.stderr);
        }
        Ok(())
    }

    /// # Errors
    ///
    /// When it panicked.
    pub fn must_not_panic(&self) -> Result<()> {
        ensure!(!self.stderr.contains("panicked at"), "{}", self.stderr);
        Ok(())
    }
}

/// Calls portscope with these arguments, and waits for its end.
///
/// # Errors
///
/// When it cannot be started or does not end.
pub fn portscope(scratch: &Scratch, args: &[&str]) -> Result<Ended> {
    let mut command = Command::new(program::portscope()?);
    command.args(args);
    run(scratch, command)
}

/// Calls a command, and waits for its end.
///
/// # Errors
///
/// When it cannot be started or does not end.
pub fn run(scratch: &Scratch, mut command: Command) -> Result<Ended> {
    let (out, err) = (scratch.file("stdout"), scratch.file("stderr"));
    command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&err)?);
    let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    let status = wait(&mut child).with_context(|| format!("{command:?}"));
    let (stdout, stderr) = (fs::read_to_string(&out)?, fs::read_to_string(&err)?);
    let status = status.with_context(|| stderr.clone())?;
    Ok(Ended { status, stdout, stderr })
}

/// Waits for the end of a process; one that does not end is killed.
///
/// # Errors
///
/// When it had to be killed.
pub fn wait(child: &mut Child) -> Result<Option<i32>> {
    let ended = deadline::until("the end of the process", PATIENCE, || Ok(child.try_wait()?));
    if ended.is_err() {
        child.kill()?;
        child.wait()?;
    }
    Ok(ended?.code())
}
