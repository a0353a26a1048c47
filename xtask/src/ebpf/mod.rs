//! `build-ebpf`: the BPF object in the tree, made from `tracer-ebpf`, and the proof that it still is.

mod object;
mod toolchain;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

pub(crate) use self::object::check;
use self::toolchain::Toolchain;
use crate::{arch::Arch, tree};

/// Arguments of `build-ebpf`.
#[derive(Args)]
pub(crate) struct Options {
    /// Only for this architecture, whose registers the programs read; all, if it is left out.
    #[arg(long, value_enum)]
    arch: Option<Arch>,
    /// Rebuild and compare with the object in the tree instead of replacing it.
    #[arg(long)]
    check: bool,
}

/// Builds the objects, or compares them with their sources.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for arch in Arch::ALL.into_iter().filter(|arch| options.arch.is_none_or(|only| only == *arch)) {
        if options.check {
            let identity = check(arch)?;
            println!("{arch}: {identity}");
            if identity.is_failure() {
                code = ExitCode::FAILURE;
            }
        } else {
            write(arch)?;
        }
    }
    Ok(code)
}

fn write(arch: Arch) -> Result<()> {
    let toolchain = Toolchain::ready()?;
    let bytes = object::build(arch)?;
    let place = arch.object();
    let changed = tree::write_if_changed(&place, &bytes)?;
    tree::write_if_changed(&arch.record(), toolchain.record().as_bytes())?;
    let state = if changed { "written" } else { "unchanged" };
    println!("{}: {} bytes, {state}", place.display(), bytes.len());
    Ok(())
}
