//! The tracer's own allocations, which it must see: a hook that is attached may still see nothing (a
//! function may be inlined where it matters).

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::fs::MetadataExt as _,
    time::{Duration, Instant},
};

use tracer_ebpf::abi::{Record, flags, kind, present};

use super::KernelError;

/// How long an event may take from the hook to the reader: it waits for nobody.
const DEADLINE: Duration = Duration::from_millis(500);
/// How many connects calibrate the arithmetic of candidates.
const CONNECTS: usize = 4;

/// An allocation that the tracer made itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// A value of [`kind`].
    pub kind: u8,
    /// The port that the application sees.
    pub port: u16,
}

/// What the self-test has learnt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learnt {
    /// Thread-group id of this process as the kernel knows it; differs from ours in a PID namespace.
    pub self_pid: Option<u32>,
    /// Whether the derived starting points of searches agree with the ports that were chosen.
    pub search_start_agrees: bool,
    /// What was made and not seen.
    pub unseen: Vec<Made>,
    /// What was told of one that is not so.
    pub misread: Option<&'static str>,
}

/// Makes one allocation of each kind that needs no more than loopback. All sockets live until all are
/// made, so no port stands for two.
///
/// # Errors
///
/// No socket can be had; an exhausted host is no failure: what cannot be allocated is left out.
pub fn make() -> Result<Vec<Made>, KernelError> {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut made = Vec::new();
    let mut keep: Vec<Box<dyn Send>> = Vec::new();
    match TcpListener::bind(loopback) {
        Ok(listener) => {
            let address = local("read the address of its listener", listener.local_addr())?;
            made.push(Made { kind: kind::BIND, port: address.port() });
            for _ in 0..CONNECTS {
                if let Ok(stream) = TcpStream::connect_timeout(&address, DEADLINE) {
                    let port = local("read the address of its connection", stream.local_addr())?.port();
                    made.push(Made { kind: kind::CONNECT, port });
                    keep.push(Box::new(stream));
                }
            }
            keep.push(Box::new(listener));
        }
        Err(error) if is_exhaustion(&error) => {}
        Err(source) => return Err(KernelError::SelfTest { what: "bind a TCP socket on loopback", source }),
    }
    match UdpSocket::bind(loopback) {
        Ok(socket) => {
            let port = local("read the address of its UDP socket", socket.local_addr())?.port();
            made.push(Made { kind: kind::BIND, port });
            keep.push(Box::new(socket));
        }
        Err(error) if is_exhaustion(&error) => {}
        Err(source) => return Err(KernelError::SelfTest { what: "bind a UDP socket on loopback", source }),
    }
    Ok(made)
}

fn local(what: &'static str, address: io::Result<SocketAddr>) -> Result<SocketAddr, KernelError> {
    address.map_err(|source| KernelError::SelfTest { what, source })
}

fn is_exhaustion(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable | io::ErrorKind::WouldBlock
    )
}

/// Inode number of this process' network namespace.
#[must_use]
pub fn own_netns() -> Option<u32> {
    fs::metadata("/proc/self/ns/net").ok().and_then(|meta| u32::try_from(meta.ino()).ok())
}

