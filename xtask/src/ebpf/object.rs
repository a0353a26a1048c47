//! The object file: where it lies, how it is built, and whether the one in the tree equals its sources.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::toolchain::{self, Toolchain};
use crate::{arch::Arch, process, tree};

impl Arch {
    /// The object in the tree.
    pub(crate) fn object(self) -> PathBuf {
        tree::root().join("tracer/bpf").join(format!("portscope.{self}.o"))
    }

    /// The file beside the object that names what made it.
    pub(crate) fn record(self) -> PathBuf {
        tree::root().join("tracer/bpf").join(format!("portscope.{self}.toolchain"))
    }
}

/// Builds the object and returns its bytes, stripped of debug information. Its type information goes, too: no
/// map or program of ours needs it, and it would be two thirds of the file and of the time to load it.
pub(crate) fn build(arch: Arch) -> Result<Vec<u8>> {
    let folder = tree::target("bpf");
    let mut flags = vec![
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        // 32-bit arithmetic and jumps (Linux 5.1): half of what we read is narrower than a register.
        "-Ctarget-cpu=v3".to_owned(),
        // Lints are the business of `check`, which runs them on the host with a compiler of our choice.
        "-Awarnings".to_owned(),
        format!("--cfg=bpf_target_arch=\"{}\"", arch.name()),
        format!("--remap-path-prefix={}=.", tree::root().display()),
    ];
    flags.extend(registry_remaps(&tree::cargo_home()?));
    process::run(
        toolchain::cargo()
            .args(["build", "--quiet", "--locked", "--package", "tracer-ebpf", "--bin", "portscope-ebpf"])
            .args(["--target", "bpfel-unknown-none", "-Zbuild-std=core", "--profile", "bpf", "--target-dir"])
            .arg(&folder)
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}")),
    )?;
    let stripped = folder.join(format!("portscope.{}.o", arch.name()));
    process::run(
        toolchain::strip()
            .args(["-g", "--remove-section=.BTF", "--remove-section=.BTF.ext"])
            .args(["--remove-section=.rel.BTF", "--remove-section=.rel.BTF.ext"])
            .arg(folder.join("bpfel-unknown-none/bpf/portscope-ebpf"))
            .arg("-o")
            .arg(&stripped),
    )?;
    tree::read(&stripped)
}

/// Flags that hide where crates were unpacked: cargo's home, and in it the folder of the registry, whose name
/// depends on the address that the machine reaches it by. Of several prefixes the last one wins.
fn registry_remaps(home: &Path) -> Vec<String> {
    let sources = home.join("registry/src");
    let registries =
        sources.read_dir().into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let mut folders = vec![home.to_path_buf()];
    folders.extend(registries);
    folders.iter().map(|folder| format!("--remap-path-prefix={}=cargo", folder.display())).collect()
}

/// How the object in the tree compares with its sources.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Byte for byte what the sources give.
    Same,
    /// The recorded compiler gives other bytes: the object is stale.
    Stale {
        /// What was just built.
        rebuilt: PathBuf,
    },
    /// Another compiler than the recorded one gives other bytes, as it may: what it made has to be tested.
    OtherCompiler {
        /// The compiler recorded beside the object.
        recorded: String,
        /// The compiler of this machine.
        here: String,
        /// What was just built.
        rebuilt: PathBuf,
    },
}

impl Identity {
    fn of(committed: &[u8], rebuilt: &[u8], recorded: &str, here: &str, place: PathBuf) -> Self {
        if committed == rebuilt {
            Self::Same
        } else if recorded == here {
            Self::Stale { rebuilt: place }
        } else {
            let one_line = |text: &str| text.trim().replace('\n', ", ");
            Self::OtherCompiler { recorded: one_line(recorded), here: one_line(here), rebuilt: place }
        }
    }

    /// Whether the object must be built again before it may be committed.
    pub(crate) fn is_failure(&self) -> bool {
        matches!(self, Self::Stale { .. })
    }

    /// The object that tests have to run with instead of the one in the tree.
    pub(crate) fn to_test(&self) -> Option<&PathBuf> {
        match self {
            Self::OtherCompiler { rebuilt, .. } => Some(rebuilt),
            Self::Same | Self::Stale { .. } => None,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => write!(f, "the BPF object equals its sources"),
            Self::Stale { rebuilt } => write!(
                f,
                "the BPF object differs from its sources ({} is what they give): run `cargo xtask build-ebpf`",
                rebuilt.display()
            ),
            Self::OtherCompiler { recorded, here, rebuilt } => write!(
                f,
                "the BPF object was built with {recorded}; here it is {here}, which gives other bytes: \
                 test these with PORTSCOPE_BPF_OBJECT={}",
                rebuilt.display()
            ),
        }
    }
}

/// Rebuilds the object beside the tree and compares.
pub(crate) fn check(arch: Arch) -> Result<Identity> {
    let toolchain = Toolchain::ready()?;
    let rebuilt = build(arch)?;
    let place = tree::target("bpf").join(format!("portscope.{}.o", arch.name()));
    let committed = tree::read(&arch.object())?;
    let recorded = fs::read_to_string(arch.record()).unwrap_or_default();
    Ok(Identity::of(&committed, &rebuilt, &recorded, &toolchain.record(), place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_are_the_same_whatever_the_compiler() {
        assert_eq!(Identity::of(b"a", b"a", "rustc 1", "rustc 2", PathBuf::new()), Identity::Same);
    }

    #[test]
    fn other_bytes_of_the_recorded_compiler_are_a_failure() {
        let identity = Identity::of(b"a", b"b", "rustc 1", "rustc 1", PathBuf::new());
        assert!(identity.is_failure(), "{identity}");
    }

    #[test]
    fn other_bytes_of_another_compiler_are_to_be_tested() {
        let identity = Identity::of(b"a", b"b", "rustc 1", "rustc 2", PathBuf::from("/new.o"));
        assert!(!identity.is_failure(), "{identity}");
        assert_eq!(identity.to_test(), Some(&PathBuf::from("/new.o")));
    }
}
