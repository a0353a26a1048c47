//! `record`, and `trace` and `report` that read it with `-r`: held against the same that ran beside it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use portscope_tests::invocation::portscope;
use portscope_tests::live::Live;
use portscope_tests::scenario::{Actor, Manner, Space, Task, Way};
use portscope_tests::trace::Tracer;
use portscope_tests::workload::Workload;
use portscope_tests::{alone, deadline, per_backend, program};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::Value;

per_backend! {
    a_recording_is_reported_on_as_the_host_was,
    a_recording_is_traced_as_the_host_was,
    a_recorder_that_is_killed_leaves_what_it_wrote,
    a_command_that_is_recorded_keeps_its_status,
}

alone! {
    a_recorder_that_runs_is_asked_for_its_last_minute => last,
    a_disk_that_is_full_is_told_and_what_was_written_reads => full_disk,
    what_makes_no_sense_with_a_recording_is_refused => refused,
}

/// Where the servers are.
fn to() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7001))
}

fn server(space: &Space) -> Result<Actor> {
    let mut server = space.actor("server")?;
    server.serve(to(), Manner::Keep)?;
    Ok(server)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

/// What portscope writes to standard output when it reads a recording.
fn read(live: &Live, args: &[&str], recording: &Path) -> Result<String> {
    let ended = portscope(live.scratch(), &[args, &["-r", text(recording)?]].concat())?;
    ensure!(ended.status == Some(0), "{args:?}: {:?}: {}", ended.status, ended.stderr);
    ended.must_not_panic()?;
    Ok(ended.stdout)
}

fn a_recording_is_reported_on_as_the_host_was(live: &Live) -> Result<()> {
    // One client still holds its ports at the end; the other one has gone.
    let (stays, goes) = (Space::with_range("40000-40499")?, Space::with_range("40000-40199")?);
    let (_here, there) = (server(&stays)?, server(&goes)?);
    let (mut greedy, mut shortlived) = (stays.actor("greedy")?, goes.actor("shortlived")?);
    let netns = format!("{},{}", stays.id(), goes.id());
    let common = ["--backend", live.backend().word(), "--netns", &netns];
    let file = live.scratch().file("ports.arrow");
    let recorder = Tracer::record(live.scratch(), &file, &common)?;
    let reporter =
        Tracer::start_command(live.scratch(), "report", &[&common[..], &["--by", "pid"]].concat())?;
    let full = shortlived.take(Task::connect(to()).until_failed(5, 400))?;
    let also = greedy.take(Task::connect(to()).until_failed(7, 1_000))?;
    ensure!((full.given(), also.given()) == (200, 500), "{:?} {:?}", full.failed, also.failed);
    // The stock is looked at as soon as a refusal has come through the ring.
    thread::sleep(Duration::from_secs(3));
    drop(shortlived);
    drop(there);
    let beside = reporter.stop_with_document()?;
    let (status, said) = recorder.stop_plainly()?;
    ensure!(status == Some(0) && said.contains("recorded to "), "{status:?}: {said}");
    let again: Value = serde_json::from_str(&read(live, &["report", "-o", "json", "--by", "pid"], &file)?)?;
    for path in [
        "/verdict/word",
        "/verdict/finding",
        "/totals/allocations",
        "/totals/failures",
        "/totals/by_error",
        "/totals/by_cause",
        "/totals/by_site",
        "/accounting/emitted",
        "/accounting/lost",
        "/header/netns",
        "/header/filters",
        "/distribution/counts",
        "/destinations/0/distinct_ports",
    ] {
        let (one, other) = (again.pointer(path), beside.pointer(path));
        ensure!(one == other && one.is_some(), "{path}: {one:?} again, {other:?} beside it");
    }
    ensure!(again["verdict"]["word"] == "EXHAUSTED", "{}", again["verdict"]);
    let told = holders(&again)?.join("\n");
    ensure!(told.contains("greedy") && told.contains("shortlived"), "{told}");
    for what in [findings, holders, processes] {
        let (one, other) = (what(&again)?, what(&beside)?);
        ensure!(one == other && !one.is_empty(), "{one:?} again, {other:?} beside it");
    }
    let page = read(live, &["report", "-o", "html"], &file)?;
    ensure!(page.contains("EXHAUSTED") && page.contains("</html>"), "no page");
    Ok(())
}

fn list<'a>(document: &'a Value, of: &str) -> Result<&'a Vec<Value>> {
    document[of].as_array().with_context(|| format!("no {of}"))
}