/// Reads records until everything that was made is seen, or the deadline has passed.
pub fn watch(made: &[Made], mut next: impl FnMut() -> Vec<Record>) -> Vec<Record> {
    let netns = own_netns();
    let until = Instant::now() + DEADLINE;
    let mut seen = Vec::new();
    loop {
        seen.extend(next().into_iter().filter(|record| {
            record.flags & flags::SELF_TEST != 0
                && (record.present & present::NETNS == 0 || netns.is_none_or(|own| record.netns == own))
        }));
        if made.iter().all(|one| find(&seen, *one).is_some()) || Instant::now() >= until {
            return seen;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn find(seen: &[Record], made: Made) -> Option<&Record> {
    seen.iter().find(|record| record.kind == made.kind && record.local_port == made.port)
}

/// Draws the conclusions.
#[must_use]
pub fn judge(made: &[Made], seen: &[Record]) -> Learnt {
    let connects: Vec<&Record> =
        made.iter().filter(|one| one.kind == kind::CONNECT).filter_map(|one| find(seen, *one)).collect();
    Learnt {
        self_pid: made.iter().find_map(|one| find(seen, *one)).map(|record| record.pid),
        search_start_agrees: starts_agree(&connects),
        unseen: made.iter().copied().filter(|one| find(seen, *one).is_none()).collect(),
        misread: made.iter().filter_map(|one| find(seen, *one)).find_map(|record| misread(record, made)),
    }
}

/// What a record of one of these allocations has wrong: offsets of another kernel read some fields right, and others not.
fn misread(record: &Record, made: &[Made]) -> Option<&'static str> {
    let has = |field| record.present & field != 0;
    let is_loopback = |address: &[u8; 16]| address.first_chunk() == Some(&Ipv4Addr::LOCALHOST.octets());
    let is_listener = |port| made.iter().any(|one| one.kind == kind::BIND && one.port == port);
    let is_connect = record.kind == kind::CONNECT;
    let is_in_range = (record.range_low..=record.range_high).contains(&record.local_port);
    [
        (record.family == 4, "another family"),
        (!has(present::LOCAL_ADDR) || is_loopback(&record.local_addr), "another local address"),
        (!is_connect || !has(present::REMOTE) || is_loopback(&record.remote_addr), "another remote address"),
        (!is_connect || !has(present::REMOTE) || is_listener(record.remote_port), "another remote port"),
        (!has(present::RANGE) || is_in_range, "a port range that its port is not in"),
        (
            !has(present::KERNEL_SOCKET) || record.flags & flags::KERNEL_SOCKET == 0,
            "a socket of the kernel's own",
        ),
    ]
    .into_iter()
    .find_map(|(is_so, what)| (!is_so).then_some(what))
}

/// After a search that took a port `i` behind its start, the kernel advances the entry of the table by
/// `max(i, 2 × random below 8) + 2`: the next search for the same destination must start there, unless the
/// 10-second epoch of the offset has changed in between.
fn starts_agree(connects: &[&Record]) -> bool {
    let steps = connects.windows(2).map(|pair| match pair {
        [first, second] => follows(first, second),
        _ => false,
    });
    let (good, all) = steps.fold((0, 0), |(good, all), step| (good + usize::from(step), all + 1));
    all >= 2 && good + 1 >= all
}

fn follows(first: &Record, second: &Record) -> bool {
    let needed = present::SEARCH_START | present::RANGE;
    if first.present & second.present & needed != needed {
        return false;
    }
    let count = u32::from(first.range_high).saturating_sub(u32::from(first.range_low)) + 1;
    let span = if count > 1 { count & !1 } else { count };
    let start = (first.search_start % span) & !1;
    let distance = u32::from(first.local_port) + 2 * span - u32::from(first.range_low) - start;
    // In the second pass, over the other parity, the distance is counted from one further on.
    let behind = (distance - u32::from(distance % 2 == 1)) % span;
    let advanced = second.search_start.wrapping_sub(first.search_start);
    (behind + 2..=behind.max(14) + 2).contains(&advanced)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(start: u32, port: u16) -> Record {
        Record {
            search_start: start,
            local_port: port,
            range_low: 32768,
            range_high: 60999,
            present: present::SEARCH_START | present::RANGE,
            kind: kind::CONNECT,
            pid: 7,
            ..Record::default()
        }
    }

    #[test]
    fn starts_that_follow_the_kernels_rule_agree() {
        let chain = [connect(100, 32868), connect(110, 32882), connect(116, 32884)];
        assert!(starts_agree(&chain.each_ref()));
        let wild = [connect(100, 32868), connect(9000, 41768), connect(70, 32838)];
        assert!(!starts_agree(&wild.each_ref()));
    }

    #[test]
    fn one_change_of_epoch_is_forgiven() {
        let chain =
            [connect(100, 32868), connect(110, 32878), connect(50_000, 54_536), connect(50_004, 54_540)];
        assert!(starts_agree(&chain.each_ref()));
    }

    #[test]
    fn what_is_not_so_is_told() {
        let made = [Made { kind: kind::BIND, port: 7 }, Made { kind: kind::CONNECT, port: 32_868 }];
        let mut loopback = [0; 16];
        loopback[..4].copy_from_slice(&[127, 0, 0, 1]);
        let right = Record {
            family: 4,
            remote_addr: loopback,
            remote_port: 7,
            present: present::RANGE | present::REMOTE | present::KERNEL_SOCKET,
            ..connect(100, 32_868)
        };
        let told = |record| judge(&made, &[record]).misread;
        assert_eq!(told(right), None);
        assert_eq!(told(Record { family: 6, ..right }), Some("another family"));
        assert_eq!(told(Record { remote_addr: [1; 16], ..right }), Some("another remote address"));
        assert_eq!(told(Record { remote_port: 8, ..right }), Some("another remote port"));
        assert_eq!(told(Record { range_low: 40_000, ..right }), Some("a port range that its port is not in"));
        let of_kernel = Record { flags: flags::KERNEL_SOCKET, ..right };
        assert_eq!(told(of_kernel), Some("a socket of the kernel's own"));
        // What was not measured is not wrong.
        assert_eq!(told(Record { remote_port: 8, present: 0, ..right }), None);
    }

    #[test]
    fn what_was_not_seen_is_told() {
        let made = [Made { kind: kind::BIND, port: 1 }, Made { kind: kind::CONNECT, port: 2 }];
        let seen = [connect(0, 2)];
        let learnt = judge(&made, &seen);
        assert_eq!(learnt.self_pid, Some(7));
        assert_eq!(learnt.unseen, [made[0]]);
    }
}
