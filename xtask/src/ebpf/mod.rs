//! `build-ebpf`: the BPF object in the tree, made from `tracer-ebpf`, and the proof that it still is.

mod object;
mod toolchain;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

pub(crate) use self::object::{Arch, check};
use self::toolchain::Toolchain;
use crate::tree;

/// Arguments of `build-ebpf`.
#[derive(Args)]
pub(crate) struct Options {
    /// The architecture whose kernel structures and registers the programs read.
    #[arg(long, value_enum, default_value_t = Arch::X86_64)]
    arch: Arch,
    /// Rebuild and compare with the object in the tree instead of replacing it.
    #[arg(long)]
    check: bool,
}

/// Builds the object, or compares it with its sources.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.check {
        let identity = check(options.arch)?;
        println!("{identity}");
        return Ok(if identity.is_failure() { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    let toolchain = Toolchain::ready()?;
    let bytes = object::build(options.arch)?;
    let place = options.arch.object();
    let changed = tree::write_if_changed(&place, &bytes)?;
    tree::write_if_changed(&options.arch.record(), toolchain.record().as_bytes())?;
    let state = if changed { "written" } else { "unchanged" };
    println!("{}: {} bytes, {state}", place.display(), bytes.len());
    Ok(ExitCode::SUCCESS)
}
