//! A cgroup for one command and all its descendants.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process,
};

/// A cgroup of the version 2 hierarchy that was made for a command, and goes when it is dropped.
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
        let path = parent.join(format!("portscope-{}", process::id()));
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

#[cfg(test)]
mod tests {
    use super::*;

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
