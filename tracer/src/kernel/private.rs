//! File systems of the kernel that are not mounted here: mounted where nobody else sees them.

use std::{path::Path, thread};

use rustix::{
    io::Errno,
    mount::{MountFlags, MountPropagationFlags, mount, mount_change},
    thread::UnshareFlags,
};

/// Runs `work` where a file system of the kernel is mounted at `point`: here if `witness`, a path in it, is there; else on
/// a thread with a mount namespace of its own, so that nothing on the host changes. Where it cannot be mounted, or there
/// may be no thread more, `work` runs without it.
pub(super) fn with_mounted<T: Send>(
    kind: &'static str,
    point: &Path,
    witness: &Path,
    mut work: impl FnMut() -> T + Send,
) -> T {
    if witness.exists() {
        return work();
    }
    let done = thread::scope(|scope| {
        let apart = || {
            if let Err(error) = mount_privately(kind, point) {
                log::debug!("{kind} cannot be mounted: {error}");
            }
            work()
        };
        match thread::Builder::new().spawn_scoped(scope, apart).map(thread::ScopedJoinHandle::join) {
            Ok(Ok(result)) => Some(result),
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => {
                log::warn!("{kind} is not mounted, and there is no thread to mount it privately: {error}");
                None
            }
        }
    });
    done.unwrap_or_else(work)
}

fn mount_privately(kind: &str, point: &Path) -> rustix::io::Result<()> {
    #[expect(deprecated, reason = "the flag that makes it unsafe, CLONE_FILES, is not used")]
    rustix::thread::unshare(UnshareFlags::NEWNS)?;
    keep_apart(point)?;
    mount(kind, point, kind, MountFlags::empty(), None)
}

/// Makes the mount that a path lies in private, so that what is mounted there is seen by nobody else. That of `/` is not
/// enough: in a chroot there may be none.
fn keep_apart(point: &Path) -> rustix::io::Result<()> {
    for path in point.ancestors() {
        match mount_change(path, MountPropagationFlags::PRIVATE) {
            // No mount begins here.
            Err(Errno::INVAL) => {}
            outcome => return outcome,
        }
    }
    Err(Errno::INVAL)
}
