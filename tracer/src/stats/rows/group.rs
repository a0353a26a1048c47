//! Processes collapsed into what a person looks for.

use std::{collections::BTreeMap, sync::Arc};

use super::{Identity, ProcessKey, Row, processes::Asker};

/// How processes are collapsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// Not at all: one row a process.
    Pid,
    /// By container, or unit where there is none, and executable.
    #[default]
    Program,
    /// By executable.
    Exe,
    /// By systemd unit.
    Unit,
    /// By container.
    Container,
    /// By Kubernetes pod.
    Pod,
}

/// Processes that are shown as one: exact sums of their rows.
#[derive(Clone, Debug)]
pub struct Group {
    /// How many processes. One that comes back after it made room in a full table counts again.
    pub processes: u64,
    /// The process; none where there are several, or only those that made room.
    pub process: Option<ProcessKey>,
    /// What they have in common; the rest is none. The name is that of the busiest of them.
    pub identity: Identity,
    /// Their numbers.
    pub row: Row,
    /// Events that the row of a process may have missed while the table had no room for it: at most this many. None are
    /// missed where processes are collapsed: they are in a sum by name.
    pub missed_at_most: u64,
    /// Sockets that were bound to port 0 and then connected without `IP_BIND_ADDRESS_NO_PORT`, as far as
    /// successful checks are recorded.
    pub bound_connects: u64,
    /// Of these, the ones that still hold their port, as far as releases are recorded.
    pub bound_held: u64,
}

/// What is collapsed: the row of a process, or the sum of some of one name that made room in a full table.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) process: Option<ProcessKey>,
    pub(super) processes: u64,
    pub(super) row: &'a Row,
    pub(super) asker: &'a Asker,
    pub(super) missed: u64,
}

/// Groups of processes, the busiest first.
pub(super) fn grouped<'a>(rows: impl Iterator<Item = Member<'a>>, by: By) -> Vec<Group> {
    if by == By::Pid {
        return sorted(
            rows.map(|row| Group { missed_at_most: row.missed, ..sum(&[row], Identity::clone) }).collect(),
        );
    }
    let key = |identity: &Identity| match by {
        By::Exe => only_program(identity),
        By::Unit => Identity { unit: identity.unit.clone(), ..Identity::default() },
        By::Container => Identity { container: identity.container.clone(), ..Identity::default() },
        By::Pod => Identity { pod: identity.pod.clone(), ..Identity::default() },
        By::Pid | By::Program => {
            let place = match &identity.container {
                Some(_) => Identity { container: identity.container.clone(), ..Identity::default() },
                None => Identity { unit: identity.unit.clone(), ..Identity::default() },
            };
            Identity { container: place.container, unit: place.unit, ..only_program(identity) }
        }
    };
    let mut groups: BTreeMap<Identity, Vec<Member<'a>>> = BTreeMap::new();
    // Few names, many processes: the key is made once for each name.
    let mut keys: BTreeMap<*const Identity, Identity> = BTreeMap::new();
    for row in rows {
        let identity = &row.asker.identity;
        let key = keys.entry(Arc::as_ptr(identity)).or_insert_with(|| key(identity));
        groups.entry(key.clone()).or_default().push(row);
    }
    // In the order of time seconds add up, so that a program of short-lived processes has its peak.
    for rows in groups.values_mut() {
        rows.sort_by_key(|one| one.row.last());
    }
    sorted(groups.values().map(|rows| sum(rows, |_| common(rows))).collect())
}

/// The executable, or the name where that could not be learned.
fn only_program(identity: &Identity) -> Identity {
    let comm = if identity.exe.is_some() { None } else { identity.comm.clone() };
    Identity { comm, exe: identity.exe.clone(), ..Identity::default() }
}

/// What all of them have, with the name of the busiest.
fn common(rows: &[Member<'_>]) -> Identity {
    let mut rows = rows.iter();
    let Some(first) = rows.next() else { return Identity::default() };
    let mut common = Identity::clone(&first.asker.identity);
    let mut most = first.row.allocations();
    for one in rows {
        let other = &*one.asker.identity;
        let pairs = [
            (&mut common.exe, &other.exe),
            (&mut common.unit, &other.unit),
            (&mut common.container, &other.container),
            (&mut common.pod, &other.pod),
        ];
        for (mine, theirs) in pairs {
            if mine != theirs {
                *mine = None;
            }
        }
        if one.row.allocations() > most {
            most = one.row.allocations();
            common.comm.clone_from(&other.comm);
        }
    }
    common
}

fn sum(rows: &[Member<'_>], identity: impl Fn(&Identity) -> Identity) -> Group {
    let mut group = Group {
        processes: 0,
        process: None,
        identity: Identity::default(),
        row: Row::default(),
        missed_at_most: 0,
        bound_connects: 0,
        bound_held: 0,
    };
    let mut still_held = 0;
    for one in rows {
        let (connects, held) = one.asker.bound();
        group.processes += one.processes;
        group.row.merge(one.row, true);
        group.bound_connects += connects;
        still_held += held;
    }
    group.bound_held = u64::try_from(still_held).unwrap_or(0);
    if let [only] = rows {
        group.process = only.process;
        group.identity = identity(&only.asker.identity);
    } else {
        group.identity = identity(&group.identity);
    }
    group
}

fn sorted(mut groups: Vec<Group>) -> Vec<Group> {
    groups.sort_by(|one, other| {
        let weight = |group: &Group| (group.row.allocations(), group.row.failed_checks());
        weight(other).cmp(&weight(one)).then_with(|| one.identity.cmp(&other.identity))
    });
    groups
}
