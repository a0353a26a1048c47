//! What makes a flight recorder dump: words of the command line, and when they are met.

use std::{
    collections::VecDeque,
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

use crate::findings::{Finding, Id};

/// Samples of the count of failures that are kept.
const MOST_SAMPLES: u32 = 256;

/// A reason to dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// This finding would be in a report.
    Finding(Id),
    /// More allocations failed within the window.
    Failures(u64),
    /// More failed a second.
    FailuresPerSecond(u64),
}

impl Trigger {
    /// Whether a finding meets it.
    #[must_use]
    pub fn is_met_by(self, finding: &Finding) -> bool {
        matches!(self, Self::Finding(id) if finding.id == id || finding.takes_in.contains(&id))
    }

    /// Its word in the name of a file.
    #[must_use]
    pub fn word(self) -> String {
        match self {
            Self::Finding(id) => id.to_string(),
            Self::Failures(_) | Self::FailuresPerSecond(_) => "failures".to_owned(),
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finding(id) => write!(f, "{id}"),
            Self::Failures(most) => write!(f, "failures>{most}"),
            Self::FailuresPerSecond(most) => write!(f, "failures>{most}/s"),
        }
    }
}

impl FromStr for Trigger {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let wrong = || {
            format!("'{word}' is no reason to dump: give findings (PS001), 'failures>N' or 'failures>N/s'")
        };
        let Some(rest) = word.trim().strip_prefix("failures") else {
            return word
                .trim()
                .parse()
                .map(Self::Finding)
                .map_err(|unknown| format!("{}; {unknown}", wrong()));
        };
        let number = rest.trim_start().strip_prefix('>').ok_or_else(wrong)?.trim();
        let (number, is_rate) = number.strip_suffix("/s").map_or((number, false), |number| (number, true));
        let most = number.trim_end().parse().map_err(|_no_number| wrong())?;
        Ok(if is_rate { Self::FailuresPerSecond(most) } else { Self::Failures(most) })
    }
}

/// How many allocations had failed, now and then within a window.
#[derive(Debug)]
pub(super) struct Failures {
    window: Duration,
    kept: VecDeque<(Instant, u64)>,
    last: Option<(Instant, u64)>,
}

impl Failures {
    pub(super) fn new(window: Duration) -> Self {
        Self { window, kept: VecDeque::new(), last: None }
    }

    /// Notes the count; which failures counts are exceeded now, of these triggers.
    pub(super) fn note(&mut self, now: Instant, count: u64, of: &[Trigger]) -> Vec<Trigger> {
        let rate = self.last.map_or(0.0, |(then, had)| per_second(count.saturating_sub(had), now - then));
        self.last = Some((now, count));
        let step = self.window / MOST_SAMPLES;
        if self.kept.back().is_none_or(|(at, _)| now - *at >= step) {
            self.kept.push_back((now, count));
        }
        // The last one before the window is what its failures are counted from.
        while self.kept.get(1).is_some_and(|(at, _)| now - *at >= self.window) {
            self.kept.pop_front();
        }
        let within = self.kept.front().map_or(0, |(_, had)| count.saturating_sub(*had));
        let is_met = |trigger: &Trigger| match *trigger {
            Trigger::Finding(_) => false,
            Trigger::Failures(most) => within > most,
            Trigger::FailuresPerSecond(most) => rate > precise(most),
        };
        of.iter().copied().filter(is_met).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody fails 2^52 times")]
const fn precise(count: u64) -> f64 {
    count as f64
}

fn per_second(count: u64, within: Duration) -> f64 {
    precise(count) / within.as_secs_f64().max(0.001)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_told_again() {
        for (word, trigger) in [
            ("PS001", Trigger::Finding(Id(1))),
            ("failures>0", Trigger::Failures(0)),
            ("failures>20/s", Trigger::FailuresPerSecond(20)),
        ] {
            assert_eq!(word.parse(), Ok(trigger));
            assert_eq!(trigger.to_string(), word);
        }
        assert_eq!("failures > 5 /s".parse(), Ok(Trigger::FailuresPerSecond(5)));
        for word in ["", "PS999", "failures", "failures>", "failures>x", "failures<5", "failures>5/m", "all"]
        {
            let told = word.parse::<Trigger>().unwrap_err();
            assert!(told.contains("is no reason to dump"), "{word}: {told}");
        }
    }

    #[test]
    fn failures_count_within_the_window_and_by_the_second() {
        let all = [Trigger::Failures(10), Trigger::FailuresPerSecond(5), Trigger::Finding(Id(1))];
        let mut failures = Failures::new(Duration::from_secs(100));
        let start = Instant::now();
        let mut at = |second, count| failures.note(start + Duration::from_secs(second), count, &all);
        assert_eq!(at(0, 1_000), []);
        assert_eq!(at(1, 1_005), []);
        assert_eq!(at(2, 1_011), [Trigger::Failures(10), Trigger::FailuresPerSecond(5)]);
        assert_eq!(at(3, 1_011), [Trigger::Failures(10)]);
        // A window later nothing has failed in it.
        assert_eq!(at(104, 1_011), []);
    }
}
