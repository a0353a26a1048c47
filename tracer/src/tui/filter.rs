//! What to show of what was gathered: the words of the command line's filters, typed on the screen.

use std::{fmt, net::IpAddr};

use crate::{
    event::{Event, NetnsId, Port},
    output::records::{PoolRecord, ProcessRecord},
};

/// The words, for help and for complaints.
pub(super) const WORDS: &str = "comm=NAME* pid=N netns=NAME port=80,9000-9100 local-port= remote-port= remote=10.0.0.0/8 proto=tcp site=bind failed";

/// What passes. Words of one kind are alternatives; kinds must all be met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// As it was typed.
    text: String,
    comm: Vec<Name>,
    pid: Vec<u32>,
    netns: Vec<String>,
    port: Vec<(u16, u16)>,
    local_port: Vec<(u16, u16)>,
    remote_port: Vec<(u16, u16)>,
    remote: Vec<(IpAddr, u8)>,
    proto: Vec<String>,
    site: Vec<String>,
    failed: bool,
}

/// A name to be met.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Is(String),
    BeginsWith(String),
    Has(String),
}

impl Name {
    fn is_met(&self, name: &str) -> bool {
        match self {
            Self::Is(wanted) => name == wanted,
            Self::BeginsWith(wanted) => name.starts_with(wanted.as_str()),
            Self::Has(wanted) => name.contains(wanted.as_str()),
        }
    }
}

/// A word that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// There is no such filter.
    #[error("'{0}' is no filter: there are {WORDS}")]
    Unknown(String),
    /// The value is not what the filter takes.
    #[error("'{value}' is no {what}: give {such}")]
    Value {
        /// The value.
        value: String,
        /// What it should be.
        what: &'static str,
        /// An example.
        such: &'static str,
    },
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Filter {
    /// Reads words with blanks between them: `comm=nginx* failed`. A word by itself is part of a process's name.
    ///
    /// # Errors
    ///
    /// The first word that makes no sense.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut filter = Self { text: text.trim().to_owned(), ..Self::default() };
        for word in text.split_whitespace() {
            filter.add(word)?;
        }
        Ok(filter)
    }

    /// Whether everything passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether failures alone pass.
    #[must_use]
    pub const fn failed(&self) -> bool {
        self.failed
    }

    fn add(&mut self, word: &str) -> Result<(), FilterError> {
        let Some((key, values)) = word.split_once('=') else {
            match word.trim_start_matches('-') {
                "failed" => self.failed = true,
                bare if bare == word => self.comm.push(Name::Has(bare.to_owned())),
                _ => return Err(FilterError::Unknown(word.to_owned())),
            }
            return Ok(());
        };
        for value in values.split(',').filter(|value| !value.is_empty()) {
            match key.trim_start_matches('-').replace('_', "-").as_str() {
                "comm" => self.comm.push(match value.strip_suffix('*') {
                    Some(begin) => Name::BeginsWith(begin.to_owned()),
                    None => Name::Is(value.to_owned()),
                }),
                "pid" => self.pid.push(number(value)?),
                "netns" => self.netns.push(value.to_owned()),
                "port" => self.port.push(ports(value)?),
                "local-port" => self.local_port.push(ports(value)?),
                "remote-port" => self.remote_port.push(ports(value)?),
                "remote" => self.remote.push(network(value)?),
                "proto" => self.proto.push(value.to_owned()),
                "site" => self.site.push(value.to_owned()),
                _ => return Err(FilterError::Unknown(word.to_owned())),
            }
        }
        Ok(())
    }

    /// Whether an event passes; `comm` is the name of its process, `netns` what its namespace is called.
    #[must_use]
    pub fn event(&self, event: &Event, comm: Option<&str>, netns: &str) -> bool {
        let thread = event.comm().map(|comm| comm.lossy().into_owned());
        let names = [comm, thread.as_deref()];
        // A failed choice got no port: what counts is where it looked, as it does to the kernel half.
        let local = match event.local_port().or(event.requested_port()) {
            Some(port) => Some((port.get(), port.get())),
            None => event.range().map(|range| (range.low(), range.high())),
        };
        let remote = event.remote_port().map(|port| (Port::get(port), Port::get(port)));
        (!self.failed || event.failed())
            && any(&self.comm, |name| names.iter().flatten().any(|one| name.is_met(one)))
            && any(&self.pid, |pid| *pid == event.pid().0)
            && any(&self.netns, |wanted| is_netns(wanted, event.netns().map(NetnsId::get), netns))
            && any(&self.proto, |proto| proto == event.protocol().name())
            && any(&self.site, |site| event.kind().site().is_some_and(|one| one.name() == site))
            && any(&self.port, |ports| overlaps(*ports, local) || overlaps(*ports, remote))
            && any(&self.local_port, |ports| overlaps(*ports, local))
            && any(&self.remote_port, |ports| overlaps(*ports, remote))
            && any(&self.remote, |network| event.remote_addr().is_some_and(|addr| contains(*network, addr)))
    }

    /// Whether a pool passes. Of processes, those that hold it count.
    #[must_use]
    pub fn pool(&self, pool: &PoolRecord, netns: &str) -> bool {
        let range = Some((pool.range[0], pool.range[1]));
        let remote = pool.remote_port.map(|port| (port, port));
        let names = || pool.holders.iter().filter_map(|holder| holder.comm.as_deref());
        (!self.failed || pool.failures.is_some_and(|failures| failures != 0))
            && any(&self.comm, |name| names().any(|one| name.is_met(one)))
            && any(&self.pid, |pid| pool.holders.iter().any(|holder| holder.pid == Some(*pid)))
            && any(&self.netns, |wanted| is_netns(wanted, Some(pool.netns), netns))
            && any(&self.proto, |proto| *proto == pool.proto)
            && any(&self.site, |site| (site == "connect") == pool.remote_addr.is_some())
            && any(&self.port, |ports| {
                overlaps(*ports, remote) || (remote.is_none() && overlaps(*ports, range))
            })
            && any(&self.local_port, |ports| overlaps(*ports, range))
            && any(&self.remote_port, |ports| overlaps(*ports, remote))
            && any(&self.remote, |network| pool.remote_addr.is_some_and(|addr| contains(*network, addr)))
    }

    /// Whether a process passes, by what is known of processes.
    #[must_use]
    pub fn process(&self, process: &ProcessRecord) -> bool {
        (!self.failed || process.row.failures != 0)
            && any(&self.comm, |name| process.comm.as_deref().is_some_and(|one| name.is_met(one)))
            && any(&self.pid, |pid| process.pid == Some(*pid))
    }
}

