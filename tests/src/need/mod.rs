//! What a test needs of the machine, and what each kernel row must be able to give.
//!
//! A need that is not met makes the test return early, after a line in the ledger (`PORTSCOPE_SKIP_LEDGER`). Where the
//! row promises to meet it, the test fails instead; and it fails where a row that promises not to meet it does.

use std::fmt;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::backend::Backend;
use crate::operation::Absent;
use crate::program;

#[cfg(test)]
mod coverage;
mod ledger;
mod row;

pub use row::{Promise, Row};

/// Something that a test cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// To be root.
    Root,
    /// A backend that this kernel can run.
    Backend(Backend),
    /// A backend that this kernel refuses.
    RefusedBackend,
    /// IPv6.
    Ipv6,
    /// UDP-Lite, gone in 7.2.
    UdpLite,
    /// MPTCP.
    Mptcp,
    /// SCTP.
    Sctp,
    /// DCCP, gone in 6.16.
    Dccp,
    /// SMC.
    Smc,
    /// Devices of a VRF.
    Vrf,
    /// The client of NFS.
    Nfs,
    /// Ping sockets.
    Ping,
    /// `IP_LOCAL_PORT_RANGE`, from 6.1.31 on.
    LocalPortRange,
    /// TCP Fast Open.
    Fastopen,
    /// `nsenter`, `sysctl`, and an `ss` on a kernel that ends sockets for it.
    Tools,
    /// `ip` that makes pairs of veth devices; busybox's does not.
    Veth,
    /// `nft`, and a kernel that tracks connections for it.
    Conntrack,
    /// A kernel that shows bound sockets in sock_diag, from 6.8 on.
    BoundShown,
    /// io_uring, which a sysctl may forbid.
    IoUring,
    /// bind and listen by io_uring, from 6.11 on.
    IoUringBind,
    /// Chromium, to open a page.
    Browser,
    /// Prometheus, to fire alerts.
    Prometheus,
    /// Python with pyarrow, pandas and DuckDB, to read tables.
    Python,
    /// Hierarchies of cgroups of version 1.
    CgroupV1,
    /// A kernel that names its data in /proc/kallsyms (`CONFIG_KALLSYMS_ALL`).
    DataSymbols,
    /// A machine that is only there for the tests: its clock may be set and its processors taken away.
    TestMachine,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::Backend(backend) => write!(f, "backend {backend}"),
            Self::RefusedBackend => f.write_str("a backend that this kernel refuses"),
            Self::Ipv6 => f.write_str("ipv6"),
            Self::UdpLite => f.write_str("udplite"),
            Self::Mptcp => f.write_str("mptcp"),
            Self::Sctp => f.write_str("sctp"),
            Self::Dccp => f.write_str("dccp"),
            Self::Smc => f.write_str("smc"),
            Self::Vrf => f.write_str("vrf"),
            Self::Nfs => f.write_str("a client of nfs"),
            Self::Ping => f.write_str("ping sockets"),
            Self::LocalPortRange => f.write_str("local_port_range"),
            Self::Fastopen => f.write_str("fastopen"),
            Self::Tools => f.write_str("nsenter, sysctl and ss -K"),
            Self::Veth => f.write_str("veth"),
            Self::Conntrack => f.write_str("nft and conntrack"),
            Self::BoundShown => f.write_str("bound sockets in sock_diag"),
            Self::IoUring => f.write_str("io_uring"),
            Self::IoUringBind => f.write_str("bind by io_uring"),
            Self::Browser => f.write_str("chromium"),
            Self::Prometheus => f.write_str("prometheus"),
            Self::Python => f.write_str("python with pyarrow, pandas and duckdb"),
            Self::CgroupV1 => f.write_str("cgroups of version 1"),
            Self::DataSymbols => f.write_str("names of data in /proc/kallsyms"),
            Self::TestMachine => f.write_str("a test machine"),
        }
    }
}

impl Need {
    /// The need that a workload found unmet.
    ///
    /// # Errors
    ///
    /// When the workload names something that no row knows.
    pub fn of_absent(absent: &Absent) -> Result<Self> {
        match absent.absent.as_str() {
            "ipv6" => Ok(Self::Ipv6),
            "udplite" => Ok(Self::UdpLite),
            "mptcp" => Ok(Self::Mptcp),
            "sctp" => Ok(Self::Sctp),
            "dccp" => Ok(Self::Dccp),
            "smc" => Ok(Self::Smc),
            "vrf" => Ok(Self::Vrf),
            "icmp" => Ok(Self::Ping),
            "local_port_range" => Ok(Self::LocalPortRange),
            "fastopen" => Ok(Self::Fastopen),
            "io_uring" => Ok(Self::IoUring),
            "io_uring_bind" => Ok(Self::IoUringBind),
            other => bail!("the workload misses {other:?}, which no kernel row knows"),
        }
    }
}

/// Whether this process is root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Why a backend cannot be used here, or `None` where it can.
///
/// # Errors
///
/// When `portscope check --hooks -o json` does not say.
pub fn refusal(backend: Backend) -> Result<Option<String>> {
    static ANSWER: OnceLock<Result<Vec<Hooks>, String>> = OnceLock::new();
    let hooks = match ANSWER.get_or_init(|| ask_hooks().map_err(|error| format!("{error:#}"))) {
        Ok(hooks) => hooks,
        Err(error) => bail!("{error}"),
    };
    let hooks = hooks.iter().find(|hooks| hooks.name == backend.word());
    let hooks = hooks.with_context(|| format!("`check --hooks` does not speak of {backend}"))?;
    Ok((!hooks.usable).then(|| hooks.reason.clone().unwrap_or_default()))
}

/// Judges a need of a whole test: true when it is met, false when the test is to return.
///
/// # Errors
///
/// When what was found is not what the row promises, or the ledger cannot be written.
pub fn judge(test: &str, need: Need, unmet: Option<&str>) -> Result<bool> {
    hold_to_promise(need, unmet)?;
    match unmet {
        None => Ok(true),
        Some(reason) => {
            ledger::skip(test, &format!("needs {need}: {reason}"))?;
            Ok(false)
        }
    }
}

/// Judges a need of a part of a test that runs in any case.
///
/// # Errors
///
/// When what was found is not what the row promises, or the ledger cannot be written.
pub fn judge_part(test: &str, need: Need, unmet: Option<&str>) -> Result<()> {
    hold_to_promise(need, unmet)?;
    match unmet {
        None => Ok(()),
        Some(reason) => ledger::without(test, &format!("ran without {need}: {reason}")),
    }
}

fn hold_to_promise(need: Need, unmet: Option<&str>) -> Result<()> {
    let row = Row::current()?;
    match (row.promise(need), unmet) {
        (Promise::Met, Some(reason)) => bail!("the row {row} promises {need}, but: {reason}"),
        (Promise::Unmet, None) => bail!("the row {row} is known to lack {need}, but it is here"),
        _ => Ok(()),
    }
}

#[derive(Debug, Deserialize)]
struct Check {
    backends: Vec<Hooks>,
}

#[derive(Debug, Deserialize)]
struct Hooks {
    name: String,
    usable: bool,
    reason: Option<String>,
}

fn ask_hooks() -> Result<Vec<Hooks>> {
    let output = Command::new(program::portscope()?).args(["check", "--hooks", "-o", "json"]).output()?;
    let check: Check = serde_json::from_slice(&output.stdout).with_context(|| {
        format!(
            "`portscope check --hooks -o json` ended with {} and no such document: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
    })?;
    Ok(check.backends)
}
