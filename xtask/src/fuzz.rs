//! `fuzz`: any bytes into everything that reads what others wrote.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use nix::sys::resource::{UsageWho, getrusage};

use crate::{process, tools, tree};

/// Targets, each a file of `fuzz/fuzz_targets`.
const TARGETS: [&str; 7] = ["btf", "config", "decode", "names", "recording", "sock_diag", "words"];
/// Of libFuzzer in one target, before it is said that the machine has no time for it.
const MOST_ROUNDS: u32 = 64;
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
    /// How long each is fuzzed, in seconds of CPU time: beside other work it takes longer by the clock.
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
        println!("fuzz {target} for {} s of CPU time", options.seconds);
        one(&root, target, options.seconds)
            .with_context(|| format!("{target}: its input is in fuzz/artifacts/{target}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// libFuzzer counts time by the clock, so it runs again for what beside other work it did not get. Its building is not
/// counted.
fn one(root: &Path, target: &str, seconds: u32) -> Result<()> {
    let [corpus, seeds] = ["corpus", "seeds"].map(|folder| root.join(folder).join(target));
    process::run(&mut cargo_fuzz(root, "build", target)?)?;
    let (started, before) = (Instant::now(), cpu_of_children()?);
    let wanted = Duration::from_secs(seconds.into());
    for _ in 0..MOST_ROUNDS {
        let had = cpu_of_children()?.saturating_sub(before);
        let left = wanted.saturating_sub(had).as_secs_f64();
        if left < 1.0 {
            let (had, clock) = (had.as_secs_f64(), started.elapsed().as_secs_f64());
            println!("fuzz {target}: {had:.0} s of CPU time in {clock:.0} s, nothing found");
            return Ok(());
        }
        // What part of a processor it had so far.
        let share = had.as_secs_f64() / started.elapsed().as_secs_f64().max(1.0);
        let share = if had.is_zero() { 1.0 } else { share.clamp(0.1, 1.0) };
        // The first folder is written to.
        let time = format!("-max_total_time={:.0}", (left / share).ceil());
        drive(root, target, &[corpus.clone(), seeds.clone()], &[&time])?;
    }
    bail!("no {seconds} s of CPU time were to be had in {:.0} s", started.elapsed().as_secs_f64())
}

/// CPU time of the children that have ended, and of theirs.
fn cpu_of_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = [usage.user_time(), usage.system_time()]
        .map(|time| nix::sys::time::TimeValLike::num_microseconds(&time));
    Ok(Duration::from_micros(u64::try_from(micros.iter().sum::<i64>())?))
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
        cargo_fuzz(root, "run", target)?.args(folders).arg("--").arg(most_bytes(target)).args(options),
    )
}

fn cargo_fuzz(root: &Path, word: &str, target: &str) -> Result<Command> {
    let mut command = tools::cargo_fuzz()?;
    command
        .current_dir(root)
        // Coverage needs no nightly compiler, only its flags; sanitizers would.
        .env("RUSTC_BOOTSTRAP", "1")
        .args([word, "-s", "none", target]);
    Ok(command)
}
