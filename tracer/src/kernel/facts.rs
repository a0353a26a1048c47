//! Facts about this host, read once and passed on as data.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use aya::{
    programs::{ProgramError, ProgramType},
    sys::{BpfHelper, is_helper_supported, is_program_supported},
};

use super::{Backend, KernelError, cgroup, hooks::hooks, preemption};

/// Capabilities without which nothing is traced, by their bit (include/uapi/linux/capability.h).
const CAPABILITIES: [(u32, &str); 2] = [(39, "CAP_BPF"), (38, "CAP_PERFMON")];
/// Programs of cgroups take it.
const CAP_NET_ADMIN: u32 = 12;
/// The directories of tracefs are root's alone.
const CAP_DAC_READ_SEARCH: u32 = 2;
/// It stands for the first two, and mounts tracefs.
const CAP_SYS_ADMIN: u32 = 21;

/// The kernel's table that says where the searches of connects begin (net/ipv4/inet_hashtables.c).
pub(super) const TABLE_PERTURB: &str = "table_perturb";

/// What the plan is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `uname -r`.
    pub release: String,
    /// Capabilities of this process that tracing needs and that are missing.
    pub missing_capabilities: Vec<&'static str>,
    /// A capability that the tracepoint backend needs here and that is missing.
    pub tracepoint_lacks: Option<&'static str>,
    /// The kernel tells its own types.
    pub has_btf: bool,
    /// Why the kernel takes no program for trampolines, where a trial has shown it.
    pub tracing_refused: Option<String>,
    /// The kernel has the `kprobe` PMU.
    pub has_kprobes: bool,
    /// The kernel preempts BPF programs, or may.
    pub preempts: bool,
    /// Where the version 2 cgroup hierarchy is mounted, whole or in part.
    pub cgroup2: Option<PathBuf>,
    /// Why no program can be attached to its root.
    pub cgroups_lack: Option<String>,
    /// Address of each kernel symbol that matters; 0 where the kernel hides addresses.
    pub symbols: HashMap<String, u64>,
}

impl Facts {
    /// Reads them, but for what takes its time: `tracing_refused` ([`tracing_refusal`]) and `symbols`
    /// ([`kernel_symbols`]).
    ///
    /// # Errors
    ///
    /// /proc is not there.
    pub fn read() -> Result<Self, KernelError> {
        let file = |path: &str| read(Path::new(path));
        let effective = effective(&file("/proc/self/status")?);
        let cgroup2 = cgroup2_mount()?;
        Ok(Self {
            release: rustix::system::uname().release().to_string_lossy().into_owned(),
            missing_capabilities: missing(effective),
            tracepoint_lacks: tracepoint_lacks(effective, tracefs(), rustix::process::geteuid().is_root()),
            has_btf: Path::new(super::btf::KERNEL_BTF).exists(),
            tracing_refused: None,
            has_kprobes: Path::new("/sys/bus/event_source/devices/kprobe/type").exists(),
            preempts: preemption::preempts(),
            cgroups_lack: cgroup::root(cgroup2.as_deref()).err(),
            cgroup2,
            symbols: HashMap::new(),
        })
    }

    /// The first number of the release; 0 for none.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.release.split('.').next().and_then(|number| number.parse().ok()).unwrap_or(0)
    }
}

/// Where the version 2 cgroup hierarchy is mounted, if anywhere whole, then there.
///
/// # Errors
///
/// /proc is not there.
pub fn cgroup2_mount() -> Result<Option<PathBuf>, KernelError> {
    Ok(cgroup::mounted(&read(Path::new("/proc/self/mounts"))?))
}

impl Facts {
    /// Why the table that says where searches of connects begin cannot be read; none where it can.
    pub(super) fn no_table(&self) -> Option<&'static str> {
        match self.symbols.get(TABLE_PERTURB) {
            Some(0) => Some("the kernel hides where its data is (kernel.kptr_restrict)"),
            Some(_) => None,
            None if self.symbols.is_empty() => Some("/proc/kallsyms cannot be read"),
            None => Some("this kernel names no data in /proc/kallsyms (CONFIG_KALLSYMS_ALL)"),
        }
    }
}

/// Address of each kernel symbol that matters; nothing where the table cannot be read.
#[must_use]
pub fn kernel_symbols() -> HashMap<String, u64> {
    let read =
        File::open("/proc/kallsyms").and_then(|table| symbols(BufReader::with_capacity(1 << 16, table)));
    read.unwrap_or_else(|error| {
        log::debug!("/proc/kallsyms cannot be read: {error}");
        HashMap::new()
    })
}

/// Whether the kernel says that it keeps what is in its memory from everybody (kernel_lockdown(7)): then it knows no helper
/// that reads it. `false` also where it cannot be asked.
#[must_use]
pub fn is_locked_down() -> bool {
    fs::read_to_string("/sys/kernel/security/lockdown").is_ok_and(|told| told.contains("[confidentiality]"))
}

/// Tries the smallest program there is for a trampoline: whether this kernel takes any, before maps are made for
/// ours. `None` when it does, and when the trial tells nothing.
#[must_use]
pub fn tracing_refusal() -> Option<String> {
    match is_program_supported(ProgramType::Tracing) {
        Ok(true) => None,
        Ok(false) => Some("the kernel has no BPF trampolines".to_owned()),
        Err(ProgramError::SyscallError(error))
            if error.io_error.kind() == io::ErrorKind::PermissionDenied =>
        {
            Some("the kernel permits no programs for BPF trampolines".to_owned())
        }
        Err(error) => {
            log::debug!("a program for a trampoline: {error}");
            None
        }
    }
}

