//! `record --ring`: what it keeps, what it dumps, and what a disk without room makes of it.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use portscope_tests::alone;
use portscope_tests::invocation::portscope;
use portscope_tests::live::Live;
use portscope_tests::scenario::{Manner, Space, Task};
use portscope_tests::trace::Tracer;
use portscope_tests::workload::Workload;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::Value;

alone! {
    an_exhaustion_is_dumped_with_what_came_before_it => exhaustion,
    segments_have_every_event_once_around_a_dump => no_gap,
    a_ring_is_never_larger_than_it_may_be => bounded,
    a_full_disk_is_waited_for => full_disk,
    a_flight_recorder_that_is_killed_leaves_its_segments => killed,
    what_makes_no_sense_with_a_ring_is_refused => refused,
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

/// The files of a directory, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn report(live: &Live, file: &Path) -> Result<Value> {
    let ended = portscope(live.scratch(), &["report", "-o", "json", "-r", text(file)?])?;
    ensure!(ended.status == Some(0), "{}: {:?}: {}", file.display(), ended.status, ended.stderr);
    ended.must_not_panic()?;
    Ok(serde_json::from_str(&ended.stdout)?)
}

/// The lines of its events, and what was said.
fn events(live: &Live, file: &Path) -> Result<(Vec<Value>, String)> {
    let ended = portscope(live.scratch(), &["trace", "-o", "json", "--explicit", "-r", text(file)?])?;
    ensure!(ended.status == Some(0), "{}: {:?}: {}", file.display(), ended.status, ended.stderr);
    ended.must_not_panic()?;
    let lines = ended.stdout.lines().map(|line| Ok(serde_json::from_str(line)?));
    let mut lines = lines.collect::<Result<Vec<Value>>>()?;
    let footer = lines.pop().context("no footer")?;
    let sum = ["emitted", "filtered", "lost"].iter().filter_map(|part| footer[part].as_u64()).sum::<u64>();
    ensure!(footer["seen"] == sum, "{}: {footer}", file.display());
    ensure!(lines.first().is_some_and(|line| line["type"] == "header"), "{}: no header", file.display());
    lines.remove(0);
    Ok((lines, ended.stderr))
}

fn is_allocation(event: &Value) -> bool {
    event["type"] == "allocation"
}

/// The path that a dump was written to.
fn dumped(said: &str) -> Result<PathBuf> {
    let path = said.lines().find_map(|line| line.strip_prefix("portscope: dumped to "));
    path.map(PathBuf::from).with_context(|| said.to_owned())
}

fn exhaustion(live: &Live) -> Result<()> {
    let space = Space::with_range("40000-40063")?;
    let to: SocketAddr = "127.0.0.1:4317".parse()?;
    let (mut far, mut holder, mut victim) =
        (space.actor("collector")?, space.actor("agent")?, space.actor("checkout")?);
    far.serve(to, Manner::Keep)?;
    let folder = live.scratch().path().join("ring");
    let netns = space.id().to_string();
    let args = ["--ring", "4MiB", "--dump-on", "PS001", "--window", "1m", "--netns", &netns];
    let recorder = Tracer::record(live.scratch(), &folder, &args)?;
    let taken = holder.take(Task::connect(to).times(64))?;
    ensure!(taken.failed.is_empty(), "{:?}", taken.failed);
    let refused = victim.take(Task::connect(to).times(5))?;
    ensure!(refused.failed_with("EADDRNOTAVAIL") == 5, "{:?}", refused.failed);
    let said = recorder.wait_until_said("a dump", |said| said.contains("dumped to "))?;
    let dump = dumped(&said)?;
    ensure!(text(&dump)?.ends_with("-PS001.arrows"), "{}", dump.display());
    let (status, said) = recorder.stop_plainly()?;
    ensure!(status == Some(0) && said.matches("dumped to ").count() == 1, "{status:?}: {said}");
    let report = report(live, &dump)?;
    ensure!(report["verdict"]["word"] == "EXHAUSTED", "{}", report["verdict"]);
    ensure!(report["findings"][0]["id"] == "PS001", "{}", report["findings"]);
    ensure!(report["totals"]["failures"] == 5, "{}", report["totals"]);
    let pools = report["pools"].as_array().context("no pools")?;
    let pool = pools.iter().find(|pool| pool["failures"] == 5).context("the pool is not there")?;
    let culprit = &pool["holders"][0];
    ensure!(culprit["pid"] == holder.pid() && culprit["comm"] == "agent", "{pool}");
    // All of what came before the first failure is in it.
    let (mut events, stderr) = events(live, &dump)?;
    events.retain(is_allocation);
    let first = events.iter().position(|event| event["result"] == "failed").context("no failure")?;
    ensure!(first == 64 && !stderr.contains("has no end"), "{first} before it: {stderr}");
    let mode = |path: &Path| Ok::<_, std::io::Error>(fs::metadata(path)?.mode() & 0o777);
    ensure!(mode(&dump)? == 0o600 && mode(&folder)? == 0o700, "others can read it");
    Ok(())
}

