//! From the bytes of a record to a typed event.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tracer_ebpf::abi::{Record, flags, kind, present};
use zerocopy::FromBytes as _;

use crate::event::{
    CgroupId, Comm, Errno, Event, Family, Kind, MonoNs, NetnsId, Options, Outcome, Pid, Port, PortRange,
    Protocol, ReleaseState, Site, SocketId, StartTime, Tid, Uid,
};

/// Bytes that are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Another length than a record has.
    #[error("a record of {actual} bytes, where {expected} are due")]
    Length {
        /// How many there are.
        actual: usize,
        /// How many a record has.
        expected: usize,
    },
    /// A kind that this version does not know.
    #[error("a record of the unknown kind {0}")]
    Kind(u8),
}

/// Decodes one record of the ring. Any bytes may come: those of a record give an event or an error.
///
/// The bytes may lie at any address: records in files are not aligned.
pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
    let Ok(record) = Record::read_from_bytes(bytes) else {
        return Err(DecodeError::Length { actual: bytes.len(), expected: size_of::<Record>() });
    };
    let kind = kind_of(&record)?;
    let seen = |bit: u16| record.present & bit != 0;
    let flag = |bit: u8| record.flags & bit != 0;
    let release = matches!(kind, Kind::Release(_));
    let result = outcome(&record, release);
    let refused = matches!((kind, result), (Kind::Allocation(_), Outcome::Failed { .. }));
    let local = if seen(present::LOCAL_ADDR) { address(record.family, record.local_addr) } else { None };
    let remote = if seen(present::REMOTE) { address(record.family, record.remote_addr) } else { None };
    let remote_port = if remote.is_some() { Port::new(record.remote_port) } else { None };
    let (family, local_addr, remote_addr) = unmap(record.family, local, remote);
    let took_ns = seen(present::SEARCH_NS).then_some(record.search_ns);
    Ok(Event {
        mono: MonoNs(record.mono_ns),
        kind,
        result,
        protocol: Protocol::of(record.protocol),
        family,
        local_addr,
        local_port: if refused { None } else { Port::new(record.local_port) },
        requested_port: Port::new(record.requested_port),
        // A socket without a peer has the wildcard and port 0 there.
        remote_addr: remote_addr.filter(|addr| remote_port.is_some() || !addr.is_unspecified()),
        remote_port,
        pid: Pid(record.pid),
        tid: Tid(record.tid),
        uid: seen(present::UID).then_some(Uid(record.uid)),
        comm: seen(present::COMM).then_some(Comm(record.comm)),
        start: seen(present::START).then_some(StartTime(record.start)),
        cgroup_id: if seen(present::CGROUP) { CgroupId::new(record.cgroup_id) } else { None },
        netns: if seen(present::NETNS) { NetnsId::new(record.netns) } else { None },
        search_ns: if release { None } else { took_ns },
        search_upper_bound: seen(present::SEARCH_UPPER),
        held_ns: if release { took_ns.map(|units| u64::from(units) << 10) } else { None },
        range: if seen(present::RANGE) { PortRange::new(record.range_low, record.range_high) } else { None },
        options: options(&record),
        kernel_socket: seen(present::KERNEL_SOCKET).then_some(flag(flags::KERNEL_SOCKET)),
        time_wait_reused: seen(present::REUSED).then_some(flag(flags::TIME_WAIT_REUSED)),
        socket: SocketId::new(record.socket),
        search_start: seen(present::SEARCH_START).then_some(record.search_start),
        exact: flag(flags::CANDIDATES_EXACT),
        self_test: flag(flags::SELF_TEST),
    })
}

const fn kind_of(record: &Record) -> Result<Kind, DecodeError> {
    Ok(match record.kind {
        kind::CONNECT => Kind::Allocation(Site::Connect),
        kind::BIND => Kind::Allocation(Site::Bind),
        kind::LISTEN => Kind::Allocation(Site::Listen),
        kind::AUTOBIND => Kind::Allocation(Site::Autobind),
        kind::FIXED_CONNECT => Kind::Explicit(Site::Connect),
        kind::FIXED_BIND => Kind::Explicit(Site::Bind),
        kind::FIXED_LISTEN => Kind::Explicit(Site::Listen),
        kind::RELEASE => Kind::Release(match record.state {
            6 => ReleaseState::TimeWait,
            7 => ReleaseState::Closed,
            other => ReleaseState::Unknown(other),
        }),
        unknown => return Err(DecodeError::Kind(unknown)),
    })
}

/// Without [`present::ERROR`] it failed, and why could not be seen; so count the counters of the kernel half.
/// A release carries what its allocation had, which succeeded.
const fn outcome(record: &Record, release: bool) -> Outcome {
    if release {
        Outcome::Ok
    } else if record.present & present::ERROR == 0 {
        Outcome::Failed { errno: None }
    } else if record.error == 0 {
        Outcome::Ok
    } else {
        Outcome::Failed { errno: Errno::new(record.error) }
    }
}

const fn options(record: &Record) -> Option<Options> {
    let known = record.present & (present::OPTIONS | present::INET_OPTIONS) != 0;
    let options = Options::from_bits(record.options);
    if known || !options.is_empty() { Some(options) } else { None }
}

const fn address(family: u8, bytes: [u8; 16]) -> Option<IpAddr> {
    match family {
        4 => {
            let [a, b, c, d, ..] = bytes;
            Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        6 => Some(IpAddr::V6(Ipv6Addr::from_octets(bytes))),
        _ => None,
    }
}

/// Turns v4-mapped addresses into IPv4; the wildcard beside one is the IPv4 wildcard then.
fn unmap(
    family: u8,
    local: Option<IpAddr>,
    remote: Option<IpAddr>,
) -> (Family, Option<IpAddr>, Option<IpAddr>) {
    let family = match family {
        4 => return (Family::V4, local, remote),
        6 => Family::V6,
        other => Family::Unknown(other),
    };
    if !is_mapped(local) && !is_mapped(remote) {
        return (family, local, remote);
    }
    let plain = |addr: Option<IpAddr>| match addr {
        Some(IpAddr::V6(addr)) if addr.is_unspecified() => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        Some(addr) => Some(addr.to_canonical()),
        None => None,
    };
    (Family::V4, plain(local), plain(remote))
}

const fn is_mapped(addr: Option<IpAddr>) -> bool {
    match addr {
        Some(IpAddr::V6(addr)) => addr.to_ipv4_mapped().is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
