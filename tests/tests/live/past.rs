//! What was recorded, read again: `who -r`, `top -r`, and several recordings at once.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use portscope_tests::alone;
use portscope_tests::invocation::portscope;
use portscope_tests::live::Live;
use portscope_tests::per_backend;
use portscope_tests::scenario::{Manner, Order, Space, Task, Way};
use portscope_tests::terminal::{Pseudo, ended};
use portscope_tests::trace::Tracer;
use portscope_tests::workload::Workload;
use serde_json::Value;

per_backend! {
    a_port_is_told_with_all_who_had_it_and_who_was_refused_it,
    two_recordings_are_counted_as_one_and_none_twice,
}

alone! {
    a_recording_is_played_on_a_screen_until_q_ends_it => on_a_screen,
    frames_of_a_recording_are_printed_and_a_cut_one_is_played_to_its_cut => as_text,
    what_who_and_top_cannot_do_with_a_recording_is_refused => refused,
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

fn at(port: u16) -> Result<SocketAddr> {
    Ok(format!("127.0.0.1:{port}").parse()?)
}

fn json(live: &Live, args: &[&str]) -> Result<Value> {
    let ended = portscope(live.scratch(), &[args, &["-o", "json"]].concat())?;
    ensure!(ended.status == Some(0), "{args:?}: {:?}: {}", ended.status, ended.stderr);
    ended.must_not_panic()?;
    Ok(serde_json::from_str(&ended.stdout)?)
}

fn list<'a>(document: &'a Value, place: &str) -> Result<&'a Vec<Value>> {
    document.pointer(place).and_then(Value::as_array).with_context(|| format!("no {place} in {document}"))
}

fn a_port_is_told_with_all_who_had_it_and_who_was_refused_it(live: &Live) -> Result<()> {
    const PORT: u16 = 40_000;
    let space = Space::with_range("40000-40000")?;
    let mut server = space.actor("backend")?;
    server.serve(at(7001)?, Manner::Keep)?;
    let file = live.scratch().file("ports.arrow");
    let netns = space.id().to_string();
    let common = ["--backend", live.backend().word(), "--netns", &netns, "--releases"];
    let recorder = Tracer::record(live.scratch(), &file, &common)?;
    let (mut early, mut service, mut late) =
        (space.actor("early")?, space.actor("service")?, space.actor("late")?);
    let held = early.must_take(Task::connect(at(7001)?))?;
    ensure!(held.ports == [PORT], "{held:?}");
    let refused = service.take(Task::new(Way::Listen).from(format!("0.0.0.0:{PORT}").parse()?).times(3))?;
    ensure!(refused.failed_with("EADDRINUSE") == 3, "{refused:?}");
    // Both ends go without a TIME_WAIT, so that the port is free.
    server.order(&Order::Retire)?;
    early.order(&Order::Close)?;
    server.serve(at(7001)?, Manner::Keep)?;
    let mut given = late.take(Task::connect(at(7001)?))?;
    for _ in 0..600 {
        if given.given() != 0 {
            break;
        }
        thread::sleep(Duration::from_millis(200));
        given = late.take(Task::connect(at(7001)?))?;
    }
    ensure!(given.ports == [PORT], "{given:?}");
    let (status, said) = recorder.stop_plainly()?;
    ensure!(status == Some(0), "{status:?}: {said}");

    let path = text(&file)?;
    let who = json(live, &["who", "40000", "-r", path, "-N", &netns])?;
    let history = list(&who, "/ports/0/history")?;
    let names = |history: &[Value]| -> Vec<String> {
        history.iter().map(|one| one["owner"]["comm"].as_str().unwrap_or("?").to_owned()).collect()
    };
    ensure!(names(history) == ["early", "late"], "{history:?}");
    for (one, pid) in history.iter().zip([early.pid(), late.pid()]) {
        ensure!(one["owner"]["pid"] == pid && one["how"] == "connect" && one["proto"] == "tcp", "{one}");
        ensure!(one["remote_port"] == 7001 && one["netns"] == space.id(), "{one}");
    }
    ensure!(history[0]["to"].is_string() && history[1]["end"] == "held", "{history:?}");
    ensure!(history[0]["to"].as_str() <= history[1]["from"].as_str(), "{history:?}");
    let tried = list(&who, "/ports/0/refused")?;
    let of_service: Vec<&Value> = tried.iter().filter(|one| one["owner"]["pid"] == service.pid()).collect();
    let [of_service] = of_service.as_slice() else { anyhow::bail!("{tried:?}") };
    ensure!(of_service["count"] == 3 && of_service["error"] == "EADDRINUSE", "{of_service}");
    ensure!(who["ports"][0]["verdict"]["word"] == "CONFLICT", "{}", who["ports"][0]["verdict"]);
    ensure!(who["recorded"]["releases"] == true && who["recorded"]["cut"] == false, "{}", who["recorded"]);

    // Who had it at a moment: each at its own, nobody before.
    for (moment, expected) in [
        (tried_at(of_service, "first")?, vec!["early"]),
        (history[1]["seen_to"].as_str().context("no time")?.to_owned(), vec!["late"]),
        ("+0s".to_owned(), vec![]),
    ] {
        let then = json(live, &["who", "40000", "-r", path, "-N", &netns, "--at", &moment])?;
        let history = list(&then, "/ports/0/history")?;
        ensure!(names(history) == expected, "at {moment}: {history:?}");
    }
    let told = portscope(live.scratch(), &["who", "40000", "-r", path, "-N", &netns])?;
    let order = ["early (pid", "refused: service (pid", "late (pid"].map(|part| told.stdout.find(part));
    ensure!(order.iter().all(Option::is_some) && order.is_sorted(), "{}", told.stdout);
    Ok(())
}

