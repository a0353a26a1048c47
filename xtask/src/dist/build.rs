//! The executable of the packages: static, with all features; what debuggers need of it beside it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{arch::Arch, process, tree};

/// What was built.
pub(super) struct Built {
    /// The executable, without debug information.
    pub(super) program: PathBuf,
    /// That information.
    pub(super) debug: PathBuf,
}

/// Builds it into `folder`. It is linked statically with glibc: it runs wherever the kernel does, whatever the
/// distribution, so no package depends on another.
pub(super) fn portscope(folder: &Path) -> Result<Built> {
    let (cache, target) = (tree::target("dist-build"), Arch::TESTED.target());
    process::run(
        process::cargo()
            .args(["build", "--release", "--package", "portscope", "--bin", "portscope", "--all-features"])
            .args(["--locked", "--target", target, "--target-dir"])
            .arg(&cache)
            .env("CARGO_PROFILE_RELEASE_STRIP", "none")
            .env("CARGO_ENCODED_RUSTFLAGS", flags()?),
    )?;
    let whole = cache.join(target).join("release/portscope");
    let built = Built { program: folder.join("portscope"), debug: folder.join("portscope.debug") };
    process::run(objcopy().arg("--only-keep-debug").arg(&whole).arg(&built.debug))?;
    let link = format!("--add-gnu-debuglink={}", built.debug.display());
    process::run(objcopy().arg("--strip-all").arg(link).arg(&whole).arg(&built.program))?;
    check(&built.program)?;
    Ok(built)
}

/// Static, and the same bytes in whatever folder it is built.
fn flags() -> Result<String> {
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        remap(&tree::root(), "portscope"),
        remap(&tree::cargo_home()?, "cargo"),
    ];
    Ok(flags.join("\u{1f}"))
}

fn objcopy() -> Command {
    Command::new("objcopy")
}

/// It must not ask for a dynamic loader, and it must run.
fn check(program: &Path) -> Result<()> {
    let headers =
        process::stdout(Command::new("readelf").args(["--wide", "--program-headers"]).arg(program))?;
    ensure!(!headers.contains("INTERP"), "{} is not static", program.display());
    let version = process::stdout(Command::new(program).arg("--version"))?;
    version.strip_prefix("portscope ").map(drop).context("the executable does not tell its version")
}
