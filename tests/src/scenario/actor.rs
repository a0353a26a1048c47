//! A process that does what it is told.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail, ensure};

use super::task::{Done, Manner, Order, Task};
use crate::operation::{Hello, Line};
use crate::program;

/// A workload that waits for orders.
#[derive(Debug)]
pub struct Actor {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    hello: Hello,
    _body: Body,
}

/// An executable of an actor's own: a name beside the workload's.
#[derive(Debug)]
struct Body(PathBuf);

impl Body {
    fn of(name: &OsStr) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let workload = program::workload()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut file = name.to_owned();
        file.push(format!("-{}-{number}", std::process::id()));
        let path = workload.with_file_name(file);
        fs::hard_link(&workload, &path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // One that is left over does no harm.
        fs::remove_file(&self.0).ok();
    }
}

impl Actor {
    /// Starts one of this name with these arguments of the workload.
    ///
    /// Its executable is its own, too: processes of one executable are told as one program.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn start(name: impl AsRef<OsStr>, args: &[&str]) -> Result<Self> {
        let body = Body::of(name.as_ref())?;
        let mut command = Command::new(&body.0);
        command.arg("--comm").arg(name).args(args).arg("obey");
        Self::spawn(command, body)
    }

    fn spawn(mut command: Command, body: Body) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        let stdin = child.stdin.take().context("no standard input")?;
        let mut stdout = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut first = String::new();
        stdout.read_line(&mut first)?;
        let Ok(Line::Hello(hello)) = serde_json::from_str(&first) else {
            drop(child.kill());
            let mut stderr = String::new();
            child.stderr.take().context("no standard error")?.read_to_string(&mut stderr)?;
            child.wait()?;
            bail!("{command:?} began with {first:?}: {stderr}");
        };
        Ok(Self { child, stdin, stdout, hello, _body: body })
    }

    /// Its process, as it numbers itself.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.hello.pid
    }

    /// The number of its namespace.
    #[must_use]
    pub fn netns(&self) -> u64 {
        self.hello.netns
    }

    /// Gives an order, and waits until it is carried out.
    ///
    /// # Errors
    ///
    /// When it cannot be.
    pub fn order(&mut self, order: &Order) -> Result<Done> {
        let mut line = serde_json::to_string(order)?;
        line.push('\n');
        self.stdin.write_all(line.as_bytes()).context("the actor is gone")?;
        let mut answer = String::new();
        self.stdout.read_line(&mut answer)?;
        if answer.is_empty() {
            let mut stderr = String::new();
            self.child.stderr.take().context("no standard error")?.read_to_string(&mut stderr)?;
            bail!("{order:?}: {stderr}");
        }
        serde_json::from_str(&answer).with_context(|| format!("{order:?} was answered by {answer:?}"))
    }

    /// Takes ports.
    ///
    /// # Errors
    ///
    /// When it cannot be tried at all.
    pub fn take(&mut self, task: Task) -> Result<Done> {
        self.order(&Order::Take(task))
    }

    /// Takes ports, none of which may be refused.
    ///
    /// # Errors
    ///
    /// When one is.
    pub fn must_take(&mut self, task: Task) -> Result<Done> {
        let done = self.take(task)?;
        ensure!(done.failed.is_empty() && done.given() == task.attempts, "{task:?}: {:?}", done.failed);
        Ok(done)
    }

    /// Listens.
    ///
    /// # Errors
    ///
    /// When it cannot.
    pub fn serve(&mut self, at: SocketAddr, manner: Manner) -> Result<()> {
        let done = self.order(&Order::Serve { at, manner, reuse_addr: true })?;
        ensure!(done.failed.is_empty(), "listening at {at}: {:?}", done.failed);
        Ok(())
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Both fail where it is gone already, which is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
