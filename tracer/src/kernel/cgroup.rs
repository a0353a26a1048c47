//! The root of the version 2 hierarchy of cgroups, to which programs are attached: a program sees what is below the
//! cgroup that it is attached to.

use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    thread,
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, openat, statat},
    io::Errno,
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

const PART: &str = "this process is in a cgroup namespace, where programs see only what is below it: run the container \
                    with the host's cgroups (--cgroupns=host) or processes (--pid=host)";

/// Where the hierarchy is mounted whole; where it is not, where a part of it is.
pub(super) fn mounted(mounts: &str) -> Option<PathBuf> {
    let points = || mount_points(mounts);
    points().find(|point| is_whole(point)).or_else(|| points().next())
}

/// Mount points of cgroup2 file systems in /proc/self/mounts (octal escapes undone).
fn mount_points(mounts: &str) -> impl Iterator<Item = PathBuf> {
    mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (_, point, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(point.replace("\\040", " ").replace("\\011", "\t")))
    })
}

/// Whether a directory is the root of all cgroups: the only one that cannot be empty or moved, and has no file that says
/// so. A mount in a cgroup namespace, or of a part, begins further down.
#[must_use]
pub fn is_whole(root: &Path) -> bool {
    File::open(root).is_ok_and(|root| is_root(&root))
}

fn is_root(folder: impl AsFd) -> bool {
    let has = |file: &str| statat(&folder, file, AtFlags::empty()).is_ok();
    has("cgroup.procs") && !has("cgroup.events")
}

/// Opens the root: where it is mounted, else on a mount that nobody sees and that goes with its descriptor.
///
/// # Errors
///
/// What this host or this process lacks, as a sentence.
pub(super) fn root(mounted: Option<&Path>) -> Result<OwnedFd, String> {
    if let Some(root) = mounted.and_then(|point| File::open(point).ok()).filter(|root| is_root(root)) {
        return Ok(root.into());
    }
    let root = mount().map_err(unmountable)?;
    if is_root(&root) {
        return Ok(root);
    }
    // A thread that has changed its namespace does nothing else afterwards.
    thread::scope(|scope| match thread::Builder::new().spawn_scoped(scope, mount_with_the_first) {
        Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        Err(error) => Err(format!("there is no thread to look for the host's cgroups: {error}")),
    })
}

fn unmountable(error: Errno) -> String {
    match error {
        Errno::PERM => {
            "no cgroup version 2 hierarchy is mounted whole, and mounting one needs CAP_SYS_ADMIN".to_owned()
        }
        Errno::NODEV => "the kernel has no cgroups of version 2".to_owned(),
        error => format!("no cgroup version 2 hierarchy is mounted whole, and none can be mounted: {error}"),
    }
}

/// Mounts them as the first process sees them: all of the host's, where that is the host's.
fn mount_with_the_first() -> Result<OwnedFd, String> {
    let first = File::open("/proc/1/ns/cgroup").map_err(|_error| PART.to_owned())?;
    move_into_link_name_space(first.as_fd(), Some(LinkNameSpaceType::ControlGroup))
        .map_err(|_error| PART.to_owned())?;
    mount().map_err(unmountable).and_then(|root| if is_root(&root) { Ok(root) } else { Err(PART.to_owned()) })
}

fn mount() -> rustix::io::Result<OwnedFd> {
    let system = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&system)?;
    let mount = fsmount(&system, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    openat(&mount, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found_on_hybrid_and_unified_hosts() {
        let points = |mounts| mount_points(mounts).collect::<Vec<_>>();
        let hybrid =
            "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(points(hybrid), [Path::new("/sys/fs/cgroup/unified")]);
        assert_eq!(points("none /a\\040b cgroup2 rw 0 0"), [Path::new("/a b")]);
        assert!(points("tmpfs /tmp tmpfs rw 0 0\n").is_empty());
        assert_eq!(mounted("none /nowhere cgroup2 rw 0 0\n"), Some(PathBuf::from("/nowhere")));
    }

    #[test]
    fn another_directory_is_no_root() {
        assert!(!is_whole(Path::new("/tmp")));
        assert!(!is_whole(Path::new("/nowhere")));
    }
}
