//! Ports from all processors as fast as they can ask: nothing is lost from the counts, and memory has a bound.
//!
//! A second of it by default; `PORTSCOPE_SOAK=600` makes it ten minutes and tells figures on standard error, and
//! `PORTSCOPE_SOAK_WITH=trace` names another command than `report`: `tracer/docs/019-load-and-faults.md`.

use std::env::{self, VarError};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use portscope_tests::live::Live;
use portscope_tests::per_backend;
use portscope_tests::trace::Tracer;
use portscope_tests::workload::Workload;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

per_backend! {
    a_flood_from_all_processors_is_counted_to_the_event,
}

/// By so much the resident memory may still grow in the second half.
const GROWTH_KIB: u64 = 16 * 1024;
/// More than this it must never have.
const MOST_KIB: u64 = 256 * 1024;

/// A variable of the environment.
fn variable(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(error) => Err(error).context(name.to_owned()),
    }
}

/// What a tracer tells at its end.
#[derive(Debug, Deserialize)]
struct Accounts {
    seen: u64,
    emitted: u64,
    filtered: u64,
    lost: u64,
    missed: Option<u64>,
}

impl Accounts {
    /// Of what `record` says: `seen 1,154 = emitted 1,154 + filtered 0 + lost 0`.
    fn said(said: &str) -> Result<Self> {
        let line = said.lines().rfind(|line| line.contains("seen ") && line.contains(" = emitted "));
        let line = line.with_context(|| format!("no accounts: {said}"))?.replace(',', "");
        let of = |name: &str| {
            let (_, after) = line.split_once(name).with_context(|| line.clone())?;
            let digits = after.trim_start().split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
            digits.parse::<u64>().with_context(|| line.clone())
        };
        let (seen, emitted) = (of("seen")?, of("emitted")?);
        Ok(Self { seen, emitted, filtered: of("filtered")?, lost: of("lost")?, missed: None })
    }
}

/// Somebody who reads lines and keeps the last one; how many came before it.
fn reader(at: &Path) -> Result<JoinHandle<Result<(u64, String)>>> {
    mknodat(CWD, at, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).context("no pipe can be made")?;
    let at = at.to_owned();
    Ok(thread::spawn(move || {
        let mut lines = BufReader::with_capacity(1 << 20, File::open(at)?);
        let (mut count, mut last, mut line) = (0, Vec::new(), Vec::new());
        while lines.read_until(b'\n', &mut line)? != 0 {
            std::mem::swap(&mut last, &mut line);
            line.clear();
            count += 1;
        }
        Ok((count - 1, String::from_utf8(last)?))
    }))
}

/// Resident memory and CPU time of a process.
fn cost(pid: u32) -> Result<(u64, Duration)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib = resident.trim().trim_end_matches(" kB").parse().context("VmRSS")?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after) = stat.rsplit_once(") ").context("no stat")?;
    let ticks = after.split(' ').skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    // USER_HZ is 100 everywhere.
    Ok((kib, Duration::from_millis(ticks * 10)))
}

/// Binds for so long without anybody who looks; so many a second.
fn alone(args: &[&str], length: Duration) -> Result<u64> {
    let ms = (length.as_millis() / 10).clamp(200, 10_000).to_string();
    let truth = Workload::ready(&[args, &["--for-ms", &ms]].concat())?.go()?;
    Ok(truth.summary()?.binds * 1000 / ms.parse::<u64>()?)
}

