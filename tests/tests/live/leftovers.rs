//! What a tracer leaves in the kernel: nothing, however it ends.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use aya::programs::{loaded_links, loaded_programs};
use portscope_tests::deadline;
use portscope_tests::live::Live;
use portscope_tests::per_backend;

per_backend! {
    a_killed_tracer_leaves_no_program_and_no_link,
    an_interrupted_tracer_leaves_no_program_and_no_link,
}

const PATIENCE: Duration = Duration::from_secs(20);

/// Ids of the programs and links of the whole machine.
#[derive(Debug, PartialEq, Eq)]
struct InKernel {
    programs: BTreeSet<u32>,
    links: BTreeSet<u32>,
}

fn in_kernel() -> InKernel {
    // One that is freed between two steps of the walk is an error of its entry: it is not there.
    let programs = loaded_programs().filter_map(Result::ok).map(|program| program.id()).collect();
    let links = loaded_links().filter_map(Result::ok).map(|link| link.id()).collect();
    InKernel { programs, links }
}

fn gone(before: &InKernel) -> Result<()> {
    deadline::until("the programs and links to be freed", PATIENCE, || {
        let now = in_kernel();
        let left =
            now.programs.difference(&before.programs).count() + now.links.difference(&before.links).count();
        Ok((left == 0).then_some(()))
    })
}

fn a_killed_tracer_leaves_no_program_and_no_link(live: &Live) -> Result<()> {
    let before = in_kernel();
    let tracer = live.tracer(&[])?;
    let during = in_kernel();
    ensure!(during.programs.len() > before.programs.len(), "an armed tracer has no program: {during:?}");
    tracer.kill()?;
    gone(&before)
}

fn an_interrupted_tracer_leaves_no_program_and_no_link(live: &Live) -> Result<()> {
    let before = in_kernel();
    let tracer = live.tracer(&[])?;
    tracer.stop()?;
    gone(&before)
}
