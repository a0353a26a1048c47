//! Cgroups of a test's own.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{fs, io, process};

use anyhow::{Context as _, Result};

use crate::{apart, deadline};

/// Cgroups of version 2 below one of our own, gone with it.
#[derive(Debug)]
pub struct Cgroups(PathBuf);

impl Cgroups {
    /// Makes the first of them, which is empty.
    ///
    /// # Errors
    ///
    /// Where none can be made.
    pub fn make() -> Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let root = apart::mounted("cgroup2")?.into_iter().next().context("no cgroup version 2")?;
        let name = format!("portscope-test.{}.{}", process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = root.join(name);
        fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where the first of them is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Puts a process into a cgroup of this path below the first one; into that one where it is empty.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn put(&self, path: impl AsRef<Path>, pid: u32) -> Result<()> {
        let folder = self.0.join(path);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        fs::write(folder.join("cgroup.procs"), pid.to_string())
            .with_context(|| format!("moving {pid} to {}", folder.display()))
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        // What has just been left by a process is busy for a moment.
        drop(deadline::until("the cgroups", Duration::from_secs(2), || Ok(remove(&self.0).ok())));
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove(&path)?;
        }
    }
    fs::remove_dir(folder)
}
