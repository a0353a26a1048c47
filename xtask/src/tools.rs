//! Tools of others: built once into `target/tools`, at these versions.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{process, tree};

const CARGO_DENY: &str = "0.20.2";
const CARGO_DEB: &str = "3.8.0";
const CARGO_FUZZ: &str = "0.13.2";
const CARGO_GENERATE_RPM: &str = "0.21.1";

/// Makes packages for Debian.
pub(crate) fn cargo_deb() -> Result<Command> {
    // lzma, its default, would want a C library; dpkg has read xz made by `xz` for longer than Rust exists.
    ready("cargo-deb", CARGO_DEB, &["--no-default-features"], "deb")
}

/// Makes packages for rpm.
pub(crate) fn cargo_generate_rpm() -> Result<Command> {
    ready("cargo-generate-rpm", CARGO_GENERATE_RPM, &[], "generate-rpm")
}

/// Checks licences, sources and known faults of dependencies.
pub(crate) fn cargo_deny() -> Result<Command> {
    ready("cargo-deny", CARGO_DENY, &[], "deny")
}

/// Feeds fuzz targets.
pub(crate) fn cargo_fuzz() -> Result<Command> {
    ready("cargo-fuzz", CARGO_FUZZ, &[], "fuzz")
}

/// A tool, built if it is not there in this version.
fn ready(name: &str, version: &str, features: &[&str], word: &str) -> Result<Command> {
    let root = tree::target("tools");
    let program = root.join("bin").join(name);
    let done = root.join(format!("{name}.version"));
    let has = program.is_file() && tree::read_text(&done).is_ok_and(|had| had == version);
    if !has {
        println!("building {name} {version} into {}", root.display());
        process::run(
            process::cargo()
                .args(["install", name, "--version", version, "--locked", "--force"])
                .args(features)
                .arg("--root")
                .arg(&root)
                .env_remove("RUSTFLAGS")
                .env_remove("CARGO_ENCODED_RUSTFLAGS"),
        )
        .with_context(|| format!("{name} could not be built; put one at {}", program.display()))?;
        tree::write_if_changed(&done, version.as_bytes())?;
    }
    // It is a word of cargo: it reads the manifest through the cargo that runs this task.
    let mut tool = process::cargo();
    let path = std::env::join_paths(
        [root.join("bin")]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    )?;
    tool.arg(word).env("PATH", path);
    Ok(tool)
}
