//! `vm fetch`: a kernel image and its modules for a row, kept in `target/vm/<suite>`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{debian::Suite, row::Row};
use crate::tree;

/// What a guest of another architecture than this machine's has its commands from.
const BUSYBOX: &str = "busybox-static";

/// Packages that hold images and modules; in newer suites the image package is itself only a list of these.
const PARTS: [&str; 3] = ["linux-image-", "linux-binary-", "linux-modules-"];

/// A kernel that can be booted.
pub(crate) struct Kernel {
    /// Its row in the matrix.
    pub(crate) row: Row,
    /// The Debian version of its package.
    pub(crate) version: String,
    /// The bootable image.
    pub(crate) image: PathBuf,
    /// The folder with its modules.
    pub(crate) modules: PathBuf,
    /// The program that is all commands of the guest.
    pub(super) busybox: PathBuf,
}

/// Returns the kernel of a row, downloading it when it is absent, or when `refresh` asks for a newer one.
pub(crate) fn kernel(row: Row, refresh: bool) -> Result<Kernel> {
    let folder = row.folder();
    let note = folder.join("version");
    if refresh || !note.exists() {
        download(row, &folder, &note).with_context(|| format!("no kernel {row} could be fetched"))?;
    }
    let version = tree::read_text(&note)?.trim().to_owned();
    let root = folder.join("root");
    let (image, modules) = locate(&root).with_context(|| {
        format!("{} holds no kernel: remove {} and fetch again", root.display(), folder.display())
    })?;
    // Before trixie it lies in /bin, and unpacking makes no link from there to /usr/bin.
    let busybox = if row.arch().is_here() { PathBuf::from("/") } else { root };
    let places = ["bin/busybox", "usr/bin/busybox"].map(|place| busybox.join(place));
    let busybox = places.iter().find(|place| place.exists()).unwrap_or(&places[0]).clone();
    Ok(Kernel { row, version, image, modules, busybox })
}

fn download(row: Row, folder: &Path, note: &Path) -> Result<()> {
    let suite = Suite::open(row, folder)?;
    let meta = format!("linux-image-cloud-{}", row.arch().debian());
    let version = suite.version(&meta)?;
    if fs::read_to_string(note).is_ok_and(|old| old.trim() == version) {
        return Ok(());
    }
    println!("fetching the kernel {row} ({version}) of Debian {}", row.suite());
    let mut packages: Vec<String> = Vec::new();
    let mut open = vec![meta];
    while let Some(package) = open.pop() {
        for part in suite.depends(&package)? {
            if PARTS.iter().any(|start| part.starts_with(start)) && !packages.contains(&part) {
                packages.push(part.clone());
                open.push(part);
            }
        }
    }
    if !row.arch().is_here() {
        packages.push(BUSYBOX.to_owned());
    }
    let root = folder.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    }
    suite.unpack(&packages, &root)?;
    tree::write_if_changed(note, version.as_bytes())?;
    Ok(())
}

/// Finds the image and the modules: `boot/vmlinuz-*` and `lib/modules/*` in older suites, both in
/// `usr/lib/modules/*` in newer ones.
fn locate(root: &Path) -> Option<(PathBuf, PathBuf)> {
    let modules =
        ["lib/modules", "usr/lib/modules"].iter().find_map(|place| only_entry(&root.join(place), ""))?;
    let image = Some(modules.join("vmlinuz")).filter(|image| image.exists());
    Some((image.or_else(|| only_entry(&root.join("boot"), "vmlinuz-"))?, modules))
}

fn only_entry(folder: &Path, start: &str) -> Option<PathBuf> {
    let entries = folder.read_dir().ok()?;
    entries
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().starts_with(start))
        .map(|e| e.path())
}
