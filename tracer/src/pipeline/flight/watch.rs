//! When a flight recorder dumps: looks after the triggers.

use std::{
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    judged,
    trigger::{Failures, Trigger},
};
use crate::{enrich::monotonic_now, event::MonoNs, findings::Finding, recording::Splice};

/// After a trigger so much is waited for, so that a dump has what followed, too.
pub const AFTER: Duration = Duration::from_secs(5);
/// Failures are counted so often.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// Findings are judged no more often, when failures rise.
const JUDGE_AGAIN: Duration = Duration::from_secs(10);
/// And so often when nothing fails; of so much time.
const JUDGE_EVERY: Duration = Duration::from_mins(1);

type Judged = Result<Vec<Finding>, String>;

/// The triggers, and what is known of each.
#[derive(Debug)]
pub(super) struct Watch {
    window: Duration,
    triggers: Vec<Trigger>,
    /// When each was met last: it is not met again for a window.
    met: Vec<Option<Instant>>,
    failures: Failures,
    counted: Instant,
    /// How many had failed when it was judged last, and when that was.
    judged: Option<(Instant, u64)>,
    judging: Option<JoinHandle<Judged>>,
    /// A dump that is due.
    due: Option<(Instant, Trigger)>,
}

impl Watch {
    pub(super) fn new(triggers: Vec<Trigger>, window: Duration) -> Self {
        let now = Instant::now();
        Self {
            met: vec![None; triggers.len()],
            triggers,
            window,
            failures: Failures::new(window),
            counted: now,
            judged: Some((now, 0)),
            judging: None,
            due: None,
        }
    }

    /// Whether it is time to count what failed.
    pub(super) fn is_time(&self) -> bool {
        !self.triggers.is_empty() && self.counted.elapsed() >= COUNT_EVERY
    }

    /// So many have failed so far; whether findings are to be judged now.
    pub(super) fn count(&mut self, failures: u64) -> bool {
        let now = Instant::now();
        self.counted = now;
        for trigger in self.failures.note(now, failures, &self.triggers) {
            self.meet(trigger, now);
        }
        let has_findings = self.triggers.iter().any(|trigger| matches!(trigger, Trigger::Finding(_)));
        let is_due = self.judged.is_none_or(|(at, had)| {
            let age = now - at;
            age >= JUDGE_EVERY || (failures > had && (had == 0 || age >= JUDGE_AGAIN))
        });
        let is_due = has_findings && self.judging.is_none() && is_due;
        if is_due {
            self.judged = Some((now, failures));
        }
        is_due
    }

    /// How far back it is judged.
    pub(super) fn judged_time(&self) -> Duration {
        JUDGE_EVERY.min(self.window)
    }

    /// Judges on a thread of its own.
    pub(super) fn judge(&mut self, recorded: Splice) {
        let back = u64::try_from(self.judged_time().as_nanos()).unwrap_or(u64::MAX);
        let since = MonoNs(monotonic_now().0.saturating_sub(back));
        let spawned =
            thread::Builder::new().name("judge".into()).spawn(move || judged::findings(recorded, since));
        self.judging = spawned.inspect_err(|error| log::debug!("no thread: {error}")).ok();
    }

    /// The trigger whose dump is due now; with `hurries` without waiting for what follows.
    pub(super) fn due(&mut self, hurries: bool) -> Option<Trigger> {
        if let Some(judging) = self.judging.take_if(|judging| hurries || judging.is_finished()) {
            match judging.join() {
                Ok(Ok(findings)) => self.found(&findings),
                Ok(Err(error)) => log::warn!("the last minute cannot be judged: {error}"),
                Err(_) => log::warn!("judging the last minute failed"),
            }
        }
        let due = self.due.take_if(|(at, _)| hurries || Instant::now() >= *at)?;
        Some(due.1)
    }

    fn found(&mut self, findings: &[Finding]) {
        let met = |trigger: &&Trigger| findings.iter().any(|finding| trigger.is_met_by(finding));
        let met: Vec<Trigger> = self.triggers.iter().filter(met).copied().collect();
        for trigger in met {
            self.meet(trigger, Instant::now());
        }
    }

    fn meet(&mut self, trigger: Trigger, now: Instant) {
        let Some(at) = self.triggers.iter().position(|one| *one == trigger) else { return };
        let Some(last) = self.met.get_mut(at) else { return };
        if last.is_some_and(|last| now - last < self.window) {
            return;
        }
        *last = Some(now);
        // One dump is enough for all that come together.
        self.due.get_or_insert((now + AFTER, trigger));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Id;

    #[test]
    fn a_trigger_is_met_once_in_a_window() {
        let mut watch = Watch::new(vec![Trigger::Failures(0)], Duration::from_mins(5));
        assert!(!watch.count(0) && watch.due(true).is_none());
        watch.count(3);
        assert_eq!(watch.due(false), None);
        assert_eq!(watch.due(true), Some(Trigger::Failures(0)));
        watch.count(6);
        assert_eq!(watch.due(true), None);
    }

    #[test]
    fn findings_are_judged_when_failures_rise_but_not_each_time() {
        let mut watch = Watch::new(vec![Trigger::Finding(Id(1))], Duration::from_mins(5));
        assert!(!watch.count(0));
        assert!(watch.count(1));
        assert!(!watch.count(2));
        watch.judged = Instant::now().checked_sub(JUDGE_AGAIN).map(|at| (at, 2));
        assert!(!watch.count(2));
        assert!(watch.count(3));
    }
}
