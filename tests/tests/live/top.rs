//! `top`: its frames of text held against the workload's own numbers, and the ways in which a terminal is given back.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use portscope_tests::alone;
use portscope_tests::deadline;
use portscope_tests::invocation::portscope;
use portscope_tests::live::Live;
use portscope_tests::operation::Operation;
use portscope_tests::per_backend;
use portscope_tests::terminal::{Pseudo, ended, stopped};
use portscope_tests::workload::Workload;
use rustix::process::Signal;

per_backend! {
    frames_of_text_tell_what_the_workload_met,
    processes_are_collapsed_as_asked_and_releases_are_followed,
}

alone! {
    without_a_terminal_it_says_what_to_do => without_a_terminal,
    a_stop_gives_the_terminal_back_and_going_on_takes_it_again => stop_and_go_on,
    every_end_gives_the_terminal_back => ends,
    a_terminal_that_is_gone_ends_it => gone,
    a_storm_of_sizes_down_to_nearly_nothing_is_survived => storm,
    a_new_size_is_drawn_at_once_and_a_hundred_are_survived => sizes,
    a_shell_stops_it_and_takes_it_up_again => job_control,
    a_command_writes_to_a_log_and_its_status_is_kept => command_beside,
    q_interrupts_the_command_and_a_second_one_leaves_it_alone => command_interrupted,
}

const PATIENCE: Duration = Duration::from_mins(1);

fn frames_of_text_tell_what_the_workload_met(live: &Live) -> Result<()> {
    let args = ["--netns", "own", "--port-range", "40000-40063", "occupy", "--failures", "5"];
    let workload = Workload::ready(&args)?;
    let netns = workload.hello().netns.to_string();
    let ready = live.scratch().file("ready");
    let ready_word = ready.to_string_lossy().into_owned();
    let backend = live.backend().word();
    let call = ["top", "-b", "-c", "3", "--backend", backend, "--netns", &netns, "--ready-file", &ready_word];
    let (ended, truth) = std::thread::scope(|scope| -> Result<_> {
        let top = scope.spawn(|| portscope(live.scratch(), &call));
        deadline::until("the hooks", Duration::from_mins(2), || Ok(ready.exists().then_some(())))?;
        let truth = workload.go()?;
        Ok((top.join().ok().context("the thread of top panicked")??, truth))
    })?;
    ensure!(ended.status == Some(0), "{:?}: {}", ended.status, ended.stderr);
    ended.must_not_panic()?;
    // The last line of a frame is that of the accounts.
    let before_last = ended.stdout.trim_end().rsplit("\nseen ").nth(1).unwrap_or_default();
    ensure!(ended.stdout.matches("\nseen ").count() == 3, "not three frames: {}", ended.stdout);
    ensure!(!ended.stdout.contains('\u{1b}'), "an escape sequence: {}", ended.stdout);
    let asked = truth.only(Operation::is_allocation);
    let refused = asked.iter().filter(|done| !done.ok).count();
    ensure!(refused != 0, "the workload met no failure");
    let last = before_last;
    let row = last.lines().find(|line| line.starts_with("workload")).context("no row of the workload")?;
    let numbers: Vec<usize> =
        row.split_whitespace().filter_map(|word| word.replace(',', "").parse().ok()).collect();
    ensure!(numbers.starts_with(&[asked.len(), refused]), "{row}, not {} and {refused}", asked.len());
    ensure!(ended.stdout.contains(" EXHAUSTED ") && ended.stdout.contains("[PS001]"), "{}", ended.stdout);
    for (label, count) in [("asked for", asked.len()), ("refused", refused)] {
        let rates = last.lines().find(|line| line.starts_with(label)).context("no rates")?;
        ensure!(rates.contains(&format!(" {count} in ")), "{rates}, not {count}");
    }
    Ok(())
}

fn without_a_terminal(live: &Live) -> Result<()> {
    let ended = portscope(live.scratch(), &["top"])?;
    ended.must_fail(2, &["draws on a terminal", "give -b"])?;
    let ended = portscope(live.scratch(), &["top", "-b", "-i", "1ms"])?;
    ended.must_fail(2, &["--interval", "100ms"])
}

const ARGS: [&str; 3] = ["top", "--backend", "tracepoint"];
/// What switches to the other screen and back.
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";
/// What shows the cursor again.
const SHOWN: &str = "\u{1b}[?25h";

