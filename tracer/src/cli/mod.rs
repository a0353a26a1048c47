//! The command line: arguments in, exit status out. One file a command.

mod check;
mod exit;
mod filters;
mod options;
mod trace;
mod words;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use exit::Failure;

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
    /// Tell what this kernel lets us see
    Check(check::Args),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    let done = match cli.command {
        Some(Command::Trace(args)) => trace::run(&args),
        Some(Command::Check(args)) => check::run(&args),
        None => exit::say(&Cli::command().render_help().to_string()),
    };
    exit::status(done)
}