/// Which findings, with their severity.
fn findings(report: &Value) -> Result<Vec<String>> {
    let told = |one: &Value| {
        let lines = one["lines"].as_array().into_iter().flatten();
        let who = lines.filter(|line| line["label"] == "held by" || line["label"] == "refused to");
        format!("{} {} {:?}", one["id"], one["severity"], who.collect::<Vec<_>>())
    };
    Ok(list(report, "findings")?.iter().map(told).collect())
}

/// Pools that are held, and by whom: now, or at their worst.
fn holders(report: &Value) -> Result<Vec<String>> {
    let pools = list(report, "pools")?.iter();
    Ok(pools
        .filter(|pool| pool["failures"].as_u64().is_some_and(|failures| failures != 0))
        .map(|pool| {
            let fields = ["netns", "remote_port", "barred", "peak_barred", "held", "failures", "holders"];
            fields.map(|field| pool[field].to_string()).join(" ")
        })
        .collect())
}

fn processes(report: &Value) -> Result<Vec<String>> {
    let rows = list(report, "processes")?.iter();
    Ok(rows
        .map(|row| {
            let fields =
                ["pid", "comm", "exe", "unit", "container", "allocations", "failures", "distinct_ports"];
            fields.map(|field| row[field].to_string()).join(" ")
        })
        .collect())
}

fn a_recording_is_traced_as_the_host_was(live: &Live) -> Result<()> {
    // It stays until both have read who it is: either may be late to an event of a process that is gone.
    let args = ["--netns", "own", "--port-range", "40000-40063", "--stay", "occupy", "--failures", "5"];
    let mut workload = Workload::ready(&args)?;
    let netns = workload.hello().netns.to_string();
    let common = ["--backend", live.backend().word(), "--netns", &netns, "--releases"];
    let file = live.scratch().file("ports.arrow");
    let recorder = Tracer::record(live.scratch(), &file, &common)?;
    let tracer = Tracer::start(live.scratch(), &[&common[..], &["--explicit"]].concat())?;
    workload.go_and_stay()?;
    let beside = by_thread(&tracer.stop_with_lines()?)?;
    let (status, said) = recorder.stop_plainly()?;
    ensure!(status == Some(0), "{status:?}: {said}");
    drop(workload);
    let again = lines(&read(live, &["trace", "-o", "json", "--explicit", "--releases"], &file)?)?;
    let again = by_thread(&again)?;
    ensure!(again.len() == beside.len() && !again.is_empty(), "{} and {} threads", again.len(), beside.len());
    for (thread, events) in &beside {
        let found = again.get(thread).context("a thread is missing")?;
        ensure!(found.len() == events.len(), "{} again, {} beside it", found.len(), events.len());
        for (one, other) in found.iter().zip(events) {
            ensure!(one == other, "{one} again, {other} beside it");
        }
    }
    // Filters are judged as the kernel half judges them.
    let failed = lines(&read(live, &["trace", "-o", "json", "--failed"], &file)?)?;
    let refused = beside.values().flatten().filter(|one| one["result"] == "failed").count();
    ensure!(failed.len() == refused + 2 && refused != 0, "{} lines, {refused} refused", failed.len());
    let footer = failed.last().context("no footer")?;
    ensure!(footer["emitted"] == refused, "{footer}");
    let sum = ["emitted", "filtered", "lost"].iter().filter_map(|part| footer[part].as_u64()).sum::<u64>();
    ensure!(footer["seen"] == sum, "{footer}");
    // Nothing has happened an hour later.
    let later = lines(&read(live, &["trace", "-o", "json", "--from", "+1h"], &file)?)?;
    ensure!(later.len() == 2, "{} lines", later.len());
    Ok(())
}

