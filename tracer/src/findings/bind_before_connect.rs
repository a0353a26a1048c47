//! PS004: ports that bind(port 0) took before connect, so that nobody else can share them.

use std::{collections::BTreeMap, net::IpAddr};

use serde_json::json;

use super::{
    Case, Finding, Id, Line, Severity, draft,
    place::Place,
    seen::{Seen, fullest, pools},
    wording,
};
use crate::{
    event::{Port, Protocol},
    stats::{By, Group},
    stock::{PoolKey, State},
};

/// Fewer may be a program that starts.
const LEAST_CONNECTS: u64 = 10;
/// From this share of the range on, they are what fills it.
const MUCH: f64 = 0.1;

/// Destinations that the sockets on an address go to.
struct Spread {
    destinations: usize,
    /// The most to one destination.
    most: u32,
}

/// Sockets bound to port 0 and then connected without `IP_BIND_ADDRESS_NO_PORT`.
pub(super) fn ps004(case: &Case<'_>) -> Vec<Finding> {
    let Some(flow) = case.flow else { return Vec::new() };
    if flow.stats.bound_connects().is_none_or(|all| all < LEAST_CONNECTS) {
        return Vec::new();
    }
    let groups = flow.stats.processes(By::Program);
    groups
        .iter()
        .filter(|group| group.bound_connects >= LEAST_CONNECTS)
        .map(|group| of(case, group))
        .collect()
}

fn of(case: &Case<'_>, group: &Group) -> Finding {
    let seen = pool_held_by(case, group);
    let effective = seen.map(|seen| seen.pool.effective);
    let held = effective.and_then(|of| wording::share(group.bound_held, u64::from(of)));
    let severity = if held.is_some_and(|share| share >= MUCH) { Severity::Warning } else { Severity::Info };
    let called = wording::called(group.identity.comm.as_deref(), group.identity.exe.as_deref());
    let name = wording::several(called, group.processes);
    let title = format!(
        "{name} bound {} sockets to port 0 before they connected",
        wording::count(group.bound_connects)
    );
    let spread = seen.and_then(|seen| spread(case, &seen));
    let gain = spread.as_ref().zip(effective).and_then(|(spread, of)| {
        let share = wording::share(spread.most.into(), of.into())?;
        Some(format!("with it the fullest destination would be at {}", wording::percent(share)))
    });
    let mut finding = Finding::new(4, severity, title)
        .fact("netns", json!(seen.map(|seen| seen.netns.get())))
        .fact("program", name.clone())
        .fact("bound_connects", group.bound_connects)
        .fact("bound_held", group.bound_held)
        .fact("effective", json!(effective))
        .fact("destinations", json!(spread.as_ref().map(|spread| spread.destinations)))
        .fact("fullest_if_shared", json!(spread.as_ref().map(|spread| spread.most)));
    if let Some(of) = effective {
        let destinations = spread.as_ref().map(|spread| {
            format!(
                ", to {} destinations",
                wording::count(u64::try_from(spread.destinations).unwrap_or(u64::MAX))
            )
        });
        finding = finding.line(
            "held by",
            format!(
                "{name}: {} of {}, each bound alone{}",
                wording::count(group.bound_held),
                wording::count(of),
                destinations.unwrap_or_default()
            ),
        );
    }
    finding
        .line("why", "bind(addr, 0) before connect() without IP_BIND_ADDRESS_NO_PORT: nothing can be shared")
        .maybe_line("gain", gain)
        .advise(
            "setsockopt(IPPROTO_IP, 24 /*IP_BIND_ADDRESS_NO_PORT*/, 1) before bind",
            Some("TCP only, Linux 4.2+; getsockname() says port 0 until connect"),
        )
        .in_vain(&["ip_autobind_reuse (EADDRNOTAVAIL instead, as often)", "SO_REUSEADDR", "tcp_tw_reuse"])
        .done()
}

/// The fullest pool for bind that the group is known to hold; the fullest of its namespace where there is only one.
fn pool_held_by<'a>(case: &Case<'a>, group: &Group) -> Option<Seen<'a>> {
    let is_bind = |seen: &Seen<'_>| matches!(seen.pool.key, PoolKey::Bind { proto: Protocol::Tcp, laddr } if !laddr.is_unspecified());
    let is_holder = |seen: &Seen<'_>| seen.holders.iter().any(|one| is_of(group, &one.process));
    let known = pools(case).filter(|seen| is_bind(seen) && is_holder(seen)).max_by_key(|seen| seen.peak);
    known.or_else(|| {
        let only = case.pools.len() == 1;
        let bind = pools(case).filter(|seen| only && is_bind(seen)).max_by_key(|seen| seen.peak);
        bind.or_else(|| fullest(case).filter(|_| only))
    })
}

/// Whether a holder is one of the group.
fn is_of(group: &Group, process: &crate::enrich::Process) -> bool {
    match &group.identity.exe {
        Some(exe) => process.exe() == Some(exe),
        None => group.identity.comm.is_some() && process.comm() == group.identity.comm.as_deref(),
    }
}

/// Whether this finding is about a holder of that pool.
pub(super) fn explains(case: &Case<'_>, finding: &Finding, exhausted: &Finding) -> bool {
    let text = |finding: &Finding, key| finding.evidence.get(key).cloned();
    let same_netns = text(finding, "netns") == text(exhausted, "netns");
    let (Some(of), Some(held)) = (number(finding, "effective"), number(finding, "bound_held")) else {
        return false;
    };
    let much = wording::share(held, of).is_some_and(|share| share >= MUCH);
    same_netns && much && case.flow.is_some()
}

fn number(finding: &Finding, key: &str) -> Option<u64> {
    finding.evidence.get(key)?.as_u64()
}

/// Where the sockets on the address of a pool for bind go to.
fn spread(case: &Case<'_>, seen: &Seen<'_>) -> Option<Spread> {
    let space = Place::of(case, Some(seen.netns))?.space;
    let laddr = seen.pool.key.laddr();
    let mut counts: BTreeMap<(IpAddr, Port), u32> = BTreeMap::new();
    let sockets = space.list().iter().filter(|one| {
        one.local_addr == laddr
            && one.state != State::Listen
            && one.state.may_have_connected(one.protocol)
            && one.local_port.is_some_and(|port| seen.pool.range.contains(port.get()))
    });
    for socket in sockets {
        let Some(port) = socket.remote_port else { continue };
        let sum = counts.entry((socket.remote_addr, port)).or_default();
        *sum = sum.saturating_add(1);
    }
    let most = counts.values().copied().max()?;
    Some(Spread { destinations: counts.len(), most })
}

/// Makes the exhaustion that it explains part of this finding.
pub(super) fn take_in(finding: &mut Finding, exhausted: Finding) {
    let own = std::mem::take(&mut finding.lines);
    let from = |label| draft::lines_of(&exhausted.lines, label);
    let held = draft::lines_of(&own, "held by");
    let rest = own.iter().skip(held.len()).cloned();
    let bystanders = "a bound port is barred to every connect of the namespace".to_owned();
    let mut lines = held.clone();
    lines.extend(from("refused to"));
    lines.extend(from("also"));
    lines.push(Line { label: "bystanders", text: bystanders });
    lines.extend(rest);
    finding.lines = lines;
    finding.severity = exhausted.severity;
    finding.title = exhausted.title;
    for (key, value) in exhausted.evidence {
        finding.evidence.entry(key).or_insert(value);
    }
    finding.takes_in.push(Id(1));
    finding.takes_in.extend(exhausted.takes_in);
}
