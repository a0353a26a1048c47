//! What a document of portscope tells.

use std::env;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// A document of `report` or `check`.
#[derive(Clone, Debug)]
pub struct Told(pub Value);

impl Told {
    /// The finding of this number about this namespace.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn finding(&self, id: &str, netns: u64) -> Result<&Value> {
        let known = || {
            let all = self.findings().map(|one| format!("{} {}", one["id"], one["title"]));
            format!("no {id} of netns {netns}, but: {}", all.collect::<Vec<_>>().join("; "))
        };
        self.of(netns).find(|one| one["id"] == id).with_context(known)
    }

    /// The finding of this number, about whatever namespace.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn any(&self, id: &str) -> Result<&Value> {
        self.findings()
            .find(|one| one["id"] == id)
            .with_context(|| format!("no {id}: {}", self.0["findings"]))
    }

    /// All findings about a namespace.
    pub fn of(&self, netns: u64) -> impl Iterator<Item = &Value> {
        self.findings().filter(move |one| one["evidence"]["netns"] == netns)
    }

    /// All findings.
    pub fn findings(&self) -> impl Iterator<Item = &Value> {
        self.0["findings"].as_array().into_iter().flatten()
    }

    /// Holds it to no finding of this number about this namespace.
    ///
    /// # Errors
    ///
    /// When there is one.
    pub fn silent(&self, id: &str, netns: u64) -> Result<()> {
        let told = self.of(netns).find(|one| one["id"] == id);
        ensure!(told.is_none(), "{id} is told: {told:?}");
        Ok(())
    }

    /// The pool towards this destination.
    ///
    /// # Errors
    ///
    /// When it is not told.
    pub fn pool_to(&self, netns: u64, port: u16) -> Result<&Value> {
        let pools = self.0["pools"].as_array().context("no pools")?;
        let is = |pool: &&Value| pool["netns"] == netns && pool["remote_port"] == port;
        pools.iter().find(is).with_context(|| format!("no pool towards port {port} in {}", self.0["pools"]))
    }

    /// The text of a finding, a line each, with its label.
    #[must_use]
    pub fn text(finding: &Value) -> String {
        let lines = finding["lines"].as_array().into_iter().flatten();
        let lines = lines.map(|line| {
            let part = |name: &str| line[name].as_str().unwrap_or_default();
            format!("{} {}\n", part("label"), part("text"))
        });
        lines.collect()
    }

    /// Holds the text of a finding to these words.
    ///
    /// # Errors
    ///
    /// When one of them is not in it.
    pub fn says(finding: &Value, words: &[&str]) -> Result<()> {
        let text = format!("{}\n{}", finding["title"].as_str().unwrap_or_default(), Self::text(finding));
        for word in words {
            ensure!(text.contains(word), "{word:?} is not in {text}");
        }
        Ok(())
    }
}

/// Runs a command as a person would.
///
/// # Errors
///
/// When there is no shell, or the command fails.
pub fn shell(command: &str) -> Result<Output> {
    let output = Command::new("sh").args(["-c", command]).output().with_context(|| command.to_owned())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command}: {} {said}", output.status);
    Ok(output)
}

/// The first of these programs that is not on the path.
#[must_use]
pub fn tools(wanted: &[&'static str]) -> Option<&'static str> {
    let dirs = env::var_os("PATH").unwrap_or_default();
    let has = |program: &str| env::split_paths(&dirs).any(|dir| dir.join(program).is_file());
    wanted.iter().copied().find(|program| !has(program))
}
