//! `deny`: licences, sources and known faults of what we depend on, by `deny.toml`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::{process, tools};

/// Arguments of `deny`.
#[derive(Args)]
pub(crate) struct Options {
    /// Only these checks: licenses, bans, sources, advisories (their list is fetched from GitHub).
    checks: Vec<String>,
}

/// Checks it.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    process::run(tools::cargo_deny()?.args(["--all-features", "check"]).args(&options.checks))?;
    Ok(ExitCode::SUCCESS)
}
