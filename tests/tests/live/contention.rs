//! More threads than CPUs that search a full range at once: state that was kept per CPU would be lost.

use anyhow::{Result, ensure};
use portscope_tests::backend::Backend;
use portscope_tests::compare::Comparison;
use portscope_tests::live::Live;
use portscope_tests::per_backend;

per_backend! {
    searches_that_interleave_are_told_apart,
}

fn searches_that_interleave_are_told_apart(live: &Live) -> Result<()> {
    let cpus = std::thread::available_parallelism()?.get();
    let threads = (4 * cpus).clamp(8, 32).to_string();
    let (truth, capture) = live.trace(
        &[],
        &["--netns", "own", "--port-range", "40000-40799", "contend", "--threads", &threads, "--count", "20"],
    )?;
    let shown = truth.shown_by_default();
    // The kernel keeps few return probes: choices may be missed, but must be counted, and none invented.
    let found = Comparison::of(&shown, &capture, &[shown[0].pid]);
    let missed = capture.optional("missed")?.unwrap_or(0);
    ensure!(found.surplus.is_empty(), "{found}");
    // Of a choice that is pieced together a part can be missed: its errno, most of the time.
    let in_part = if live.backend() == Backend::Tracepoint { found.differing.len() } else { 0 };
    ensure!(found.differing.len() == in_part, "{found}");
    let missing = (found.missing.len() + in_part) as u64;
    ensure!(
        missing <= missed,
        "{missing} of {} are missing, the footer tells {missed}: {found}",
        shown.len()
    );
    // Where no program is preempted only return probes miss. What `missed` tells is an upper bound there, too: a program
    // that a softirq finds running is skipped for a socket that chooses no port.
    if live.backend() != Backend::Kprobe {
        // Where they are, spares stand in: they miss the second preempted of a CPU, of which an emulated machine, that is
        // in the kernel for many ticks at a time, has some.
        let some = if live.may_preempt_programs() { shown.len() / 10 } else { 0 };
        ensure!(missing <= some as u64, "{missed} may be missed: {found}");
    }
    ensure!(found.missing.len() < shown.len(), "nothing was seen at all");
    Ok(())
}