fn any<T>(wanted: &[T], is_met: impl Fn(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(is_met)
}

fn is_netns(wanted: &str, id: Option<u32>, name: &str) -> bool {
    wanted == name || id.is_some_and(|id| id.to_string() == wanted)
}

fn overlaps((low, high): (u16, u16), range: Option<(u16, u16)>) -> bool {
    range.is_some_and(|(first, last)| low <= last && first <= high)
}

fn contains((network, prefix): (IpAddr, u8), addr: IpAddr) -> bool {
    match (network, addr.to_canonical()) {
        (IpAddr::V4(network), IpAddr::V4(addr)) => {
            let off = 32_u32.saturating_sub(prefix.into());
            (network.to_bits() ^ addr.to_bits()).checked_shr(off).unwrap_or(0) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(addr)) => {
            let off = 128_u32.saturating_sub(prefix.into());
            (network.to_bits() ^ addr.to_bits()).checked_shr(off).unwrap_or(0) == 0
        }
        _ => false,
    }
}

fn number(value: &str) -> Result<u32, FilterError> {
    let wrong = || FilterError::Value { value: value.to_owned(), what: "process id", such: "a number" };
    value.parse().map_err(|_unread| wrong())
}

fn ports(value: &str) -> Result<(u16, u16), FilterError> {
    let (low, high) = value.split_once('-').unwrap_or((value, value));
    match (low.parse(), high.parse()) {
        (Ok(low), Ok(high)) if low <= high => Ok((low, high)),
        _ => Err(FilterError::Value { value: value.to_owned(), what: "port", such: "443 or 9000-9100" }),
    }
}

fn network(value: &str) -> Result<(IpAddr, u8), FilterError> {
    let wrong =
        || FilterError::Value { value: value.to_owned(), what: "network", such: "an address or 10.0.0.0/8" };
    let (addr, prefix) = value.split_once('/').unwrap_or((value, ""));
    let addr: IpAddr = addr.parse().map_err(|_unread| wrong())?;
    let most = if addr.is_ipv4() { 32 } else { 128 };
    let prefix = if prefix.is_empty() { most } else { prefix.parse().map_err(|_unread| wrong())? };
    if prefix > most { Err(wrong()) } else { Ok((addr, prefix)) }
}

#[cfg(test)]
mod tests {
    use tracer_ebpf::abi::{Record, present};
    use zerocopy::IntoBytes as _;

    use super::*;
    use crate::event::decode;

    #[test]
    fn events_pass_when_every_kind_of_word_is_met() {
        let mut comm = [0; 16];
        comm[..4].copy_from_slice(b"curl");
        let mut remote_addr = [0; 16];
        remote_addr[..4].copy_from_slice(&[10, 0, 9, 2]);
        let given = Record {
            pid: 7,
            netns: 4_026_531_840,
            comm,
            remote_addr,
            remote_port: 443,
            local_port: 40_000,
            range_low: 32_768,
            range_high: 60_999,
            protocol: 6,
            family: 4,
            present: present::ERROR | present::REMOTE | present::RANGE | present::COMM | present::NETNS,
            ..Record::default()
        };
        let refused = Record { local_port: 0, error: 99, ..given };
        let passes = |text: &str, record: &Record| {
            let event = decode(record.as_bytes()).unwrap();
            Filter::parse(text).unwrap().event(&event, Some("worker"), "host")
        };
        for (text, both) in [
            ("", (true, true)),
            ("failed", (false, true)),
            ("comm=curl", (true, true)),
            ("comm=work*", (true, true)),
            ("comm=work", (false, false)),
            ("pid=7 netns=host", (true, true)),
            ("netns=4026531840,other", (true, true)),
            ("pid=8", (false, false)),
            ("port=443", (true, true)),
            // Of a failed choice the range that it searched counts.
            ("local-port=40000", (true, true)),
            ("local-port=50000", (false, true)),
            ("local-port=61000", (false, false)),
            ("remote-port=40000", (false, false)),
            ("remote=10.0.0.0/8 proto=tcp site=connect", (true, true)),
            ("remote=10.1.0.0/16", (false, false)),
            ("proto=udp", (false, false)),
        ] {
            assert_eq!((passes(text, &given), passes(text, &refused)), both, "{text}");
        }
    }

    #[test]
    fn words_that_make_no_sense_are_named_with_those_that_do() {
        for (text, said) in [
            ("colour=red", "'colour=red' is no filter: there are comm="),
            ("-x", "'-x' is no filter"),
            ("pid=me", "'me' is no process id: give a number"),
            ("port=9-1", "'9-1' is no port: give 443"),
            ("remote=10.0.0.0/33", "'10.0.0.0/33' is no network"),
            ("remote=ten", "'ten' is no network"),
        ] {
            let error = Filter::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }

    #[test]
    fn networks_contain_their_own() {
        let is_in = |network: &str, addr: &str| {
            contains(super::network(network).unwrap(), addr.parse::<IpAddr>().unwrap())
        };
        assert!(is_in("10.0.0.0/8", "10.9.8.7") && !is_in("10.0.0.0/8", "11.0.0.1"));
        assert!(
            is_in("0.0.0.0/0", "1.2.3.4") && is_in("10.0.0.1", "10.0.0.1") && !is_in("10.0.0.1", "10.0.0.2")
        );
        assert!(is_in("10.0.0.0/8", "::ffff:10.1.1.1") && !is_in("::/0", "10.0.0.1"));
        assert!(is_in("2001:db8::/32", "2001:db8::1") && !is_in("2001:db8::/32", "2001:db9::1"));
    }

    #[test]
    fn names_are_whole_unless_a_star_says_otherwise_or_they_stand_alone() {
        let met =
            |text: &str, name: &str| Filter::parse(text).unwrap().comm.iter().any(|one| one.is_met(name));
        assert!(met("comm=curl", "curl") && !met("comm=curl", "curl2") && met("comm=cu*", "curl"));
        assert!(met("url", "curl") && met("--comm=a,b", "b"));
        let filter = Filter::parse(" failed  port=80 ").unwrap();
        assert!(filter.failed() && !filter.is_empty() && filter.to_string() == "failed  port=80");
        assert!(Filter::parse("  ").unwrap().is_empty());
    }
}
