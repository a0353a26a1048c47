//! Where the programs under test are.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

/// The portscope binary: `PORTSCOPE_BIN`, else the release build of the workspace.
///
/// # Errors
///
/// When it is nowhere, with the command that builds it.
pub fn portscope() -> Result<PathBuf> {
    find("portscope", "PORTSCOPE_BIN", "cargo build --release -p portscope")
}

/// The workload binary: `PORTSCOPE_WORKLOAD`, else the one built beside the tests, else the release build.
///
/// # Errors
///
/// When it is nowhere, with the command that builds it.
pub fn workload() -> Result<PathBuf> {
    find("workload", "PORTSCOPE_WORKLOAD", "cargo build --release -p portscope-tests")
}

/// The Python that reads tables: `PORTSCOPE_PYTHON`, else the one that `cargo xtask test` has made.
///
/// # Errors
///
/// When it is nowhere.
pub fn python() -> Result<PathBuf> {
    let made = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python");
    let path = env::var_os("PORTSCOPE_PYTHON").map_or_else(made, PathBuf::from);
    if !path.is_file() {
        bail!("no {}: `cargo xtask test` makes it", path.display());
    }
    Ok(path)
}

/// Why that Python cannot read tables, or `None` where it can.
#[must_use]
pub fn python_lacks() -> Option<String> {
    let python = match python() {
        Ok(python) => python,
        Err(error) => return Some(format!("{error:#}")),
    };
    match Command::new(python).args(["-c", "import duckdb, pandas, pyarrow"]).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            Some(String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("no word").to_owned())
        }
        Err(error) => Some(error.to_string()),
    }
}

fn find(name: &str, variable: &str, build: &str) -> Result<PathBuf> {
    if let Some(path) = env::var_os(variable) {
        let path = PathBuf::from(path);
        if path.is_file() {
            return Ok(path);
        }
        bail!("{variable} names {}, which is not a file", path.display());
    }
    let beside = env::current_exe().ok().and_then(|test| Some(test.parent()?.parent()?.join(name)));
    let release = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release").join(name);
    match beside.into_iter().chain([release]).find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => bail!("no {name} binary: run `{build}`, or set {variable}"),
    }
}
