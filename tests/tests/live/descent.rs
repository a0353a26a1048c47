//! `report -- CMD` where no cgroup can be made: the command's descendants are told by their forks, beside other
//! traffic.

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use nix::sched::CloneFlags;
use portscope_tests::invocation::Ended;
use portscope_tests::live::Live;
use portscope_tests::{apart, per_backend, program};
use rustix::mount::{MountFlags, mount_bind, mount_remount};
use serde_json::Value;

per_backend! {
    forks_of_the_command_are_followed_without_a_cgroup,
    what_the_kernel_does_not_tell_is_told_by_parents,
}

/// Many processes, some of them orphans, all of them short-lived: 60 connects.
const FORKING: &str = r#"
for each in 1 2 3 4 5; do
    "$0" --netns own connects --count 10 &
    ( "$0" --netns own connects --count 2 & )
done
wait
sleep 1
"#;
const CONNECTS: u64 = 60;

/// Calls portscope in a mount namespace whose cgroups are read-only, and in more new namespaces.
fn without_cgroups(live: &Live, more: CloneFlags, args: &[&str]) -> Result<Ended> {
    apart::portscope(live.scratch(), more, args, || {
        let cgroups = apart::mounted("cgroup2")?.into_iter().next().context("no cgroup version 2")?;
        mount_bind(&cgroups, &cgroups)?;
        mount_remount(&cgroups, MountFlags::BIND | MountFlags::RDONLY, "")?;
        Ok(())
    })
}

/// Does something beside connects of our own.
fn beside_others<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
    let (stop, connects) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let others = scope.spawn(|| -> Result<()> {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            while !stop.load(Ordering::Relaxed) {
                let pair = (TcpStream::connect(listener.local_addr()?)?, listener.accept()?);
                connects.fetch_add(1, Ordering::Relaxed);
                drop(pair);
            }
            Ok(())
        });
        let done = work();
        stop.store(true, Ordering::Relaxed);
        others.join().ok().context("the other traffic panicked")??;
        Ok((done?, connects.load(Ordering::Relaxed)))
    })
}

fn report(live: &Live, more: CloneFlags) -> Result<(Value, String)> {
    let workload = program::workload()?;
    let workload = workload.to_str().context("a path that is no text")?;
    let args =
        ["report", "--backend", live.backend().word(), "-o", "json", "--", "sh", "-c", FORKING, workload];
    let (ended, others) = beside_others(|| without_cgroups(live, more, &args))?;
    ended.must_not_panic()?;
    ensure!(ended.status == Some(0), "{:?}: {}", ended.status, ended.stderr);
    // What the workload prints is on the same output, before the document.
    let at = ended.stdout.find("{\n  \"type\": \"report\"").context("no document")?;
    let report: Value = serde_json::from_str(&ended.stdout[at..]).with_context(|| ended.stdout.clone())?;
    ensure!(others != 0, "there was no other traffic");
    let filtered = report["accounting"]["filtered"].as_u64().unwrap_or(0);
    ensure!(filtered != 0, "the other traffic was not seen: {}", report["accounting"]);
    Ok((report, ended.stderr))
}

fn forks_of_the_command_are_followed_without_a_cgroup(live: &Live) -> Result<()> {
    let (report, said) = report(live, CloneFlags::empty())?;
    ensure!(said.contains("following its forks instead"), "{said}");
    ensure!(report["command"]["told_by"] == "forks", "{} {said}", report["command"]);
    ensure!(report["command"]["untold"] == 0 && report["command"]["alone"] == true, "{}", report["command"]);
    ensure!(report["totals"]["by_site"]["connect"] == CONNECTS, "{}", report["totals"]);
    Ok(())
}

/// The kernel tells forks to the first network namespace only.
fn what_the_kernel_does_not_tell_is_told_by_parents(live: &Live) -> Result<()> {
    let (report, said) = report(live, CloneFlags::CLONE_NEWNET)?;
    ensure!(report["command"]["told_by"] == "parents", "{} {said}", report["command"]);
    let seen = report["totals"]["by_site"]["connect"].as_u64().unwrap_or(0);
    let untold = report["command"]["untold"].as_u64().context("no count of what was not told")?;
    ensure!(seen <= CONNECTS, "others were counted: {}", report["totals"]);
    ensure!(seen + untold >= CONNECTS, "{seen} seen, {untold} untold");
    Ok(())
}
