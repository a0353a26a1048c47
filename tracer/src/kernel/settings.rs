//! What the command line asks of the kernel half.

use std::path::PathBuf;

use tracer_ebpf::abi::{FilterConfig, MAX_NAMES, MAX_RANGES, NamePattern, PortRange};

use super::{Choice, calls::Stacks};

/// Default size of the ring: 32,768 records, 50 ms at 650,000 events a second.
pub const DEFAULT_BUFFER_BYTES: u32 = 4 << 20;

/// How to trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own")]
pub struct Settings {
    /// Which backend.
    pub backend: Choice,
    /// Type information in place of the kernel's own.
    pub btf: Option<PathBuf>,
    /// Size of the ring, bytes: a power of two, and of whole pages.
    pub buffer_bytes: u32,
    /// Record explicit binds that succeed, too.
    pub explicit: bool,
    /// Record releases.
    pub releases: bool,
    /// Measure how long the programs run in the kernel.
    pub kernel_cost: bool,
    /// Count collisions by kind, inside of the searches.
    pub collisions: bool,
    /// Take the stacks of callers.
    pub stacks: Option<Stacks>,
    /// Count only, by process.
    pub count_only: bool,
    /// What to show.
    pub filter: Filter,
}

/// The filters that the kernel half judges; an empty list lets everything pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Process ids.
    pub pids: Vec<u32>,
    /// User ids.
    pub uids: Vec<u32>,
    /// Inode numbers of network namespaces.
    pub netns: Vec<u32>,
    /// Remote networks: address as IPv6 (IPv4 mapped) and prefix length of 128.
    pub remote: Vec<([u8; 16], u8)>,
    /// Everything else, as it goes to the programs.
    pub config: FilterSettings,
}

/// The part of the filters that lies in the frozen configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterSettings {
    /// Names, whole or with a trailing `*`.
    pub names: Vec<String>,
    /// Local ports, first and last.
    pub local_ports: Vec<(u16, u16)>,
    /// Remote ports, first and last.
    pub remote_ports: Vec<(u16, u16)>,
    /// Kinds of records, one bit each.
    pub kinds: Option<u32>,
    /// Protocols, one bit a [`tracer_ebpf::abi::Protocol`].
    pub protocols: Option<u32>,
    /// 4 or 6.
    pub family: Option<u8>,
    /// Failures only.
    pub failed: bool,
    /// Depth and id of a cgroup.
    pub cgroup: Option<(u32, u64)>,
}

/// A filter that is longer than the kernel half can hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("at most {limit} {what} can be filtered on, {given} were given")]
pub struct TooMany {
    what: &'static str,
    limit: usize,
    given: usize,
}

impl Filter {
    /// The filters as the programs read them.
    ///
    /// # Errors
    ///
    /// More names or port ranges than there is room for.
    pub fn to_config(&self) -> Result<FilterConfig, TooMany> {
        use tracer_ebpf::abi::filter as bit;
        let config = &self.config;
        let mut active = 0;
        let mut on = |set: bool, bit: u32| active |= if set { bit } else { 0 };
        on(!self.pids.is_empty(), bit::PID);
        on(!self.uids.is_empty(), bit::UID);
        on(!self.netns.is_empty(), bit::NETNS);
        on(!self.remote.is_empty(), bit::REMOTE);
        on(!config.names.is_empty(), bit::COMM);
        on(!config.local_ports.is_empty(), bit::LOCAL_PORT);
        on(!config.remote_ports.is_empty(), bit::REMOTE_PORT);
        on(config.kinds.is_some(), bit::KIND);
        on(config.protocols.is_some(), bit::PROTOCOL);
        on(config.family == Some(4), bit::IPV4);
        on(config.family == Some(6), bit::IPV6);
        on(config.failed, bit::FAILED);
        on(config.cgroup.is_some(), bit::CGROUP);
        let (cgroup_level, cgroup_id) = config.cgroup.unwrap_or_default();
        let (local_ports, local_count) = ranges("local ports", &config.local_ports)?;
        let (remote_ports, remote_count) = ranges("remote ports", &config.remote_ports)?;
        let (names, name_count) = names(&config.names)?;
        Ok(FilterConfig {
            active,
            kinds: config.kinds.unwrap_or(0),
            protocols: config.protocols.unwrap_or(0),
            cgroup_level,
            cgroup_id,
            local_count,
            remote_count,
            name_count,
            reserved: 0,
            local_ports,
            remote_ports,
            names,
        })
    }
}

fn ranges(what: &'static str, from: &[(u16, u16)]) -> Result<([PortRange; MAX_RANGES], u32), TooMany> {
    let mut out = [PortRange::default(); MAX_RANGES];
    if from.len() > MAX_RANGES {
        return Err(TooMany { what, limit: MAX_RANGES, given: from.len() });
    }
    for (slot, &(low, high)) in out.iter_mut().zip(from) {
        *slot = PortRange { low, high };
    }
    Ok((out, count(from.len())))
}

fn names(from: &[String]) -> Result<([NamePattern; MAX_NAMES], u32), TooMany> {
    let mut out = [NamePattern::default(); MAX_NAMES];
    if from.len() > MAX_NAMES {
        return Err(TooMany { what: "names", limit: MAX_NAMES, given: from.len() });
    }
    for (slot, name) in out.iter_mut().zip(from) {
        *slot = pattern(name);
    }
    Ok((out, count(from.len())))
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// The kernel keeps 15 bytes of a name and a NUL: a longer name is compared by its first 15.
fn pattern(name: &str) -> NamePattern {
    let (text, open) = name.strip_suffix('*').map_or((name, false), |text| (text, true));
    let kept = text.as_bytes().get(..15).unwrap_or(text.as_bytes());
    let mut bytes = [0_u8; 16];
    let mut mask = [0_u8; 16];
    for (index, byte) in kept.iter().enumerate() {
        bytes[index] = *byte;
        mask[index] = 0xff;
    }
    if !open {
        mask[kept.len()] = 0xff;
    }
    NamePattern { name: words(bytes), mask: words(mask) }
}

fn words(bytes: [u8; 16]) -> [u64; 2] {
    let (words, _) = bytes.as_chunks::<8>();
    [0, 1].map(|at| words.get(at).map_or(0, |word| u64::from_ne_bytes(*word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: NamePattern, comm: &[u8]) -> bool {
        let mut bytes = [0; 16];
        bytes[..comm.len()].copy_from_slice(comm);
        let comm = words(bytes);
        (0..2).all(|i| (comm[i] ^ pattern.name[i]) & pattern.mask[i] == 0)
    }

    #[test]
    fn a_name_matches_whole_and_with_a_star_by_its_beginning() {
        for (name, comm, expected) in [
            ("curl", "curl", true),
            ("curl", "curly", false),
            ("curl*", "curly", true),
            ("cur", "curl", false),
            ("*", "anything", true),
            ("a-name-of-sixteen", "a-name-of-sixte", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern(name), comm.as_bytes()), expected, "{name} against {comm}");
        }
    }

    #[test]
    fn an_unset_filter_is_inactive_and_a_long_one_is_refused() {
        assert_eq!(Filter::default().to_config().unwrap().active, 0);
        let many = FilterSettings { local_ports: vec![(1, 1); MAX_RANGES + 1], ..FilterSettings::default() };
        let error = Filter { config: many, ..Filter::default() }.to_config().unwrap_err();
        assert_eq!(error.to_string(), "at most 16 local ports can be filtered on, 17 were given");
    }
}
