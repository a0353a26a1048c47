//! One live test on one backend: alone on the machine, with its needs judged first and nothing left behind.

use std::fs::{self, File};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::backend::Backend;
use crate::deadline;
use crate::need::{self, Need, Row};
use crate::scratch::Scratch;
use crate::trace::{Capture, Tracer};
use crate::workload::{Truth, Workload};

/// Makes, of each function named, one test a backend.
///
/// The functions take `&Live` and return `anyhow::Result<()>`. `[fentry, kprobe]` before the names leaves the others
/// out: what they cannot see by their nature is no test of theirs.
#[macro_export]
macro_rules! per_backend {
    (@tests $name:ident [$($backend:ident),+]) => {
        mod $name {
            $(#[test]
            fn $backend() -> anyhow::Result<()> {
                let path = concat!(module_path!(), "::", stringify!($backend));
                $crate::live::on(stringify!($backend), path, super::$name)
            })+
        }
    };
    ($($name:ident),+ $(,)?) => {
        $crate::per_backend! { [fentry, kprobe, tracepoint] $($name),+ }
    };
    ($backends:tt $($name:ident),+ $(,)?) => {
        $($crate::per_backend! { @tests $name $backends })+
    };
}

/// Makes, of each function named, a test that names no backend: `name_of_the_test => function`.
///
/// The functions take `&Live` and return `anyhow::Result<()>`.
#[macro_export]
macro_rules! alone {
    ($($name:ident => $check:ident),+ $(,)?) => {
        $(#[test]
        fn $name() -> anyhow::Result<()> {
            $crate::live::alone(concat!(module_path!(), "::", stringify!($name)), |live| $check(&live))
        })+
    };
}

/// Only one live test runs at a time: the hooks see the whole machine, and kprobes miss when it is busy.
static ALONE: Mutex<()> = Mutex::new(());

/// The same among the processes of the machine.
const ALONE_FILE: &str = "/tmp/portscope-live.lock";

/// A live test that runs.
#[derive(Debug)]
pub struct Live {
    test: String,
    backend: Backend,
    row: Row,
    scratch: Scratch,
}

impl Live {
    /// The backend under test.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Whether the kernel preempts BPF programs of this backend (`PREEMPT_LAZY`, Linux 6.13), and then skips them now and
    /// then. On the host: those of trampolines, where it has any; those of tracepoints since 7.0.
    #[must_use]
    pub fn may_preempt_programs(&self) -> bool {
        match self.row {
            Row::Host => self.backend == Backend::Fentry,
            row => matches!(row, Row::Newest | Row::NewestAarch64 | Row::Backports),
        }
    }

    /// Its folder.
    #[must_use]
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// So many operations on this machine; a fifth of them where it is emulated.
    #[must_use]
    pub fn scaled(&self, count: u64) -> u64 {
        if self.row == Row::Host { count } else { count / 5 }
    }

    /// Whether this is a machine whose clock, processors and memory are the tests'; false when the test is to return.
    ///
    /// # Errors
    ///
    /// When the row promised otherwise.
    pub fn owns_the_machine(&self) -> Result<bool> {
        let unmet =
            (self.row == Row::Host).then_some("the clock and the processors of a host are not the tests'");
        self.has(Need::TestMachine, unmet)
    }

    /// Starts a tracer with this test's backend.
    ///
    /// # Errors
    ///
    /// When it does not arm.
    pub fn tracer(&self, args: &[&str]) -> Result<Tracer> {
        self.tracer_on(self.backend, args)
    }

    /// Starts a tracer with another backend.
    ///
    /// # Errors
    ///
    /// When it does not arm.
    pub fn tracer_on(&self, backend: Backend, args: &[&str]) -> Result<Tracer> {
        let args: Vec<&str> = ["--backend", backend.word()].into_iter().chain(args.iter().copied()).collect();
        Tracer::start(&self.scratch, &args)
    }

    /// Traces a workload from its first operation to its last.
    ///
    /// # Errors
    ///
    /// When either of them fails, or the numbers of the footer do not add up.
    pub fn trace(&self, tracer: &[&str], workload: &[&str]) -> Result<(Truth, Capture)> {
        let workload = Workload::ready(workload)?;
        let tracer = self.tracer(tracer)?;
        let truth = workload.go()?;
        let capture = tracer.stop()?;
        capture.accounting()?;
        Ok((truth, capture))
    }

    /// Judges a need; false when the test is to return.
    ///
    /// # Errors
    ///
    /// When the row promised otherwise.
    pub fn has(&self, need: Need, unmet: Option<&str>) -> Result<bool> {
        need::judge(&self.test, need, unmet)
    }

    /// Judges a need of a part of the test; false when that part is to be left out.
    ///
    /// # Errors
    ///
    /// When the row promised otherwise.
    pub fn has_part(&self, need: Need, unmet: Option<&str>) -> Result<bool> {
        need::judge_part(&self.test, need, unmet)?;
        Ok(unmet.is_none())
    }

    /// Judges what a workload that tries all of `tried` found absent.
    ///
    /// # Errors
    ///
    /// When the row promised otherwise.
    pub fn judge_absent(&self, truth: &Truth, tried: &[Need]) -> Result<()> {
        let mut absent = Vec::new();
        for line in &truth.absent {
            absent.push((Need::of_absent(line)?, line.errno.as_str()));
        }
        for need in tried {
            let unmet = absent.iter().find(|(what, _)| what == need).map(|(_, errno)| *errno);
            need::judge_part(&self.test, *need, unmet)?;
        }
        let stranger = absent.iter().find(|(need, _)| !tried.contains(need));
        ensure!(stranger.is_none(), "found absent without having been tried: {stranger:?}");
        Ok(())
    }
}

/// Runs a test on a backend, if the machine has what it needs.
///
/// # Errors
///
/// What the test finds, or a need that the row promised, or an open file that the test left behind.
pub fn on(backend: &str, path: &str, test: fn(&Live) -> Result<()>) -> Result<()> {
    let backend =
        Backend::ALL.into_iter().find(|known| known.word() == backend).context("no such backend")?;
    alone(path, |live| {
        let refusal = need::refusal(backend)?;
        if !live.has(Need::Backend(backend), refusal.as_deref())? {
            return Ok(());
        }
        test(&Live { backend, ..live })
    })
}

/// Runs a test that names no backend, as root.
///
/// # Errors
///
/// What the test finds, or a need that the row promised, or an open file that the test left behind.
pub fn alone(path: &str, test: impl FnOnce(Live) -> Result<()>) -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let name = path.split_once("::").map_or(path, |(_crate, test)| test);
    if !need::judge(name, Need::Root, (!need::is_root()).then_some("not root"))? {
        return Ok(());
    }
    let lock = File::create(ALONE_FILE).context(ALONE_FILE)?;
    lock.lock().context(ALONE_FILE)?;
    let before = open_files()?;
    let (row, scratch) = (Row::current()?, Scratch::make()?);
    let live = Live { test: name.to_owned(), backend: Backend::Tracepoint, row, scratch };
    test(live)?;
    // Threads of tests that are over may still read the symbols of their backtrace.
    let closed =
        deadline::until("open files", Duration::from_secs(5), || Ok((open_files()? <= before).then_some(())));
    closed.with_context(|| format!("the test leaves more files open than the {before} before it"))
}

fn open_files() -> Result<usize> {
    Ok(fs::read_dir("/proc/self/fd").context("/proc/self/fd")?.count())
}
