//! What the kernel itself counts in a network namespace. None of it counts a failed search for a port.

mod table;

use std::path::Path;

use serde::{Deserialize, Serialize};

use self::table::{gauge, paired, per_cpu_sum};
use super::{Netns, StockError, folder::Folder, sysctl::Sysctls};

/// Counters and levels of a namespace. Counters only rise, since the namespace was made; none where the kernel
/// does not have one, or has the table no more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// `ActiveOpens` of `/proc/net/snmp`: connects that came as far as a SYN.
    pub active_opens: Option<u64>,
    /// `AttemptFails` of `/proc/net/snmp`: connections that failed before they were established.
    pub attempt_fails: Option<u64>,
    /// `TW` of `/proc/net/netstat`: TIME_WAITs that came to their end.
    pub tw: Option<u64>,
    /// `TWRecycled` of `/proc/net/netstat`: TIME_WAITs that a connect took over.
    pub tw_recycled: Option<u64>,
    /// `TCPTimeWaitOverflow` of `/proc/net/netstat`: TIME_WAITs not kept, for there were `tcp_max_tw_buckets`.
    pub time_wait_overflow: Option<u64>,
    /// `TCPSynRetrans` of `/proc/net/netstat`: SYNs sent again.
    pub syn_retrans: Option<u64>,
    /// `tw` of `/proc/net/sockstat`: TIME_WAITs there are now, FIN_WAIT2 of closed sockets included.
    pub time_waits: Option<u64>,
    /// `nf_conntrack_count`: connections that are tracked now.
    pub conntrack_count: Option<u32>,
    /// `drop` of `/proc/net/stat/nf_conntrack`, all CPUs: packets dropped, for the table was full.
    pub conntrack_drop: Option<u64>,
    /// `insert_failed` of `/proc/net/stat/nf_conntrack`, all CPUs: no free NAT port, or a race lost.
    pub conntrack_insert_failed: Option<u64>,
}

impl Counters {
    /// Asks a namespace; `proc_root` must be a real `/proc`.
    pub fn of(netns: &Netns, proc_root: &Path) -> Result<Self, StockError> {
        netns.inside(|| Self::here(proc_root, &Sysctls::here(proc_root)))?
    }

    /// Asks the namespace of this thread: `/proc/net` is that of the first thread.
    pub(super) fn here(proc_root: &Path, sysctls: &Sysctls) -> Result<Self, StockError> {
        let net = Folder::open(proc_root.join("thread-self/net"));
        let snmp = net.text("snmp")?;
        let netstat = net.text("netstat")?;
        let sockstat = net.text("sockstat")?;
        let conntrack = net.text("stat/nf_conntrack")?;
        let tcp = |name| paired("/proc/net/snmp", snmp.as_deref(), "Tcp:", name);
        let tcp_ext = |name| paired("/proc/net/netstat", netstat.as_deref(), "TcpExt:", name);
        let tracked = |name| per_cpu_sum("/proc/net/stat/nf_conntrack", conntrack.as_deref(), name);
        Ok(Self {
            active_opens: tcp("ActiveOpens")?,
            attempt_fails: tcp("AttemptFails")?,
            tw: tcp_ext("TW")?,
            tw_recycled: tcp_ext("TWRecycled")?,
            time_wait_overflow: tcp_ext("TCPTimeWaitOverflow")?,
            syn_retrans: tcp_ext("TCPSynRetrans")?,
            time_waits: gauge("/proc/net/sockstat", sockstat.as_deref(), "TCP:", "tw")?,
            conntrack_count: sysctls.number("net.netfilter.nf_conntrack_count")?,
            conntrack_drop: tracked("drop")?,
            conntrack_insert_failed: tracked("insert_failed")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn here(proc_root: &str) -> Counters {
        let proc_root = Path::new(proc_root);
        Counters::here(proc_root, &Sysctls::here(proc_root)).unwrap()
    }

    #[test]
    fn the_kernel_counts_our_connect() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let before = here("/proc");
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let after = here("/proc");
        drop(stream);
        assert!(after.active_opens.unwrap() > before.active_opens.unwrap(), "{before:?} {after:?}");
        assert!(after.tw_recycled.is_some() && after.time_waits.is_some());
    }

    #[test]
    fn a_kernel_without_the_tables_has_no_counters() {
        assert_eq!(here("/nowhere"), Counters::default());
    }
}
