//! The tracers that we compare with: Debian's package libbpf-tools, and the libraries that its programs load.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::rows::{Row, Subject};
use crate::{process, tree, vm::Packed};

/// The programs that the rows name, with their libraries.
pub(super) fn libbpf_tools(rows: &[Row]) -> Result<Vec<Packed>> {
    let root = tree::target("bench/libbpf-tools");
    if !root.join("usr/sbin").exists() {
        download(&root)
            .context("the Debian package libbpf-tools cannot be fetched: use --rows to leave it out")?;
    }
    let mut files = Vec::new();
    for row in rows {
        if let Subject::LibbpfTools(name) = row.subject {
            files.extend(Packed::program(&root.join("usr/sbin").join(name))?);
        }
    }
    Ok(files)
}

fn download(root: &Path) -> Result<()> {
    tree::folder(root)?;
    let download = |root: &Path| {
        process::stdout(
            Command::new("apt-get").args(["--quiet", "download", "libbpf-tools"]).current_dir(root),
        )
    };
    if download(root).is_err() {
        // A fresh machine has no package lists yet.
        process::stdout(Command::new("apt-get").args(["--quiet", "update"]))?;
        download(root)?;
    }
    for entry in root.read_dir().with_context(|| format!("cannot list {}", root.display()))? {
        let path = entry.with_context(|| format!("cannot list {}", root.display()))?.path();
        if path.extension().is_some_and(|end| end == "deb") {
            process::stdout(Command::new("dpkg").arg("-x").arg(&path).arg(root))?;
        }
    }
    Ok(())
}