fn lines(text: &str) -> Result<Vec<Value>> {
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// The events of each thread in their order, without what two tracers measure apart.
fn by_thread(lines: &[Value]) -> Result<BTreeMap<u64, Vec<Value>>> {
    let mut threads: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line["type"] != "header" && line["type"] != "footer") {
        let mut event = line.clone();
        let members = event.as_object_mut().context("no object")?;
        for measured in ["ts", "mono_us", "search_ns", "socket", "candidates_exact", "held_us"] {
            members.remove(measured);
        }
        threads.entry(line["tid"].as_u64().unwrap_or(0)).or_default().push(event);
    }
    // Releases come when the kernel has time for them.
    for events in threads.values_mut() {
        events.sort_by_key(|event| (event["type"] == "release").then(|| event.to_string()));
    }
    Ok(threads)
}

fn a_recorder_that_is_killed_leaves_what_it_wrote(live: &Live) -> Result<()> {
    let rounds = std::env::var("PORTSCOPE_KILLS").ok().and_then(|word| word.parse().ok()).unwrap_or(10_u64);
    let mut cut = 0;
    for round in 0..rounds {
        let file = live.scratch().file("ports.arrow");
        let count = live.scaled(60_000).to_string();
        let workload = Workload::ready(&["--netns", "own", "connects", "--count", &count, "--threads", "2"])?;
        let recorder =
            Tracer::record(live.scratch(), &file, &["--backend", live.backend().word(), "--buffer", "1MiB"])?;
        let working = thread::spawn(move || workload.go());
        // Any moment will do: this is no waiting for something.
        thread::sleep(Duration::from_millis(300 + round * 397 % 2500));
        recorder.kill()?;
        working.join().ok().context("the workload failed")??;
        let ended = portscope(live.scratch(), &["trace", "-o", "json", "-r", text(&file)?])?;
        ensure!(ended.status == Some(0), "round {round}: {:?}: {}", ended.status, ended.stderr);
        ensure!(ended.stderr.contains("has no end"), "round {round}: {}", ended.stderr);
        let lines = ended.stdout.lines().count();
        cut += u64::from(lines > 2);
        ensure!(ended.stdout.lines().last().is_some_and(|line| line.contains("\"footer\"")), "round {round}");
        let report = portscope(live.scratch(), &["report", "-o", "json", "-r", text(&file)?])?;
        ensure!(report.status == Some(0), "round {round}: {:?}: {}", report.status, report.stderr);
        let report: Value = serde_json::from_str(&report.stdout)?;
        ensure!(
            report["accounting"]["emitted"].as_u64().is_some(),
            "round {round}: {}",
            report["accounting"]
        );
    }
    ensure!(cut * 2 > rounds, "only {cut} of {rounds} had any events");
    Ok(())
}

fn a_command_that_is_recorded_keeps_its_status(live: &Live) -> Result<()> {
    let workload = program::workload()?;
    let file = live.scratch().file("ports.arrow");
    let script = format!("'{}' connects --count 20; exit 7", text(&workload)?);
    let args = ["record", "--backend", live.backend().word(), "-w", text(&file)?, "--", "sh", "-c", &script];
    let ended = portscope(live.scratch(), &args)?;
    ended.must_fail(7, &["recorded to ", "the status 7 is the command's own"])?;
    let report: Value = serde_json::from_str(&read(live, &["report", "-o", "json"], &file)?)?;
    ensure!(report["totals"]["allocations"] == 20, "{}", report["totals"]);
    ensure!(report["command"]["name"] == "sh" && report["command"]["status"] == 7, "{}", report["command"]);
    let lost = portscope(live.scratch(), &["record", "-w", text(&file)?, "--", "/nowhere/at/all"])?;
    lost.must_fail(127, &["/nowhere/at/all", "portscope's own"])?;
    let nowhere = portscope(live.scratch(), &["record", "-w", "/nowhere/at/all", "--", "true"])?;
    nowhere.must_fail(125, &["/nowhere/at/all", "portscope's own"])
}

fn full_disk(live: &Live) -> Result<()> {
    // Room for the sockets of a busy host, and not for the events of this test.
    let folder = live.scratch().path().join("small");
    std::fs::create_dir(&folder)?;
    mount("portscope-small", &folder, "tmpfs", MountFlags::empty(), Some(c"size=192k"))?;
    let done = fill(live, &folder.join("ports.arrow"));
    unmount(&folder, UnmountFlags::DETACH)?;
    done
}

