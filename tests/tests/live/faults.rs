//! A machine that changes below a tracer: its clock is set, processors come and go, memory runs out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use portscope_tests::invocation::{portscope, run};
use portscope_tests::live::Live;
use portscope_tests::scenario::{Actor, Space, Task, Way};
use portscope_tests::trace::Tracer;
use portscope_tests::workload::Workload;
use portscope_tests::{alone, deadline, per_backend, program};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};
use serde_json::Value;

use crate::leftovers::{gone, in_kernel};

per_backend! {
    a_processor_that_goes_and_comes_back_is_counted,
}

alone! {
    times_are_right_while_the_clock_is_set => clock,
    a_recorder_that_the_kernel_kills_for_want_of_memory_leaves_a_file_and_nothing_else => out_of_memory,
    want_of_address_space_is_told => no_room,
    without_a_thread_more_it_reports_all_the_same => no_thread,
}

const PATIENCE: Duration = Duration::from_secs(30);

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

fn binds(client: &mut Actor, times: u64) -> Result<()> {
    let task = Task::new(Way::Bind).from("127.0.0.1:0".parse()?).times(times).closing();
    client.must_take(task).map(drop)
}

/// The second processor; it is there again when this goes.
struct Second;

impl Second {
    const SWITCH: &str = "/sys/devices/system/cpu/cpu1/online";

    fn switch(is_on: bool) -> Result<()> {
        fs::write(Self::SWITCH, if is_on { "1" } else { "0" }).context(Self::SWITCH)
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        // It is there already, or the test has failed for that.
        drop(Self::switch(true));
    }
}

/// Lets a process run on these processors only.
fn pin(pid: u32, processors: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for at in processors {
        set.set(*at);
    }
    let pid = Pid::from_raw(pid.try_into()?).context("no process")?;
    sched_setaffinity(Some(pid), &set).context("sched_setaffinity")
}

fn a_processor_that_goes_and_comes_back_is_counted(live: &Live) -> Result<()> {
    if !live.owns_the_machine()? {
        return Ok(());
    }
    let space = Space::with_range("2000-59999")?;
    let netns = space.id().to_string();
    let mut client = space.actor("client")?;
    let flood = live.scaled(100_000);
    let workload = Workload::ready(&[
        "--enter",
        &space.path(),
        "binds",
        "--count",
        &flood.to_string(),
        "--threads",
        "4",
    ])?;
    let second = Second;
    // It is away when the hooks are armed.
    Second::switch(false)?;
    let tracer = live.tracer(&["-N", &netns])?;
    binds(&mut client, 100)?;
    Second::switch(true)?;
    pin(client.pid(), &[1])?;
    binds(&mut client, 100)?;
    pin(client.pid(), &[0, 1])?;
    let flooding = thread::spawn(move || workload.go());
    for _ in 0..4 {
        Second::switch(false)?;
        binds(&mut client, 50)?;
        Second::switch(true)?;
        binds(&mut client, 50)?;
    }
    let summary = flooding.join().ok().context("the flood panicked")??.summary()?.clone();
    drop(second);
    let capture = tracer.stop()?;
    let accounting = capture.accounting()?;
    let done = summary.binds + 600;
    let told = capture.total("totals.allocations")?;
    let missed = if live.may_preempt_programs() { capture.total("missed")? } else { 0 };
    ensure!(
        told <= done && told + missed >= done,
        "{done} binds, told {told}, missed {missed}: {accounting:?}"
    );
    ensure!(accounting.emitted + accounting.lost == told, "{told} told: {accounting:?}");
    Ok(())
}

/// The clock of the machine; it is right again when this goes.
struct RightClock(i64);

