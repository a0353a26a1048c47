//! The tree that packages hold, as it lies on a system.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::build::Built;
use crate::{process, tree};

const DOCS: &str = "usr/share/doc/portscope";
const SHARE: &str = "usr/share/portscope";

/// Completions, and where each shell looks for them.
const COMPLETIONS: [(&str, &str); 4] = [
    ("bash", "usr/share/bash-completion/completions/portscope"),
    ("zsh", "usr/share/zsh/vendor-completions/_portscope"),
    ("zsh", "usr/share/zsh/site-functions/_portscope"),
    ("fish", "usr/share/fish/vendor_completions.d/portscope.fish"),
];

/// Files of the work tree that are taken as they are.
const FILES: [(&str, &str); 12] = [
    ("tracer/dist/portscope.toml", "etc/portscope/portscope.toml"),
    ("tracer/dist/systemd/portscope.service", "usr/lib/systemd/system/portscope.service"),
    ("tracer/dist/systemd/portscope-record.service", "usr/lib/systemd/system/portscope-record.service"),
    ("tracer/dist/prometheus/alerts.yaml", "usr/share/portscope/prometheus/alerts.yaml"),
    ("tracer/dist/grafana/portscope.json", "usr/share/portscope/grafana/portscope.json"),
    ("tracer/dist/kubernetes.yaml", "usr/share/portscope/kubernetes.yaml"),
    ("tracer/dist/Dockerfile", "usr/share/portscope/Dockerfile"),
    ("tracer/dist/debian/copyright", "usr/share/doc/portscope/copyright"),
    ("LICENSE-APACHE", "usr/share/doc/portscope/LICENSE-APACHE"),
    ("LICENSE-MIT", "usr/share/doc/portscope/LICENSE-MIT"),
    ("README.md", "usr/share/doc/portscope/README.md"),
    ("CHANGELOG.md", "usr/share/doc/portscope/CHANGELOG.md"),
];

/// Fills it.
pub(super) fn fill(stage: &Path, built: &Built) -> Result<()> {
    copy(&built.program, &stage.join("usr/bin/portscope"))?;
    for (from, to) in FILES {
        copy(&tree::root().join(from), &stage.join(to))?;
    }
    all_of(&tree::root().join("tracer/docs"), &stage.join(DOCS).join("docs"))?;
    all_of(&tree::root().join("tracer/schema"), &stage.join(SHARE).join("schema"))?;
    for (shell, to) in COMPLETIONS {
        let script = process::stdout(Command::new(&built.program).args(["completions", shell]))?;
        tree::write_if_changed(&stage.join(to), script.as_bytes())?;
    }
    pages(stage, &built.program)
}

/// The manual pages, packed as manuals are.
fn pages(stage: &Path, program: &Path) -> Result<()> {
    let folder = stage.join("usr/share/man/man8");
    tree::folder(&folder)?;
    process::run(Command::new(program).args(["man", "--dir"]).arg(&folder))?;
    let pages = files(&folder)?;
    process::run(Command::new("gzip").args(["-9", "--no-name"]).args(pages))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(above) = to.parent() {
        tree::folder(above)?;
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn all_of(from: &Path, to: &Path) -> Result<()> {
    files(from)?.iter().try_for_each(|file| match file.file_name() {
        Some(name) => copy(file, &to.join(name)),
        None => Ok(()),
    })
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("cannot list {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}
