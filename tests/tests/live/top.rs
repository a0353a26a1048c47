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
}

alone! {
    without_a_terminal_it_says_what_to_do => without_a_terminal,
    a_stop_gives_the_terminal_back_and_going_on_takes_it_again => stop_and_go_on,
    every_end_gives_the_terminal_back => ends,
    a_terminal_that_is_gone_ends_it => gone,
    a_storm_of_sizes_down_to_nearly_nothing_is_survived => storm,
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
