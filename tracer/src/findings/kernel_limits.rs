//! PS016, PS017, PS022: limits of the kernel, and of the watching, that are not ports.

use serde_json::json;

use super::{Case, Finding, Severity, place::Place, wording};
use crate::stock::Counters;

/// A table of connections from here on will soon drop packets.
const NEAR: f64 = 0.9;
/// Lost detail from here on changes what the tables say.
const MUCH: f64 = 0.01;

/// The table of tracked connections is nearly full, or drops.
pub(super) fn ps016(case: &Case<'_>) -> Vec<Finding> {
    Place::all(case).filter_map(|place| conntrack(case, &place)).collect()
}

fn rise(case: &Case<'_>, place: &Place<'_>, of: fn(&Counters) -> Option<u64>) -> Option<u64> {
    let before = case.before?.space(place.id())?.counters.as_ref().and_then(of)?;
    let now = place.space.counters.as_ref().and_then(of)?;
    now.checked_sub(before).filter(|rise| *rise > 0)
}

fn conntrack(case: &Case<'_>, place: &Place<'_>) -> Option<Finding> {
    let drops = rise(case, place, |counters| counters.conntrack_drop);
    let clashes = rise(case, place, |counters| counters.conntrack_insert_failed);
    let count = place.space.counters.and_then(|counters| counters.conntrack_count);
    let max = place.settings().nf_conntrack_max.filter(|max| *max > 0);
    let share = count.zip(max).and_then(|(count, max)| wording::share(count.into(), max.into()));
    let is_near = share.is_some_and(|share| share >= NEAR);
    let title = match (drops, clashes) {
        (Some(drops), _) => {
            format!("conntrack dropped {} packets: its table was full", wording::count(drops))
        }
        (None, Some(clashes)) => {
            format!(
                "conntrack refused {} connections: no NAT port was free, or a race was lost",
                wording::count(clashes)
            )
        }
        (None, None) if is_near => format!("the conntrack table is at {}", wording::percent(share?)),
        (None, None) => return None,
    };
    let severity = if drops.or(clashes).is_some() { Severity::Critical } else { Severity::Warning };
    let entries =
        count.zip(max).map(|(count, max)| format!("{} of {}", wording::count(count), wording::count(max)));
    let mut finding = Finding::new(16, severity, title)
        .fact("netns", place.id().get())
        .fact("count", json!(count))
        .fact("max", json!(max))
        .fact("drop", json!(drops))
        .fact("insert_failed", json!(clashes))
        .maybe_line("entries", entries)
        .line("why", "these are not local ports: connections fail by timeout, not by EADDRNOTAVAIL");
    if let Some(max) = max.filter(|_| is_near || drops.is_some()) {
        let risk = "memory, some 300 bytes an entry; only the host's own namespace can set it";
        let twice = max.saturating_mul(2).to_string();
        let command = place.set("net.netfilter.nf_conntrack_max", &twice, Some(&max.to_string()), Some(risk));
        finding = finding.advise_command(command, "");
    }
    if clashes.is_some() {
        finding = finding.advise("SNAT with --random-fully, or more addresses to translate to", None);
    }
    Some(finding.in_vain(&["a wider ip_local_port_range", "tcp_tw_reuse"]).done())
}

/// Events whose detail was lost.
pub(super) fn ps017(case: &Case<'_>) -> Vec<Finding> {
    case.flow
        .filter(|flow| flow.lost > 0)
        .map(|flow| {
            let totals = flow.stats.totals();
            let all = totals.allocations().saturating_add(totals.checks()).saturating_add(totals.releases());
            // What was lost may be counted among them, or not yet.
            let share = wording::share(flow.lost, all.max(flow.lost)).unwrap_or(0.0);
            let severity = if share >= MUCH { Severity::Warning } else { Severity::Info };
            let title = format!(
                "the detail of {} events was lost ({})",
                wording::count(flow.lost),
                wording::percent(share)
            );
            Finding::new(17, severity, title)
                .fact("lost", flow.lost)
                .fact("events", all)
                .fact("share", share)
                .line(
                    "exact",
                    "totals, and failures by process; destinations, searches and seconds miss them",
                )
                .advise("--buffer SIZE, twice as large or more", Some("memory that is locked while it runs"))
                .done()
        })
        .into_iter()
        .collect()
}

/// TIME_WAITs that were not kept.
pub(super) fn ps022(case: &Case<'_>) -> Vec<Finding> {
    Place::all(case).filter_map(|place| overflow(case, &place)).collect()
}

fn overflow(case: &Case<'_>, place: &Place<'_>) -> Option<Finding> {
    let lost = rise(case, place, |counters| counters.time_wait_overflow)?;
    let max = place.settings().tcp_max_tw_buckets;
    let title = format!("{} TIME_WAITs were not kept: there were tcp_max_tw_buckets", wording::count(lost));
    let finding = Finding::new(22, Severity::Warning, title)
        .fact("netns", place.id().get())
        .fact("overflows", lost)
        .fact("tcp_max_tw_buckets", json!(max))
        .line("why", "a connection that was cut short so may get segments of the one before it");
    let finding = match max {
        Some(max) => {
            let twice = max.saturating_mul(2).max(1).to_string();
            let risk = Some("memory, some 250 bytes each");
            finding.advise_command(
                place.set("net.ipv4.tcp_max_tw_buckets", &twice, Some(&max.to_string()), risk),
                "",
            )
        }
        None => finding.advise("raise net.ipv4.tcp_max_tw_buckets", Some("memory")),
    };
    Some(finding.in_vain(&["lower tcp_max_tw_buckets: it frees ports, and loses the protection"]).done())
}
