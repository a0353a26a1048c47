//! Sockets that are not given back, and limits that are not ports.

use super::{Explanation, Id};

pub(super) const PS015: Explanation = Explanation {
    id: Id(15),
    title: "sockets are not given back",
    when: "Over 60 s or more, the sockets of a state other than TIME_WAIT grew by more than chance allows (growth \
           above 1.96 times the root of both counts, and by 10 at least). Open connections count only if their \
           growth goes on, second after second.",
    means: "The state tells why. CLOSE_WAIT: the peer has closed, the application never does. SYN_SENT: the peer is \
            dead, each attempt lasts about two minutes. FIN_WAIT2: we have closed, the peer does not. Bound only: \
            the socket was bound and forgotten.",
    confirm: "`ss -Htan state close-wait | wc -l` taken twice, with the other states in its place; before Linux 6.8 \
              `ss` does not show sockets that are bound only: look for them in `lsof -nP -iTCP`.",
    helps: &[
        "Mend the application: close what the peer has closed, give connects a timeout, bound the pool.",
        "For FIN_WAIT2 alone: a lower net.ipv4.tcp_fin_timeout. Risk: slow peers lose the end of their data.",
    ],
    wont_help: &["tcp_tw_reuse.", "tcp_fin_timeout, for any other state than FIN_WAIT2."],
};

pub(super) const PS016: Explanation = Explanation {
    id: Id(16),
    title: "the table of tracked connections",
    when: "nf_conntrack_count is at 90 % of nf_conntrack_max or more (a warning), or `drop` or `insert_failed` rose \
           meanwhile (critical).",
    means: "Packets of new connections are dropped, or no port was left for NAT. The application sees timeouts. It \
            is not the local ports of this host.",
    confirm: "`conntrack -S`, `sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max`, `dmesg | \
              grep conntrack`.",
    helps: &[
        "A higher net.netfilter.nf_conntrack_max. Risk: memory, some 300 bytes an entry.",
        "For insert_failed: SNAT with --random-fully, or more addresses to translate to.",
    ],
    wont_help: &["A wider ip_local_port_range.", "tcp_tw_reuse."],
};

pub(super) const PS017: Explanation = Explanation {
    id: Id(17),
    title: "detail was lost",
    when: "Events came faster than they were read (a warning from 1 % of them on).",
    means: "Totals, and failures by process, are exact all the same: the kernel counts them apart. Destinations, \
            search times and single seconds miss the lost events.",
    confirm: "The line of accounting: seen = emitted + filtered + lost.",
    helps: &[
        "--buffer SIZE, twice as large. Risk: memory that is locked while it runs.",
        "A filter, such as -p or -n.",
    ],
    wont_help: &["A longer run."],
};

pub(super) const PS018: Explanation = Explanation {
    id: Id(18),
    title: "a holder is near its limit of open files",
    when: "A process that holds many ports of a full pool has 95 % of its soft limit of descriptors open.",
    means: "Its next socket fails with EMFILE (\"Too many open files\"), which is often taken for want of ports.",
    confirm: "`ls /proc/PID/fd | wc -l`, `grep 'open files' /proc/PID/limits`.",
    helps: &["LimitNOFILE= in its unit, or `ulimit -n` where it starts. Risk: more files, more memory."],
    wont_help: &["A wider range."],
};

pub(super) const PS022: Explanation = Explanation {
    id: Id(22),
    title: "TIME_WAITs were not kept",
    when: "TCPTimeWaitOverflow rose meanwhile.",
    means: "There were tcp_max_tw_buckets of them. A connection beyond that goes without TIME_WAIT: its port is free \
            at once, and late segments may reach the next connection on it.",
    confirm: "`nstat -az TcpExtTCPTimeWaitOverflow` taken twice; `sysctl net.ipv4.tcp_max_tw_buckets`; `dmesg | grep \
              'time wait bucket table overflow'`.",
    helps: &["A higher net.ipv4.tcp_max_tw_buckets. Risk: memory, some 250 bytes each."],
    wont_help: &["A lower tcp_max_tw_buckets, to have ports free sooner."],
};
