//! The architectures that portscope is built for, and what each of them is called by others.

use std::{fmt, path::Path, process::Command};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::{packages, process};

/// An architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Arch {
    /// Intel and AMD, 64 bits.
    #[value(name = "x86_64")]
    X86_64,
    /// 64-bit Arm.
    #[value(name = "aarch64")]
    Aarch64,
}

impl Arch {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::X86_64, Self::Aarch64];
    /// That of the machines on which everything is tested.
    pub(crate) const TESTED: Self = Self::X86_64;

    /// The name that Rust and the kernel use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// The name that Debian uses.
    pub(crate) fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// The target of the compiler.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// Whether this program runs on it.
    pub(crate) fn is_here(self) -> bool {
        std::env::consts::ARCH == self.name()
    }

    /// What cargo has to be told so that it links for this architecture.
    pub(crate) fn linker(self) -> Option<(String, String)> {
        let target = self.target().replace('-', "_").to_uppercase();
        (!self.is_here())
            .then(|| (format!("CARGO_TARGET_{target}_LINKER"), format!("{}-linux-gnu-gcc", self.name())))
    }

    /// Makes sure that there are a standard library, a C compiler and a linker for it: of another architecture than this
    /// machine's they are installed where that is possible.
    pub(crate) fn ensure_compiler(self) -> Result<()> {
        if self.is_here() {
            return Ok(());
        }
        let folder = process::stdout(Command::new("rustc").args([
            "--print",
            "target-libdir",
            "--target",
            self.target(),
        ]))?;
        if !Path::new(folder.trim()).exists() {
            process::stdout(Command::new("rustup").args(["target", "add", self.target()]))
                .with_context(|| format!("there is no standard library for {}", self.target()))?;
        }
        packages::ensure(packages::cross(self), &format!("building for {self}"))
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linker_is_named_for_other_architectures_alone() {
        for arch in Arch::ALL {
            assert_eq!(arch.linker().is_none(), arch.is_here(), "{arch}");
        }
        if Arch::X86_64.is_here() {
            let (name, value) = Arch::Aarch64.linker().unwrap();
            assert_eq!(name, "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER");
            assert_eq!(value, "aarch64-linux-gnu-gcc");
        }
    }
}
