//! The filters of the kernel half, judged here: of events that were recorded without them.

use std::net::IpAddr;

use super::accounts::protocol;

use crate::{
    enrich::Process,
    event::{Event, Family, Kind, Protocol, Site},
    kernel::{counts::Cell, settings::Filter},
};

/// Judges events as the kernel half does (`filter.rs` there).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sieve(Filter);

impl Sieve {
    /// Of filters without a cgroup, which an event does not tell.
    #[must_use]
    pub const fn new(filter: Filter) -> Self {
        Self(filter)
    }

    /// Whether an event passes.
    #[must_use]
    pub fn passes(&self, event: &Event, process: &Process) -> bool {
        let Filter { pids, uids, netns, remote, config } = &self.0;
        let any = |list: &[u32], number: Option<u32>| {
            list.is_empty() || number.is_some_and(|number| list.contains(&number))
        };
        let family = match event.family() {
            Family::V4 => 4,
            Family::V6 => 6,
            Family::Unknown(number) => number,
        };
        any(pids, Some(event.pid().0))
            && any(uids, event.uid().map(|uid| uid.0))
            && any(netns, event.netns().map(crate::event::NetnsId::get))
            && config.kinds.is_none_or(|kinds| kinds >> number(event.kind()) & 1 == 1)
            && config.protocols.is_none_or(|protocols| protocols >> class(event.protocol()) & 1 == 1)
            && config.family.is_none_or(|wanted| wanted == family)
            && (!config.failed || event.failed())
            && (config.local_ports.is_empty() || is_local(event, &config.local_ports))
            && (config.remote_ports.is_empty() || is_remote_port(event, &config.remote_ports))
            && (remote.is_empty() || event.remote_addr().is_some_and(|addr| is_in(addr, remote)))
            && (config.names.is_empty() || is_named(event, process, &config.names))
    }

    /// Whether events of which only a count is left pass; none where such a filter asks for more than the count tells.
    #[must_use]
    pub fn passes_count(&self, pid: u32, comm: &[u8], cell: &Cell) -> Option<bool> {
        let Filter { pids, uids, netns, remote, config } = &self.0;
        let by_place = [uids, netns].iter().any(|list| !list.is_empty()) || !remote.is_empty();
        let by_port = [&config.local_ports, &config.remote_ports].iter().any(|list| !list.is_empty());
        let unknown = by_place || by_port || config.family.is_some();
        if unknown {
            return None;
        }
        let is_ok = cell.result == crate::kernel::counts::ResultClass::Ok;
        Some(
            (pids.is_empty() || pids.contains(&pid))
                && config.kinds.is_none_or(|kinds| kinds >> (cell.kind & 7) & 1 == 1)
                && config
                    .protocols
                    .is_none_or(|protocols| protocols >> class(protocol(cell.protocol)) & 1 == 1)
                && !(config.failed && is_ok)
                && (config.names.is_empty() || config.names.iter().any(|name| is_like(name, comm))),
        )
    }
}

/// The kind of a record, as filters number it.
const fn number(kind: Kind) -> u32 {
    let (site, first) = match kind {
        Kind::Allocation(site) => (site, 0),
        Kind::Explicit(site) => (site, 4),
        Kind::Release(_) => return 7,
    };
    first
        + match site {
            Site::Connect => 0,
            Site::Bind => 1,
            Site::Listen => 2,
            Site::Autobind => 3,
        }
}

/// The protocol, as filters number it.
const fn class(protocol: Protocol) -> u32 {
    match protocol {
        Protocol::Tcp => 0,
        Protocol::Udp => 1,
        Protocol::UdpLite => 2,
        Protocol::Icmp => 3,
        Protocol::Sctp => 4,
        Protocol::Dccp => 5,
        Protocol::Unknown(_) => 6,
    }
}

/// A failed automatic choice matches when the range that it searched overlaps.
fn is_local(event: &Event, wanted: &[(u16, u16)]) -> bool {
    let port = event.local_port().or(event.requested_port()).map(|port| (port.get(), port.get()));
    let searched = || event.range().map(|range| (range.low(), range.high()));
    let Some((low, high)) = port.or_else(searched) else { return true };
    wanted.iter().any(|(first, last)| *first <= high && low <= *last)
}

fn is_remote_port(event: &Event, wanted: &[(u16, u16)]) -> bool {
    let is_one = |port: u16| wanted.iter().any(|(first, last)| *first <= port && port <= *last);
    event.remote_port().is_some_and(|port| is_one(port.get()))
}

/// Whether an address is in one of these networks, IPv4 mapped into IPv6.
fn is_in(addr: IpAddr, networks: &[([u8; 16], u8)]) -> bool {
    let addr = match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped(),
        IpAddr::V6(addr) => addr,
    };
    let bits = u128::from_be_bytes(addr.octets());
    networks.iter().any(|(network, length)| {
        let beyond = 128_u32.saturating_sub(u32::from(*length));
        let differing = bits ^ u128::from_be_bytes(*network);
        differing.checked_shr(beyond).unwrap_or(0) == 0
    })
}

