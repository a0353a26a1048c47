//! Pools that are full, or will be.

use super::{Explanation, Id};

pub(super) const PS001: Explanation = Explanation {
    id: Id(1),
    title: "no port was left",
    when: "At least one choice of a port failed because no port of the range could be given, or a pool has no free \
           port now. The errno hangs on the call: EADDRNOTAVAIL from connect, EADDRINUSE from bind(port 0) and from \
           listen, EAGAIN from a datagram socket.",
    means: "The ports that can serve this kind of socket are all out. For connect that is one range for each pair of \
            local address and destination; other destinations go on working. For bind it is one range for each local \
            address, and every socket on it counts. Those who hold the ports and those who are refused are often \
            different programs. The kernel counts such a failure nowhere.",
    confirm: "`ss -Htan src 10.0.3.14 dst 10.0.9.2:6379 | awk '{print $1}' | sort | uniq -c` counts the ports by \
              state; `sysctl net.ipv4.ip_local_port_range net.ipv4.ip_local_reserved_ports` tells how many there are. \
              `nstat -az` shows nothing of it. Before Linux 6.8 `ss` does not show sockets that are bound only: then \
              a port was held by whom bind gave it to, or it would not have been refused (`barred_unlisted`).",
    helps: &[
        "Keep connections open: a pool, keep-alive. No risk to the host.",
        "More 4-tuples: a second source address, or more addresses or ports of the destination. No risk to the host.",
        "A wider net.ipv4.ip_local_port_range, the ports of listeners in it reserved first. Risk: a service that \
         starts later may find its port given out.",
        "net.ipv4.tcp_tw_reuse=1, if both ends use timestamps and the ports are in TIME_WAIT. Risk: NAT and \
         firewalls may drop reused flows.",
    ],
    wont_help: &[
        "tcp_fin_timeout: it shortens FIN_WAIT2 of closed sockets, and no TIME_WAIT.",
        "ulimit -n: want of descriptors is EMFILE, another error.",
        "tcp_tw_recycle: removed from Linux 4.12.",
        "A lower tcp_max_tw_buckets: it drops the protection that TIME_WAIT is.",
        "SO_LINGER 0: it resets connections, and data that was not sent is lost.",
    ],
};

pub(super) const PS002: Explanation = Explanation {
    id: Id(2),
    title: "the half that is searched first is full",
    when: "At least 90 % of the ports of the parity that a search takes first are barred, and at least 10 ports a \
           second are asked for. Not of UDP, not of connects with a range of their own on Linux 6.8 and later. Before \
           6.8 the kernel does not list sockets that are bound only: there a search that crossed to the other half \
           proves that the first one was full.",
    means: "TCP connect takes ports of the parity of the low end first, bind(port 0) the others. When that half is \
            full, every search goes through it in vain before it takes a port of the other half: connects become \
            some ten times slower, binds some hundred times. Nothing fails yet, half of the ports are still there.",
    confirm: "`ss -Htan dst 10.0.9.2:6379 | awk '{n=split($4,a,\":\"); print a[n]%2}' | sort | uniq -c` counts even \
              and odd local ports; `perf top` shows __inet_hash_connect or inet_csk_find_open_port.",
    helps: &[
        "Set IP_LOCAL_PORT_RANGE to the whole range on the socket (option from Linux 6.3, this effect from 6.8, \
         connect only): such a search knows no halves.",
        "Everything that helps against exhaustion (PS001): fewer ports out at once.",
    ],
    wont_help: &["More CPUs: each search is one thread's.", "ulimit -n."],
};

pub(super) const PS003: Explanation = Explanation {
    id: Id(3),
    title: "a pool will be full soon",
    when: "With the growth of the last seconds, TIME_WAITs that end meanwhile taken off, the pool is full within 60 \
           minutes (a warning) or 5 minutes (critical). Silent where the 95 % interval of the growth spans 0, where \
           rate times hold levels off below the range, and with fewer than ten seconds.",
    means: "If what happens now goes on, connects to this destination will fail with EADDRNOTAVAIL at that time. The \
            interval beside the estimate is what the spread of the seconds allows.",
    confirm: "`watch -n 10 \"ss -Htan dst 10.0.9.2:6379 | wc -l\"` shows the growth.",
    helps: &["The same as against exhaustion (PS001), in the same order: there is still time for the first."],
    wont_help: &["tcp_fin_timeout.", "ulimit -n."],
};

pub(super) const PS004: Explanation = Explanation {
    id: Id(4),
    title: "bind(port 0) before connect",
    when: "At least 10 TCP sockets were bound to port 0 and connected afterwards without IP_BIND_ADDRESS_NO_PORT. A \
           warning if they hold 10 % of the range or more. Sockets that listen do not count.",
    means: "bind has to choose a port without knowing the destination, so that no other socket may have it: all \
            destinations share one range, and a bound port is barred to every connect of the namespace. Programs \
            do so to choose their source address.",
    confirm: "`strace -f -e trace=bind,connect,setsockopt -p PID`: bind with htons(0), then connect, and no \
              setsockopt(SOL_IP, IP_BIND_ADDRESS_NO_PORT) before.",
    helps: &[
        "setsockopt(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1) before bind. TCP only, Linux 4.2 and later. Risk: \
         getsockname says port 0 until connect.",
        "Let a route or a rule choose the source address (`ip route … src ADDRESS`), and leave bind out.",
    ],
    wont_help: &[
        "net.ipv4.ip_autobind_reuse=1: EADDRNOTAVAIL from connect instead of EADDRINUSE from bind, at the same count.",
        "SO_REUSEADDR.",
        "tcp_tw_reuse: bind takes over no TIME_WAIT.",
    ],
};

pub(super) const PS010: Explanation = Explanation {
    id: Id(10),
    title: "steady demand comes near to the range",
    when: "Connects per second times the mean time that each port is out come to 80 % of the range or more, with at \
           least 20 closes. The time is that of the releases (`report --releases`), else what the ports out at the \
           start and at the end make of the rate.",
    means: "By Little's law that many ports are out at once when nothing changes. A small peak, or a slower peer, \
            fills the pool.",
    confirm: "Connects per second from `nstat -az TcpActiveOpens` taken twice; the mean number of ports out from `ss \
              -Htan dst 10.0.9.2:6379 | wc -l` taken several times.",
    helps: &["The same as against exhaustion (PS001), in the same order."],
    wont_help: &["tcp_fin_timeout.", "ulimit -n."],
};

pub(super) const PS011: Explanation = Explanation {
    id: Id(11),
    title: "port search burns CPU",
    when: "The searches together took 5 % of one CPU or more (critical from 50 % on), in at least 1,000 searches. \
           The time is wall time, preemption included: an upper bound.",
    means: "Searches are long where half of the range is full (PS002) or bind took the ports (PS004). A program that \
            tries again at once after a refusal pays for a whole search each time.",
    confirm: "`perf top -g`: __inet_hash_connect, __inet_check_established, inet_csk_find_open_port.",
    helps: &[
        "Mend the cause: PS002 or PS004.",
        "Fewer new connections: keep them open. No risk to the host.",
    ],
    wont_help: &["More CPUs: the searches get in each other's way.", "ulimit -n."],
};
