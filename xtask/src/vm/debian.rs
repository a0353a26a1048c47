//! A private view of another Debian suite: apt with lists, sources and cache of its own, so that the machine's
//! are not touched. The mirrors are those that the machine itself uses.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use anyhow::{Context as _, Result, bail};

use super::row::Row;
use crate::{arch::Arch, process, tree};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A suite that packages can be taken from.
pub(super) struct Suite {
    folder: PathBuf,
    arch: Arch,
}

impl Suite {
    /// Opens the suite of a row and reads its package lists.
    pub(super) fn open(row: Row, folder: &Path) -> Result<Self> {
        if !Path::new("/usr/bin/apt-get").exists() {
            bail!("the test kernels are Debian packages and this machine has no apt-get");
        }
        let suite = Self { folder: folder.join("apt"), arch: row.arch() };
        tree::folder(&suite.folder.join("lists/partial"))?;
        let main = mirror("Debian")?;
        let name = row.suite();
        let plain = format!("deb [signed-by={KEYRING}] {main} {name} main\n");
        if row.has_security_suite()
            && let Ok(security) = mirror("Debian-Security")
        {
            let both = format!("{plain}deb [signed-by={KEYRING}] {security} {name}-security main\n");
            if suite.update(&both).is_ok() {
                return Ok(suite);
            }
        }
        suite.update(&plain).with_context(|| {
            format!("the suite {name} cannot be read from the mirror {main}: it may have moved to an archive")
        })?;
        Ok(suite)
    }

    fn update(&self, sources: &str) -> Result<()> {
        tree::write_if_changed(&self.folder.join("sources.list"), sources.as_bytes())?;
        process::stdout(self.apt("apt-get").args(["--quiet", "update", "-oAPT::Update::Error-Mode=any"]))?;
        Ok(())
    }

    /// The version of a package that would be installed.
    pub(super) fn version(&self, package: &str) -> Result<String> {
        let text = process::stdout(self.apt("apt-cache").args(["show", "--no-all-versions", package]))?;
        text.lines()
            .find_map(|line| line.strip_prefix("Version: "))
            .map(str::to_owned)
            .with_context(|| format!("the package {package} has no version"))
    }

    /// The packages that a package depends on, first alternatives and others alike.
    pub(super) fn depends(&self, package: &str) -> Result<Vec<String>> {
        Ok(depends(&process::stdout(self.apt("apt-cache").args(["depends", package]))?))
    }

    /// Downloads packages and unpacks them below `into`.
    pub(super) fn unpack(&self, packages: &[String], into: &Path) -> Result<()> {
        let debs = self.folder.join("debs");
        if debs.exists() {
            std::fs::remove_dir_all(&debs).with_context(|| format!("cannot empty {}", debs.display()))?;
        }
        tree::folder(&debs)?;
        tree::folder(into)?;
        process::stdout(self.apt("apt-get").args(["--quiet", "download"]).args(packages).current_dir(&debs))?;
        for entry in debs.read_dir().with_context(|| format!("cannot list {}", debs.display()))? {
            process::stdout(Command::new("dpkg").arg("-x").arg(entry?.path()).arg(into))?;
        }
        std::fs::remove_dir_all(&debs).with_context(|| format!("cannot remove {}", debs.display()))
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let folder = self.folder.display();
        command.env_remove("LD_LIBRARY_PATH").args([
            format!("-oDir::Etc::sourcelist={folder}/sources.list"),
            format!("-oDir::State::Lists={folder}/lists"),
            format!("-oAPT::Architecture={}", self.arch.debian()),
            format!("-oAPT::Architectures={}", self.arch.debian()),
        ]);
        command.args([
            "-oDir::Etc::sourceparts=/dev/null",
            "-oDir::Etc::preferences=/dev/null",
            "-oDir::Etc::preferencesparts=/dev/null",
            "-oDir::State::status=/dev/null",
            "-oDir::Cache::pkgcache=",
            "-oDir::Cache::srcpkgcache=",
            "-oAPT::Default-Release=",
            "-oAcquire::Languages=none",
            "-oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
            // The private folders need not be readable by apt's own user.
            "-oAPT::Sandbox::User=root",
        ]);
        command
    }
}

/// The address of the archive with this label, as the machine's own sources name it.
pub(super) fn mirror(label: &str) -> Result<String> {
    // Two machines may be made at a time, and only one apt may write the lists.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock();
    let filter = format!("Label: {label}");
    let ask = || {
        process::stdout(Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI)", &filter]))
    };
    let mut found = ask()?;
    if found.trim().is_empty() && rustix::process::geteuid().is_root() {
        // Labels are read from the downloaded lists, which a fresh machine does not have.
        process::stdout(Command::new("apt-get").args(["--quiet", "update"]))?;
        found = ask()?;
    }
    let first = found.lines().next().map(str::to_owned);
    first.with_context(|| format!("this machine's apt sources name no archive with the label {label}"))
}

fn depends(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.trim_start_matches([' ', '|']).strip_prefix("Depends: "))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depends_takes_dependencies_and_their_alternatives_only() {
        let text = "linux-image-7\n  PreDepends: linux-base\n |Depends: dracut\n  Depends: linux-binary-7\n  \
                    Breaks: other\n";
        assert_eq!(depends(text), ["dracut", "linux-binary-7"]);
    }
}
