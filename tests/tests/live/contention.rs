//! More threads than CPUs that search a full range at once: state that was kept per CPU would be lost.

use anyhow::{Result, ensure};
use portscope_tests::backend::Backend;
use portscope_tests::compare::{Comparison, compare};
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
    if live.backend() != Backend::Kprobe {
        return compare(&shown, &capture);
    }
    // The kernel keeps few return probes: exits may be missed, but must be counted, and none invented.
    let found = Comparison::of(&shown, &capture, &[shown[0].pid]);
    ensure!(found.surplus.is_empty() && found.differing.is_empty(), "{found}");
    let missed = capture.total("missed")?;
    let missing = found.missing.len() as u64;
    ensure!(missing <= missed, "{missing} of {} are missing, the footer tells {missed}", shown.len());
    ensure!(found.missing.len() < shown.len(), "nothing was seen at all");
    Ok(())
}
