//! Child processes: run, capture, and say in a sentence what went wrong.

use std::{
    env,
    ffi::OsStr,
    path::Path,
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// What an outer `cargo run` leaves in the environment and an inner cargo must not see.
const LEFT_BY_CARGO: [&str; 5] =
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"];

/// Runs a command with the terminal as its output and fails when it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = name(command);
    let status = command.status().with_context(|| cannot_start(&name))?;
    if !status.success() {
        bail!("{name} ended with {status}");
    }
    Ok(())
}

/// Runs a command and returns what it printed; its errors go into the error.
pub(crate) fn stdout(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = output(command)?;
    if !status.success() {
        bail!("{} ended with {status}: {}", name(command), String::from_utf8_lossy(&stderr).trim());
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// Runs a command, captures what it prints and judges nothing.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    let name = name(command);
    command.stdin(Stdio::null()).output().with_context(|| cannot_start(&name))
}

/// The cargo that runs this task, with a clean environment, in the workspace folder.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (key, _) in env::vars_os() {
        let left = key.to_str().is_some_and(|key| LEFT_BY_CARGO.iter().any(|start| key.starts_with(start)));
        if left || key == "LD_LIBRARY_PATH" {
            command.env_remove(key);
        }
    }
    command.current_dir(crate::tree::root());
    command
}

/// The program's name and its first arguments, for messages.
pub(crate) fn name(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words: Vec<_> =
        [program].into_iter().chain(command.get_args().take(4)).map(OsStr::to_string_lossy).collect();
    format!("`{}`", words.join(" "))
}

fn cannot_start(name: &str) -> String {
    format!("{name} cannot be started: is the program installed and on PATH?")
}
