//! Names of the maps and globals of the BPF object; a test proves that the object has exactly these.

/// Ring buffer of [`super::Record`].
pub const EVENTS: &str = "EVENTS";
/// Array of [`super::COUNTER_BLOCKS`] times [`super::CounterBlock`].
pub const COUNTERS: &str = ".bss.counters";
/// Hash of [`super::TallyKey`] to [`super::TallyValue`]: the events that the ring did not carry.
pub const TALLY: &str = "TALLY";
/// Array of one [`super::Control`].
pub const CONTROL: &str = ".data.control";
/// Array of in-flight searches, by thread.
pub const SLOTS: &str = ".bss.slots";
/// Hash of in-flight searches whose slot was taken.
pub const SPILL: &str = "SPILL";
/// Array of in-flight system calls, by thread (tracepoint backend).
pub const PENDING: &str = "PENDING";
/// Hash of inodes of datagram sockets that were bound automatically (tracepoint backend).
pub const AUTOBOUND: &str = "AUTOBOUND";
/// Array of search counters, one an entry of the kernel's `table_perturb`.
pub const PERTURB: &str = ".bss.perturb";
/// Hash of live sockets whose port the kernel chose (releases).
pub const LIVE: &str = "LIVE";
/// Array of processes that were seen lately.
pub const RECENT: &str = ".bss.recent";
/// Hash of processes whose first thread was named already.
pub const LEADERS: &str = "LEADERS";
/// Hash of [`super::CallKey`] to [`super::CallValue`] (`--stack`).
pub const CALLS: &str = "CALLS";
/// User stacks of those that asked for a port (`--stack`).
pub const STACKS: &str = "STACKS";
/// Hash of process ids to show.
pub const FILTER_PIDS: &str = "FILTER_PIDS";
/// Hash of user ids to show.
pub const FILTER_UIDS: &str = "FILTER_UIDS";
/// Hash of network namespaces to show.
pub const FILTER_NETNS: &str = "FILTER_NETNS";
/// Longest-prefix table of remote networks to show.
pub const FILTER_REMOTE: &str = "FILTER_REMOTE";
/// Global [`super::Config`].
pub const CONFIG_GLOBAL: &str = "CONFIG";

/// Every map.
pub const MAPS: [&str; 18] = [
    EVENTS,
    COUNTERS,
    TALLY,
    CONTROL,
    SLOTS,
    SPILL,
    PENDING,
    AUTOBOUND,
    PERTURB,
    LIVE,
    RECENT,
    LEADERS,
    CALLS,
    STACKS,
    FILTER_PIDS,
    FILTER_UIDS,
    FILTER_NETNS,
    FILTER_REMOTE,
];
