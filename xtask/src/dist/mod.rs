//! `dist`: what is given to users, into `target/dist`: packages, an archive, the debug information, the sums.

mod build;
mod pack;
mod stage;

use std::{fs, path::Path, process::Command, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{packages, process, tree};

/// Arguments of `dist`.
#[derive(Args)]
pub(crate) struct Options {
    /// Only fill `target/dist/stage`, the tree that packages hold.
    #[arg(long)]
    stage_only: bool,
}

/// What all of it is called after.
struct Release {
    version: String,
    /// Seconds since 1970 of the last commit: the same commit gives the same bytes.
    epoch: String,
}

impl Release {
    fn read() -> Result<Self> {
        let manifest = tree::read_text(&tree::root().join("Cargo.toml"))?;
        let line = manifest.lines().find_map(|line| line.strip_prefix("version = \""));
        let version = line.and_then(|rest| rest.strip_suffix('"')).context("Cargo.toml has no version")?;
        let mut git = Command::new("git");
        git.args(["log", "-1", "--format=%ct"]).current_dir(tree::root());
        // A source archive has no history.
        let epoch = process::stdout(&mut git).unwrap_or_else(|_no_history| "0".to_owned());
        Ok(Self { version: version.to_owned(), epoch: epoch.trim().to_owned() })
    }

    /// A file of the release.
    fn file(&self, end: &str) -> String {
        format!("portscope-{}-x86_64-linux{end}", self.version)
    }
}

/// Builds all of it.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    packages::ensure(packages::DIST, "making packages")?;
    let release = Release::read()?;
    let folder = tree::target("dist");
    empty(&folder)?;
    let built = build::portscope(&folder)?;
    let stage = folder.join("stage");
    stage::fill(&stage, &built)?;
    if options.stage_only {
        println!("staged in {}", stage.display());
        return Ok(ExitCode::SUCCESS);
    }
    pack::archive(&release, &stage, &folder)?;
    pack::debug(&release, &built, &folder)?;
    pack::deb(&release, &folder)?;
    pack::rpm(&release, &folder)?;
    pack::sums(&folder)?;
    print!("{}", tree::read_text(&folder.join("SHA256SUMS"))?);
    Ok(ExitCode::SUCCESS)
}

/// A folder with nothing in it.
fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    tree::folder(folder)
}
