//! The end of a trace for people: what was seen, and what was lost.

use std::io::Write as _;

use crate::output::{
    escape,
    records::{Footer, LostBy},
    report::{grouped, inner_calls},
};

/// Lines about lost events, at most.
const MOST_LOST: usize = 5;

/// Appends the identity `seen = emitted + filtered + lost`, and whose events were lost.
pub(super) fn write(footer: &Footer, out: &mut Vec<u8>) {
    let missed = match footer.missed {
        Some(missed) if missed > 0 => format!("; at most {} were missed", grouped(missed)),
        _ => String::new(),
    };
    // Writing to a vector cannot fail.
    let _infallible = writeln!(
        out,
        "seen {} = emitted {} + filtered {} + lost {}{missed}",
        grouped(footer.seen),
        grouped(footer.emitted),
        grouped(footer.filtered),
        grouped(footer.lost)
    );
    if let Some(looked) = inner_calls(footer.inner_calls) {
        let _infallible = writeln!(out, "{looked}");
    }
    for lost in footer.lost_by.iter().take(MOST_LOST) {
        write_lost(lost, out);
    }
    if footer.lost_by.len() > MOST_LOST {
        let rest: u64 = footer.lost_by.iter().skip(MOST_LOST).map(|lost| lost.count).sum();
        let _infallible = writeln!(out, "lost  {} others", grouped(rest));
    }
}

fn write_lost(lost: &LostBy, out: &mut Vec<u8>) {
    let comm = lost.comm.as_deref().map_or("?".into(), escape);
    let pid = lost.pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string());
    let error = lost.error.as_deref().unwrap_or("ok");
    let _infallible =
        writeln!(out, "lost  {} {comm} ({pid}) {} {} {error}", grouped(lost.count), lost.proto, lost.site);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        for (number, text) in [(0_u64, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
