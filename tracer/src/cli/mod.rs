//! The command line: arguments in, exit status out. One file a command.

mod check;
mod exit;
mod fail;
mod filters;
mod options;
mod place;
mod report;
mod session;
mod trace;
mod words;

use std::{path::Path, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};

pub use exit::Failure;

use crate::load;

/// Who takes the ephemeral ports of this host, who is refused, and what to do.
#[derive(Debug, Parser)]
#[command(name = "portscope", version, max_term_width = 100, after_help = exit::STATUSES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print one line for each port that the kernel chooses, or fails to choose, as it happens
    Trace(Box<trace::Args>),
    /// Gather for a while, or for as long as a command runs, and tell what it means
    Report(Box<report::Args>),
    /// Tell what this kernel lets us see
    Check(check::Args),
}

/// When this process is on its way to be the command of `report -- CMD`: becomes it, or tells why not.
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

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(failed) = enter_and_run() {
        return failed;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    let done = match cli.command {
        Some(Command::Trace(args)) => trace::run(&args),
        Some(Command::Report(args)) => return report::run(&args),
        Some(Command::Check(args)) => check::run(&args),
        None => exit::say(&Cli::command().render_help().to_string()),
    };
    exit::status(done)
}
