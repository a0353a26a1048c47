//! Processes collapsed into what a person looks for.

use std::{collections::BTreeMap, sync::Arc};

use super::{Identity, ProcessKey, Row, processes::ProcessEntry};

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
    /// How many processes.
    pub processes: u64,
    /// The process; none where there are several.
    pub process: Option<ProcessKey>,
    /// What they have in common; the rest is none. The name is that of the busiest of them.
    pub identity: Identity,
    /// Their numbers.
    pub row: Row,
    /// Events that these rows may have missed while the table had no room for them: at most this many.
    pub missed_at_most: u64,
    /// Sockets that were bound to port 0 and then connected without `IP_BIND_ADDRESS_NO_PORT`, as far as
    /// successful checks are recorded.
    pub bound_connects: u64,
    /// Of these, the ones that still hold their port, as far as releases are recorded.
    pub bound_held: u64,
}

type Rows<'a> = Vec<(ProcessKey, &'a ProcessEntry)>;

/// Groups of processes, the busiest first.
pub(super) fn grouped<'a>(rows: impl Iterator<Item = (ProcessKey, &'a ProcessEntry)>, by: By) -> Vec<Group> {
    if by == By::Pid {
        return sorted(rows.map(|row| sum(&[row], Identity::clone)).collect());
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
    let mut groups: BTreeMap<Identity, Rows<'a>> = BTreeMap::new();
    // Few names, many processes: the key is made once for each name.
    let mut keys: BTreeMap<*const Identity, Identity> = BTreeMap::new();
    for row in rows {
        let identity = &row.1.extra.identity;
        let key = keys.entry(Arc::as_ptr(identity)).or_insert_with(|| key(identity));
        groups.entry(key.clone()).or_default().push(row);
    }
    sorted(groups.values().map(|rows| sum(rows, |_| common(rows))).collect())
}

/// [`By::Program`].
pub(super) fn programs<'a>(rows: impl Iterator<Item = (ProcessKey, &'a ProcessEntry)>) -> Vec<Group> {
    grouped(rows, By::Program)
}

/// The executable, or the name where that could not be learned.
fn only_program(identity: &Identity) -> Identity {
    let comm = if identity.exe.is_some() { None } else { identity.comm.clone() };
    Identity { comm, exe: identity.exe.clone(), ..Identity::default() }
}

/// What all of them have, with the name of the busiest.
fn common(rows: &[(ProcessKey, &ProcessEntry)]) -> Identity {
    let mut rows = rows.iter();
    let Some((_, first)) = rows.next() else { return Identity::default() };
    let mut common = Identity::clone(&first.extra.identity);
    let mut most = first.row.allocations();
    for (_, entry) in rows {
        let other = &*entry.extra.identity;
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
        if entry.row.allocations() > most {
            most = entry.row.allocations();
            common.comm.clone_from(&other.comm);
        }
    }
    common
}

fn sum(rows: &[(ProcessKey, &ProcessEntry)], identity: impl Fn(&Identity) -> Identity) -> Group {
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
    for (key, entry) in rows {
        let (connects, held) = entry.extra.bound();
        group.processes += 1;
        group.process = Some(*key);
        group.row.merge(&entry.row, true);
        group.missed_at_most += entry.missed;
        group.bound_connects += connects;
        still_held += held;
    }
    group.bound_held = u64::try_from(still_held).unwrap_or(0);
    if let [(_, only)] = rows {
        group.identity = identity(&only.extra.identity);
    } else {
        group.process = None;
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
