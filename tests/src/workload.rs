//! The process of the workload, and what it told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::operation::{Absent, Hello, Line, Operation, Summary};
use crate::program;

/// Everything that a workload told.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// What it did, in the order of each thread.
    pub operations: Vec<Operation>,
    /// What the kernel does not have.
    pub absent: Vec<Absent>,
    /// The sums, where it counts.
    pub summary: Option<Summary>,
}

impl Truth {
    /// What the tracer shows without `--explicit`.
    #[must_use]
    pub fn shown_by_default(&self) -> Vec<Operation> {
        self.only(Operation::is_shown_by_default)
    }

    /// The operations that `keep` wants.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&Operation) -> bool) -> Vec<Operation> {
        self.operations.iter().filter(|operation| keep(operation)).cloned().collect()
    }

    /// The summary of a workload that counts.
    ///
    /// # Errors
    ///
    /// When it printed none.
    pub fn summary(&self) -> Result<&Summary> {
        self.summary.as_ref().context("the workload printed no summary")
    }
}

/// A workload that was started and waits for its sign.
#[derive(Debug)]
pub struct Workload {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    hello: Hello,
}

impl Workload {
    /// Starts one, and waits until it said who it is.
    ///
    /// # Errors
    ///
    /// When it cannot be started or says something else.
    pub fn ready(args: &[&str]) -> Result<Self> {
        Self::ready_as(None, args)
    }

    /// Starts one as another user.
    ///
    /// # Errors
    ///
    /// When it cannot be started or says something else.
    pub fn ready_as(uid: Option<u32>, args: &[&str]) -> Result<Self> {
        let mut command = Command::new(program::workload()?);
        command.args(args).arg("--wait-stdin");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(uid) = uid {
            command.uid(uid);
        }
        let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut first = String::new();
        stdout.read_line(&mut first)?;
        let Ok(Line::Hello(hello)) = serde_json::from_str(&first) else {
            let mut stderr = String::new();
            child.stderr.take().context("no standard error")?.read_to_string(&mut stderr)?;
            child.wait()?;
            bail!("the workload {args:?} began with {first:?}: {stderr}");
        };
        Ok(Self { child, stdin, stdout, hello })
    }

    /// Who it is.
    #[must_use]
    pub fn hello(&self) -> Hello {
        self.hello
    }

    /// Gives it the sign, and waits until it is done.
    ///
    /// # Errors
    ///
    /// When it fails or says what is no line of a workload.
    pub fn go(mut self) -> Result<Truth> {
        let text = self.told()?;
        drop(self.stdin.take());
        let mut stderr = String::new();
        self.child.stderr.take().context("no standard error")?.read_to_string(&mut stderr)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the workload ended with {status}: {stderr}");
        parse(&text)
    }

    /// Gives one with `--stay` the sign, and waits until it is done; it stays for as long as this is kept.
    ///
    /// # Errors
    ///
    /// When it says what is no line of a workload.
    pub fn go_and_stay(&mut self) -> Result<Truth> {
        parse(&self.told()?)
    }

    fn told(&mut self) -> Result<String> {
        let stdin = self.stdin.as_mut().context("the workload was started before")?;
        stdin.write_all(b"\n").context("the workload is gone")?;
        let mut text = String::new();
        self.stdout.read_to_string(&mut text)?;
        Ok(text)
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        // Both fail where it is gone already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs a workload from start to end.
///
/// # Errors
///
/// When it fails.
pub fn run(args: &[&str]) -> Result<Truth> {
    Workload::ready(args)?.go()
}

fn parse(text: &str) -> Result<Truth> {
    let mut truth = Truth::default();
    for line in text.lines() {
        match serde_json::from_str(line).with_context(|| format!("the workload said {line:?}"))? {
            Line::Hello(_) => bail!("the workload said hello twice"),
            Line::Absent(absent) => truth.absent.push(absent),
            Line::Summary(summary) => truth.summary = Some(summary),
            Line::Operation(operation) => truth.operations.push(*operation),
        }
    }
    Ok(truth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart_by_their_fields() {
        let truth = parse(concat!(
            "{\"absent\":\"udplite\",\"errno\":\"EPROTONOSUPPORT\"}\n",
            "{\"summary\":true,\"connects\":3,\"binds\":0,\"failures\":1,",
            "\"by_errno\":{\"EADDRNOTAVAIL\":1},\"active_opens\":2}\n",
        ))
        .unwrap();
        assert_eq!(truth.absent[0].absent, "udplite");
        assert_eq!(truth.summary().unwrap().by_errno["EADDRNOTAVAIL"], 1);
    }

    #[test]
    fn a_line_of_another_shape_is_an_error() {
        assert!(parse("{\"summary\":true}\n").is_err());
    }
}
