//! Searches that overlap on one entry of the kernel's table: what is called exact must be so.

use std::io::{self, Write as _};

use anyhow::{Context as _, Result, ensure};
use portscope_tests::live::Live;
use portscope_tests::per_backend;
use portscope_tests::trace::Event;
use portscope_tests::workload::Workload;

per_backend! {
    [fentry, kprobe]
    what_is_told_as_exact_is_what_the_search_met,
}

/// Threads that connect to one destination begin where the last of them left off. Each leaves a TIME_WAIT, so that more and
/// more 4-tuples are in use, and nobody binds: a search meets nothing but those, which are counted where they are met.
fn what_is_told_as_exact_is_what_the_search_met(live: &Live) -> Result<()> {
    const CONNECTS: usize = 3_000;
    let count = CONNECTS.to_string();
    let ending = ["--count", &count, "--ending", "close-first"];
    let workload = Workload::ready(
        &[&["--netns", "own", "--port-range", "40000-43999", "connects", "--threads", "8"][..], &ending]
            .concat(),
    )?;
    let pid = workload.hello().pid;
    let tracer = live.tracer(&["--count-collisions"])?;
    workload.go()?;
    let capture = tracer.stop()?;
    capture.accounting()?;
    let events: Vec<&Event> =
        capture.of(pid).into_iter().filter(|event| event.text("site") == Some("connect")).collect();
    // The kernel keeps few return probes.
    let missed = usize::try_from(capture.optional("missed")?.unwrap_or(0))?;
    ensure!(
        events.len() <= CONNECTS && events.len() + missed >= CONNECTS,
        "{} events, {missed} missed",
        events.len()
    );
    let (exact, other): (Vec<&Event>, Vec<&Event>) =
        events.into_iter().partition(|event| event.flag("candidates_exact") == Some(true));
    let skipped = capture.optional("inner_missed")?.unwrap_or(0);
    let overlapped = format!("{} of {CONNECTS} overlapped", other.len());
    writeln!(io::stdout(), "{}: {overlapped}, {missed} missed, {skipped} calls skipped", live.backend())?;
    let mut met = 0;
    for event in &exact {
        let tuples = event.number("tuple_collisions").with_context(|| event.brief())?;
        ensure!(event.number("collisions") == Some(tuples), "met {tuples}: {}", event.brief());
        ensure!(event.number("bucket_collisions") == Some(0), "nobody binds: {}", event.brief());
        met += tuples;
    }
    for event in &other {
        ensure!(event.number("bucket_collisions").is_none(), "from what is not exact: {}", event.brief());
        ensure!(event.number("tuple_collisions").is_some(), "counted in any case: {}", event.brief());
    }
    ensure!(met > 0, "no search met anything");
    ensure!(!other.is_empty(), "no two searches overlapped");
    // How many depends on who is scheduled beside whom; those that ran alone are enough to say what exact means.
    ensure!(exact.len() >= CONNECTS / 6, "{} of {CONNECTS} are exact", exact.len());
    Ok(())
}