fn tried_at(refused: &Value, which: &str) -> Result<String> {
    refused[which].as_str().map(str::to_owned).context("no time")
}

fn two_recordings_are_counted_as_one_and_none_twice(live: &Live) -> Result<()> {
    let folder = live.scratch().path().join("both");
    std::fs::create_dir(&folder)?;
    let mut files = Vec::new();
    for round in 0..2 {
        let file = folder.join(format!("{round}.arrow"));
        let workload = Workload::ready(&["--netns", "own", "connects", "--count", "50"])?;
        let netns = workload.hello().netns.to_string();
        let backend = live.backend().word();
        let recorder = Tracer::record(live.scratch(), &file, &["--backend", backend, "--netns", &netns])?;
        workload.go()?;
        let (status, said) = recorder.stop_plainly()?;
        ensure!(status == Some(0), "{status:?}: {said}");
        files.push(file);
    }
    std::fs::write(folder.join("notes.txt"), "nothing of ours")?;
    let (one, other) = (text(&files[0])?, text(&files[1])?);
    // In any order, as a directory, and one of them twice.
    let filters_differ: [&[&str]; 3] =
        [&["-r", other, "-r", one], &["-r", text(&folder)?], &["-r", one, "-r", one, "-r", other]];
    for reading in filters_differ {
        let report = json(live, &[&["report"], reading].concat())?;
        ensure!(report["totals"]["allocations"] == 100, "{reading:?}: {}", report["totals"]);
        let accounting = &report["accounting"];
        let sum =
            ["emitted", "filtered", "lost"].iter().filter_map(|part| accounting[part].as_u64()).sum::<u64>();
        ensure!(accounting["seen"] == sum, "{reading:?}: {accounting}");
        let trace = portscope(live.scratch(), &[&["trace", "-o", "json"], reading].concat())?;
        let times: Vec<String> = trace
            .stdout
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["ts"].as_str().map(str::to_owned))
            .collect();
        ensure!(times.len() == 100, "{reading:?}: {} events: {}", times.len(), trace.stderr);
    }
    let none = live.scratch().path().join("none");
    std::fs::create_dir(&none)?;
    portscope(live.scratch(), &["trace", "-r", text(&none)?])?.must_fail(1, &["no recording in", "hint: "])
}

fn exhausted(live: &Live) -> Result<std::path::PathBuf> {
    let file = live.scratch().file("ports.arrow");
    let args = ["--netns", "own", "--port-range", "40000-40063", "occupy", "--failures", "5"];
    let workload = Workload::ready(&args)?;
    let netns = workload.hello().netns.to_string();
    let recorder = Tracer::record(live.scratch(), &file, &["--backend", "tracepoint", "--netns", &netns])?;
    workload.go()?;
    // Long enough for two frames.
    thread::sleep(Duration::from_millis(500));
    let (status, said) = recorder.stop_plainly()?;
    ensure!(status == Some(0), "{status:?}: {said}");
    Ok(file)
}

