//! The two globals that userspace fills in before the programs load.
//!
//! They lie in a frozen map, so the verifier takes each value as a constant: a branch on a field that this
//! kernel lacks, or on a filter that is off, is removed before the program runs.

use core::ptr;

use tracer_ebpf::abi::{Config, FieldOffsets, FilterConfig, MAX_NAMES, MAX_RANGES, NamePattern, PortRange};

/// Offsets of kernel fields.
#[unsafe(no_mangle)]
pub(crate) static OFFSETS: FieldOffsets = FieldOffsets::UNRESOLVED;

/// Settings.
#[unsafe(no_mangle)]
pub(crate) static CONFIG: Config = Config {
    socket_key: [0; 2],
    table_perturb: 0,
    wake_bytes: 0,
    tune: 0,
    connect_ret: 0,
    filter: FilterConfig {
        active: 0,
        kinds: 0,
        protocols: 0,
        cgroup_level: 0,
        cgroup_id: 0,
        local_count: 0,
        remote_count: 0,
        name_count: 0,
        reserved: 0,
        local_ports: [PortRange { low: 0, high: 0 }; MAX_RANGES],
        remote_ports: [PortRange { low: 0, high: 0 }; MAX_RANGES],
        names: [NamePattern { name: [0; 2], mask: [0; 2] }; MAX_NAMES],
    },
};

/// Reads a value in a way that the compiler cannot fold: userspace has replaced it, or the verifier must
/// see it come from a map.
#[inline(always)]
pub(crate) fn frozen<T: Copy>(value: &T) -> T {
    // SAFETY: a volatile read of what a reference points to is as valid as a plain one.
    unsafe { ptr::read_volatile(value) }
}

/// Whether a bit of [`Config::tune`] is set.
#[inline(always)]
pub(crate) fn tuned(bit: u32) -> bool {
    frozen(&CONFIG.tune) & bit != 0
}

/// One field of [`OFFSETS`].
macro_rules! offset {
    ($name:ident) => {
        $crate::kernel::globals::frozen(&$crate::kernel::globals::OFFSETS.$name)
    };
}
pub(crate) use offset;
