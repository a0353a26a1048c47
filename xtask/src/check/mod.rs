//! `check`: format, lints, documentation, house rules, and the BPF object against its sources.

mod imports;
mod rules;
mod source;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use self::source::Source;
use crate::{arch::Arch, ebpf, packages, process, tree};

/// The folders that hold our Rust files.
const FOLDERS: [&str; 4] = ["tracer", "tracer-ebpf", "tests", "xtask"];

/// Arguments of `check`.
#[derive(Args)]
pub(crate) struct Options {
    /// Leave out what `test` also does: the comparison of the BPF object with its sources.
    #[arg(long)]
    no_object: bool,
}

type Step = fn() -> Result<()>;

/// Runs all checks, and fails when one of them did.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut steps: Vec<(&str, Step)> = vec![
        ("house rules", house_rules),
        ("format", format),
        ("lints", lints),
        ("lints of the kernel half", kernel_lints),
        ("another architecture", other_architectures),
        ("documentation", documentation),
    ];
    if !options.no_object {
        steps.push(("BPF object", object));
    }
    let mut failed = Vec::new();
    for (name, step) in steps {
        println!("check: {name}");
        if let Err(error) = step() {
            eprintln!("check: {name}: {error:#}");
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("these checks failed: {}", failed.join(", "));
    }
    println!("check: all is well");
    Ok(ExitCode::SUCCESS)
}

fn format() -> Result<()> {
    process::run(process::cargo().args(["fmt", "--all", "--check"]))
}

fn lints() -> Result<()> {
    process::run(process::cargo().args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]))?;
    // As the first command of the README builds it.
    process::run(process::cargo().args([
        "clippy",
        "--quiet",
        "--package",
        "portscope",
        "--",
        "-D",
        "warnings",
    ]))
}

fn kernel_lints() -> Result<()> {
    process::run(
        process::cargo()
            .args(["clippy", "--quiet", "--package", "tracer-ebpf", "--bins", "--target-dir"])
            .arg(tree::target("lint"))
            .args(["--", "-D", "warnings"])
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", "--cfg lint_ebpf"),
    )
}

/// What is compiled for one architecture alone must compile for each.
fn other_architectures() -> Result<()> {
    for arch in Arch::ALL.into_iter().filter(|arch| !arch.is_here()) {
        if let Err(error) = arch.ensure_compiler() {
            println!("left out: {arch}: {error:#}");
            continue;
        }
        process::run(
            process::cargo()
                .args(["clippy", "--quiet", "--package", "portscope", "--package", "portscope-tests"])
                .args(["--all-targets", "--all-features", "--target", arch.target(), "--", "-D", "warnings"]),
        )?;
    }
    Ok(())
}

fn documentation() -> Result<()> {
    process::run(
        process::cargo()
            .args(["doc", "--quiet", "--no-deps", "--workspace", "--all-features"])
            .env_remove("CARGO_ENCODED_RUSTDOCFLAGS")
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

fn object() -> Result<()> {
    let missing = packages::missing(packages::BPF);
    if !missing.is_empty() {
        println!("left out: this machine lacks {}, which build the BPF object", missing.join(", "));
        return Ok(());
    }
    for arch in Arch::ALL {
        let identity = ebpf::check(arch)?;
        if identity.is_failure() {
            bail!("{arch}: {identity}");
        }
        println!("{arch}: {identity}");
    }
    Ok(())
}

fn house_rules() -> Result<()> {
    let mut breaches = Vec::new();
    for folder in FOLDERS {
        for path in rust_files(&tree::root().join(folder))? {
            let name = path.strip_prefix(tree::root()).unwrap_or(&path).display().to_string();
            breaches.extend(rules::breaches(&Source::new(&name, &tree::read_text(&path)?)));
        }
    }
    for breach in &breaches {
        println!("{breach}");
    }
    if !breaches.is_empty() {
        bail!("{} places break a house rule", breaches.len());
    }
    Ok(())
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in folder.read_dir().with_context(|| format!("cannot list {}", folder.display()))? {
            let path = entry.with_context(|| format!("cannot list {}", folder.display()))?.path();
            if path.is_dir() && !path.ends_with("target") {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