fn on_a_screen(live: &Live) -> Result<()> {
    let file = exhausted(live)?;
    let mut terminal = Pseudo::open(160, 40)?;
    let usual = terminal.modes()?;
    let mut top = terminal.start(&["top", "-r", text(&file)?, "--speed", "max", "-i", "100ms"])?;
    terminal.wait_for("RECORDING at its end")?;
    terminal.wait_for("EXHAUSTED")?;
    // It stays there.
    terminal.press(b"p")?;
    terminal.wait_for("PAUSED")?;
    ensure!(top.try_wait()?.is_none(), "it ended: {}", terminal.said());
    terminal.press(b"q")?;
    ensure!(ended(&mut top, &mut terminal)? == Some(0), "{}", terminal.said());
    ensure!(terminal.modes()? == usual, "ended in other modes");
    let said = terminal.said();
    ensure!(said.contains("ports asked for in") && !said.contains("panicked"), "{said}");
    // At its own pace it has hardly begun; the keys make it faster.
    let mut terminal = Pseudo::open(160, 40)?;
    let args = ["top", "-r", text(&file)?, "--speed", "0.1", "-i", "100ms"];
    let mut top = terminal.start_session(&super::top::portscope_path()?, &args)?;
    terminal.wait_for("RECORDING at 0.1x")?;
    // What has not changed is not drawn again, but where the size has.
    terminal.press(b"+")?;
    thread::sleep(Duration::from_millis(500));
    terminal.resize(159, 40)?;
    terminal.wait_for("RECORDING at 0.2x")?;
    terminal.press(b"\x1b[C")?;
    thread::sleep(Duration::from_millis(500));
    terminal.resize(160, 40)?;
    terminal.wait_for("RECORDING at its end")?;
    terminal.press(b"q")?;
    ensure!(ended(&mut top, &mut terminal)? == Some(0), "{}", terminal.said());
    Ok(())
}

fn as_text(live: &Live) -> Result<()> {
    let file = exhausted(live)?;
    let whole = portscope(live.scratch(), &["top", "-b", "-r", text(&file)?, "--speed", "max"])?;
    ensure!(whole.status == Some(0), "{:?}: {}", whole.status, whole.stderr);
    whole.must_not_panic()?;
    ensure!(whole.stdout.matches("\nseen ").count() == 1, "{}", whole.stdout);
    for part in [" EXHAUSTED ", "[PS001]", "RECORDING at its end", "workload"] {
        ensure!(whole.stdout.contains(part), "{part}: {}", whole.stdout);
    }
    let two = portscope(live.scratch(), &["top", "-b", "-c", "2", "-i", "100ms", "-r", text(&file)?])?;
    ensure!(two.status == Some(0) && two.stdout.matches("\nseen ").count() == 2, "{}", two.stdout);
    let bytes = std::fs::read(&file)?;
    let cut = live.scratch().file("cut.arrow");
    std::fs::write(&cut, bytes.get(..bytes.len() - 200).context("a short recording")?)?;
    let played = portscope(live.scratch(), &["top", "-b", "-r", text(&cut)?, "--speed", "max"])?;
    ensure!(played.status == Some(0) && played.stderr.contains("has no end"), "{}", played.stderr);
    ensure!(played.stdout.contains("RECORDING at its end"), "{}", played.stdout);
    Ok(())
}

fn refused(live: &Live) -> Result<()> {
    let file = live.scratch().file("ports.arrow");
    let ended = portscope(live.scratch(), &["record", "-w", text(&file)?, "-d", "300ms"])?;
    ensure!(ended.status == Some(0), "{:?}: {}", ended.status, ended.stderr);
    let path = text(&file)?;
    let table: [(&[&str], i32, &str); 9] = [
        (&["who", "80", "--at", "03:12"], 2, "--read"),
        (&["who", "80", "-r", path, "--at", "+9h"], 2, "--at is after the recording"),
        (&["who", "80", "-r", path, "--at", "2001-01-01T00:00:00Z"], 2, "--at is before the recording"),
        (&["who", "80", "-r", path, "-N", "nowhere"], 2, "nowhere"),
        (&["top", "--speed", "2"], 2, "--read"),
        (&["top", "-b", "-r", path, "--speed", "fast"], 2, "'fast' is no speed"),
        (&["top", "-b", "-r", path, "--backend", "fentry"], 2, "--backend"),
        (&["top", "-b", "-r", path, "--", "true"], 125, "a command"),
        (&["trace", "-r", path, "-r", "-"], 2, "-r - stands alone"),
    ];
    for (args, status, name) in table {
        portscope(live.scratch(), args)?.must_fail(status, &[name])?;
    }
    Ok(())
}
