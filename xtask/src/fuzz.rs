//! `fuzz`: any bytes into everything that reads what others wrote.

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{process, tools, tree};

/// Targets, each a file of `fuzz/fuzz_targets`.
const TARGETS: [&str; 7] = ["btf", "config", "decode", "names", "recording", "sock_diag", "words"];
/// Longer inputs take more time and find no more.
const MOST_BYTES: &str = "-max_len=16384";

/// Arguments of `fuzz`.
#[derive(Args)]
pub(crate) struct Options {
    /// Only these targets: btf, config, decode, names, recording, `sock_diag`, words.
    targets: Vec<String>,
    /// CPU time of each, in seconds.
    #[arg(long, value_name = "N", default_value = "60")]
    seconds: u32,
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
        println!("fuzz {target} for {} s", options.seconds);
        one(&root, target, options.seconds)
            .with_context(|| format!("{target}: its input is in fuzz/artifacts/{target}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn one(root: &Path, target: &str, seconds: u32) -> Result<()> {
    let [corpus, seeds] = ["corpus", "seeds"].map(|folder| root.join(folder).join(target));
    std::fs::create_dir_all(&corpus).with_context(|| corpus.display().to_string())?;
    // The first folder is written to.
    let folders = [Some(corpus), seeds.is_dir().then_some(seeds)];
    process::run(
        tools::cargo_fuzz()?
            .current_dir(root)
            // Coverage needs no nightly compiler, only its flags; sanitizers would.
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["run", "-s", "none", target])
            .args(folders.into_iter().flatten())
            .args(["--", MOST_BYTES])
            .arg(format!("-max_total_time={seconds}")),
    )
}