fn is_named(event: &Event, process: &Process, names: &[String]) -> bool {
    let thread = event.comm();
    let thread = thread.as_ref().map(crate::event::Comm::bytes);
    let leader = process.comm().map(str::as_bytes);
    let known = [thread, leader];
    names.iter().any(|name| known.iter().flatten().any(|comm| is_like(name, comm)))
}

/// The kernel keeps 15 bytes of a name: a longer one is compared by its first 15. A trailing `*` matches any ending.
fn is_like(name: &str, comm: &[u8]) -> bool {
    let (text, open) = name.strip_suffix('*').map_or((name, false), |text| (text, true));
    let kept = text.as_bytes().get(..15).unwrap_or(text.as_bytes());
    if open { comm.starts_with(kept) } else { comm == kept }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::decode, kernel::settings::FilterSettings};
    use tracer_ebpf::abi::{Record, kind, present};
    use zerocopy::IntoBytes as _;

    fn event(record: Record) -> Event {
        decode(record.as_bytes()).unwrap()
    }

    fn connect() -> Record {
        Record {
            kind: kind::CONNECT,
            protocol: 6,
            family: 4,
            pid: 7,
            uid: 1000,
            netns: 9,
            comm: *b"worker\0\0\0\0\0\0\0\0\0\0",
            local_addr: [127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            remote_addr: [10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            remote_port: 443,
            local_port: 40_000,
            range_low: 32_768,
            range_high: 60_999,
            present: present::ERROR
                | present::REMOTE
                | present::LOCAL_ADDR
                | present::RANGE
                | present::UID
                | present::COMM
                | present::NETNS,
            ..Record::default()
        }
    }

    fn passes(filter: Filter, record: Record) -> bool {
        let leader = Process::new(Some("leader"), None, None);
        Sieve::new(filter).passes(&event(record), &leader)
    }

    fn config(config: FilterSettings) -> Filter {
        Filter { config, ..Filter::default() }
    }

    #[test]
    fn each_filter_lets_its_own_pass_and_nothing_else() {
        let names = |name: &str| config(FilterSettings { names: vec![name.into()], ..Default::default() });
        let mapped = |last: u8, length| {
            let addr = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, last];
            Filter { remote: vec![(addr, length)], ..Filter::default() }
        };
        let local =
            |low, high| config(FilterSettings { local_ports: vec![(low, high)], ..Default::default() });
        let table = [
            (Filter::default(), true),
            (Filter { pids: vec![6, 7], ..Filter::default() }, true),
            (Filter { pids: vec![6], ..Filter::default() }, false),
            (Filter { uids: vec![1000], ..Filter::default() }, true),
            (Filter { uids: vec![0], ..Filter::default() }, false),
            (Filter { netns: vec![9], ..Filter::default() }, true),
            (Filter { netns: vec![8], ..Filter::default() }, false),
            (mapped(0, 120), true),
            (mapped(3, 128), true),
            (mapped(4, 128), false),
            (Filter { remote: vec![([0; 16], 0)], ..Filter::default() }, true),
            (names("work*"), true),
            (names("work"), false),
            (names("leader"), true),
            (local(40_000, 40_000), true),
            (local(40_001, 50_000), false),
            (config(FilterSettings { remote_ports: vec![(1, 443)], ..Default::default() }), true),
            (config(FilterSettings { remote_ports: vec![(80, 80)], ..Default::default() }), false),
            (config(FilterSettings { kinds: Some(1), ..Default::default() }), true),
            (config(FilterSettings { kinds: Some(!1), ..Default::default() }), false),
            (config(FilterSettings { protocols: Some(2), ..Default::default() }), false),
            (config(FilterSettings { family: Some(6), ..Default::default() }), false),
            (config(FilterSettings { failed: true, ..Default::default() }), false),
        ];
        for (filter, expected) in table {
            assert_eq!(passes(filter.clone(), connect()), expected, "{filter:?}");
        }
    }

    #[test]
    fn a_refusal_is_never_hidden_by_a_port_inside_the_range_it_searched() {
        let refused = Record { local_port: 0, error: 99, ..connect() };
        let local =
            |low, high| config(FilterSettings { local_ports: vec![(low, high)], ..Default::default() });
        assert!(passes(local(60_000, 60_001), refused));
        assert!(!passes(local(1, 1024), refused));
        assert!(passes(config(FilterSettings { failed: true, ..Default::default() }), refused));
    }

    #[test]
    fn lost_events_are_judged_by_what_their_count_tells() {
        let cell = crate::kernel::counts::cell_at(0, 5);
        let judge = |filter| Sieve::new(filter).passes_count(7, b"worker", &cell);
        assert_eq!(judge(Filter { pids: vec![7], ..Filter::default() }), Some(true));
        assert_eq!(judge(Filter { pids: vec![8], ..Filter::default() }), Some(false));
        assert_eq!(judge(Filter { uids: vec![8], ..Filter::default() }), None);
        assert_eq!(judge(config(FilterSettings { failed: true, ..Default::default() })), Some(false));
    }
}
