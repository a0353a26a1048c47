//! Calls of portscope in namespaces of their own, as on a host that is set up otherwise.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};

use crate::invocation::{Ended, run};
use crate::program;
use crate::scratch::Scratch;

/// Calls portscope in a mount namespace of its own, and in `more` new namespaces, as `prepare` has set them up.
///
/// # Errors
///
/// When the namespaces cannot be made or set up, or the call does not end.
pub fn portscope(
    scratch: &Scratch,
    more: CloneFlags,
    args: &[&str],
    prepare: impl FnOnce() -> Result<()> + Send,
) -> Result<Ended> {
    let mut command = Command::new(program::portscope()?);
    command.args(args);
    let call = || {
        unshare(CloneFlags::CLONE_NEWNS | more)?;
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        prepare()?;
        run(scratch, command)
    };
    // The namespaces are those of a thread, which ends with the call.
    thread::scope(|scope| scope.spawn(call).join()).ok().context("the call panicked")?
}

/// Where file systems of a kind are mounted, in the order in which they were.
///
/// # Errors
///
/// When /proc does not tell.
pub fn mounted(kind: &str) -> Result<Vec<PathBuf>> {
    // A mount point need not be text.
    let mounts = fs::read("/proc/self/mountinfo")?;
    let mounts = String::from_utf8_lossy(&mounts);
    let of_kind = mounts.lines().filter(|line| line.contains(&format!(" - {kind} ")));
    Ok(of_kind.filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).collect())
}

/// Takes away what is mounted of a kind.
///
/// # Errors
///
/// When it stays.
pub fn unmount_all(kind: &str) -> Result<()> {
    for point in mounted(kind)?.into_iter().rev() {
        unmount(&point, UnmountFlags::DETACH).with_context(|| point.display().to_string())?;
    }
    Ok(())
}

/// Puts an empty folder over one.
///
/// # Errors
///
/// When it cannot be mounted.
pub fn hide(folder: &str) -> Result<()> {
    mount("portscope-hidden", folder, "tmpfs", MountFlags::empty(), None).context(folder.to_owned())
}
