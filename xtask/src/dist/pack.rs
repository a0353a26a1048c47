//! From the tree to files that are handed on.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::{Release, build::Built};
use crate::{process, tools, tree};

/// The tree as an archive, for systems without a package of ours.
pub(super) fn archive(release: &Release, stage: &Path, folder: &Path) -> Result<()> {
    let inner = format!("--transform=s,^\\.,{},", release.file(""));
    process::run(
        Command::new("tar")
            .args(["--create", "--gzip", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
            .arg(format!("--mtime=@{}", release.epoch))
            .arg(inner)
            .arg("--file")
            .arg(folder.join(release.file(".tar.gz")))
            .arg("--directory")
            .arg(stage)
            .arg("."),
    )
}

/// The debug information, and nothing else: gdb finds it by the link in the executable once it lies beside it.
pub(super) fn debug(release: &Release, built: &Built, folder: &Path) -> Result<()> {
    process::run(Command::new("gzip").args(["-9", "--no-name"]).arg(&built.debug))?;
    let packed = built.debug.with_extension("debug.gz");
    // It has the mode of the executable that it was taken from.
    fs::set_permissions(&packed, fs::Permissions::from_mode(0o644))
        .and_then(|()| fs::rename(&packed, folder.join(release.file(".debug.gz"))))
        .with_context(|| format!("cannot rename {}", packed.display()))?;
    fs::remove_file(&built.program).with_context(|| format!("cannot remove {}", built.program.display()))
}

/// The package of Debian and its kin: `[package.metadata.deb]` of `tracer/Cargo.toml`.
pub(super) fn deb(release: &Release, folder: &Path) -> Result<()> {
    process::run(
        tools::cargo_deb()?
            .args(["--no-build", "--no-strip", "--package", "portscope", "--output"])
            .arg(folder)
            .env("SOURCE_DATE_EPOCH", &release.epoch),
    )
}

/// The package of Fedora, RHEL, SUSE: `[package.metadata.generate-rpm]`.
pub(super) fn rpm(release: &Release, folder: &Path) -> Result<()> {
    process::run(
        tools::cargo_generate_rpm()?
            .args(["--package", "tracer", "--target-dir"])
            .arg(tree::target("dist-build"))
            .args(["--arch", "x86_64", "--source-date", &release.epoch, "--output"])
            .arg(folder),
    )
}

/// The SHA-256 of each file.
pub(super) fn sums(folder: &Path) -> Result<()> {
    let mut names: Vec<_> = folder
        .read_dir()
        .with_context(|| format!("cannot list {}", folder.display()))?
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_file())
        .map(|entry| entry.file_name())
        .collect();
    names.sort_unstable();
    let sums = process::stdout(Command::new("sha256sum").arg("--").args(names).current_dir(folder))?;
    tree::write_if_changed(&folder.join("SHA256SUMS"), sums.as_bytes()).map(drop)
}
