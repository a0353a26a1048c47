//! `--stack`: whose stacks are taken.

use super::{super::Failure, Args};
use crate::kernel::calls::Stacks;

/// Whose stacks to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Whose {
    /// Of every call that asks for a port, and of those that are refused one they named
    All,
    /// Of calls that are refused alone
    Failures,
}

impl From<Whose> for Stacks {
    fn from(whose: Whose) -> Self {
        match whose {
            Whose::All => Self::All,
            Whose::Failures => Self::Failures,
        }
    }
}

/// Stacks are counted before containers are told apart.
pub(super) fn check(args: &Args) -> Result<(), Failure> {
    let by_container = args.filters.container().is_some() || args.filters.pod().is_some();
    if args.stack.is_some() && by_container {
        return Err(Failure::usage(
            "--stack does not know containers and pods: its stacks are counted in the kernel",
        )
        .hint("give --cgroup with the cgroup of the container, or --pid"));
    }
    Ok(())
}
