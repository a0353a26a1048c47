//! Settings that may hurt one day.

use super::{Explanation, Id};

pub(super) const PS006: Explanation = Explanation {
    id: Id(6),
    title: "a listener inside the range, not reserved",
    when: "A TCP socket listens on a port of the range that is not reserved, and nobody saw the kernel choose that \
           port.",
    means: "While it listens, no connect is given its port. Between its stop and its start one may be, and then the \
            service cannot start (PS005). The stock cannot tell a port that was named from one that was chosen by \
            bind(port 0); the latter needs no reservation.",
    confirm: "`ss -Htlnp`, `sysctl net.ipv4.ip_local_port_range net.ipv4.ip_local_reserved_ports`.",
    helps: &[
        "Add the port to net.ipv4.ip_local_reserved_ports. Writing the list replaces it: repeat what is set. Risk: \
         one port fewer for connects.",
        "Give the service a port below the range.",
    ],
    wont_help: &["SO_REUSEADDR on the service."],
};

pub(super) const PS008: Explanation = Explanation {
    id: Id(8),
    title: "the range overlaps the NodePorts",
    when: "Ports of 30000-32767 are in the range and not reserved, and kubelet, kube-proxy or cilium runs here.",
    means: "A connection of the node may be given a NodePort. Packets to the service on that port then go astray, \
            or the connection's own do.",
    confirm: "`sysctl net.ipv4.ip_local_port_range net.ipv4.ip_local_reserved_ports`; the API server's \
              --service-node-port-range.",
    helps: &[
        "Begin the range above the NodePorts (32768 is the default). Risk: a smaller range pays back less.",
        "Reserve 30000-32767. Risk: a hole in the range makes the ports behind it busier (PS014).",
    ],
    wont_help: &["tcp_tw_reuse."],
};

pub(super) const PS012: Explanation = Explanation {
    id: Id(12),
    title: "tcp_tw_reuse without timestamps",
    when: "net.ipv4.tcp_tw_reuse is 1 and net.ipv4.tcp_timestamps is 0, and TIME_WAITs bar a quarter of a pool or more.",
    means: "A connect takes a TIME_WAIT over only if both ends of the old connection used timestamps. Without them \
            the setting does nothing.",
    confirm: "`sysctl net.ipv4.tcp_tw_reuse net.ipv4.tcp_timestamps`; `nstat -az TcpExtTWRecycled` stays where it is.",
    helps: &["net.ipv4.tcp_timestamps=1. Risk: 12 bytes more in each segment. The far end needs them, too."],
    wont_help: &["tcp_fin_timeout."],
};

pub(super) const PS013: Explanation = Explanation {
    id: Id(13),
    title: "a narrow range, or ends of one parity",
    when: "The range has fewer than 28,232 unreserved ports (a warning below 10,000), or both its ends are even, or \
           both odd.",
    means: "Where this end closes first, a destination can have ports ÷ 60 connections a second. With ends of one \
            parity the half that connect takes first has one port more than the other.",
    confirm: "`sysctl net.ipv4.ip_local_port_range net.ipv4.ip_local_reserved_ports`.",
    helps: &[
        "A wider net.ipv4.ip_local_port_range, the ports of listeners in it reserved first. Risk: a service that \
         starts later may find its port given out. A low end below ip_unprivileged_port_start is refused (EINVAL).",
        "In a pod: the safe sysctl net.ipv4.ip_local_port_range.",
    ],
    wont_help: &["ulimit -n."],
};

pub(super) const PS014: Explanation = Explanation {
    id: Id(14),
    title: "ports behind a reserved hole are used too often",
    when: "64 or more ports in a row are reserved, and one of the first four behind them was given at least 20 times, \
           and five times as often as the median port.",
    means: "A search that begins inside the hole ends at the first free port behind it. Such a port comes again \
            sooner than others, and boxes on the way may take that ill (PS009).",
    confirm: "`sysctl net.ipv4.ip_local_reserved_ports`; `ss -Htan` taken often, the local ports counted.",
    helps: &[
        "Reserve fewer ports in a row, or move the range so that the hole is outside of it.",
        "net.ipv4.ip_local_port_step_width, where the kernel has it. Risk: ports are taken in another order.",
    ],
    wont_help: &["A wider range around the same hole."],
};
