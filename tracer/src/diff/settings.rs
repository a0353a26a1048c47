//! Namespaces of both reports, and what they are set to.

use super::told::Both;
use crate::output::records::{NetnsState, Report, SettingChange};

/// The name of a namespace; none where it has none.
pub(super) fn name(report: &Report, id: u32) -> Option<&str> {
    report.header.netns.iter().find(|space| space.id == id)?.name.as_deref()
}

/// Settings that differ, of the namespaces that are in both.
pub(super) fn changes(both: Both<'_>) -> Vec<SettingChange> {
    let pairs = both.b.header.netns.iter().filter_map(|after| Some((before(both, after)?, after)));
    pairs.flat_map(|(before, after)| differences(before, after)).collect()
}

/// The same namespace in A: of that name; without a name, of that number of the same boot.
fn before<'a>(both: Both<'a>, after: &NetnsState) -> Option<&'a NetnsState> {
    let boots = [both.a, both.b].map(|report| report.header.boot_id.as_deref());
    let is_one_boot = boots[0].is_some() && boots[0] == boots[1];
    both.a.header.netns.iter().find(|space| match (&space.name, &after.name) {
        (Some(one), Some(other)) => one == other,
        _ => is_one_boot && space.id == after.id,
    })
}

fn differences(before: &NetnsState, after: &NetnsState) -> Vec<SettingChange> {
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let range = |space: &NetnsState| space.range.map(|[low, high]| format!("{low}-{high}"));
    let rows = [
        ("ip_local_port_range", [range(before), range(after)]),
        ("ip_local_reserved_ports", [before.reserved.clone(), after.reserved.clone()]),
        ("ip_local_port_step_width", [number(before.step_width), number(after.step_width)]),
        ("tcp_tw_reuse", [number(before.tcp_tw_reuse), number(after.tcp_tw_reuse)]),
        ("tcp_tw_reuse_delay", [number(before.tcp_tw_reuse_delay_ms), number(after.tcp_tw_reuse_delay_ms)]),
        ("tcp_timestamps", [number(before.tcp_timestamps), number(after.tcp_timestamps)]),
    ];
    let netns = after.name.clone().unwrap_or_else(|| format!("net:[{}]", after.id));
    // What only one of them tells may be a kernel without it, or a report from before it was told.
    let differ = rows.into_iter().filter(|(_, [a, b])| a.is_some() && b.is_some() && a != b);
    differ.map(|(name, [a, b])| SettingChange { netns: netns.clone(), name: name.to_owned(), a, b }).collect()
}
