//! The end of a trace for people: what was seen, what was lost, and what it cost.

use std::io::Write as _;

use crate::output::{
    closing, escape,
    records::{Accounting, Footer, LostBy},
    report::grouped,
};

/// Lines about lost events, at most.
const MOST_LOST: usize = 5;

/// Appends the identity `seen = emitted + filtered + lost`, whose events were lost, and the cost.
pub(super) fn write(footer: &Footer, out: &mut Vec<u8>) {
    let &Footer { seen, emitted, filtered, lost, missed, inner_calls, inner_missed, .. } = footer;
    let accounting = Accounting { seen, emitted, filtered, lost, missed, ..Accounting::default() };
    // Writing to a vector cannot fail.
    let _infallible = writeln!(out, "{}", closing::identity(&accounting));
    for lost in footer.lost_by.iter().take(MOST_LOST) {
        write_lost(lost, out);
    }
    if footer.lost_by.len() > MOST_LOST {
        let rest: u64 = footer.lost_by.iter().skip(MOST_LOST).map(|lost| lost.count).sum();
        let _infallible = writeln!(out, "lost  {} others", grouped(rest));
    }
    let looked = closing::looked(inner_calls, inner_missed);
    for line in [looked, closing::cost_line(&footer.cost, seen)].into_iter().flatten() {
        let _infallible = writeln!(out, "{line}");
    }
}

fn write_lost(lost: &LostBy, out: &mut Vec<u8>) {
    let comm = lost.comm.as_deref().map_or("?".into(), escape);
    let pid = lost.pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
    let error = lost.error.as_deref().unwrap_or("ok");
    let _infallible =
        writeln!(out, "lost  {} {comm} ({pid}) {} {} {error}", grouped(lost.count), lost.proto, lost.site);
}
