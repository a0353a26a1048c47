//! How every output for people ends: with what became of all events, and what tracing has cost.

use super::{
    records::{Accounting, CallSitesRecord, SelfCost},
    report::grouped,
};

/// `seen = emitted + filtered + lost`, and how many choices were missed at most.
#[must_use]
pub fn identity(accounting: &Accounting) -> String {
    let missed = match accounting.missed {
        Some(missed) if missed > 0 => format!("; at most {} were missed", grouped(missed)),
        _ => String::new(),
    };
    format!(
        "seen {} = emitted {} + filtered {} + lost {}{missed}",
        grouped(accounting.seen),
        grouped(accounting.emitted),
        grouped(accounting.filtered),
        grouped(accounting.lost)
    )
}

/// CPU time and memory of the tracer, and the time of its programs in the kernel where there were events; none where
/// nothing is known of them, as of a recording that was cut off.
#[must_use]
pub fn cost(cost: &SelfCost, seen: u64) -> Option<String> {
    const MIB: u64 = 1 << 20;
    if cost.rss_bytes == 0 {
        return None;
    }
    let kernel = match cost.kernel_ns_per_event {
        Some(ns) => format!("; in the kernel {ns:.0} ns an event"),
        None if seen == 0 => String::new(),
        None => "; in the kernel not measured (--kernel-cost)".to_owned(),
    };
    Some(format!("{:.2} s of CPU, {} MiB at most{kernel}", cost.cpu_s, grouped(cost.rss_bytes.div_ceil(MIB))))
}

/// What looking into searches came to, and how many calls the kernel skipped; none where nobody looks.
#[must_use]
pub fn looked(calls: Option<u64>, skipped: Option<u64>) -> Option<String> {
    calls.map(|calls| {
        let plural = if calls == 1 { "" } else { "s" };
        let skipped = match skipped {
            Some(skipped) if skipped > 0 => {
                format!("; the kernel skipped {}: collisions by kind may be too low", grouped(skipped))
            }
            _ => String::new(),
        };
        format!("{} call{plural} inside of searches looked at{skipped}", grouped(calls))
    })
}

/// How many stacks were taken, and of how many calls there is none; none where nobody takes any.
#[must_use]
pub fn stacks(found: Option<&CallSitesRecord>) -> Option<String> {
    let found = found?;
    let without: u64 = found.without_stack.values().sum();
    let missing = |count: u64, why: &str| {
        if count == 0 { String::new() } else { format!(", {} {why}", grouped(count)) }
    };
    let why: Vec<_> = found.without_stack.keys().map(String::as_str).collect();
    Some(format!(
        "stacks of {} calls{}{}",
        grouped(found.calls.saturating_sub(without)),
        missing(without, &format!("without one ({})", why.join(", "))),
        missing(found.uncounted, "more for which the table of callers was full"),
    ))
}

/// The same as a line of its own.
#[must_use]
pub fn cost_line(told: &SelfCost, seen: u64) -> Option<String> {
    cost(told, seen).map(|told| format!("cost {told}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_are_told_and_what_was_missed() {
        let accounting =
            Accounting { seen: 1_204, emitted: 1_190, filtered: 2, lost: 12, ..Accounting::default() };
        assert_eq!(identity(&accounting), "seen 1,204 = emitted 1,190 + filtered 2 + lost 12");
        let told = identity(&Accounting { missed: Some(3), ..accounting.clone() });
        assert_eq!(told, "seen 1,204 = emitted 1,190 + filtered 2 + lost 12; at most 3 were missed");
        assert_eq!(identity(&Accounting { missed: Some(0), ..accounting.clone() }), identity(&accounting));
    }

    #[test]
    fn looking_into_searches_is_told_where_it_is_done() {
        let told = "1,234 calls inside of searches looked at";
        for skipped in [None, Some(0)] {
            assert_eq!(looked(Some(1_234), skipped).unwrap(), told);
        }
        let skipped = looked(Some(1_234), Some(5_678)).unwrap();
        assert_eq!(skipped, format!("{told}; the kernel skipped 5,678: collisions by kind may be too low"));
        assert!(looked(Some(1), None).unwrap().contains("1 call inside"));
        assert_eq!(looked(None, None), None);
    }

    #[test]
    fn stacks_that_are_missing_are_told() {
        let mut found = CallSitesRecord { calls: 1_204, ..CallSitesRecord::default() };
        assert_eq!(stacks(Some(&found)).unwrap(), "stacks of 1,204 calls");
        found.without_stack.insert("EFAULT".to_owned(), 4);
        found.uncounted = 2;
        let told =
            "stacks of 1,200 calls, 4 without one (EFAULT), 2 more for which the table of callers was full";
        assert_eq!((stacks(Some(&found)).unwrap().as_str(), stacks(None)), (told, None));
    }

    #[test]
    fn what_was_not_measured_is_not_told() {
        let known = SelfCost { cpu_s: 0.214, rss_bytes: 13 << 20, kernel_ns_per_event: Some(311.7) };
        assert_eq!(cost(&known, 9).unwrap(), "0.21 s of CPU, 13 MiB at most; in the kernel 312 ns an event");
        let half = SelfCost { kernel_ns_per_event: None, ..known };
        assert!(cost(&half, 9).unwrap().ends_with("in the kernel not measured (--kernel-cost)"));
        assert_eq!(cost(&half, 0).unwrap(), "0.21 s of CPU, 13 MiB at most");
        assert_eq!(cost(&SelfCost::default(), 9), None);
    }
}
