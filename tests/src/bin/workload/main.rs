//! Ground truth for the live tests: a program that takes local ports in every way there is, and prints what it got.
//!
//! One JSON object a line on standard output (`portscope_tests::operation`). Only loopback addresses, only bounded
//! loops, and sysctls are written in a network namespace of its own alone.

#![forbid(unsafe_code)]

use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

mod churn;
mod cli;
mod contend;
mod dual;
mod endpoint;
mod exhaust;
mod flood;
mod forks;
mod ground;
mod handed;
mod namespace;
mod obey;
mod occupy;
mod options;
mod places;
mod retried;
mod ring;
mod sites;
mod stage;
mod steered;
mod telling;
mod transport;
mod vrf;

use cli::{Cli, Command};
use stage::Stage;

/// Nothing that this program does takes so many seconds more than it was asked for: it ends itself rather than hang.
const ALARM_S: u64 = 180;

fn main() -> ExitCode {
    let cli = Cli::parse();
    nix::unistd::alarm::set(u32::try_from(ALARM_S + cli.asked_for().as_secs()).unwrap_or(u32::MAX));
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do where standard error itself is gone.
            drop(writeln!(std::io::stderr(), "workload: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    if let Some(name) = &cli.comm {
        rustix::thread::set_name(&std::ffi::CString::new(name.as_bytes())?)?;
    }
    namespace::enter(cli)?;
    let stage = Stage::open()?;
    if cli.waits() {
        stage.hello()?;
        cli.wait()?;
    }
    match &cli.command {
        Command::Sites(plan) => sites::run(&stage, plan)?,
        Command::Exhaust(plan) => exhaust::run(&stage, plan)?,
        Command::Connects(plan) => flood::connects(&stage, plan)?,
        Command::Binds(plan) => flood::binds(&stage, plan)?,
        Command::Contend(plan) => contend::run(&stage, plan)?,
        Command::Occupy(plan) => occupy::run(&stage, plan)?,
        Command::Ring(plan) => ring::run(&stage, plan)?,
        Command::Steered => steered::run(&stage)?,
        Command::Places(plan) => places::run(&stage, plan)?,
        Command::Forks(plan) => forks::run(&stage, plan)?,
        Command::Obey => obey::run(&stage)?,
        Command::Dual => dual::run(&stage)?,
        Command::Retried(plan) => retried::run(&stage, plan)?,
        Command::Vrf => vrf::run(&stage, cli.netns)?,
        Command::Churn(plan) => churn::run(&stage, plan)?,
        Command::Mayfly(plan) => churn::live(&stage, plan)?,
        Command::Handed => handed::run(&stage)?,
        Command::Sent => handed::send(&stage)?,
        Command::Testator(plan) => handed::bind_and_become(&stage, plan)?,
        Command::Heir(plan) => handed::connect(&stage, plan)?,
    }
    stage.flush()?;
    cli.stay()
}
