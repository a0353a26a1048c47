//! What portscope may do once it traces, what its command may do, and what it says of rights that it has not.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use portscope_tests::alone;
use portscope_tests::deadline::until;
use portscope_tests::invocation::{self, Ended, portscope};
use portscope_tests::live::Live;
use portscope_tests::program;
use portscope_tests::trace::Tracer;
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

alone! {
    a_tracer_keeps_no_right_that_it_does_not_need => kept,
    a_command_has_its_callers_rights => of_the_command,
    a_right_that_is_missing_is_told_with_what_is_lost => missing,
    nothing_is_traced_without_the_right_to => not_permitted,
}

/// The lines of `/proc/PID/status` on rights.
fn rights(status: &str) -> BTreeMap<String, u64> {
    let lines = status.lines().filter_map(|line| line.split_once(':'));
    let rights = lines.filter(|(key, _)| key.starts_with("Cap") || *key == "NoNewPrivs");
    rights
        .filter_map(|(key, value)| Some((key.to_owned(), u64::from_str_radix(value.trim(), 16).ok()?)))
        .collect()
}

/// Those of every thread of a process, by its name.
fn of_threads(pid: u32) -> Result<Vec<(String, BTreeMap<String, u64>)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = entry?.path();
        // A thread may end meanwhile.
        let Ok(status) = fs::read_to_string(thread.join("status")) else { continue };
        let name = fs::read_to_string(thread.join("comm")).unwrap_or_default();
        all.push((name.trim().to_owned(), rights(&status)));
    }
    Ok(all)
}

fn kept(live: &Live) -> Result<()> {
    let tracer = Tracer::start_command(live.scratch(), "report", &["-v"])?;
    tracer.wait_until_said("what is kept", |said| said.contains("rights that are kept"))?;
    // A thread that did its work before the rights were given up may be on its way out.
    let threads = until("threads that gave up nothing are gone", Duration::from_secs(5), || {
        let threads = of_threads(tracer.pid())?;
        Ok(threads.iter().all(|(_, rights)| rights.get("NoNewPrivs") == Some(&1)).then_some(threads))
    })?;
    ensure!(!threads.is_empty(), "no thread");
    let look = CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH;
    // Before 6.0 maps are read by CAP_BPF alone.
    let force = look | CapabilitySet::BPF;
    for (name, rights) in threads {
        let set = |key: &str| {
            rights.get(key).map_or(CapabilitySet::all(), |bits| CapabilitySet::from_bits_retain(*bits))
        };
        ensure!(set("CapEff").contains(look), "{name} cannot look at other processes: {rights:x?}");
        let enters = name == "netns";
        let effective = if enters { force | CapabilitySet::SYS_ADMIN } else { force };
        ensure!(effective.contains(set("CapEff")), "{name}: {rights:x?}");
        let permitted = force | CapabilitySet::SYS_ADMIN;
        ensure!(
            permitted.contains(set("CapPrm")) && permitted.contains(set("CapBnd")),
            "{name}: {rights:x?}"
        );
        ensure!(set("CapInh").is_empty() && set("CapAmb").is_empty(), "{name}: {rights:x?}");
        ensure!(rights.get("NoNewPrivs") == Some(&1), "{name}: {rights:x?}");
    }
    let (status, said) = tracer.stop_plainly()?;
    ensure!(status == Some(0), "exit status {status:?}: {said}");
    Ok(())
}

fn of_the_command(live: &Live) -> Result<()> {
    let told = live.scratch().file("rights");
    let script = format!("cat /proc/self/status >{}", told.display());
    let ended = portscope(live.scratch(), &["report", "-q", "--", "sh", "-c", &script])?;
    succeeds(&ended)?;
    let (its, ours) = (fs::read_to_string(&told)?, fs::read_to_string("/proc/self/status")?);
    ensure!(rights(&its) == rights(&ours), "{:x?}, not {:x?}", rights(&its), rights(&ours));
    Ok(())
}

fn succeeds(ended: &Ended) -> Result<()> {
    ended.must_not_panic()?;
    ensure!(ended.status == Some(0), "exit status {:?}: {}", ended.status, ended.stderr);
    Ok(())
}

/// Traces for a moment as root without some rights.
fn without(live: &Live, rights: &[CapabilitySet]) -> Result<Ended> {
    let mut command = Command::new(program::portscope()?);
    command.args(["trace", "-d", "1s"]).current_dir(Path::new("/"));
    // A thread's bounding set is its own, and its child's.
    let apart = thread::scope(|scope| {
        let run = || {
            for right in rights {
                remove_capability_from_bounding_set(*right).context("the bounding set")?;
            }
            invocation::run(live.scratch(), command)
        };
        scope.spawn(run).join()
    });
    apart.map_err(|_panic| anyhow!("the thread panicked"))?
}

fn missing(live: &Live) -> Result<()> {
    let nothing = without(live, &[])?;
    succeeds(&nothing)?;
    for (right, name) in [
        (CapabilitySet::SYS_PTRACE, "CAP_SYS_PTRACE"),
        (CapabilitySet::DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"),
    ] {
        let told = format!("without {name}: ");
        ensure!(!nothing.stderr.contains(&told), "{name} is there: {}", nothing.stderr);
        let ended = without(live, &[right])?;
        succeeds(&ended)?;
        ensure!(ended.stderr.lines().filter(|said| said.contains(&told)).count() == 1, "{}", ended.stderr);
    }
    Ok(())
}

fn not_permitted(live: &Live) -> Result<()> {
    // CAP_SYS_ADMIN stands for the others.
    for (right, name) in [(CapabilitySet::BPF, "CAP_BPF"), (CapabilitySet::PERFMON, "CAP_PERFMON")] {
        let ended = without(live, &[right, CapabilitySet::SYS_ADMIN])?;
        ended.must_fail(4, &[name])?;
    }
    Ok(())
}
