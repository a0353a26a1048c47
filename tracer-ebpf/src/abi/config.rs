//! What userspace tells the programs: once, frozen before they load ([`Config`]), or while they run
//! ([`Control`]).

use core::mem::size_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How many port ranges a filter can hold.
pub const MAX_RANGES: usize = 16;

/// How many names a filter can hold.
pub const MAX_NAMES: usize = 8;

/// Settings that are frozen before the programs load: the verifier takes them as constants and drops the
/// code that they turn off, so that an unused filter costs nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Config {
    /// Keys of the socket identity, random.
    pub socket_key: [u64; 2],
    /// Kernel address of the pointer `table_perturb`; 0 where it is not known.
    pub table_perturb: u64,
    /// Wake the reader when this many bytes wait in the ring.
    pub wake_bytes: u64,
    /// Bits of [`tune`].
    pub tune: u32,
    /// Index of the return value behind the arguments of `__inet_hash_connect`.
    pub connect_ret: u32,
    /// The same of `__inet_check_established` and `__inet6_check_established`.
    pub check_ret: u32,
    /// The same of `inet_csk_bind_conflict`.
    pub conflict_ret: u32,
    /// What to show.
    pub filter: FilterConfig,
}

/// Bits of [`Config::tune`].
pub mod tune {
    /// Record explicit binds that succeed, too.
    pub const EXPLICIT: u32 = 1 << 0;
    /// Record the release of each port.
    pub const RELEASES: u32 = 1 << 1;
    /// Count only: nothing goes to the ring.
    pub const COUNT_ONLY: u32 = 1 << 2;
    /// `bpf_probe_read_kernel` may be called (not under lockdown=confidentiality).
    pub const PROBE_READ: u32 = 1 << 3;
    /// `bpf_get_current_task_btf` gives a typed pointer (5.11).
    pub const TASK_BTF: u32 = 1 << 4;
    /// The exits of this backend can be missed: count entries and exits.
    pub const COUNT_ENTRIES: u32 = 1 << 5;
    /// `bpf_skc_to_tcp_sock` gives a typed pointer in tracing programs (5.9).
    pub const SKC_TO_TCP: u32 = 1 << 6;
    /// The end of each TIME_WAIT is hooked: its reuse by a connect can be told.
    pub const TIME_WAIT: u32 = 1 << 7;
    /// The inner loop of TCP searches is hooked: what each of them meets is counted by kind.
    pub const COLLISIONS: u32 = 1 << 8;
    /// The user stack of each caller is taken, and counted.
    pub const STACKS: u32 = 1 << 9;
    /// Of these, of failures alone.
    pub const FAILED_STACKS: u32 = 1 << 10;
}

/// The filters that the kernel half judges. A filter whose bit is clear lets everything pass.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct FilterConfig {
    /// Bits of [`filter`].
    pub active: u32,
    /// Kinds to show, one bit each.
    pub kinds: u32,
    /// Protocols to show, one bit a [`super::Protocol`].
    pub protocols: u32,
    /// Depth of the cgroup of [`filter::CGROUP`] below the root of its hierarchy.
    pub cgroup_level: u32,
    /// Id of that cgroup.
    pub cgroup_id: u64,
    /// Number of ranges in `local_ports`.
    pub local_count: u32,
    /// Number of ranges in `remote_ports`.
    pub remote_count: u32,
    /// Number of patterns in `names`.
    pub name_count: u32,
    /// Always 0.
    pub reserved: u32,
    /// Local ports to show.
    pub local_ports: [PortRange; MAX_RANGES],
    /// Remote ports to show.
    pub remote_ports: [PortRange; MAX_RANGES],
    /// Names to show.
    pub names: [NamePattern; MAX_NAMES],
}

/// Bits of [`FilterConfig::active`].
pub mod filter {
    /// Process ids.
    pub const PID: u32 = 1 << 0;
    /// User ids.
    pub const UID: u32 = 1 << 1;
    /// Names of the thread or of its leader.
    pub const COMM: u32 = 1 << 2;
    /// Local ports.
    pub const LOCAL_PORT: u32 = 1 << 3;
    /// Remote ports.
    pub const REMOTE_PORT: u32 = 1 << 4;
    /// Remote networks.
    pub const REMOTE: u32 = 1 << 5;
    /// Protocols.
    pub const PROTOCOL: u32 = 1 << 6;
    /// IPv4 only.
    pub const IPV4: u32 = 1 << 7;
    /// IPv6 only.
    pub const IPV6: u32 = 1 << 8;
    /// Network namespaces.
    pub const NETNS: u32 = 1 << 9;
    /// A cgroup and all below it.
    pub const CGROUP: u32 = 1 << 10;
    /// Kinds, that is sites.
    pub const KIND: u32 = 1 << 11;
    /// Failures only.
    pub const FAILED: u32 = 1 << 12;
}

/// Ports from `low` to `high`, both included, host order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct PortRange {
    /// The first.
    pub low: u16,
    /// The last.
    pub high: u16,
}

/// A name to match: the bytes of `name` that `mask` has set.
///
/// A whole name of 15 bytes or fewer has a mask that takes in the NUL behind it; a trailing `*` leaves
/// all behind it out.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct NamePattern {
    /// The name, as two words of its bytes in memory order.
    pub name: [u64; 2],
    /// 0xff where the byte counts.
    pub mask: [u64; 2],
}

/// Key of the table of remote networks: prefix length, then the address as IPv6 (IPv4 mapped).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RemoteKey {
    /// Network-order address.
    pub addr: [u8; 16],
}

/// What userspace changes while the programs run.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Control {
    /// A value of [`Mode`].
    pub mode: u32,
    /// Kernel thread-group id of the tracer, whose events are left out.
    pub self_pid: u32,
    /// The kernel's `table_perturb` array: filled in by the first program that runs.
    pub perturb: u64,
    /// When the reader was last woken for a new process, `CLOCK_MONOTONIC`.
    pub woken_ns: u64,
}

/// Values of [`Control::mode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Mode {
    /// Nothing is recorded.
    Off = 0,
    /// Events go to the ring with [`super::flags::SELF_TEST`] and are not counted.
    SelfTest = 1,
    /// Events are recorded and counted.
    Run = 2,
}

const _: () = assert!(size_of::<Config>() == 48 + size_of::<FilterConfig>());
const _: () = assert!(size_of::<FilterConfig>() == 40 + 8 * MAX_RANGES + 32 * MAX_NAMES);
const _: () = assert!(size_of::<Control>() == 24);
