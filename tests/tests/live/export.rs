//! `export`: the tables of a recording, counted by those who read such tables.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use portscope_tests::invocation::{portscope, run, wait};
use portscope_tests::live::Live;
use portscope_tests::need::Need;
use portscope_tests::trace::Tracer;
use portscope_tests::workload::Workload;
use portscope_tests::{alone, deadline, per_backend, program};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::Value;

per_backend! { tables_have_what_the_report_counts }

alone! {
    a_table_is_whole_or_not_there => whole,
    what_cannot_be_exported_is_refused => refused,
}

const SCRIPT: &str = include_str!("export.py");
const GUIDE: &str = include_str!("../../../tracer/docs/009-export.md");

/// What the script counted.
#[derive(Debug, Deserialize)]
struct Counted {
    counts: BTreeMap<String, Counts>,
    rows: u64,
    recorded: u64,
    footer: Value,
    cut: Option<String>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Counts {
    allocations: u64,
    failures: u64,
    by_error: BTreeMap<String, u64>,
    by_pid: BTreeMap<String, u64>,
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

/// What portscope writes to standard output.
fn said(live: &Live, args: &[&str]) -> Result<String> {
    let ended = portscope(live.scratch(), args)?;
    ensure!(ended.status == Some(0), "{args:?}: {:?}: {}", ended.status, ended.stderr);
    ended.must_not_panic()?;
    Ok(ended.stdout)
}

/// What a script in Python prints, in the test's folder.
fn python(live: &Live, args: &[&str]) -> Result<String> {
    let mut command = Command::new(program::python()?);
    command.args(["-c", SCRIPT]).args(args).current_dir(live.scratch().path());
    let ended = run(live.scratch(), command)?;
    ensure!(ended.status == Some(0), "{:?}: {}", ended.status, ended.stderr);
    Ok(ended.stdout)
}

/// Records some allocations, failures, releases and refused binds.
fn recorded(live: &Live, file: &Path, args: &[&str]) -> Result<()> {
    let occupied = ["--netns", "own", "--port-range", "40000-40063", "occupy", "--failures", "5"];
    let workload = Workload::ready(&occupied)?;
    let netns = workload.hello().netns.to_string();
    let recorder = Tracer::record(live.scratch(), file, &[args, &["--netns", &netns]].concat())?;
    workload.go()?;
    let (status, said) = recorder.stop_plainly()?;
    ensure!(status == Some(0), "{status:?}: {said}");
    Ok(())
}

fn tables_have_what_the_report_counts(live: &Live) -> Result<()> {
    if !live.has(Need::Python, program::python_lacks().as_deref())? {
        return Ok(());
    }
    let folder = live.scratch().path();
    let recording = folder.join("ports.arrow");
    let file = text(&recording)?;
    recorded(live, &recording, &["--backend", live.backend().word(), "--releases"])?;
    for format in ["csv", "jsonl", "parquet"] {
        let table = folder.join(format!("ports.{format}"));
        let ended = portscope(live.scratch(), &["export", file, "--to", format, "-w", text(&table)?])?;
        ensure!(ended.status == Some(0), "{format}: {:?}: {}", ended.status, ended.stderr);
        ensure!(ended.stderr.contains("exported to "), "{}", ended.stderr);
    }
    for (format, output) in [("csv", "csv"), ("jsonl", "json")] {
        let shown = said(live, &["trace", "-r", file, "-o", output, "--explicit", "--releases"])?;
        let table = fs::read_to_string(folder.join(format!("ports.{format}")))?;
        ensure!(shown == table, "trace -o {output}:\n{shown}\nexport --to {format}:\n{table}");
    }
    let report: Value =
        serde_json::from_str(&said(live, &["report", "-r", file, "-o", "json", "--by", "pid"])?)?;
    let expected = told(&report)?;
    ensure!(expected.failures >= 5 && !expected.by_error.is_empty(), "{expected:?}");
    let counted: Counted = serde_json::from_str(&python(live, &[])?)?;
    ensure!(counted.counts.len() == 6, "{counted:?}");
    for (how, counts) in &counted.counts {
        ensure!(*counts == expected, "{how}: {counts:?}; report: {expected:?}");
    }
    // Nothing is lost here: every row of the recording that is an event is a row of the table.
    ensure!(counted.footer["lost"] == 0 && counted.footer["emitted"] == counted.rows, "{}", counted.footer);
    ensure!(counted.recorded == counted.rows && counted.cut.is_none(), "{counted:?}");
    // What the documentation shows.
    fs::write(folder.join("guide.md"), GUIDE)?;
    let ran: Vec<(String, u64)> = serde_json::from_str(&python(live, &["guide.md"])?)?;
    let of = |language: &str| ran.iter().filter(|(one, rows)| one == language && *rows != 0).count();
    ensure!(of("sql") >= 3 && of("python") >= 2 && of("sql") + of("python") == ran.len(), "{ran:?}");
    only_some(live, file)
}

/// The counts of a report.
fn told(report: &Value) -> Result<Counts> {
    let pids = report["processes"].as_array().context("no processes")?.iter();
    let by_pid = pids.map(|row| (row["pid"].to_string(), row["allocations"].as_u64().unwrap_or(0)));
    Ok(Counts {
        allocations: report["totals"]["allocations"].as_u64().context("no allocations")?,
        failures: report["totals"]["failures"].as_u64().context("no failures")?,
        by_error: serde_json::from_value(report["totals"]["by_error"].clone())?,
        by_pid: by_pid.filter(|(_, count)| *count != 0).collect(),
    })
}

/// Filters and times are those of trace.
fn only_some(live: &Live, file: &str) -> Result<()> {
    for filter in [&["--failed"][..], &["--proto", "udp"], &["--from", "+1h"]] {
        let traced = [&["trace", "-r", file, "-o", "json", "--explicit", "--releases"], filter].concat();
        let exported = [&["export", file, "--to", "jsonl", "-w", "-"], filter].concat();
        ensure!(said(live, &traced)? == said(live, &exported)?, "{filter:?}");
    }
    Ok(())
}

fn whole(live: &Live) -> Result<()> {
    let recording = live.scratch().file("ports.arrow");
    recorded(live, &recording, &[])?;
    let folder = live.scratch().path().join("small");
    fs::create_dir(&folder)?;
    mount("portscope-small", &folder, "tmpfs", MountFlags::empty(), Some(c"size=16k"))?;
    let done = full(live, &recording, &folder.join("ports.jsonl"));
    unmount(&folder, UnmountFlags::DETACH)?;
    done?;
    damaged(live, &recording)?;
    interrupted(live, &recording)
}

fn listed(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder)?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// A disk that is full: it is told, and the older table stays.
fn full(live: &Live, recording: &Path, table: &Path) -> Result<()> {
    fs::write(table, "older\n")?;
    let ended =
        portscope(live.scratch(), &["export", text(recording)?, "--to", "jsonl", "-w", text(table)?])?;
    ended.must_fail(1, &["No space left on device", text(table)?, "hint: "])?;
    ensure!(fs::read_to_string(table)? == "older\n", "the older table has changed");
    let left = listed(table.parent().context("no folder")?)?;
    ensure!(left == ["ports.jsonl"], "{left:?}");
    Ok(())
}

/// A recording that is damaged gives no table; one that was cut gives what is in it, and both are told.
fn damaged(live: &Live, recording: &Path) -> Result<()> {
    let folder = live.scratch().path().join("damaged");
    fs::create_dir(&folder)?;
    let (bad, table) = (live.scratch().file("bad.arrow"), folder.join("ports.parquet"));
    let bytes = fs::read(recording)?;
    let export = ["export", text(&bad)?, "--to", "parquet", "-w", text(&table)?];
    let mut changed = bytes.clone();
    let middle = bytes.len() / 2;
    changed[middle] ^= 1;
    fs::write(&bad, &changed)?;
    portscope(live.scratch(), &export)?.must_fail(1, &["damaged at byte", text(&bad)?, "hint: "])?;
    ensure!(listed(&folder)?.is_empty(), "{:?}", listed(&folder)?);
    fs::write(&bad, &bytes[..bytes.len() - 20])?;
    let ended = portscope(live.scratch(), &export)?;
    ensure!(ended.status == Some(0) && ended.stderr.contains("has no end"), "{}", ended.stderr);
    let written = fs::read(&table)?;
    ensure!(written.starts_with(b"PAR1") && written.ends_with(b"PAR1"), "no Parquet");
    let cut = b"portscope.cut";
    ensure!(written.windows(cut.len()).any(|window| window == cut), "the table does not say that it was cut");
    ensure!(listed(&folder)? == ["ports.parquet"], "{:?}", listed(&folder)?);
    Ok(())
}

/// An export that is interrupted leaves nothing behind.
fn interrupted(live: &Live, recording: &Path) -> Result<()> {
    let folder = live.scratch().path().join("interrupted");
    fs::create_dir(&folder)?;
    let said = live.scratch().file("stderr");
    let mut child = Command::new(program::portscope()?)
        .args(["export", "-", "--to", "csv", "-w", text(&folder.join("ports.csv"))?])
        .stdin(Stdio::piped())
        .stderr(File::create(&said)?)
        .spawn()?;
    let bytes = fs::read(recording)?;
    let mut input = child.stdin.take().context("no standard input")?;
    // More is to come: it waits for that.
    input.write_all(&bytes[..bytes.len() - 20])?;
    deadline::until("a table that has begun", Duration::from_secs(20), || {
        Ok((!listed(&folder)?.is_empty()).then_some(()))
    })?;
    let begun = listed(&folder)?;
    ensure!(begun.len() == 1 && begun[0].starts_with("ports.csv."), "{begun:?}");
    // It may not listen yet: once more does no harm.
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT)?;
    let status = wait(&mut child)?;
    drop(input);
    let said = fs::read_to_string(&said)?;
    ensure!(status == Some(1) && said.contains("ports.csv was not written"), "{status:?}: {said}");
    ensure!(listed(&folder)?.is_empty(), "{:?}", listed(&folder)?);
    Ok(())
}

fn refused(live: &Live) -> Result<()> {
    let recording = live.scratch().file("ports.arrow");
    let file = text(&recording)?;
    said(live, &["record", "-w", file, "-d", "300ms"])?;
    let table: [(&[&str], i32, &str); 7] = [
        (&[file, "--to", "xml", "-w", "-"], 2, "xml"),
        (&[file, "--to", "csv"], 2, "--write"),
        (&[file, "--to", "csv", "-w", "-", "--from", "+9s", "--until", "+1s"], 2, "--until is before --from"),
        (&[file, "--to", "csv", "-w", "-", "--cgroup", "/x"], 2, "--cgroup"),
        (&[file, "--to", "csv", "-w", "/nowhere/at/all"], 1, "/nowhere/at/all"),
        (&["/nowhere/at/all", "--to", "csv", "-w", "-"], 1, "/nowhere/at/all"),
        (&["/etc/hostname", "--to", "csv", "-w", "-"], 1, "no recording"),
    ];
    for (args, status, name) in table {
        portscope(live.scratch(), &[&["export"], args].concat())?.must_fail(status, &[name])?;
    }
    Ok(())
}
