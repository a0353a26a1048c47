//! A folder for the files of one test, gone with it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// The folder.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one below the folder for temporary files.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made.
    pub fn make() -> Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("portscope-live.{}.{number}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }

    /// A new name in it: `stem`, made unique.
    #[must_use]
    pub fn file(&self, stem: &str) -> PathBuf {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        self.0.join(format!("{stem}.{number}"))
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A folder that is left behind in /tmp is no reason to fail a test that is over.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
