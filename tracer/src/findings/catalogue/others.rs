//! Named ports that somebody has, errors that look like exhaustion, and ports that come again too soon.

use super::{Explanation, Id};

pub(super) const PS005: Explanation = Explanation {
    id: Id(5),
    title: "a service lost its port to a connection",
    when: "A bind of a named port failed with EADDRINUSE, and the holder is a socket whose port the kernel had \
           chosen, alive or in TIME_WAIT.",
    means: "The port lies inside the range and is not reserved. While the service was down, a connect was given it.",
    confirm: "`ss -Htanp 'sport = :50051'` shows a connection and no listener; `sysctl \
              net.ipv4.ip_local_port_range net.ipv4.ip_local_reserved_ports`.",
    helps: &[
        "`ss -tK src LOCAL dst REMOTE` (`-uK` for UDP) ends the connection at once (needs INET_DIAG_DESTROY). Risk: \
         its owner sees an abort; had it bound the port by name, it keeps it until it closes the socket. A holder \
         that closes by itself can leave a TIME_WAIT that bars the bind for 60 s; `ss -tK state time-wait 'sport = \
         :PORT'` ends that, too.",
        "Add the port to net.ipv4.ip_local_reserved_ports for the future. Writing the list replaces it: repeat \
         what is set.",
    ],
    wont_help: &[
        "Reserving alone: it concerns later choices only, and frees nothing now.",
        "SO_REUSEADDR on the service, unless the holder has set it, too.",
    ],
};

pub(super) const PS009: Explanation = Explanation {
    id: Id(9),
    title: "the same 4-tuple again soon after its close",
    when: "At least 1 % of the connections had both ends in common with one that was closed less than 60 s, or less \
           than 120 s, before. A warning only off loopback, where connections are tracked and SYNs were sent again \
           meanwhile. Closes are seen with `report --releases`.",
    means: "Linux allows it where this end did not close first, or where tcp_tw_reuse applies. A box on the way \
            that still remembers the old connection may drop the new one: conntrack keeps closed connections for \
            120 s, TIME_WAIT lasts 60 s.",
    confirm: "`sysctl net.netfilter.nf_conntrack_tcp_timeout_time_wait`, `nstat -az TcpExtTCPSynRetrans` taken \
              twice, and `tcpdump 'tcp[tcpflags] & tcp-syn != 0'` at both ends.",
    helps: &["Keep connections open: a pool, keep-alive. No risk."],
    wont_help: &[
        "Less time in conntrack for the sake of local ports: it holds NAT ports and entries of its table.",
    ],
};

pub(super) const PS019: Explanation = Explanation {
    id: Id(19),
    title: "EADDRNOTAVAIL, and ports are free",
    when: "A bind or a connect failed with EADDRNOTAVAIL for another reason than want of ports: the address is none \
           of this namespace, `::1` where IPv6 is off, no source address for the destination, or a connect from a \
           port that was fixed, to an end that this port is connected to already. A connect without a source address fails before a port is looked \
           for, so that portscope does not see it; and with fentry and kprobe a bind to an address that is not there.",
    means: "The text is the same, \"Cannot assign requested address\", and no setting of ports mends it.",
    confirm: "`ip address` (is the address there?), `sysctl net.ipv6.conf.lo.disable_ipv6`, `ip route get \
              DESTINATION` (is there a source?), `ss -Htan 'sport = :PORT'` (is the 4-tuple in use?).",
    helps: &[
        "Connect to 127.0.0.1 in place of ::1, or have IPv6 on.",
        "Add the address, or bind to one that is there. net.ipv4.ip_nonlocal_bind=1 allows foreign ones. Risk: \
         nothing comes back to them.",
        "Bind to port 0, or not at all, so that the kernel finds a free port.",
    ],
    wont_help: &["A wider range.", "tcp_tw_reuse.", "ulimit -n."],
};

pub(super) const PS020: Explanation = Explanation {
    id: Id(20),
    title: "somebody else listens on the port",
    when: "A bind of a named port failed with EADDRINUSE, and the holder listens on it or has bound it by name, or \
           has connections there that nobody saw the kernel choose a port for.",
    means: "A second instance, one that did not end, or two services with one port. A listener on the wildcard \
            address has the port on all addresses. Connections without a listener are most likely what an older \
            instance had accepted.",
    confirm: "`ss -Htlnp 'sport = :8080'`, `ss -Hulnp 'sport = :8080'`.",
    helps: &[
        "Stop the one that is not wanted, or give one of them another port. Risk: its clients are cut off.",
    ],
    wont_help: &[
        "Reserving the port: that concerns automatic choice only.",
        "SO_REUSEADDR: it does not make room beside a listener.",
    ],
};

pub(super) const PS021: Explanation = Explanation {
    id: Id(21),
    title: "a service is barred by its own TIME_WAITs",
    when: "A bind of a named port failed with EADDRINUSE, and all that is on the port are TIME_WAITs of connections \
           that were accepted there.",
    means: "The service had closed its connections first, ended, and begins again without SO_REUSEADDR. Each \
            TIME_WAIT lasts 60 s.",
    confirm: "`ss -Htan state time-wait 'sport = :8080'` shows them, `ss -Htano` with the time that is left.",
    helps: &[
        "setsockopt(SOL_SOCKET, SO_REUSEADDR, 1) before bind. No risk: servers do so.",
        "Wait until the last one has ended.",
        "`ss -tK state time-wait 'sport = :PORT'`. Risk: late segments may reach the next connection.",
    ],
    wont_help: &["tcp_tw_reuse: it is for connect.", "tcp_fin_timeout.", "Reserving the port."],
};
