//! Static executables, which run on this machine and in any guest: the tracer, the workload, the live tests.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{arch::Arch, process, tree};

/// An executable that cargo made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Executable {
    /// The name of its cargo target.
    pub(crate) name: String,
    /// Where it lies.
    pub(crate) path: PathBuf,
}

/// What the live tests need.
pub(crate) struct LiveSet {
    /// `portscope` and the programs of the package `portscope-tests`.
    pub(crate) programs: Vec<Executable>,
    /// The integration tests of the package `portscope-tests`.
    pub(crate) tests: Vec<Executable>,
}

/// Builds everything that live tests need; `object` replaces the BPF object of the tree.
pub(crate) fn live_set(arch: Arch, object: Option<&Path>) -> Result<LiveSet> {
    let programs = build(
        arch,
        &["build", "--package", "portscope", "--package", "portscope-tests", "--bins", "--all-features"],
        object,
    )?;
    let mut tests =
        build(arch, &["test", "--no-run", "--package", "portscope-tests", "--test", "*"], object)?;
    // Cargo tells them in the order in which they were finished.
    tests.sort_by(|one, other| one.1.name.cmp(&other.1.name));
    Ok(LiveSet {
        programs: programs.into_iter().filter(|(kind, _)| kind == "bin").map(|(_, made)| made).collect(),
        tests: tests.into_iter().filter(|(kind, _)| kind == "test").map(|(_, made)| made).collect(),
    })
}

/// Builds one program of a package.
pub(crate) fn program(arch: Arch, package: &str, name: &str) -> Result<PathBuf> {
    let made = build(arch, &["build", "--package", package, "--bin", name], None)?;
    let found = made.into_iter().find(|(_, made)| made.name == name);
    found.map(|(_, made)| made.path).with_context(|| format!("cargo built no program {name} of {package}"))
}

/// Runs cargo and returns the kinds and the executables of what it made.
fn build(arch: Arch, arguments: &[&str], object: Option<&Path>) -> Result<Vec<(String, Executable)>> {
    arch.ensure_compiler()?;
    let mut command = cargo(arch, arguments);
    if let Some(object) = object {
        command.env("PORTSCOPE_BPF_OBJECT", object);
    }
    let built = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("{} cannot be started", process::name(&command)))?;
    ensure!(built.status.success(), "{} ended with {}", process::name(&command), built.status);
    Ok(String::from_utf8_lossy(&built.stdout).lines().filter_map(artifact).collect())
}

fn cargo(arch: Arch, arguments: &[&str]) -> Command {
    let mut command = process::cargo();
    command
        .args(arguments)
        .args(["--quiet", "--release", "--target", arch.target(), "--message-format=json-render-diagnostics"])
        .arg("--target-dir")
        .arg(tree::target("static"))
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .envs(arch.linker());
    command
}

fn artifact(line: &str) -> Option<(String, Executable)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let path = message.get("executable")?.as_str()?;
    let target = message.get("target")?;
    let kind = target.get("kind")?.get(0)?.as_str()?;
    let name = target.get("name")?.as_str()?;
    Some((kind.to_owned(), Executable { name: name.to_owned(), path: path.into() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_line_names_kind_target_and_path() {
        let line = r#"{"reason":"compiler-artifact","target":{"kind":["test"],"name":"parity"},"executable":"/t/parity-1"}"#;
        let executable = Executable { name: "parity".into(), path: "/t/parity-1".into() };
        assert_eq!(artifact(line), Some(("test".to_owned(), executable)));
    }

    #[test]
    fn libraries_and_other_messages_are_passed_over() {
        assert_eq!(artifact(r#"{"target":{"kind":["lib"],"name":"x"},"executable":null}"#), None);
        assert_eq!(artifact(r#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(artifact("warning: text"), None);
    }
}
