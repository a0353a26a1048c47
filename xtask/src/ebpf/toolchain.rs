//! The compiler pair of Debian and the BPF linker: found, installed where we may, and recorded.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{packages, process, tree};

const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
const LLVM: &str = "/usr/lib/llvm-22";
const LINKER_VERSION: &str = "0.13.0";

/// What an inner build may inherit; everything else (wrappers, flags, profiles, what the outer cargo run set)
/// would change the bytes or break the build.
const INHERITED: [&str; 12] = [
    "HOME",
    "USER",
    "LANG",
    "TERM",
    "TMPDIR",
    "CARGO_HOME",
    "CARGO_NET_OFFLINE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// The tools that make the object.
pub(crate) struct Toolchain {
    rustc: String,
    linker: String,
}

impl Toolchain {
    /// Finds the tools, and installs what is missing where that is possible.
    pub(crate) fn ready() -> Result<Self> {
        packages::ensure(packages::BPF, "building the BPF object")?;
        let rustc = process::stdout(isolated(RUSTC).arg("--version"))?.trim().to_owned();
        let linker = tools().join("bin/bpf-linker");
        if !linker.exists() {
            install_linker()?;
        }
        let linker = process::stdout(isolated(&linker).arg("--version"))
            .with_context(|| format!("remove {} to have it built again", tools().display()))?;
        Ok(Self { rustc, linker: linker.trim().to_owned() })
    }

    /// The text beside the object that says what made it.
    pub(crate) fn record(&self) -> String {
        format!("{}\n{}\n", self.rustc, self.linker)
    }
}

/// The cargo of this toolchain.
pub(super) fn cargo() -> Command {
    let mut command = isolated(CARGO);
    command
        .current_dir(tree::root())
        .env("RUSTC", RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        // Empty, not absent: a wrapper in the user's cargo configuration must not win.
        .env("RUSTC_WRAPPER", "")
        .env("RUSTC_WORKSPACE_WRAPPER", "");
    command
}

/// The tool that strips the debug information and keeps BTF.
pub(super) fn strip() -> Command {
    isolated(Path::new(LLVM).join("bin/llvm-strip"))
}

fn tools() -> PathBuf {
    tree::target("tools")
}

/// A command with nothing in its environment but what every machine has, and our tools first on PATH.
fn isolated(program: impl AsRef<OsStr>) -> Command {
    let mut path = tools().join("bin").into_os_string();
    path.push(":/usr/bin:/bin:");
    path.push(env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new(program);
    command.env_clear().env("PATH", path);
    for key in INHERITED {
        if let Some(value) = env::var_os(key) {
            command.env(key, value);
        }
    }
    command
}

fn install_linker() -> Result<()> {
    println!("building bpf-linker {LINKER_VERSION} into {} (about a minute)", tools().display());
    let mut path = OsString::from(format!("{LLVM}/bin:"));
    path.push(env::var_os("PATH").unwrap_or_default());
    let built = process::run(
        process::cargo()
            .args(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked"])
            .args(["--no-default-features", "--features", "llvm-22", "--root"])
            .arg(tools())
            .env("PATH", path)
            .env("LLVM_PREFIX", LLVM)
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS"),
    );
    if let Err(error) = built {
        bail!("bpf-linker could not be built: {error:#}; put one at {}", tools().join("bin").display());
    }
    Ok(())
}