fn nanoseconds(time: Timespec) -> i64 {
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

impl RightClock {
    fn now() -> Self {
        let [real, monotonic] = [ClockId::Realtime, ClockId::Monotonic].map(clock_gettime).map(nanoseconds);
        Self(real - monotonic)
    }

    /// Sets the clock, by so many seconds off the right time.
    fn step(&self, seconds: i64) -> Result<()> {
        let now = nanoseconds(clock_gettime(ClockId::Monotonic)) + self.0 + seconds * 1_000_000_000;
        let time = Timespec { tv_sec: now / 1_000_000_000, tv_nsec: now % 1_000_000_000 };
        clock_settime(ClockId::Realtime, time).context("the clock cannot be set")
    }
}

impl Drop for RightClock {
    fn drop(&mut self) {
        // Nothing can be done here where it cannot be set; the test has failed then.
        drop(self.step(0));
    }
}

/// Holds the times of events, in their order, to the clock of whoever asked for the ports.
fn follow(what: &str, events: &[Value], asked: &[(SystemTime, SystemTime)], each: usize) -> Result<()> {
    // The tracer reads both clocks a moment after each other.
    const SLACK_NS: i128 = 50_000_000;
    let since = |time: SystemTime| -> Result<i128> {
        Ok(time.duration_since(SystemTime::UNIX_EPOCH)?.as_nanos().try_into()?)
    };
    ensure!(events.len() == asked.len() * each, "{what}: {} events, not {each} each", events.len());
    let mono: Vec<u64> = events.iter().filter_map(|event| event["mono_us"].as_u64()).collect();
    ensure!(
        mono.len() == events.len() && mono.is_sorted(),
        "{what}: the monotonic times do not rise: {mono:?}"
    );
    for (at, event) in events.iter().enumerate() {
        let (from, until) = asked[at / each];
        let told = event["ts"].as_str().context("no time")?.parse::<jiff::Timestamp>()?.as_nanosecond();
        ensure!(
            told >= since(from)? - SLACK_NS && told <= since(until)? + SLACK_NS,
            "{what}: event {at} is of {}, was asked for from {} ns to {} ns later",
            event["ts"],
            since(from)? - told,
            since(until)? - told
        );
    }
    Ok(())
}

fn lines(text: &str) -> Result<Vec<Value>> {
    let all =
        text.lines().map(|line| Ok(serde_json::from_str::<Value>(line)?)).collect::<Result<Vec<_>>>()?;
    Ok(all.into_iter().filter(|line| line["type"] == "allocation").collect())
}

fn clock(live: &Live) -> Result<()> {
    const EACH: u64 = 20;
    /// Off the right time: an hour on, two days back, three days on, and right again.
    const STEPS: [i64; 5] = [0, 3_600, -169_200, 259_200, 0];
    if !live.owns_the_machine()? {
        return Ok(());
    }
    let space = Space::with_range("2000-59999")?;
    let mut client = space.actor("client")?;
    let netns = space.id().to_string();
    let args = ["--backend", live.backend().word(), "-N", &netns];
    let (file, ring) = (live.scratch().file("ports.arrow"), live.scratch().file("ring"));
    let trace = live.tracer(&["-N", &netns])?;
    let report =
        Tracer::start_command(live.scratch(), "report", &[&args[..], &["-i", "2s", "-d", "1h"]].concat())?;
    let recorder = Tracer::record(live.scratch(), &file, &args)?;
    let flight = [&args[..], &["--ring", "16MiB", "--keep", "1h"]].concat();
    let flight = Tracer::record(live.scratch(), &ring, &flight)?;
    let top = Tracer::top(live.scratch(), &[&args[..], &["-i", "500ms"]].concat())?;
    let began = nanoseconds(clock_gettime(ClockId::Monotonic));
    let right = RightClock::now();
    let mut asked = Vec::new();
    for step in STEPS {
        right.step(step)?;
        let from = SystemTime::now();
        binds(&mut client, EACH)?;
        asked.push((from, SystemTime::now()));
        // What runs by the wall clock would now wait, or hurry.
        thread::sleep(Duration::from_millis(2_500));
    }
    drop(right);
    let each = usize::try_from(EACH)?;
    let all = EACH * STEPS.len() as u64;
    let capture = trace.stop()?;
    capture.accounting()?;
    let events: Vec<Value> = capture.events.iter().map(|event| Value::Object(event.0.clone())).collect();
    follow("trace", &events, &asked, each)?;
    let reports = report.stop_with_lines()?;
    let took = (nanoseconds(clock_gettime(ClockId::Monotonic)) - began) / 1_000_000_000;
    intervals(&reports, all, took)?;
    for (recorder, place) in [(recorder, &file), (flight, &ring)] {
        let (status, said) = recorder.stop_plainly()?;
        ensure!(status == Some(0), "{status:?}: {said}");
        let read = portscope(live.scratch(), &["trace", "-o", "json", "-r", text(place)?])?;
        ensure!(read.status == Some(0), "{:?}: {}", read.status, read.stderr);
        follow("record", &lines(&read.stdout)?, &asked, each)?;
    }
    let (status, said) = top.stop_plainly()?;
    ensure!(status == Some(0) && !said.contains("panicked"), "{status:?}: {said}");
    Ok(())
}

/// Holds the reports of intervals, and the last one, on the whole, to what was asked for and to the time that it took.
fn intervals(reports: &[Value], all: u64, took_s: i64) -> Result<()> {
    let allocations = |report: &Value| report["totals"]["allocations"].as_u64().context("no count");
    let (whole, parts) = reports.split_last().context("no report")?;
    ensure!(allocations(whole)? == all, "{} of {all}", whole["totals"]);
    let sum = parts.iter().map(allocations).sum::<Result<u64>>()?;
    ensure!(sum == all, "the intervals tell {sum} of {all}");
    for part in &parts[..parts.len().saturating_sub(1)] {
        let seconds = part["window"]["seconds"].as_f64().context("no length")?;
        ensure!((0.5..60.0).contains(&seconds), "an interval of {seconds} s: {}", part["window"]);
    }
    let seconds = whole["window"]["seconds"].as_f64().context("no length")?;
    let took = f64::from(i32::try_from(took_s)?);
    // It began before the clock was looked at first, and was still to be armed beside others.
    ensure!(seconds >= took - 2.0 && seconds < took + 120.0, "{took} s, told {}", whole["window"]);
    let mean = whole["totals"]["churn_mean"].as_f64().context("no mean")?;
    let exact = f64::from(u32::try_from(all)?) / seconds;
    ensure!((mean - exact).abs() < exact / 100.0, "{mean}/s, not {exact}/s");
    Ok(())
}

/// A cgroup with limits; this process enters it for as long as it starts somebody there.
struct Limited(PathBuf);

impl Limited {
    const ROOT: &str = "/sys/fs/cgroup";

    fn make() -> Result<Self> {
        let root = Path::new(Self::ROOT);
        fs::write(root.join("cgroup.subtree_control"), "+memory +pids").context("no such controllers")?;
        let path = root.join(format!("faults.{}", std::process::id()));
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }

    /// What is started in here stays.
    fn inside<T>(&self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        fs::write(self.0.join("cgroup.procs"), "0")?;
        let started = start();
        fs::write(Path::new(Self::ROOT).join("cgroup.procs"), "0")?;
        started
    }

    fn limit(&self, what: &'static str, most: u64) -> Result<()> {
        fs::write(self.0.join(what), most.to_string()).context(what)
    }

    fn killed(&self) -> Result<u64> {
        let events = fs::read_to_string(self.0.join("memory.events"))?;
        let killed = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        killed.context("no count of kills")?.parse().context("oom_kill")
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        // What has just been left by a process is busy for a moment.
        for _ in 0..50 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn out_of_memory(live: &Live) -> Result<()> {
    const BINDS: u64 = 200;
    if !live.owns_the_machine()? {
        return Ok(());
    }
    let space = Space::with_range("2000-59999")?;
    let (netns, mut client) = (space.id().to_string(), space.actor("client")?);
    let file = live.scratch().file("ports.arrow");
    let cgroup = Limited::make()?;
    let before = in_kernel();
    let args = ["--backend", live.backend().word(), "-N", &netns];
    let recorder = cgroup.inside(|| Tracer::record(live.scratch(), &file, &args))?;
    binds(&mut client, BINDS)?;
    let count = |ended: &str| Ok::<_, anyhow::Error>(lines(ended)?.len() as u64);
    let read = || portscope(live.scratch(), &["trace", "-o", "json", "-r", text(&file)?]);
    // It writes what it has once a second.
    deadline::until("the ports", PATIENCE, || Ok((count(&read()?.stdout)? == BINDS).then_some(())))?;
    cgroup.limit("memory.max", 0)?;
    let (status, said) = recorder.stop_plainly()?;
    ensure!(status.is_none() && cgroup.killed()? == 1, "it was not killed: {status:?}: {said}");
    gone(&before)?;
    // Whoever asks for ports does not notice.
    binds(&mut client, BINDS)?;
    let left = read()?;
    ensure!(
        left.status == Some(0) && left.stderr.contains("has no end"),
        "{:?}: {}",
        left.status,
        left.stderr
    );
    ensure!(count(&left.stdout)? == BINDS, "{} of {BINDS}", count(&left.stdout)?);
    Ok(())
}

fn no_thread(live: &Live) -> Result<()> {
    if !live.owns_the_machine()? {
        return Ok(());
    }
    let cgroup = Limited::make()?;
    cgroup.limit("pids.max", 1)?;
    let entrance = cgroup.0.join("cgroup.procs");
    let program = program::portscope()?;
    for args in ["report", "report --all -- true", "trace", "top -b -c 1"] {
        let mut command = Command::new("sh");
        let call = format!("echo $$ >{}; exec '{}' {args}", text(&entrance)?, text(&program)?);
        let call = if args.contains("--") || args.contains("-c") { call } else { call + " -d 300ms" };
        command.args(["-c", &call]);
        let ended = run(live.scratch(), command)?;
        ended.must_not_panic().with_context(|| args)?;
        // A command would be a process more.
        let wanted = if args.contains("true") { 125 } else { 0 };
        ensure!(ended.status == Some(wanted), "{args}: {:?}: {}", ended.status, ended.stderr);
    }
    Ok(())
}

fn no_room(live: &Live) -> Result<()> {
    let before = in_kernel();
    let program = program::portscope()?;
    let (mut refused, mut done) = (0, 0);
    for mib in [24_u64, 32, 40, 48, 64, 96, 128, 192, 256, 512, 4_096] {
        let mut command = Command::new("sh");
        let script = format!("ulimit -v {}; exec '{}' report -d 200ms", mib * 1024, text(&program)?);
        command.args(["-c", &script]);
        let ended = run(live.scratch(), command)?;
        ended.must_not_panic().with_context(|| format!("{mib} MiB"))?;
        if ended.status == Some(0) {
            done += 1;
            continue;
        }
        refused += 1;
        ensure!(!ended.stderr.trim().is_empty(), "{mib} MiB: {:?} without a word", ended.status);
    }
    ensure!(refused > 0 && done > 0, "{refused} were refused, {done} done");
    gone(&before)
}
