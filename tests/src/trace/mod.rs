//! The process of `portscope trace`: started, armed, stopped, and what it wrote.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::scratch::Scratch;
use crate::{deadline, program};

mod capture;
mod event;

pub use capture::{Accounting, Capture};
pub use event::Event;

/// How long arming may take: an emulated machine parses its BTF in seconds.
/// Under emulation, beside a second machine, kprobes alone take half a minute to attach.
const ARMING: Duration = Duration::from_mins(2);
/// How long draining and the footer may take.
const STOPPING: Duration = Duration::from_secs(30);

/// A tracer whose hooks are armed.
#[derive(Debug)]
pub struct Tracer {
    child: Child,
    lines: PathBuf,
    stderr: PathBuf,
}

impl Tracer {
    /// Starts `portscope trace -o json` with further arguments, and waits until it is armed.
    ///
    /// # Errors
    ///
    /// When it ends or does not arm in time, with what it said on standard error.
    pub fn start(scratch: &Scratch, args: &[&str]) -> Result<Self> {
        Self::start_command(scratch, "trace", args)
    }

    /// Starts another command that traces, as [`Self::start`] does.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn start_command(scratch: &Scratch, command: &str, args: &[&str]) -> Result<Self> {
        Self::start_into(scratch, &scratch.file("trace.jsonl"), &[command, "-o", "json"], args)
    }

    /// Starts `portscope record` into a file, as [`Self::start`] does.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn record(scratch: &Scratch, into: &Path, args: &[&str]) -> Result<Self> {
        Self::start_into(scratch, into, &["record"], args)
    }

    /// Starts `portscope serve`, as [`Self::start`] does.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn serve(scratch: &Scratch, args: &[&str]) -> Result<Self> {
        Self::start_with(scratch, &scratch.file("nothing"), &["serve"], args)
    }

    /// Starts `portscope top` that writes frames of text nowhere, as [`Self::start`] does.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn top(scratch: &Scratch, args: &[&str]) -> Result<Self> {
        Self::start_with(scratch, &scratch.file("nothing"), &["top", "-b"], args)
    }

    /// Starts these words of a command, whose output goes to this place, as [`Self::start`] does.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub fn start_into(scratch: &Scratch, into: &Path, words: &[&str], args: &[&str]) -> Result<Self> {
        let place = into.to_str().context("a path that is no text")?;
        Self::start_with(scratch, into, &[words, &["-w", place]].concat(), args)
    }

    fn start_with(scratch: &Scratch, into: &Path, words: &[&str], args: &[&str]) -> Result<Self> {
        let lines = into.to_owned();
        let ready = scratch.file("ready");
        let stderr = scratch.file("stderr");
        let mut command = Command::new(program::portscope()?);
        command.args(words).arg("--ready-file").arg(&ready).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&stderr)?);
        let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let mut tracer = Self { child, lines, stderr };
        let armed = deadline::until("the tracer's hooks", ARMING, || {
            if let Some(status) = tracer.child.try_wait()? {
                bail!("the tracer ended with {status} before it was armed");
            }
            Ok(ready.exists().then_some(()))
        });
        armed.with_context(|| format!("{args:?}: {}", tracer.said()))?;
        Ok(tracer)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops the process without its help: nothing is read from the ring until [`Self::resume`].
    ///
    /// # Errors
    ///
    /// When it is gone.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// When it is gone.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Kills it where it stands.
    ///
    /// # Errors
    ///
    /// When it is gone.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill().context("the tracer is gone")?;
        self.child.wait().context("waiting for the tracer")?;
        Ok(())
    }

    /// Waits until what it has written so far is enough.
    ///
    /// # Errors
    ///
    /// When it never is.
    pub fn wait_for(&self, what: &str, is_enough: impl Fn(&str) -> bool) -> Result<()> {
        deadline::until(what, STOPPING, || Ok(is_enough(&fs::read_to_string(&self.lines)?).then_some(())))
    }

    /// Waits until what it has said on standard error so far is enough, and returns that.
    ///
    /// # Errors
    ///
    /// When it never is.
    pub fn wait_until_said(&self, what: &str, is_enough: impl Fn(&str) -> bool) -> Result<String> {
        let said = deadline::until(what, STOPPING, || Ok(Some(self.said()).filter(|said| is_enough(said))));
        said.with_context(|| self.said())
    }

    /// Interrupts it as Ctrl-C does, and reads what it wrote.
    ///
    /// # Errors
    ///
    /// When it does not end in time, ends with another status than 0, or wrote what is no recording of events.
    pub fn stop(self) -> Result<Capture> {
        self.signal(Signal::INT)?;
        self.finish()
    }

    /// Interrupts it, and reads the one document that it wrote.
    ///
    /// # Errors
    ///
    /// As [`Self::stop`].
    pub fn stop_with_document(self) -> Result<Value> {
        self.signal(Signal::INT)?;
        let (text, stderr) = self.end()?;
        serde_json::from_str(&text).with_context(|| format!("no document: {stderr}"))
    }

    /// Interrupts it, and waits until it ends: with which status, and what it said.
    ///
    /// # Errors
    ///
    /// When it does not end in time.
    pub fn stop_plainly(mut self) -> Result<(Option<i32>, String)> {
        // It may have ended by itself.
        drop(self.signal(Signal::INT));
        let ended = deadline::until("the end of the tracer", STOPPING, || Ok(self.child.try_wait()?));
        let stderr = self.said();
        Ok((ended.with_context(|| stderr.clone())?.code(), stderr))
    }

    /// Interrupts it, and reads the documents that it wrote, one a line.
    ///
    /// # Errors
    ///
    /// As [`Self::stop`].
    pub fn stop_with_lines(self) -> Result<Vec<Value>> {
        self.signal(Signal::INT)?;
        let (text, stderr) = self.end()?;
        let line =
            |line| serde_json::from_str(line).with_context(|| format!("no document: {line}: {stderr}"));
        text.lines().map(line).collect()
    }

    /// Asks for a report on the way, and waits until standard error has what tells it.
    ///
    /// # Errors
    ///
    /// When it never comes.
    pub fn ask(&self, told: &str) -> Result<()> {
        self.signal(Signal::USR1)?;
        deadline::until("a report on the way", STOPPING, || Ok(self.said().contains(told).then_some(())))
    }

    /// Waits until it ends by itself, and reads what it wrote.
    ///
    /// # Errors
    ///
    /// As [`Self::stop`].
    pub fn finish(self) -> Result<Capture> {
        let (text, stderr) = self.end()?;
        Capture::parse(&text, stderr)
    }

    /// Waits until it ends by itself: what it wrote, and what it said.
    fn end(mut self) -> Result<(String, String)> {
        let ended = deadline::until("the end of the tracer", STOPPING, || Ok(self.child.try_wait()?));
        let stderr = self.said();
        let status = ended.with_context(|| stderr.clone())?;
        if !status.success() {
            bail!("the tracer ended with {status}: {stderr}");
        }
        let text = fs::read_to_string(&self.lines).with_context(|| format!("no output: {stderr}"))?;
        Ok((text, stderr))
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no such process")?;
        kill_process(pid, signal).context("the tracer is gone")
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Both fail where it is gone already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
