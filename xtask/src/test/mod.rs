//! `test`: everything that can be tested on this machine, in one command.

mod failures;
pub(crate) mod live;
pub(crate) mod summary;
pub(crate) mod tally;
mod unit;

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result};
use clap::Args;

use self::{
    live::{Place, Reader, Report},
    summary::Summary,
};
use crate::{
    arch::Arch,
    ebpf,
    executables::{self, LiveSet},
    packages, process, python, tree,
    vm::{self, Row},
};

/// Seconds until a test executable on this kernel is killed.
const HOST_PATIENCE: u64 = 900;

/// Arguments of `test`.
#[derive(Args)]
pub(crate) struct Options {
    /// Leave the test kernels out.
    #[arg(long)]
    no_vm: bool,
    /// Only this test kernel; may be given several times.
    #[arg(long = "kernel", value_enum)]
    kernels: Vec<Row>,
    #[command(flatten)]
    matrix: vm::MatrixOptions,
}

/// Runs everything, and prints the sum as the last line.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut summary = Summary::default();
    let object = identity(&mut summary);
    unit::run(&mut summary, object.as_deref())?;
    match executables::live_set(Arch::TESTED, object.as_deref()) {
        Ok(set) => {
            on_this_kernel(&mut summary, &set, object.as_deref())?;
            if options.no_vm {
                summary.skip("matrix", "the test kernels", "left out with --no-vm");
            } else {
                in_the_matrix(&mut summary, options, object.as_deref());
            }
        }
        Err(error) => {
            println!("the live tests cannot be built: {error:#}");
            summary.judge("all", "building the live tests", false);
        }
    }
    summary.print();
    Ok(code(&summary))
}

/// Success when nothing failed.
pub(crate) fn code(summary: &Summary) -> ExitCode {
    if summary.total().failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Compares the BPF objects with their sources; returns the object that has to be tested in place of this machine's.
fn identity(summary: &mut Summary) -> Option<PathBuf> {
    println!("comparing the BPF objects with their sources");
    let mut instead = None;
    for arch in Arch::ALL {
        let what = format!("the {arch} BPF object equals its sources");
        if let Err(error) = packages::ensure(packages::BPF, "building the BPF objects") {
            summary.skip("all", &what, &format!("{error:#}"));
            continue;
        }
        match ebpf::check(arch) {
            Ok(identity) => {
                println!("{arch}: {identity}");
                if identity.to_test().is_some() {
                    summary.skip("all", &what, &identity.to_string());
                } else {
                    summary.judge("all", &what, !identity.is_failure());
                }
                if arch == Arch::TESTED {
                    instead = identity.to_test().cloned();
                }
            }
            Err(error) => {
                println!("the {arch} BPF object cannot be built: {error:#}");
                summary.judge("all", &what, false);
            }
        }
    }
    instead
}

fn on_this_kernel(summary: &mut Summary, set: &LiveSet, object: Option<&Path>) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        summary.skip("host", "the live tests", "tracing needs root");
        return Ok(());
    }
    let version = process::stdout(Command::new("uname").arg("-r"))?.trim().to_owned();
    println!("live tests on this kernel, {version}");
    for (needs, what) in
        [(packages::BROWSER, "opening the page of a report"), (packages::PROMETHEUS, "firing alerts")]
    {
        // The tests that need them skip themselves, and say so.
        if let Err(error) = packages::ensure(needs, what) {
            println!("{error:#}");
        }
    }
    let scratch = tree::target("live");
    tree::folder(&scratch)?;
    let programs = set.programs.first().and_then(|program| program.path.parent());
    let programs = programs.context("cargo built no program for the live tests")?;
    let python = match python::ensure() {
        Ok(python) => Some(("PORTSCOPE_PYTHON".to_owned(), python.display().to_string())),
        Err(error) => {
            // The test that needs it skips itself, and says so.
            println!("{error:#}");
            None
        }
    };
    let environment: Vec<_> = object
        .map(|object| ("PORTSCOPE_BPF_OBJECT".to_owned(), object.display().to_string()))
        .into_iter()
        .chain(python)
        .collect();
    let place = Place {
        row: "host",
        programs: &programs.display().to_string(),
        scratch: &scratch.display().to_string(),
        patience: HOST_PATIENCE,
        arguments: "",
        environment: &environment,
    };
    let paths: Vec<_> =
        set.tests.iter().map(|test| (test.name.clone(), test.path.display().to_string())).collect();
    for report in shell(&live::script(&place, &paths), set)? {
        summary.add("host", &version, report);
    }
    Ok(())
}

fn shell(script: &str, set: &LiveSet) -> Result<Vec<Report>> {
    let mut child = Command::new("sh")
        .args(["-c", script])
        .current_dir(tree::root().join("tests"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("`sh` cannot be started")?;
    let mut reader = Reader::default();
    let start = Instant::now();
    for line in BufReader::new(child.stdout.take().context("`sh` has no output")?).split(b'\n') {
        let line = line.context("the output of the live tests cannot be read")?;
        if let Some(shown) = reader.take(&String::from_utf8_lossy(&line), start.elapsed()) {
            println!("host | {shown}");
        }
    }
    child.wait().context("`sh` cannot be waited for")?;
    Ok(reader.finish(&set.tests))
}

/// The live tests that run in each test kernel, for every backend: each costs 20 seconds under emulation, so that
/// all of them would take more than an hour. `cargo xtask vm test` runs them all.
const IN_THE_MATRIX: [&str; 2] =
    ["sites::every_site_is_recorded_once_in_another", "exhaustion::every_site_fails"];

fn in_the_matrix(summary: &mut Summary, options: &Options, object: Option<&Path>) {
    let rows = vm::chosen(&options.kernels);
    let chosen = IN_THE_MATRIX.map(str::to_owned);
    match vm::matrix(&rows, object, &options.matrix, &chosen) {
        Ok(results) => summary.add_rows(results),
        Err(error) => {
            for row in rows {
                summary.skip(row.name(), "the live tests", &format!("{error:#}"));
            }
        }
    }
}
