//! `portscope explain`: what a finding means, without a host to look at.

use super::{Failure, exit::say};
use crate::{
    findings::{Id, catalogue, explain},
    output::explain::{list, text},
};

/// Options of `explain`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Findings, such as PS004; all of them, a line each, if none is given
    #[arg(value_name = "ID")]
    ids: Vec<Id>,
}

/// Runs it.
pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.ids.is_empty() {
        return say(&list(catalogue()));
    }
    let told: Vec<String> = args.ids.iter().filter_map(|id| explain(*id)).map(text).collect();
    say(&told.join("\n"))
}