fn a_flood_from_all_processors_is_counted_to_the_event(live: &Live) -> Result<()> {
    let seconds = variable("PORTSCOPE_SOAK")?.map(|text| text.parse::<u64>()).transpose()?;
    let with = variable("PORTSCOPE_SOAK_WITH")?.unwrap_or_else(|| "report".to_owned());
    let length = Duration::from_secs(seconds.unwrap_or(1));
    let threads = thread::available_parallelism()?.to_string();
    let flood = ["binds", "--protocol", "udp", "--threads", &threads, "--count", "1000000000000"];
    let untraced = alone(&flood, length)?;
    let ms = length.as_millis().to_string();
    let workload = Workload::ready(&[&flood[..], &["--for-ms", &ms]].concat())?;
    let pid = workload.hello().pid.to_string();
    let args = ["--backend", live.backend().word(), "-p", &pid];
    let (scratch, pipe) = (live.scratch(), live.scratch().file("pipe"));
    let mut lines = None;
    let words: &[&str] = match with.as_str() {
        "report" | "record" => &[],
        "trace" => &["trace", "-o", "json"],
        "summary" => &["trace", "--summary-only", "-o", "json"],
        other => bail!("PORTSCOPE_SOAK_WITH={other}: report, trace, summary or record"),
    };
    let tracer = match with.as_str() {
        "report" => {
            // By itself it ends after half a minute.
            let long = format!("{}s", length.as_secs() * 2 + 600);
            Tracer::start_command(scratch, "report", &[&args[..], &["-d", &long]].concat())?
        }
        "record" => {
            Tracer::record(scratch, &scratch.file("ring"), &[&args[..], &["--ring", "64MiB"]].concat())?
        }
        _ => {
            lines = Some(reader(&pipe)?);
            Tracer::start_into(scratch, &pipe, words, &args)?
        }
    };
    let begun = Instant::now();
    let flooding = thread::spawn(move || workload.go());
    let (mut resident, mut used) = (Vec::new(), Duration::ZERO);
    while !flooding.is_finished() {
        match cost(tracer.pid()) {
            Ok((kib, cpu)) => {
                resident.push(kib);
                used = cpu;
            }
            Err(error) => {
                kill_process(Pid::from_raw(pid.parse()?).context("no process")?, Signal::KILL)?;
                let (status, said) = tracer.stop_plainly()?;
                bail!("{error:#}: it ended with {status:?} after {:?}: {said}", begun.elapsed());
            }
        }
        thread::sleep(Duration::from_millis(100));
    }
    let took = begun.elapsed();
    let truth = flooding.join().ok().context("the flood panicked")??;
    let summary = truth.summary()?;
    let told: Accounts = if with == "report" {
        let report = tracer.stop_with_document()?;
        let totals = report["totals"]["allocations"].as_u64().context("no count")?;
        let rows = report["processes"].as_array().context("no rows")?;
        let by_row = rows.iter().filter_map(|row| row["allocations"].as_u64()).sum::<u64>();
        let told: Accounts = serde_json::from_value(report["accounting"].clone())?;
        ensure!(by_row == totals, "{by_row} in rows of {totals}");
        ensure!(told.emitted + told.lost == totals, "{totals} told: {told:?}");
        told
    } else {
        let (status, said) = tracer.stop_plainly()?;
        ensure!(status == Some(0), "{status:?}: {said}");
        match lines {
            None => Accounts::said(&said)?,
            Some(lines) => {
                let (count, last) = lines.join().ok().context("the reader panicked")??;
                let told: Accounts = serde_json::from_str(&last).with_context(|| last.clone())?;
                // One line is the header.
                ensure!(with == "summary" || count == told.emitted + 1, "{count} lines: {told:?}");
                told
            }
        }
    };
    ensure!(told.seen == told.emitted + told.filtered + told.lost, "{told:?}");
    // A kernel that preempts programs says how many choices it skipped at most.
    let missed = told.missed.filter(|_| live.may_preempt_programs()).unwrap_or(0);
    let (binds, counted) = (summary.binds, told.emitted + told.lost);
    ensure!(
        counted <= binds && counted + missed >= binds,
        "{binds} binds, {counted} counted, {missed} missed: {told:?}"
    );
    let half = resident.len() / 2;
    let most = |part: &[u64]| part.iter().copied().max().unwrap_or(0);
    let (early, late) = (most(&resident[..half]), most(&resident[half..]));
    if seconds.is_some() {
        writeln!(
            std::io::stderr(),
            "\nsoak {with} {}: {} binds in {:.1} s ({}/s, {untraced}/s untraced), emitted {}, lost {}, resident {} KiB \
             at first, {early} and {late} KiB at most in either half, CPU {:.1} s",
            live.backend(),
            binds,
            took.as_secs_f64(),
            binds * 1000 / u64::try_from(took.as_millis())?,
            told.emitted,
            told.lost,
            resident.first().unwrap_or(&0),
            used.as_secs_f64()
        )?;
    }
    ensure!(late < MOST_KIB && late <= early.max(1) + GROWTH_KIB, "memory grows: {early} to {late} KiB");
    Ok(())
}
