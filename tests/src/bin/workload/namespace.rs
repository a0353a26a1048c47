//! The network namespace of the workload: entering a new one, and its port sysctls.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::cli::{Cli, Netns};

const PORT_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";
/// Bit 0: the client half of TCP Fast Open; bit 2: it defers the SYN without a cookie.
const FASTOPEN: (&str, &str) = ("/proc/sys/net/ipv4/tcp_fastopen", "5");
/// Every group may open ping sockets.
const PING_GROUPS: (&str, &str) = ("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");

/// Enters the namespace that was asked for and sets its sysctls. To be called before any thread is made.
pub(crate) fn enter(cli: &Cli) -> Result<()> {
    if cli.netns == Netns::Current {
        ensure!(
            cli.range_to_set().is_none() && cli.reserved.is_none(),
            "sysctls are set in a namespace of our own only: add --netns own"
        );
        if let Some(path) = &cli.enter {
            let file = fs::File::open(path).with_context(|| path.display().to_string())?;
            nix::sched::setns(&file, nix::sched::CloneFlags::CLONE_NEWNET).context("setns")?;
        }
        return Ok(());
    }
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).context("unshare(CLONE_NEWNET)")?;
    ip(&["link", "set", "lo", "up"])?;
    for (path, value) in [FASTOPEN, PING_GROUPS] {
        write(path, value)?;
    }
    if let Some([low, high]) = cli.range_to_set() {
        write(PORT_RANGE, &format!("{low} {high}"))?;
    }
    if let Some(list) = &cli.reserved {
        write(RESERVED, list)?;
    }
    Ok(())
}

/// `ip_local_port_range` of this namespace.
pub(crate) fn port_range() -> Result<[u16; 2]> {
    let text = fs::read_to_string(PORT_RANGE).context(PORT_RANGE)?;
    let mut numbers = text.split_whitespace().map(str::parse::<u16>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(low)), Some(Ok(high))) => Ok([low, high]),
        _ => anyhow::bail!("{PORT_RANGE} holds {text:?}"),
    }
}

/// The inode that names this namespace.
pub(crate) fn inode() -> Result<u64> {
    Ok(fs::metadata("/proc/self/ns/net").context("/proc/self/ns/net")?.ino())
}

/// `Tcp: ActiveOpens` of this namespace.
pub(crate) fn active_opens() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/net/snmp").context("/proc/self/net/snmp")?;
    let mut rows = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = rows.next().zip(rows.next()).context("no Tcp rows in /proc/self/net/snmp")?;
    let at = names.split(' ').position(|name| name == "ActiveOpens").context("no ActiveOpens")?;
    values.split(' ').nth(at).context("no value of ActiveOpens")?.parse().context("value of ActiveOpens")
}

/// Runs `ip`, which may be iproute2's or busybox's; in a bare guest only `busybox ip` may be there.
pub(crate) fn ip(args: &[&str]) -> Result<()> {
    let mut last = None;
    for words in [&["ip"][..], &["busybox", "ip"], &["/bin/busybox", "ip"]] {
        let status = Command::new(words[0])
            .args(&words[1..])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        match status {
            Ok(status) if status.success() => return Ok(()),
            other => last = Some(other),
        }
    }
    anyhow::bail!("`ip {}` did not work: {last:?}", args.join(" "))
}

/// Writes a sysctl.
pub(crate) fn write(path: &str, value: &str) -> Result<()> {
    fs::write(path, value).with_context(|| format!("writing {value:?} to {path}"))
}
