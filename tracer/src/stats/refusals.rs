//! Failures, by what was asked for: who was refused what, how often, and why.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::{
    enrich::Process,
    event::{Cause, Errno, Event, Kind, MonoNs, NetnsId, Pid, Port, Protocol, Site},
};

/// Kinds of failures that are kept apart; those of further kinds are only counted.
pub const MOST_REFUSALS: usize = 1_024;
/// Processes that are kept apart of each kind.
pub const MOST_VICTIMS: usize = 256;

/// What was asked for in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RefusalKey {
    /// Network namespace of the socket.
    pub netns: Option<NetnsId>,
    /// Its protocol.
    pub proto: Protocol,
    /// Where the choice or the check was made.
    pub site: Site,
    /// The port that the caller named; none where the choice was the kernel's.
    pub requested: Option<Port>,
    /// Local address.
    pub laddr: Option<IpAddr>,
    /// Remote address, of a connect.
    pub raddr: Option<IpAddr>,
    /// Remote port, of a connect.
    pub rport: Option<Port>,
    /// Why.
    pub cause: Option<Cause>,
}

/// A process that was refused.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Its number.
    pub pid: Pid,
    /// What it is.
    pub process: Process,
    /// How often.
    pub count: u64,
}

/// Failures of one kind.
#[derive(Clone, Debug)]
pub struct RefusalRow {
    /// What was asked for.
    pub key: RefusalKey,
    /// The errno of the last one, where it was seen.
    pub errno: Option<Errno>,
    /// How many.
    pub count: u64,
    /// The first.
    pub first: MonoNs,
    /// The last.
    pub last: MonoNs,
    /// Who, the first [`MOST_VICTIMS`] processes.
    pub victims: Vec<Refused>,
    /// Failures of further processes.
    pub others: u64,
}

impl RefusalRow {
    fn new(key: RefusalKey, at: MonoNs) -> Self {
        Self { key, errno: None, count: 0, first: at, last: at, victims: Vec::new(), others: 0 }
    }

    fn add(&mut self, pid: Pid, process: &Process, count: u64) {
        self.count += count;
        if let Some(known) = self.victims.iter_mut().find(|victim| victim.pid == pid) {
            known.count += count;
        } else if self.victims.len() < MOST_VICTIMS {
            self.victims.push(Refused { pid, process: process.clone(), count });
        } else {
            self.others += count;
        }
    }
}

/// All failures.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals {
    rows: Vec<RefusalRow>,
    places: FxHashMap<RefusalKey, usize>,
    left_out: u64,
    /// Ports that were given without a peer, by what a refusal of the same kind would tell.
    given: FxHashMap<PlaceKey, u64>,
}

/// Namespace, protocol, site and local address of a choice without a peer.
type PlaceKey = (Option<NetnsId>, Protocol, Site, Option<IpAddr>);

impl Refusals {
    /// Takes a failed choice or check.
    pub(super) fn take(&mut self, event: &Event, process: &Process) {
        let site = match event.kind() {
            Kind::Allocation(site) | Kind::Explicit(site) => site,
            Kind::Release(_) => return,
        };
        let key = RefusalKey {
            netns: event.netns(),
            proto: event.protocol(),
            site,
            requested: event.requested_port(),
            laddr: event.local_addr(),
            raddr: event.remote_addr(),
            rport: event.remote_port(),
            cause: event.cause(),
        };
        let Some(row) = self.row(key, event.mono()) else {
            self.left_out += 1;
            return;
        };
        row.errno = event.errno().or(row.errno);
        row.first = row.first.min(event.mono());
        row.last = row.last.max(event.mono());
        row.add(event.pid(), process, 1);
    }

    /// Takes choices like this one that succeeded; those with a peer are counted by destination already.
    #[inline]
    pub(super) fn give(&mut self, site: Site, event: &Event, times: u64) {
        if site == Site::Connect {
            return;
        }
        let key = (event.netns(), event.protocol(), site, event.local_addr());
        if let Some(count) = self.given.get_mut(&key) {
            *count += times;
        } else if self.given.len() < MOST_REFUSALS {
            self.given.insert(key, times);
        }
    }

    /// How many were given where this was refused; none where that is counted by destination.
    pub(super) fn given(&self, key: &RefusalKey) -> Option<u64> {
        self.given.get(&(key.netns, key.proto, key.site, key.laddr)).copied()
    }

    fn row(&mut self, key: RefusalKey, at: MonoNs) -> Option<&mut RefusalRow> {
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None if self.rows.len() >= MOST_REFUSALS => return None,
            None => {
                self.rows.push(RefusalRow::new(key, at));
                self.places.insert(key, self.rows.len() - 1);
                self.rows.len() - 1
            }
        };
        self.rows.get_mut(place)
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.left_out += other.left_out;
        for (key, more) in &other.given {
            if self.given.contains_key(key) || self.given.len() < MOST_REFUSALS {
                *self.given.entry(*key).or_insert(0) += more;
            }
        }
        for more in &other.rows {
            let Some(row) = self.row(more.key, more.first) else {
                self.left_out += more.count;
                continue;
            };
            row.errno = row.errno.or(more.errno);
            row.first = row.first.min(more.first);
            row.last = row.last.max(more.last);
            row.others += more.others;
            row.count += more.others;
            more.victims.iter().for_each(|victim| row.add(victim.pid, &victim.process, victim.count));
        }
    }

    /// The rows, and failures that have none.
    pub(super) fn list(&self) -> (&[RefusalRow], u64) {
        (&self.rows, self.left_out)
    }
}
