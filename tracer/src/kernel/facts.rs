//! Facts about this host, read once and passed on as data.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use super::{Backend, KernelError, hooks::hooks};

/// Capabilities that tracing may need, by their bit (include/uapi/linux/capability.h).
const CAPABILITIES: [(u32, &str); 3] = [(39, "CAP_BPF"), (38, "CAP_PERFMON"), (12, "CAP_NET_ADMIN")];
/// It stands for the first two.
const CAP_SYS_ADMIN: u32 = 21;

/// What the plan is made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `uname -r`.
    pub release: String,
    /// Capabilities of this process that tracing needs and that are missing.
    pub missing_capabilities: Vec<&'static str>,
    /// The kernel tells its own types.
    pub has_btf: bool,
    /// The kernel has the `kprobe` PMU.
    pub has_kprobes: bool,
    /// Where the version 2 cgroup hierarchy is mounted.
    pub cgroup2: Option<PathBuf>,
    /// Address of each kernel symbol that matters; 0 where the kernel hides addresses.
    pub symbols: HashMap<String, u64>,
    /// CPUs that may ever run.
    pub possible_cpus: u32,
}

impl Facts {
    /// Reads them.
    ///
    /// # Errors
    ///
    /// /proc is not there.
    pub fn read() -> Result<Self, KernelError> {
        let file = |path: &str| read(Path::new(path));
        Ok(Self {
            release: rustix::system::uname().release().to_string_lossy().into_owned(),
            missing_capabilities: missing(effective(&file("/proc/self/status")?)),
            has_btf: Path::new(super::btf::KERNEL_BTF).exists(),
            has_kprobes: Path::new("/sys/bus/event_source/devices/kprobe/type").exists(),
            cgroup2: cgroup2(&file("/proc/self/mounts")?),
            symbols: symbols(&file("/proc/kallsyms").unwrap_or_default()),
            possible_cpus: file("/sys/devices/system/cpu/possible")
                .ok()
                .and_then(|text| cpus(&text))
                .unwrap_or(1024),
        })
    }
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
    let has = |bit: u32| effective >> bit & 1 != 0;
    CAPABILITIES
        .into_iter()
        .filter(|&(bit, name)| !(has(bit) || has(CAP_SYS_ADMIN) && name != "CAP_NET_ADMIN"))
        .map(|(_, name)| name)
        .collect()
}

/// Mount point of the first cgroup2 file system in /proc/self/mounts (octal escapes undone).
fn cgroup2(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (_, point, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(point.replace("\\040", " ").replace("\\011", "\t")))
    })
}

/// Highest CPU of a list such as `0-3,8`, plus one.
fn cpus(list: &str) -> Option<u32> {
    list.trim()
        .split(['-', ','])
        .filter_map(|part| part.parse::<u32>().ok())
        .max()
        .map(|last| last.saturating_add(1))
}

/// The symbols that matter, from /proc/kallsyms.
fn symbols(kallsyms: &str) -> HashMap<String, u64> {
    let mut wanted = HashSet::from(["table_perturb"]);
    for hook in Backend::ALL.into_iter().flat_map(hooks) {
        wanted.extend(hook.target.functions());
    }
    let mut found = HashMap::new();
    for line in kallsyms.lines() {
        let mut words = line.split_ascii_whitespace();
        if let (Some(address), Some(_), Some(name)) = (words.next(), words.next(), words.next())
            && wanted.contains(name)
        {
            found.entry(name.to_owned()).or_insert_with(|| u64::from_str_radix(address, 16).unwrap_or(0));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_misses_nothing_and_a_user_misses_all() {
        assert!(missing(u64::MAX).is_empty());
        assert_eq!(missing(0), ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"]);
        assert_eq!(missing(1 << CAP_SYS_ADMIN), ["CAP_NET_ADMIN"]);
        assert_eq!(effective("Name:\tx\nCapEff:\t000001ffffffffff\n"), 0x1ff_ffff_ffff);
    }

    #[test]
    fn the_cgroup2_mount_is_found_on_hybrid_and_unified_hosts() {
        let hybrid =
            "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(cgroup2(hybrid), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(cgroup2("none /a\\040b cgroup2 rw 0 0"), Some(PathBuf::from("/a b")));
        assert_eq!(cgroup2("tmpfs /tmp tmpfs rw 0 0\n"), None);
    }

    #[test]
    fn cpu_lists_and_symbols_are_read() {
        assert_eq!(cpus("0-1\n"), Some(2));
        assert_eq!(cpus("0"), Some(1));
        assert_eq!(cpus("0-3,8-127"), Some(128));
        assert_eq!(cpus(""), None);
        let found = symbols("ffffffff81000000 T inet_csk_get_port\n0 b table_perturb\nzz T other\n");
        assert_eq!(found.get("inet_csk_get_port"), Some(&0xffff_ffff_8100_0000));
        assert_eq!(found.get("table_perturb"), Some(&0));
        assert_eq!(found.len(), 2);
    }
}
