//! PS009: the same 4-tuple again before the far end, or a box on the way, has forgotten the old one.

use serde_json::json;

use super::{Case, Finding, Flow, Severity, place::Place, wording};
use crate::{
    event::NetnsId,
    stats::{DestinationKey, ReuseReport},
    stock::Counters,
};

/// A share that can be seen.
const LEAST_SHARE: f64 = 0.01;
/// How long Linux itself remembers.
const MINUTE_MS: u64 = 60_000;

/// 4-tuples that came again soon.
pub(super) fn ps009(case: &Case<'_>) -> Vec<Finding> {
    case.flow.and_then(|flow| of(case, flow)).into_iter().collect()
}

fn of(case: &Case<'_>, flow: &Flow<'_>) -> Option<Finding> {
    let reuse = flow.stats.reuse(flow.at);
    let title = title(&reuse)?;
    let off_loopback = off_loopback(flow);
    let hit = off_loopback.and_then(|to| dropped(case, to.netns()));
    let severity = if hit.is_some() { Severity::Warning } else { Severity::Info };
    let finding = Finding::new(9, severity, title)
        .fact("netns", json!(off_loopback.and_then(|to| to.netns()).map(NetnsId::get)))
        .fact("same_tuple_within_60s", json!(reuse.same_tuple_within_60s))
        .fact("same_tuple_within_120s", json!(reuse.same_tuple_within_120s))
        .fact("interval_ms_p50", json!(reuse.same_tuple_interval_ms_p50))
        .fact("distance_min", json!(reuse.distance_min))
        .fact("off_loopback", off_loopback.is_some())
        .fact("syn_retransmits", json!(hit));
    let finding =
        match (off_loopback, hit) {
            (None, _) => finding
                .line("caution", "fine on loopback; off it, NAT and firewalls may drop such connections"),
            (Some(_), None) => finding
                .line("caution", "NAT and firewalls on the way may drop them; no SYN was repeated here"),
            (Some(_), Some(syns)) => finding.line(
                "why",
                format!(
                    "connections are tracked here, and {} SYNs were sent again meanwhile",
                    wording::count(syns)
                ),
            ),
        };
    let timer = off_loopback.and_then(|to| {
        let place = Place::of(case, to.netns())?;
        place.settings().nf_conntrack_tcp_timeout_time_wait_s
    });
    let finding = finding.maybe_line(
        "timer",
        timer.map(|s| {
            format!("conntrack keeps a closed connection for {s} s (nf_conntrack_tcp_timeout_time_wait)")
        }),
    );
    Some(
        finding
            .advise("keep connections open (pool, keep-alive)", None)
            .in_vain(&[
                "nf_conntrack_tcp_timeout_time_wait for local ports (it holds NAT ports and entries only)",
            ])
            .done(),
    )
}

fn title(reuse: &ReuseReport) -> Option<String> {
    let seen = |share: Option<f64>| share.filter(|share| *share >= LEAST_SHARE);
    if let Some(share) = seen(reuse.same_tuple_within_60s) {
        return Some(format!("{} reused a 4-tuple closed < 60 s ago", wording::percent(share)));
    }
    if let Some(share) = seen(reuse.same_tuple_within_120s) {
        return Some(format!("{} reused a 4-tuple closed < 120 s ago", wording::percent(share)));
    }
    // A window that is too short for shares may still have seen tuples come again.
    let short = reuse.same_tuple_within_60s.is_none();
    let median = reuse.same_tuple_interval_ms_p50.filter(|ms| short && *ms < MINUTE_MS)?;
    Some(format!("4-tuples came again within {} ms of their close (median)", wording::count(median)))
}

/// The busiest destination, if that is not on loopback.
fn off_loopback(flow: &Flow<'_>) -> Option<DestinationKey> {
    let rows = flow.stats.destinations();
    let busiest = rows.first()?;
    (!busiest.key.addr().is_loopback()).then_some(busiest.key)
}

/// SYNs sent again in the window, where connections are tracked; none where there was none.
fn dropped(case: &Case<'_>, netns: Option<NetnsId>) -> Option<u64> {
    let place = Place::of(case, netns)?;
    let before: Counters = case.before?.space(place.id())?.counters?;
    let now: Counters = place.space.counters?;
    now.conntrack_count.filter(|tracked| *tracked > 0)?;
    now.syn_retrans?.checked_sub(before.syn_retrans?).filter(|syns| *syns > 0)
}
