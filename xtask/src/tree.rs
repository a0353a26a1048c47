//! Where things lie in the work tree. Every other room asks here for a path.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// The workspace folder: that of the `cargo run` that started us, because work trees may share a target folder
/// and then also this executable.
pub(crate) fn root() -> PathBuf {
    let built = || env!("CARGO_MANIFEST_DIR").into();
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(built));
    here.parent().unwrap_or(&here).to_path_buf()
}

/// A path below the workspace's own `target` folder, whatever `CARGO_TARGET_DIR` says: the BPF tools, the
/// test kernels and the static binaries are kept between runs and shared by all shells.
pub(crate) fn target(below: &str) -> PathBuf {
    root().join("target").join(below)
}

/// Cargo's home folder, whose registry paths end up in debug information.
pub(crate) fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = env::var_os("HOME").context("neither CARGO_HOME nor HOME is set: set one of them")?;
    Ok(Path::new(&home).join(".cargo"))
}

/// Creates a folder and those above it.
pub(crate) fn folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot create the folder {}", path.display()))
}

/// Reads a whole file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Reads a whole text file.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes a file and the folders above it, and leaves a file that already has these bytes untouched, so that
/// cargo does not rebuild what includes it.
pub(crate) fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    if let Some(above) = path.parent() {
        folder(above)?;
    }
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}
