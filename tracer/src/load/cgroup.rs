//! A cgroup for one command and all its descendants.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process,
};

/// What the cgroups of commands are called, before the number of the process that made them.
const PREFIX: &str = "portscope-";
/// `PROC_PID_INIT_INO` of include/linux/proc_ns.h: who is in this namespace sees all processes.
const FIRST_PID_NAMESPACE: u64 = 0xefff_fffc;

/// A cgroup of the version 2 hierarchy that was made for a command, and goes when it is dropped.
///
/// One whose maker was killed stays, and goes when the next is made beside it and nobody is in it any more.
#[derive(Debug)]
pub struct OwnCgroup {
    path: PathBuf,
    /// Where whoever is left at the end goes.
    parent: PathBuf,
    level: u32,
    id: u64,
}

impl OwnCgroup {
    /// Makes one below the cgroup of this process. `mount` is where the hierarchy is mounted, `own` the text of
    /// `/proc/self/cgroup` (cgroups(7)).
    ///
    /// # Errors
    ///
    /// The kernel refuses it.
    pub fn make(mount: &Path, own: &str) -> io::Result<Self> {
        let below = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
        let below = Path::new(below.strip_prefix('/').unwrap_or(below));
        let parent = mount.join(below);
        if fs::metadata("/proc/self/ns/pid").is_ok_and(|about| about.ino() == FIRST_PID_NAMESPACE) {
            sweep(&parent, |pid| Path::new("/proc").join(pid).exists());
        }
        let path = parent.join(format!("{PREFIX}{}", process::id()));
        fs::create_dir(&path)?;
        let level = u32::try_from(below.components().count() + 1).unwrap_or(u32::MAX);
        let id = fs::metadata(&path)?.ino();
        Ok(Self { path, parent, level, id })
    }

    /// Its depth below the root of the hierarchy.
    #[must_use]
    pub const fn level(&self) -> u32 {
        self.level
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The cgroup above it, which must be writable for it to go.
    #[must_use]
    pub fn parent(&self) -> &Path {
        &self.parent
    }

    /// The file that a process writes its number to in order to enter.
    #[must_use]
    pub fn entrance(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// CPU time of all that ran in it, nanoseconds; none where the kernel does not tell.
    #[must_use]
    pub fn cpu_ns(&self) -> Option<u64> {
        let text = fs::read_to_string(self.path.join("cpu.stat")).ok()?;
        let usage = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
        usage.trim().parse::<u64>().ok()?.checked_mul(1000)
    }
}

impl Drop for OwnCgroup {
    /// Descendants that outlive the command go back to where they would have been.
    fn drop(&mut self) {
        let left = fs::read_to_string(self.entrance()).unwrap_or_default();
        for pid in left.lines() {
            if let Err(error) = fs::write(self.parent.join("cgroup.procs"), pid) {
                log::debug!("process {pid} stays in {}: {error}", self.path.display());
            }
        }
        if let Err(error) = fs::remove_dir(&self.path) {
            log::warn!("the cgroup {} stays: {error}", self.path.display());
        }
    }
}

/// Removes the cgroups of makers that are gone; the kernel keeps those that somebody is in.
fn sweep(parent: &Path, lives: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name();
        let maker = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let is_number = |maker: &&str| maker.parse::<u32>().is_ok_and(|pid| pid != process::id());
        if maker.filter(is_number).is_some_and(|maker| !lives(maker)) {
            match fs::remove_dir(entry.path()) {
                Ok(()) => log::debug!("{} was left behind and is removed", entry.path().display()),
                Err(error) => log::debug!("{} was left behind and stays: {error}", entry.path().display()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_ones_left_behind_is_removed_and_nothing_else() {
        let parent = std::env::temp_dir().join(format!("portscope-{}-sweep", process::id()));
        let own = format!("portscope-{}", process::id());
        let all = ["portscope-1", "portscope-2", "portscope-3", "portscope-x", "portscope-", "2", &own];
        for name in all {
            fs::create_dir_all(parent.join(name)).unwrap();
        }
        fs::create_dir(parent.join("portscope-3/inside")).unwrap();
        fs::write(parent.join("portscope-4"), "a file").unwrap();
        sweep(&parent, |pid| pid == "2");
        let left: Vec<_> = all.into_iter().filter(|name| parent.join(name).exists()).collect();
        assert_eq!(left, &all[1..]);
        assert!(parent.join("portscope-4").exists());
        fs::remove_dir_all(&parent).unwrap();
    }

    #[test]
    fn it_lies_below_our_own_and_goes_when_it_is_dropped() {
        let mount = std::env::temp_dir().join(format!("portscope-{}-cgroup", process::id()));
        fs::create_dir_all(mount.join("system.slice/a.service")).unwrap();
        let own = "4:memory:/x\n0::/system.slice/a.service\n";
        let made = OwnCgroup::make(&mount, own).unwrap();
        let path = made.entrance().parent().unwrap().to_owned();
        assert_eq!(made.level(), 3);
        assert!(path.starts_with(mount.join("system.slice/a.service")));
        assert_eq!(made.id(), fs::metadata(&path).unwrap().ino());
        drop(made);
        assert!(!path.exists());
        fs::remove_dir_all(&mount).unwrap();
    }
}