fn no_gap(live: &Live) -> Result<()> {
    let folder = live.scratch().path().join("ring");
    let count = live.scaled(60_000);
    let words = count.to_string();
    let workload = Workload::ready(&["--netns", "own", "connects", "--count", &words, "--threads", "2"])?;
    let netns = workload.hello().netns.to_string();
    let args = ["--ring", "8MiB", "--netns", &netns, "--buffer", "64MiB"];
    let recorder = Tracer::record(live.scratch(), &folder, &args)?;
    let working = thread::spawn(move || workload.go());
    thread::sleep(Duration::from_millis(500));
    recorder.ask("dumped to ")?;
    working.join().ok().context("the workload failed")??;
    let (status, said) = recorder.stop_plainly()?;
    ensure!(status == Some(0) && said.contains("lost 0"), "{status:?}: {said}");
    let segments = files(&folder)?;
    let mut sum = 0;
    let mut times = Vec::new();
    for segment in &segments {
        let (mut events, stderr) = events(live, segment)?;
        events.retain(is_allocation);
        ensure!(!stderr.contains("has no end"), "{stderr}");
        sum += events.len();
        times.extend(events.iter().map(|event| (event["ts"].to_string(), event["tid"].to_string())));
        report(live, segment)?;
    }
    ensure!(sum as u64 == count, "{sum} of {count} in {} segments", segments.len());
    times.sort();
    times.dedup();
    ensure!(times.len() == sum, "{} of {sum} are not the same event twice", times.len());
    let (events, stderr) = events(live, &dumped(&said)?)?;
    ensure!(!events.is_empty() && !stderr.contains("has no end"), "{}: {stderr}", events.len());
    Ok(())
}

fn bounded(live: &Live) -> Result<()> {
    const RING: u64 = 4 << 20;
    let folder = live.scratch().path().join("ring");
    let count = live.scaled(450_000).to_string();
    let workload = Workload::ready(&["--netns", "own", "connects", "--count", &count, "--threads", "2"])?;
    fs::create_dir(&folder)?;
    fs::write(folder.join("notes.txt"), "mine")?;
    let recorder = Tracer::record(live.scratch(), &folder, &["--ring", "4MiB"])?;
    let working = thread::spawn(move || workload.go());
    let (mut most, mut first) = (0, None);
    while !working.is_finished() {
        let mut used = fs::metadata(&folder)?.blocks() * 512;
        for file in files(&folder)? {
            first.get_or_insert_with(|| file.clone());
            // It may be gone by now.
            used += fs::metadata(&file).map_or(0, |about| about.blocks() * 512);
        }
        most = most.max(used);
        thread::sleep(Duration::from_millis(20));
    }
    working.join().ok().context("the workload failed")??;
    let (status, said) = recorder.stop_plainly()?;
    ensure!(status == Some(0), "{status:?}: {said}");
    ensure!(most <= RING && most > RING / 4, "{most} bytes of {RING}");
    ensure!(fs::read_to_string(folder.join("notes.txt"))? == "mine", "a file of others");
    let segments =
        files(&folder)?.into_iter().filter(|file| file.extension().is_some_and(|ext| ext == "arrows"));
    for segment in segments {
        events(live, &segment)?;
    }
    Ok(())
}

fn full_disk(live: &Live) -> Result<()> {
    let folder = live.scratch().path().join("small");
    fs::create_dir(&folder)?;
    mount("portscope-small", &folder, "tmpfs", MountFlags::empty(), Some(c"size=3m"))?;
    let done = fill(live, &folder);
    unmount(&folder, UnmountFlags::DETACH)?;
    done
}

