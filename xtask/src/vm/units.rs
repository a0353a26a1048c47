//! `vm units`: the package and its units on a Debian with systemd, in a test machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{Machine, Packed, Row, boot::boot_with, debian::mirror, fetch, guest};
use crate::{packages, process, tree};

const TEST: &str = include_str!("units.sh");

/// What systemd runs last.
const UNIT: &str = "\
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh /root/run
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
TimeoutStartSec=infinity
[Install]
WantedBy=multi-user.target
";

/// Boots a kernel with Debian 12 above it, and tries the package of `dist` there.
pub(super) fn run(row: Row, timeout: Duration) -> Result<ExitCode> {
    ensure!(
        row.arch().is_here(),
        "the Debian with systemd is made for this machine's architecture, {row} is not"
    );
    packages::ensure(packages::vm(row.arch()), "a test machine")?;
    packages::ensure(packages::SYSTEM, "a Debian in it")?;
    let package = package()?;
    let kernel = fetch::kernel(row, false)?;
    let files = vec![
        Packed::host(system()?, "system.tar"),
        Packed::host(package, "put/root/portscope.deb"),
        Packed::made(TEST, "put/root/test"),
        Packed::made(&guest::last_words("bash /root/test"), "put/root/run"),
        Packed::made(UNIT, "put/etc/systemd/system/test.service"),
    ];
    let machine = Machine {
        files,
        command: String::new(),
        icount: false,
        memory_mib: 2048,
        processors: 2,
        timeout,
        append: "systemd.getty_auto=no systemd.show_status=no systemd.wants=test.service".to_owned(),
        out: None,
    };
    println!("{row}: booting {} with systemd", kernel.version);
    let outcome = boot_with(&kernel, &machine, &guest::switch_to_system(), &mut |line| println!("{line}"))?;
    outcome.complaints.iter().for_each(|line| eprintln!("kernel complaint: {line}"));
    match outcome.status {
        Some(0) if outcome.complaints.is_empty() => Ok(ExitCode::SUCCESS),
        Some(_) => Ok(ExitCode::FAILURE),
        None => bail!("{}", outcome.no_status()),
    }
}

/// The package that `dist` made.
fn package() -> Result<PathBuf> {
    let folder = tree::target("dist");
    let found = fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    found
        .filter(|path| path.extension().is_some_and(|end| end == "deb"))
        .max()
        .with_context(|| format!("{} has no package: run `cargo xtask dist` first", folder.display()))
}

/// A Debian 12 with systemd as an archive, made once.
fn system() -> Result<PathBuf> {
    let folder = tree::target("vm").join("system");
    let archive = folder.join("bookworm.tar");
    if archive.exists() {
        return Ok(archive);
    }
    ensure!(rustix::process::geteuid().is_root(), "a Debian for the test machine is made by root alone");
    let root = folder.join("bookworm");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    }
    tree::folder(&folder)?;
    println!("making a Debian 12 in {}", root.display());
    process::run(
        Command::new("debootstrap")
            .args(["--variant=minbase", "--include=systemd,systemd-sysv", "bookworm"])
            .arg(&root)
            .arg(mirror("Debian")?),
    )?;
    pack(&root, &archive)?;
    fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    Ok(archive)
}

fn pack(root: &Path, archive: &Path) -> Result<()> {
    // What a shell and systemd do not look at: the machine has it in memory.
    let left_out =
        ["./var/cache/apt", "./var/lib/apt/lists", "./usr/share/doc", "./usr/share/locale", "./dev"];
    let unfinished = archive.with_extension("unfinished");
    process::run(
        Command::new("tar")
            .args(left_out.map(|folder| format!("--exclude={folder}/*")))
            .arg("--create")
            .arg("--file")
            .arg(&unfinished)
            .arg("--directory")
            .arg(root)
            .arg("."),
    )?;
    fs::rename(&unfinished, archive).with_context(|| format!("cannot rename {}", unfinished.display()))
}
