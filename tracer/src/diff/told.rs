//! From two numbers to what is said of them.

use super::ratio::{Counted, Interval, of_counts, of_intervals, real};
use crate::output::records::{Measure, Report, Unit, Word};

/// What an interval assumes where nothing tells how events are bunched.
const ONE_BY_ONE: &str =
    "exact, as if each came on its own: the reports are too short to tell how they are bunched";

/// The two reports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Both<'a> {
    pub(super) a: &'a Report,
    pub(super) b: &'a Report,
}

impl Both<'_> {
    /// How long each of them gathered.
    pub(super) const fn seconds(self) -> [f64; 2] {
        [self.a.window.seconds, self.b.window.seconds]
    }

    /// How allocations are bunched: the higher of the two; none where neither tells.
    pub(super) fn bunching(self) -> Option<f64> {
        higher(self.a.totals.churn_dispersion, self.b.totals.churn_dispersion)
    }

    /// How failures are.
    pub(super) fn bunching_of_failures(self) -> Option<f64> {
        higher(self.a.totals.failures_dispersion, self.b.totals.failures_dispersion).or(self.bunching())
    }

    /// Counts of both, per second; a count is none where its report cannot know it.
    pub(super) fn rates(self, name: &str, counts: [Option<u64>; 2], bunching: Option<f64>) -> Measure {
        let [a, b] = self.seconds();
        let [in_a, in_b] = counts;
        let counted = [in_a.map(|count| (count, a)), in_b.map(|count| (count, b))];
        counts_over(name, Unit::PerSecond, counted, bunching)
    }
}

fn higher(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::max)
}

/// Counts, each with what it was counted over.
pub(super) fn counts_over(
    name: &str,
    unit: Unit,
    counted: [Option<(u64, f64)>; 2],
    bunching: Option<f64>,
) -> Measure {
    let [a, b] = counted.map(|one| one.map(|(count, over)| Counted { count, over }));
    let interval = a.zip(b).and_then(|(a, b)| of_counts(a, b, bunching.unwrap_or(1.0)));
    let rate = |one: Option<Counted>| one.and_then(Counted::rate);
    let mut measure = pair(name, unit, [rate(a), rate(b)]);
    (measure.count_a, measure.count_b) = (a.map(|one| one.count), b.map(|one| one.count));
    if measure.word == Word::NotComparable {
        return measure;
    }
    measure.basis = match bunching {
        Some(times) if times > 1.0 => format!("exact, for counts that come in bursts of {times:.1}"),
        Some(_) => "exact".to_owned(),
        None => ONE_BY_ONE.to_owned(),
    };
    match (measure.count_a, measure.count_b, interval) {
        (Some(0), Some(0), _) => {
            measure.word = Word::NoneShown;
            "neither has any".clone_into(&mut measure.basis);
        }
        (.., Some(interval)) => {
            judge(&mut measure, interval);
            let is_sure = !interval.takes_in_one();
            match (measure.count_a, measure.count_b) {
                (Some(0), _) => measure.word = Word::Appeared,
                (_, Some(0)) => measure.word = Word::Gone,
                _ => return measure,
            }
            if !is_sure {
                measure.basis.push_str("; too few, or too bunched, to rule out chance");
            }
        }
        _ => {}
    }
    measure
}

/// A quantile of both, with the times between which it is.
pub(super) fn quantiles(name: &str, a: Quantile, b: Quantile) -> Measure {
    let mut measure = pair(name, Unit::Ns, [a.at, b.at].map(|at| at.map(real)));
    if measure.word == Word::NotComparable {
        return measure;
    }
    let known = |one: Quantile| Some((one.at?, one.between?));
    match known(a).zip(known(b)).and_then(|(a, b)| of_intervals(a, b)) {
        Some(interval) => {
            judge(&mut measure, interval);
            "from the ranks of both, as if searches were drawn one by one".clone_into(&mut measure.basis);
        }
        None => {
            "no interval: one of the reports was made before quantiles had theirs"
                .clone_into(&mut measure.basis);
        }
    }
    measure
}

/// A quantile, and between which times it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantile {
    pub(super) at: Option<u64>,
    pub(super) between: Option<[u64; 2]>,
}

/// Two numbers without an interval, and why.
pub(super) fn unsure(name: &str, unit: Unit, values: [Option<f64>; 2], why: &str) -> Measure {
    let mut measure = pair(name, unit, values);
    if measure.word != Word::NotComparable {
        why.clone_into(&mut measure.basis);
    }
    measure
}

fn judge(measure: &mut Measure, interval: Interval) {
    (measure.low, measure.high) = (Some(interval.low), interval.high);
    measure.word = match interval {
        _ if interval.takes_in_one() => Word::NoneShown,
        Interval { low, .. } if low > 1.0 => Word::More,
        _ => Word::Fewer,
    };
}

fn pair(name: &str, unit: Unit, [a, b]: [Option<f64>; 2]) -> Measure {
    let (word, basis) = match (a, b) {
        (Some(_), Some(_)) => (Word::Unsure, ""),
        (None, None) => (Word::NotComparable, "neither has it"),
        (None, _) => (Word::NotComparable, "A does not have it"),
        (_, None) => (Word::NotComparable, "B does not have it"),
    };
    let ratio = a.zip(b).filter(|(a, _)| *a > 0.0).map(|(a, b)| b / a);
    Measure {
        name: name.to_owned(),
        unit,
        a,
        b,
        count_a: None,
        count_b: None,
        ratio,
        low: None,
        high: None,
        word,
        basis: basis.to_owned(),
    }
}