fn fill(live: &Live, disk: &Path) -> Result<()> {
    let folder = disk.join("ring");
    let count = live.scaled(40_000).to_string();
    let work = ["--netns", "own", "connects", "--count", &count, "--threads", "2"];
    let (workload, later) = (Workload::ready(&work)?, Workload::ready(&work)?);
    let recorder = Tracer::record(live.scratch(), &folder, &["--ring", "4MiB"])?;
    let filler = disk.join("filler");
    let full = fs::write(&filler, vec![1; 4 << 20]);
    ensure!(full.is_err(), "the disk is not full");
    workload.go()?;
    recorder
        .wait_until_said("the full disk", |said| said.contains("No space left on device; tracing goes on"))?;
    fs::remove_file(&filler)?;
    let said = recorder.wait_until_said("that it goes on", |said| said.contains(" again: "))?;
    ensure!(said.contains("events were not written"), "{said}");
    later.go()?;
    let (status, said) = recorder.stop_plainly()?;
    ensure!(status == Some(0) && said.contains("could not be written"), "{status:?}: {said}");
    let mut sum = 0;
    for segment in files(&folder)? {
        sum += events(live, &segment)?.0.len() as u64;
    }
    let emitted = said.split("= emitted ").nth(1).and_then(|rest| rest.split(' ').next());
    let emitted = emitted.map(|count| count.replace(',', ""));
    ensure!(emitted == Some(sum.to_string()), "{sum} in the segments: {said}");
    Ok(())
}

fn killed(live: &Live) -> Result<()> {
    let folder = live.scratch().path().join("ring");
    let count = live.scaled(80_000).to_string();
    let workload = Workload::ready(&["--netns", "own", "connects", "--count", &count, "--threads", "2"])?;
    let recorder = Tracer::record(live.scratch(), &folder, &["--ring", "4MiB"])?;
    let working = thread::spawn(move || workload.go());
    // Any moment will do: this is no waiting for something.
    thread::sleep(Duration::from_millis(2_500));
    recorder.kill()?;
    working.join().ok().context("the workload failed")??;
    let segments = files(&folder)?;
    let (last, closed) = segments.split_last().context("no segments")?;
    for segment in closed {
        ensure!(!events(live, segment)?.1.contains("has no end"), "{}", segment.display());
    }
    let (_, stderr) = events(live, last)?;
    ensure!(stderr.contains("has no end"), "{stderr}");
    // The next one goes on beside what is there.
    let next = Tracer::record(live.scratch(), &folder, &["--ring", "4MiB"])?;
    let second = portscope(live.scratch(), &["record", "--ring", "4MiB", "-w", text(&folder)?])?;
    second.must_fail(1, &["another flight recorder", "hint: "])?;
    let (status, said) = next.stop_plainly()?;
    ensure!(status == Some(0) && files(&folder)?.len() == segments.len() + 1, "{status:?}: {said}");
    Ok(())
}

fn refused(live: &Live) -> Result<()> {
    let folder = live.scratch().path().join("ring");
    let file = live.scratch().file("file");
    fs::write(&file, "mine")?;
    let table: [(&[&str], &str, &str); 8] = [
        (&["--ring", "1MiB"], text(&folder)?, "at least 4MiB"),
        (&["--ring", "much"], text(&folder)?, "'much' is no size"),
        (&["--ring", "4MiB", "--dump-on", "PS999"], text(&folder)?, "PS999"),
        (&["--ring", "4MiB", "--dump-on", "failures>x"], text(&folder)?, "failures>x"),
        (&["--ring", "4MiB"], "-", "not on standard output"),
        (&["--ring", "4MiB"], text(&file)?, "is no directory"),
        (&["--keep", "1h"], text(&file)?, "--ring"),
        (&[], text(live.scratch().path())?, "is a directory"),
    ];
    for (args, into, name) in table {
        let ended = portscope(live.scratch(), &[&["record", "-w", into], args].concat())?;
        ended.must_fail(2, &[name])?;
    }
    ensure!(fs::read_to_string(&file)? == "mine", "a file of others");
    Ok(())
}