fn fill(live: &Live, file: &Path) -> Result<()> {
    let count = live.scaled(60_000).to_string();
    let workload = Workload::ready(&["--netns", "own", "connects", "--count", &count, "--threads", "2"])?;
    let recorder = Tracer::record(live.scratch(), file, &[])?;
    workload.go()?;
    let (status, said) = recorder.stop_plainly()?;
    ensure!(status == Some(1), "{status:?}: {said}");
    ensure!(said.contains("No space left on device") && said.contains(text(file)?), "{said}");
    let ended = portscope(live.scratch(), &["trace", "-r", text(file)?])?;
    ensure!(ended.status == Some(0) && ended.stderr.contains("has no end"), "{}", ended.stderr);
    Ok(())
}

fn last(live: &Live) -> Result<()> {
    let file = live.scratch().file("ports.arrow");
    let space = Space::with_range("40000-40999")?;
    let (netns, mut client) = (space.id().to_string(), space.actor("client")?);
    let recorder = Tracer::record(live.scratch(), &file, &["-N", &netns])?;
    let done = client.must_take(Task::new(Way::Bind).from("127.0.0.1:0".parse()?).times(50))?;
    ensure!(done.given() == 50, "{done:?}");
    let report =
        |time: &str| portscope(live.scratch(), &["report", "-o", "json", "--last", time, "-r", text(&file)?]);
    // It writes what it has once a second.
    let told = deadline::until("the ports", Duration::from_secs(20), || {
        let told = report("1m")?;
        ensure!(told.status == Some(0), "{:?}: {}", told.status, told.stderr);
        let document: Value = serde_json::from_str(&told.stdout)?;
        Ok((document["totals"]["allocations"] == 50).then_some(told))
    })?;
    ensure!(told.stderr.contains("has no end"), "{}", told.stderr);
    let (status, said) = recorder.stop_plainly()?;
    ensure!(status == Some(0), "{status:?}: {said}");
    thread::sleep(Duration::from_secs(2));
    report("1s")?.must_fail(2, &["goes up to ", "hint: "])?;
    let both = ["report", "--last", "1m", "--from", "+1s", "-r", text(&file)?];
    portscope(live.scratch(), &both)?.must_fail(2, &["--last", "--from"])
}

fn refused(live: &Live) -> Result<()> {
    let file = live.scratch().file("ports.arrow");
    let ended = portscope(live.scratch(), &["record", "-w", text(&file)?, "-d", "300ms"])?;
    ensure!(ended.status == Some(0), "{:?}: {}", ended.status, ended.stderr);
    let table: [(&str, &[&str], &str); 10] = [
        ("trace", &["--backend", "fentry"], "--backend"),
        ("trace", &["--cgroup", "/x"], "--cgroup"),
        ("trace", &["-d", "1s"], "--duration"),
        ("trace", &["--summary-only"], "--summary-only"),
        ("trace", &["--releases"], "no releases"),
        ("trace", &["--from", "+9s", "--to", "+1s"], "--to is before --from"),
        ("trace", &["--netns", "nowhere"], "nowhere"),
        ("report", &["--interval", "1s"], "--interval"),
        ("report", &["--buffer", "8MiB"], "--buffer"),
        ("report", &["--", "true"], "a command"),
    ];
    for (command, args, name) in table {
        let ended = portscope(live.scratch(), &[&[command, "-r", text(&file)?], args].concat())?;
        let status = if args[0] == "--" { 125 } else { 2 };
        ended.must_fail(status, &[name, "hint: "]).or_else(|error| {
            // This one has nothing to add.
            if name.contains("before") { ended.must_fail(status, &[name]) } else { Err(error) }
        })?;
    }
    let none = portscope(live.scratch(), &["trace", "-r", "/etc/hostname"])?;
    none.must_fail(1, &["/etc/hostname", "no recording", "hint: "])?;
    let missing = portscope(live.scratch(), &["trace", "-r", "/nowhere/at/all"])?;
    missing.must_fail(1, &["/nowhere/at/all"])?;
    let alone = portscope(live.scratch(), &["trace", "--from", "+1s"])?;
    alone.must_fail(2, &["--read"])
}
