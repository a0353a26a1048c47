//! The command line: arguments in, exit status out. One file a command.

mod check;
mod command;
mod completions;
mod concluded;
mod config;
mod diff;
mod exit;
mod explain;
mod export;
mod fail;
mod filters;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod man;
mod options;
mod partial;
mod picture;
mod place;
mod progress;
mod reading;
mod record;
mod report;
mod rights;
mod serve;
mod session;
mod top;
mod trace;
mod what_if;
mod who;
mod words;

use std::{path::Path, process::ExitCode};

use clap::{Parser, Subcommand};

pub use exit::Failure;

use crate::load;

/// Who takes the ephemeral ports of this host, who is refused, and what to do.
#[derive(Debug, Parser)]
#[command(name = "portscope", version, max_term_width = 100, after_help = exit::STATUSES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

impl Cli {
    /// The same with what its configuration file says, if it names one.
    fn with_file(self) -> Result<Result<Self, clap::Error>, Failure> {
        let (section, path) = match &self.command {
            Some(Command::Serve(args)) => ("serve", args.config.as_deref()),
            Some(Command::Record(args)) => ("record", args.config.as_deref()),
            _ => return Ok(Ok(self)),
        };
        let Some(path) = path else { return Ok(Ok(self)) };
        let words: Vec<_> = std::env::args_os().collect();
        config::with_file(&words, section, path).map(Self::try_parse_from)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print one line for each port that the kernel chooses, or fails to choose, as it happens
    Trace(Box<trace::Args>),
    /// Gather for a while, or for as long as a command runs, and tell what it means
    Report(Box<report::Args>),
    /// Keep what happens in a file, for trace and report to read it later (-r)
    Record(Box<record::Args>),
    /// Write the events of a recording as a table for other tools: csv, jsonl or parquet
    Export(Box<export::Args>),
    /// Gather without an end, and tell it to Prometheus and to `report --last`
    Serve(Box<serve::Args>),
    /// Show the same on the whole screen, as it happens: verdict, pools, events
    Top(Box<top::Args>),
    /// Tell how full the port pools of this host are, and what is amiss; traces nothing
    Check(check::Args),
    /// Tell who has a port, and what would free it
    Who(who::Args),
    /// Compare two reports: what is more, what is fewer, and how sure that is
    Diff(diff::Args),
    /// Replay a trace with another range, reserved list or TIME_WAIT: who would have been refused
    WhatIf(what_if::Args),
    /// Tell what a finding means, what helps and what does not
    Explain(explain::Args),
    /// Print what a shell completes: bash, zsh, fish, elvish, powershell
    Completions(completions::Args),
    /// Print a manual page, or write them all into a directory
    Man(man::Args),
}

/// When this process is on its way to be the command of `-- CMD`: becomes it, or tells why not.
fn enter_and_run() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    if words.next()? != *load::ENTER {
        return None;
    }
    let entrance = words.next()?;
    let command: Vec<_> = words.skip_while(|word| word == "--").collect();
    let (told, status) = load::enter_and_run(Path::new(&entrance), &command);
    exit::complain(&told);
    Some(ExitCode::from(status))
}

/// What `portscope` alone says: how the host is, and what to try next.
fn greet() -> Result<u8, Failure> {
    check::run(&check::Args::default())?;
    exit::say(
        "\ntry          portscope report -d 30s          who takes the ports, who is refused, and what to do\n             \
         portscope trace --failed         each refusal as it happens\n             \
         portscope who 8080               who has a port, and what would free it\n",
    )?;
    Ok(0)
}

/// A status that is told, or a failure.
fn status_of(done: Result<u8, Failure>) -> ExitCode {
    match done {
        Ok(status) => ExitCode::from(status),
        Err(failed) => exit::status(Err(failed)),
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(failed) = enter_and_run() {
        return failed;
    }
    let cli = match Cli::try_parse().map(Cli::with_file) {
        Ok(Ok(Ok(cli))) => cli,
        Ok(Err(failed)) => return exit::status(Err(failed)),
        Ok(Ok(Err(error))) | Err(error) => return exit::usage(&error),
    };
    let done = match cli.command {
        Some(Command::Trace(args)) => trace::run(&args),
        Some(Command::Export(args)) => export::run(&args),
        Some(Command::Report(args)) => return report::run(&args),
        Some(Command::Serve(args)) => serve::run(&args),
        Some(Command::Record(args)) => return record::run(&args),
        Some(Command::Top(args)) => return top::run(&args),
        Some(Command::Check(args)) => return status_of(check::run(&args)),
        Some(Command::Who(args)) => who::run(&args),
        Some(Command::Diff(args)) => diff::run(&args),
        Some(Command::WhatIf(args)) => what_if::run(&args),
        Some(Command::Explain(args)) => explain::run(&args),
        Some(Command::Completions(args)) => completions::run(&args),
        Some(Command::Man(args)) => man::run(&args),
        None => return status_of(greet()),
    };
    exit::status(done)
}