fn stop_and_go_on(_live: &Live) -> Result<()> {
    let mut terminal = Pseudo::open(80, 24)?;
    let usual = terminal.modes()?;
    let mut top = terminal.start(&ARGS)?;
    terminal.wait_for("asked for")?;
    ensure!(terminal.modes()? != usual, "the modes are the usual ones while it draws");
    for by_key in [false, true] {
        if by_key {
            terminal.press(b"\x1a")?;
        } else {
            terminal.signal(&top, Signal::TSTP)?;
        }
        deadline::until("the stop", PATIENCE, || Ok(stopped(&top)?.then_some(())))?;
        ensure!(terminal.modes()? == usual, "stopped in other modes (by a key: {by_key})");
        terminal.wait_for(LEAVE)?;
        terminal.forget();
        terminal.signal(&top, Signal::CONT)?;
        terminal.wait_for(ENTER)?;
        terminal.wait_for("asked for")?;
        ensure!(terminal.modes()? != usual, "the usual modes after it went on");
        terminal.forget();
    }
    terminal.press(b"q")?;
    ensure!(ended(&mut top, &mut terminal)? == Some(0), "{}", terminal.said());
    ensure!(terminal.modes()? == usual, "ended in other modes");
    Ok(())
}

fn ends(_live: &Live) -> Result<()> {
    type End = fn(&mut Pseudo, &std::process::Child) -> Result<()>;
    let all: [(&str, End); 4] = [
        ("q", |terminal, _| terminal.press(b"q")),
        ("Ctrl-C", |terminal, _| terminal.press(b"\x03")),
        ("SIGTERM", |terminal, top| terminal.signal(top, Signal::TERM)),
        ("SIGINT", |terminal, top| terminal.signal(top, Signal::INT)),
    ];
    for (what, end) in all {
        let mut terminal = Pseudo::open(80, 24)?;
        let usual = terminal.modes()?;
        let mut top = terminal.start(&ARGS)?;
        terminal.wait_for("asked for")?;
        end(&mut terminal, &top)?;
        ensure!(ended(&mut top, &mut terminal)? == Some(0), "{what}: {}", terminal.said());
        ensure!(terminal.modes()? == usual, "{what}: ended in other modes");
        let said = terminal.said();
        let (_, after) =
            said.rsplit_once(LEAVE).with_context(|| format!("{what}: still on the other screen"))?;
        ensure!(after.contains("ports asked for in") && after.contains("seen "), "{what}: {after:?}");
    }
    Ok(())
}

fn gone(_live: &Live) -> Result<()> {
    let mut terminal = Pseudo::open(80, 24)?;
    let mut top = terminal.start(&ARGS)?;
    terminal.wait_for("asked for")?;
    terminal.hang_up();
    let status = portscope_tests::invocation::wait(&mut top)?;
    ensure!(status == Some(0), "{status:?}");
    // The signal alone may come before: then there is nobody to tell the verdict.
    let mut terminal = Pseudo::open(80, 24)?;
    let usual = terminal.modes()?;
    let mut top = terminal.start(&ARGS)?;
    terminal.wait_for("asked for")?;
    terminal.signal(&top, Signal::HUP)?;
    ensure!(ended(&mut top, &mut terminal)? == Some(0), "{}", terminal.said());
    ensure!(terminal.modes()? == usual, "ended in other modes");
    ensure!(terminal.said().ends_with(SHOWN), "{:?}", terminal.said());
    Ok(())
}

fn storm(_live: &Live) -> Result<()> {
    let mut terminal = Pseudo::open(80, 24)?;
    let usual = terminal.modes()?;
    let mut top = terminal.start(&ARGS)?;
    terminal.wait_for("asked for")?;
    for round in 0..60_u16 {
        let (columns, rows) =
            [(20, 5), (1, 1), (200, 60), (80, 24), (3, 40), (300, 2)][usize::from(round % 6)];
        terminal.resize(columns, rows)?;
        terminal.press(match round % 5 {
            0 => b"\t",
            1 => b"?",
            2 => b"\x1b[6~",
            3 => b"G",
            _ => b"2\r",
        })?;
        std::thread::sleep(Duration::from_millis(20));
    }
    terminal.resize(20, 5)?;
    std::thread::sleep(Duration::from_millis(200));
    ensure!(top.try_wait()?.is_none(), "it ended: {}", terminal.said());
    terminal.signal(&top, Signal::TERM)?;
    ensure!(ended(&mut top, &mut terminal)? == Some(0), "{}", terminal.said());
    ensure!(terminal.modes()? == usual && !terminal.said().contains("panicked"), "{}", terminal.said());
    Ok(())
}