/// Tries whether a tracing program may ask for the cgroups above the running task: a filter by cgroup needs that (not on
/// 5.10; on 6.1). `true` also when the trial tells nothing: loading the programs will.
#[must_use]
pub fn filters_by_cgroup() -> bool {
    let helper = BpfHelper::BPF_FUNC_get_current_ancestor_cgroup_id;
    is_helper_supported(ProgramType::RawTracePoint, helper).unwrap_or_else(|error| {
        log::debug!("a program that asks for cgroups: {error}");
        true
    })
}

fn read(path: &Path) -> Result<String, KernelError> {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|source| KernelError::Read { path: path.to_owned(), source })
}

/// `CapEff` of /proc/PID/status.
fn effective(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|value| u64::from_str_radix(value.trim(), 16).ok())
        .unwrap_or(0)
}

fn missing(effective: u64) -> Vec<&'static str> {
    let is_missing = |bit| !has(effective, bit) && !has(effective, CAP_SYS_ADMIN);
    CAPABILITIES.into_iter().filter(|(bit, _)| is_missing(*bit)).map(|(_, name)| name).collect()
}

fn has(effective: u64, bit: u32) -> bool {
    effective >> bit & 1 != 0
}

/// What becomes of a look at tracefs.
fn tracefs() -> Result<(), io::ErrorKind> {
    fs::metadata("/sys/kernel/tracing/events")
        .or_else(|_elsewhere| fs::metadata("/sys/kernel/debug/tracing/events"))
        .or_else(|_denied| fs::metadata("/sys/kernel/tracing/events"))
        .map(drop)
        .map_err(|error| error.kind())
}

/// The first capability that the tracepoint backend needs and that is missing.
fn tracepoint_lacks(
    effective: u64,
    tracefs: Result<(), io::ErrorKind>,
    is_root: bool,
) -> Option<&'static str> {
    let is_closed = tracefs == Err(io::ErrorKind::PermissionDenied);
    if !has(effective, CAP_NET_ADMIN) {
        return Some("CAP_NET_ADMIN");
    }
    // Where it is not mounted, it is mounted where nobody else sees it.
    if tracefs.is_err() && !is_closed && !has(effective, CAP_SYS_ADMIN) {
        return Some("CAP_SYS_ADMIN");
    }
    let looks = is_root || has(effective, CAP_DAC_READ_SEARCH);
    (tracefs.is_err() && (is_closed || !looks)).then_some("CAP_DAC_READ_SEARCH")
}

/// The symbols that matter, from /proc/kallsyms: some five megabytes, of which no more than a line is kept.
fn symbols(mut table: impl BufRead) -> io::Result<HashMap<String, u64>> {
    let mut wanted = HashSet::from([TABLE_PERTURB]);
    for hook in Backend::ALL.into_iter().flat_map(hooks) {
        wanted.extend(hook.target.functions());
    }
    let mut found = HashMap::new();
    let mut line = Vec::new();
    while table.read_until(b'\n', &mut line)? != 0 {
        let text = std::str::from_utf8(&line).unwrap_or_default();
        let mut words = text.split_ascii_whitespace();
        if let (Some(address), Some(_), Some(name)) = (words.next(), words.next(), words.next())
            && wanted.contains(name)
        {
            found.entry(name.to_owned()).or_insert_with(|| u64::from_str_radix(address, 16).unwrap_or(0));
        }
        line.clear();
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_misses_nothing_and_a_user_misses_all() {
        assert!(missing(u64::MAX).is_empty());
        assert_eq!(missing(0), ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(missing(1 << 39), ["CAP_PERFMON"]);
        assert!(missing(1 << CAP_SYS_ADMIN).is_empty());
        assert_eq!(effective("Name:\tx\nCapEff:\t000001ffffffffff\n"), 0x1ff_ffff_ffff);
    }

    #[test]
    fn the_tracepoint_backend_needs_a_right_for_each_thing_that_is_closed_to_it() {
        use io::ErrorKind::{NotFound, PermissionDenied};
        let (net, look, mount) = (1 << CAP_NET_ADMIN, 1 << CAP_DAC_READ_SEARCH, 1 << CAP_SYS_ADMIN);
        let table = [
            (0, Ok(()), true, Some("CAP_NET_ADMIN")),
            (net, Ok(()), false, None),
            (net, Err(PermissionDenied), false, Some("CAP_DAC_READ_SEARCH")),
            (net, Err(NotFound), true, Some("CAP_SYS_ADMIN")),
            (net | mount, Err(NotFound), true, None),
            (net | mount, Err(NotFound), false, Some("CAP_DAC_READ_SEARCH")),
            (net | mount | look, Err(NotFound), false, None),
        ];
        for (effective, tracefs, is_root, lacking) in table {
            assert_eq!(tracepoint_lacks(effective, tracefs, is_root), lacking, "{effective:x} {tracefs:?}");
        }
    }

    #[test]
    fn symbols_are_read() {
        let found =
            symbols(&b"ffffffff81000000 T inet_csk_get_port\n0 b table_perturb\nzz T other\n"[..]).unwrap();
        assert_eq!(found.get("inet_csk_get_port"), Some(&0xffff_ffff_8100_0000));
        assert_eq!(found.get("table_perturb"), Some(&0));
        assert_eq!(found.len(), 2);
    }
}
