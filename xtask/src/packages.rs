//! Debian packages that tasks need: which are missing, and installing them where we may.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};

use crate::{arch::Arch, process};

/// A Debian package and a file that proves that it is there.
#[derive(Clone, Copy)]
pub(crate) struct Need {
    package: &'static str,
    file: &'static str,
}

/// What builds the BPF object.
pub(crate) const BPF: &[Need] = &[
    Need { package: "rustc-web", file: "/usr/bin/rustc" },
    Need { package: "cargo-web", file: "/usr/bin/cargo" },
    Need { package: "rust-web-src", file: "/usr/lib/rustlib/src/rust/library/core/Cargo.toml" },
    Need { package: "llvm-22-dev", file: "/usr/lib/llvm-22/bin/llvm-config" },
    Need { package: "llvm-22", file: "/usr/lib/llvm-22/bin/llvm-strip" },
    Need { package: "libzstd-dev", file: "/usr/include/zstd.h" },
    Need { package: "zlib1g-dev", file: "/usr/include/zlib.h" },
];

/// What boots a test machine of this architecture.
pub(crate) fn vm(arch: Arch) -> &'static [Need] {
    match arch {
        Arch::X86_64 => VM_X86_64,
        Arch::Aarch64 => VM_AARCH64,
    }
}

/// What builds for this architecture on a machine of another one.
pub(crate) fn cross(arch: Arch) -> &'static [Need] {
    match arch {
        Arch::X86_64 => CROSS_X86_64,
        Arch::Aarch64 => CROSS_AARCH64,
    }
}

const CROSS_X86_64: &[Need] = &[
    Need { package: "gcc-x86-64-linux-gnu", file: "/usr/bin/x86_64-linux-gnu-gcc" },
    Need { package: "libc6-dev-amd64-cross", file: "/usr/x86_64-linux-gnu/include/stdio.h" },
];
const CROSS_AARCH64: &[Need] = &[
    Need { package: "gcc-aarch64-linux-gnu", file: "/usr/bin/aarch64-linux-gnu-gcc" },
    Need { package: "libc6-dev-arm64-cross", file: "/usr/aarch64-linux-gnu/include/stdio.h" },
];

const VM_X86_64: &[Need] = &[
    Need { package: "qemu-system-x86", file: "/usr/bin/qemu-system-x86_64" },
    Need { package: "busybox-static", file: "/bin/busybox" },
    Need { package: "xz-utils", file: "/usr/bin/xz" },
];

const VM_AARCH64: &[Need] = &[
    Need { package: "qemu-system-arm", file: "/usr/bin/qemu-system-aarch64" },
    Need { package: "busybox-static", file: "/bin/busybox" },
    Need { package: "xz-utils", file: "/usr/bin/xz" },
];

/// What makes a Debian for a test machine.
pub(crate) const SYSTEM: &[Need] = &[Need { package: "debootstrap", file: "/usr/sbin/debootstrap" }];

/// What makes packages.
pub(crate) const DIST: &[Need] = &[
    Need { package: "binutils", file: "/usr/bin/objcopy" },
    Need { package: "xz-utils", file: "/usr/bin/xz" },
    Need { package: "dpkg", file: "/usr/bin/dpkg-deb" },
];

/// What opens the pages of reports.
pub(crate) const BROWSER: &[Need] = &[Need { package: "chromium", file: "/usr/bin/chromium" }];

/// What fires the alerts.
pub(crate) const PROMETHEUS: &[Need] = &[Need { package: "prometheus", file: "/usr/bin/prometheus" }];

/// What makes the Python that reads exported tables.
pub(crate) const PYTHON: &[Need] = &[
    Need { package: "python3", file: "/usr/bin/python3" },
    Need { package: "python3-venv", file: "/usr/share/python-wheels" },
];

/// Those of `needs` that this machine lacks.
pub(crate) fn missing(needs: &[Need]) -> Vec<&'static str> {
    needs.iter().filter(|need| !Path::new(need.file).exists()).map(|need| need.package).collect()
}

/// Makes sure that all of `needs` are there: installs what is missing when we are root on Debian, and says
/// what to install elsewhere. `what` is what they are for.
pub(crate) fn ensure(needs: &[Need], what: &str) -> Result<()> {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !Path::new("/etc/debian_version").exists() {
        bail!("{what} needs what Debian calls {list}: install them, this machine is not a Debian one");
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "{what} needs the packages {list}: run `apt-get install --no-install-recommends {list}` as root"
        );
    }
    println!("installing {list} for {what}");
    process::run(apt_get().args(["update", "--quiet"]))?;
    process::run(apt_get().args(["install", "--quiet", "--yes", "--no-install-recommends"]).args(missing))
}

/// An `apt-get` that asks nothing.
fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").env_remove("LD_LIBRARY_PATH");
    command
}