/// A program, for a session.
pub(super) fn portscope_path() -> Result<String> {
    Ok(portscope_tests::program::portscope()?.to_string_lossy().into_owned())
}

fn sizes(_live: &Live) -> Result<()> {
    let mut terminal = Pseudo::open(80, 24)?;
    let usual = terminal.modes()?;
    // Nothing but a signal makes it draw within an hour.
    let mut top =
        terminal.start_session(&portscope_path()?, &["top", "--backend", "tracepoint", "-i", "1h"])?;
    terminal.wait_for("asked for")?;
    for round in 0..100_u16 {
        let (columns, rows) = [(20, 5), (1, 1), (200, 60), (80, 24), (12, 3)][usize::from(round % 5)];
        terminal.resize(columns, rows)?;
        terminal.read()?;
        std::thread::sleep(Duration::from_millis(u64::from(round % 3) * 5));
    }
    terminal.resize(20, 5)?;
    deadline::until("the end of the storm", PATIENCE, || {
        let before = terminal.said().len();
        std::thread::sleep(Duration::from_millis(300));
        terminal.read()?;
        Ok((terminal.said().len() == before).then_some(()))
    })?;
    ensure!(top.try_wait()?.is_none(), "it ended: {}", terminal.said());
    terminal.forget();
    terminal.resize(100, 31)?;
    // The accounts stand in the last line.
    terminal.wait_for("\u{1b}[31;1H")?;
    terminal.press(b"q")?;
    ensure!(ended(&mut top, &mut terminal)? == Some(0), "{}", terminal.said());
    ensure!(terminal.modes()? == usual && !terminal.said().contains("panicked"), "{}", terminal.said());
    Ok(())
}

fn job_control(_live: &Live) -> Result<()> {
    let mut terminal = Pseudo::open(100, 30)?;
    let usual = terminal.modes()?;
    // Without its own line editing the shell leaves the modes alone.
    let mut shell = terminal.start_session("bash", &["--norc", "--noediting", "-i"])?;
    terminal.press(format!("'{}' top --backend tracepoint\n", portscope_path()?).as_bytes())?;
    terminal.wait_for("asked for")?;
    for round in 0..2 {
        ensure!(terminal.modes()? != usual, "round {round}: the modes are the usual ones while it draws");
        terminal.press(b"\x1a")?;
        terminal.wait_for("Stopped")?;
        let said = terminal.said();
        let (_, after) = said.rsplit_once(LEAVE).context("stopped on the other screen")?;
        ensure!(after.contains(SHOWN), "stopped without a cursor: {after:?}");
        ensure!(terminal.modes()? == usual, "round {round}: stopped in other modes");
        terminal.forget();
        terminal.press(b"fg\n")?;
        terminal.wait_for(ENTER)?;
        terminal.wait_for("asked for")?;
    }
    terminal.forget();
    terminal.press(b"q")?;
    terminal.wait_for("ports asked for in")?;
    // What is typed before its prompt a shell may throw away.
    terminal.wait_for("bash-")?;
    terminal.press(b"echo status $?; exit\n")?;
    terminal.wait_for("status 0")?;
    ended(&mut shell, &mut terminal)?;
    ensure!(terminal.said().contains(LEAVE), "ended on the other screen: {}", terminal.said());
    ensure!(terminal.modes()? == usual, "ended in other modes");
    Ok(())
}

fn command_beside(live: &Live) -> Result<()> {
    let workload = portscope_tests::program::workload()?;
    let (log, seen) = (live.scratch().file("log"), live.scratch().file("seen"));
    // It ends when the screen has shown what it did, or after a minute.
    let script = format!(
        "echo to-the-log; echo errors-too >&2; cat; '{}' connects --count 30 >/dev/null; \
         n=0; while [ $n -lt 600 ] && [ ! -e '{}' ]; do n=$((n+1)); sleep 0.1; done; exit 3",
        workload.display(),
        seen.display()
    );
    let log_word = log.to_string_lossy().into_owned();
    let mut terminal = Pseudo::open(160, 40)?;
    let usual = terminal.modes()?;
    let args = ["-i", "200ms", "--command-output", &log_word, "--", "sh", "-c", &script];
    let mut top = terminal.start(&[&ARGS[..], &args].concat())?;
    terminal.wait_for(&format!("output in {log_word}"))?;
    terminal.wait_for("30 in ")?;
    std::fs::write(&seen, "")?;
    ensure!(ended(&mut top, &mut terminal)? == Some(3), "{}", terminal.said());
    let said = terminal.said();
    ensure!(
        terminal.modes()? == usual && !said.contains("to-the-log") && !said.contains("errors-too"),
        "{said}"
    );
    let (_, after) = said.rsplit_once(LEAVE).context("still on the other screen")?;
    for told in ["30 ports asked for in", "status 3 is the command's own", "what the command printed is in"] {
        ensure!(after.contains(told), "no {told}: {after:?}");
    }
    let written = std::fs::read_to_string(&log)?;
    ensure!(written == "to-the-log\nerrors-too\n", "{written:?}");
    portscope(live.scratch(), &["top", "-b", "--", "/nowhere/at/all"])?
        .must_fail(127, &["/nowhere/at/all"])?;
    portscope(live.scratch(), &["top", "-b", "--command-output", &log_word])?.must_fail(2, &["CMD"])
}

