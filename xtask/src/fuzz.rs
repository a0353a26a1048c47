//! `fuzz`: any bytes into everything that reads what others wrote.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{process, tools, tree};

/// Targets, each a file of `fuzz/fuzz_targets`.
const TARGETS: [&str; 7] = ["btf", "config", "decode", "names", "recording", "sock_diag", "words"];
/// Longer inputs take more time and find no more. A recording that is whole has some more.
fn most_bytes(target: &str) -> String {
    let most = if target == "recording" { 32_768 } else { 16_384 };
    format!("-max_len={most}")
}

/// Arguments of `fuzz`.
#[derive(Args)]
pub(crate) struct Options {
    /// Only these targets: btf, config, decode, names, recording, `sock_diag`, words.
    targets: Vec<String>,
    /// How long each is fuzzed, in seconds of the clock: beside other work its CPU time is less.
    #[arg(long, value_name = "N", default_value = "60")]
    seconds: u32,
    /// Fuzz nothing: put into fuzz/seeds the few inputs of fuzz/corpus that reach what those there do not.
    #[arg(long)]
    keep: bool,
}

/// Fuzzes one target after the other, from `fuzz/seeds`. What it finds worth keeping goes into `fuzz/corpus`, for the next
/// time; an input that makes one panic into `fuzz/artifacts`, and ends it.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if let Some(unknown) = options.targets.iter().find(|target| !TARGETS.contains(&target.as_str())) {
        bail!("there is no target {unknown}; there are {}", TARGETS.join(", "));
    }
    let root = tree::root().join("fuzz");
    for target in TARGETS
        .into_iter()
        .filter(|one| options.targets.is_empty() || options.targets.iter().any(|wanted| wanted == one))
    {
        if options.keep {
            keep(&root, target).with_context(|| target.to_owned())?;
            continue;
        }
        println!("fuzz {target} for {} s", options.seconds);
        one(&root, target, options.seconds)
            .with_context(|| format!("{target}: its input is in fuzz/artifacts/{target}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn one(root: &Path, target: &str, seconds: u32) -> Result<()> {
    let [corpus, seeds] = ["corpus", "seeds"].map(|folder| root.join(folder).join(target));
    // The first folder is written to.
    drive(root, target, &[corpus, seeds], &[&format!("-max_total_time={seconds}")])
}

/// Chooses by what an input reaches, not by how often it does: there would be ten times as many.
fn keep(root: &Path, target: &str) -> Result<()> {
    let [seeds, corpus] = ["seeds", "corpus"].map(|folder| root.join(folder).join(target));
    drive(root, target, &[seeds, corpus], &["-merge=1", "-use_counters=0"])
}

fn drive(root: &Path, target: &str, folders: &[PathBuf], options: &[&str]) -> Result<()> {
    for folder in folders {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    process::run(
        tools::cargo_fuzz()?
            .current_dir(root)
            // Coverage needs no nightly compiler, only its flags; sanitizers would.
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["run", "-s", "none", target])
            .args(folders)
            .arg("--")
            .arg(most_bytes(target))
            .args(options),
    )
}
