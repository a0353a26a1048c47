//! The table of namespaces.

use super::is_connect;
use crate::output::{
    escape,
    records::{Check, PoolRecord, SpaceRecord},
    report::{grouped, share},
    screen::{cut, pool_name, put},
};

/// Rows that are shown unless all are asked for.
const ROWS: usize = 8;
const LABEL: usize = 12;
const POOL: usize = 34;

pub(super) fn table(out: &mut String, check: &Check, all: bool) {
    let title =
        row(["NETNS", "RANGE", "RESERVED", "USABLE", "FULLEST TCP CONNECT POOL", "HELD", "CLIFF", "WALL"]);
    put(out, &title);
    let rows = if all { usize::MAX } else { ROWS };
    for space in check.netns.iter().take(rows) {
        put(out, &space_row(check, space));
    }
    let more = check.netns.len().saturating_sub(rows);
    if more != 0 {
        put(out, &format!("… {more} more, none of them fuller (-v shows them)\n"));
    }
}

fn row([label, range, reserved, usable, pool, held, cliff, wall]: [&str; 8]) -> String {
    let line = format!(
        "{label:<LABEL$} {range:<11} {reserved:>8}  {usable:>6}  {pool:<POOL$} {held:>16}  {cliff:>6}  {wall:>6}"
    );
    format!("{}\n", line.trim_end())
}

fn space_row(check: &Check, space: &SpaceRecord) -> String {
    let state = &space.state;
    let unknown = || "-".to_owned();
    let number = |number: Option<u32>| number.map_or_else(unknown, grouped);
    let range = state.range.map_or_else(unknown, |[low, high]| format!("{low}-{high}"));
    let reserved = state
        .range
        .zip(state.effective)
        .map(|([low, high], usable)| u32::from(high.saturating_sub(low)).saturating_add(1) - usable);
    let fullest = check.pools.iter().find(|one| one.netns == state.id && is_connect(one) && one.barred != 0);
    let held = |pool: &PoolRecord| format!("{} ({})", grouped(pool.barred), share(pool.utilisation));
    row([
        &cut(&escape(&space.label), LABEL),
        &range,
        &number(reserved),
        &number(state.effective),
        &fullest.map_or_else(unknown, |pool| pool_name(pool, POOL)),
        &fullest.map_or_else(unknown, held),
        &number(space.cliff),
        &number(state.effective),
    ])
}