fn command_interrupted(live: &Live) -> Result<()> {
    let log = live.scratch().file("log").to_string_lossy().into_owned();
    let start = |terminal: &Pseudo, script: &str| {
        terminal.start(&[&ARGS[..], &["--command-output", &log, "--", "sh", "-c", script]].concat())
    };
    let mut terminal = Pseudo::open(160, 40)?;
    // The whole group is interrupted: a shell alone would wait for its child first.
    let mut top = start(&terminal, "trap 'exit 7' INT; sleep 120")?;
    terminal.wait_for("asked for")?;
    terminal.press(b"q")?;
    ensure!(ended(&mut top, &mut terminal)? == Some(7), "{}", terminal.said());

    let mut terminal = Pseudo::open(160, 40)?;
    let usual = terminal.modes()?;
    let mut top = start(&terminal, "trap '' INT; exec sleep 20")?;
    terminal.wait_for("asked for")?;
    terminal.press(b"q")?;
    terminal.wait_for("was interrupted and has not ended")?;
    terminal.press(b"q")?;
    ensure!(ended(&mut top, &mut terminal)? == Some(0), "{}", terminal.said());
    ensure!(terminal.modes()? == usual, "ended in other modes");
    let said = terminal.said();
    let pid = said.split_once("runs on as process ").and_then(|(_, rest)| rest.split_once(';'));
    let (pid, _) = pid.with_context(|| format!("nothing of the command: {said}"))?;
    let pid = rustix::process::Pid::from_raw(pid.parse()?).context("no such process")?;
    rustix::process::kill_process(pid, Signal::KILL).context("the command does not run on")?;
    Ok(())
}

fn processes_are_collapsed_as_asked_and_releases_are_followed(live: &Live) -> Result<()> {
    let workload = portscope_tests::program::workload()?;
    let workload = workload.to_str().context("a path that is no text")?;
    // Each lives long enough for its executable to be read.
    let twice = format!("'{workload}' connects --count 8000; '{workload}' connects --count 8000; sleep 2");
    let log = live.scratch().file("log").to_string_lossy().into_owned();
    // What is not of the command is filtered: the host may be busy.
    let emitted = |extra: &[&str]| -> Result<(Vec<String>, u64)> {
        let backend = live.backend().word();
        let args = ["top", "-b", "-c", "60", "-i", "500ms", "--backend", backend, "--command-output", &log];
        let ended = portscope(live.scratch(), &[&args[..], extra, &["--", "sh", "-c", &twice]].concat())?;
        ensure!(ended.status == Some(0), "{:?}: {}", ended.status, ended.stderr);
        ended.must_not_panic()?;
        let frame = ended.stdout.rsplit("PROCESS").next().unwrap_or_default();
        let rows = frame.lines().filter(|line| line.starts_with("workload") || line.contains("/workload"));
        let accounts = frame.lines().find(|line| line.starts_with("seen ")).context("no accounts")?;
        let emitted = accounts.split_once("= emitted ").and_then(|(_, rest)| rest.split_once(' '));
        let emitted = emitted.with_context(|| accounts.to_owned())?.0.replace(',', "").parse()?;
        Ok((rows.map(str::to_owned).collect(), emitted))
    };
    let (by_pid, plain) = emitted(&["--by", "pid"])?;
    ensure!(by_pid.len() == 2 && by_pid.iter().all(|row| row.contains("(pid ")), "{by_pid:?}");
    let (by_exe, with_releases) = emitted(&["--by", "exe", "--releases"])?;
    ensure!(by_exe.len() == 1 && by_exe[0].contains(" x2 ") && by_exe[0].contains(" 16,000 "), "{by_exe:?}");
    ensure!(with_releases >= plain + 16_000, "{with_releases} with releases, {plain} without");
    Ok(())
}
