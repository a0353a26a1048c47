//! Unit, property, golden and documentation tests: `cargo test` of the workspace, counted while it prints.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use super::{
    live::Report,
    summary::Summary,
    tally::{Skip, Tally},
};
use crate::process;

/// What `cargo test` is asked for. Integration tests of the package `portscope-tests` are live tests, which run
/// elsewhere; its libraries and programs have unit tests of their own.
const PARTS: [(&str, &[&str]); 2] = [
    ("workspace", &["--workspace", "--exclude", "portscope-tests", "--all-features"]),
    ("portscope-tests", &["--package", "portscope-tests", "--lib", "--bins"]),
];

/// Runs all of them and adds one line each to the summary.
pub(super) fn run(summary: &mut Summary, object: Option<&Path>) -> Result<()> {
    for (name, selection) in PARTS {
        let mut command = process::cargo();
        command.args(["test", "--no-fail-fast"]).args(selection);
        if let Some(object) = object {
            command.env("PORTSCOPE_BPF_OBJECT", object);
        }
        summary.add("unit", "-", counted(name, &mut command)?);
    }
    Ok(())
}

fn counted(name: &str, command: &mut Command) -> Result<Report> {
    let title = process::name(command);
    println!("{title}");
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("{title} cannot be started"))?;
    let mut report = Report { executable: name.to_owned(), ..Report::default() };
    let output = child.stdout.take().with_context(|| format!("{title} has no output"))?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line.with_context(|| format!("the output of {title} cannot be read"))?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        report.failures.take(&line);
        report.tally += Tally::of_libtest(&line).unwrap_or_default();
        report.skips.extend(Skip::of_libtest(name, &line));
    }
    let status = child.wait().with_context(|| format!("{title} cannot be waited for"))?;
    if !status.success() && report.tally.failed == 0 {
        // What does not compile has no tests to count.
        report.tally += Tally::FAILED;
    }
    Ok(report)
}
