//! What a tracer leaves in the kernel: nothing, however it ends.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::programs::{loaded_links, loaded_programs};
use portscope_tests::deadline;
use portscope_tests::invocation::portscope;
use portscope_tests::live::Live;
use portscope_tests::{alone, per_backend, program};

alone! {
    the_cgroup_of_a_command_goes_with_it => cgroups,
    the_cgroup_of_a_killed_tracer_goes_with_the_next => swept,
}

per_backend! {
    a_killed_tracer_leaves_no_program_and_no_link,
    an_interrupted_tracer_leaves_no_program_and_no_link,
}

const PATIENCE: Duration = Duration::from_secs(20);

/// Ids of the programs and links of the whole machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InKernel {
    programs: BTreeSet<u32>,
    links: BTreeSet<u32>,
}

pub(crate) fn in_kernel() -> InKernel {
    // One that is freed between two steps of the walk is an error of its entry: it is not there.
    let programs = loaded_programs().filter_map(Result::ok).map(|program| program.id()).collect();
    let links = loaded_links().filter_map(Result::ok).map(|link| link.id()).collect();
    InKernel { programs, links }
}

/// Waits until nothing is there that was not.
pub(crate) fn gone(before: &InKernel) -> Result<()> {
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

/// Cgroups that a tracer has made for commands, anywhere below the mounts of the second version.
fn of_commands() -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    for mount in mounts.lines().filter(|line| line.split(' ').nth(2) == Some("cgroup2")) {
        let mut folders: Vec<PathBuf> = mount.split(' ').nth(1).map(PathBuf::from).into_iter().collect();
        while let Some(folder) = folders.pop() {
            // One may go while it is looked at.
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    if entry.file_name().to_string_lossy().starts_with("portscope-") {
                        found.insert(entry.path());
                    }
                    folders.push(entry.path());
                }
            }
        }
    }
    Ok(found)
}

fn cgroups(live: &Live) -> Result<()> {
    let file = live.scratch().file("ports.arrow");
    let file = file.to_str().context("a path that is no text")?;
    for args in [&["report", "-q"][..], &["record", "-q", "-w", file], &["top", "-b", "-c", "1"]] {
        // The command tells its cgroup.
        let args = [args, &["--", "cat", "/proc/self/cgroup"]].concat();
        let ended = portscope(live.scratch(), &args)?;
        ensure!(ended.status == Some(0), "{args:?}: {:?}: {}", ended.status, ended.stderr);
        let own = ended.stdout.lines().find_map(|line| line.split("/portscope-").nth(1));
        let Some(own) = own.map(|rest| format!("portscope-{rest}")) else {
            // Where none can be made, forks are followed.
            continue;
        };
        let left = of_commands()?;
        ensure!(!left.iter().any(|folder| folder.ends_with(&own)), "{args:?} leaves {own}: {left:?}");
    }
    Ok(())
}

fn swept(live: &Live) -> Result<()> {
    let told = live.scratch().file("told");
    let script = format!("cat /proc/self/cgroup >'{0}.new'; mv '{0}.new' '{0}'; exec cat", told.display());
    let mut command = Command::new(program::portscope()?);
    command.args(["report", "-q", "--", "sh", "-c", &script]);
    // The command reads this to its end.
    let (standard_input, hold) = std::io::pipe()?;
    let mut tracer = command.stdin(standard_input).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    drop(command);
    let wait = deadline::until("the command", Duration::from_mins(2), || Ok(told.exists().then_some(())));
    tracer.kill()?;
    tracer.wait()?;
    wait?;
    let own = fs::read_to_string(&told)?;
    let own = own.lines().find_map(|line| line.split("/portscope-").nth(1));
    let Some(own) = own.map(|number| format!("portscope-{number}")) else {
        // Where none can be made, forks are followed.
        return Ok(());
    };
    let is_left = || Ok::<_, anyhow::Error>(of_commands()?.iter().any(|folder| folder.ends_with(&own)));
    ensure!(is_left()?, "{own} went with a tracer that was killed");
    // The command outlives it, and keeps its cgroup.
    portscope(live.scratch(), &["report", "-q", "--", "true"])?;
    ensure!(is_left()?, "{own} was taken from a command that runs");
    drop(hold);
    deadline::until("the end of the command", PATIENCE, || {
        portscope(live.scratch(), &["report", "-q", "--", "true"])?;
        Ok((!is_left()?).then_some(()))
    })
}
