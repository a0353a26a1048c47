//! An axis whose marks are chosen here: round numbers, and round times of day.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

/// A range with its marks.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    range: Range<f64>,
    marks: Vec<f64>,
}

impl Marks {
    /// A range with these marks, those outside of it left out.
    pub(super) fn new(range: Range<f64>, marks: impl IntoIterator<Item = f64>) -> Self {
        let marks = marks.into_iter().filter(|mark| *mark >= range.start && *mark <= range.end).collect();
        Self { range, marks }
    }

    /// From 0 to a round number that is at least this, with about four marks.
    pub(super) fn up_to(most: f64) -> Self {
        let step = round(most / 4.0).max(1.0);
        let top = (most / step).ceil().max(1.0) * step;
        let mut marks = vec![0.0];
        while let Some(last) = marks.last().copied().filter(|last| last + step <= top + step / 2.0) {
            marks.push(last + step);
        }
        Self { range: 0.0..top, marks }
    }

    /// Seconds of a window that began at this second of the day, with a mark at each round time of day.
    pub(super) fn times(seconds: f64, began: f64) -> Self {
        const STEPS: [f64; 17] = [
            1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0,
            14_400.0, 21_600.0, 43_200.0,
        ];
        const MOST: f64 = 9.0;
        let step = STEPS.into_iter().find(|step| seconds / step <= MOST).unwrap_or_else(|| {
            const DAY: f64 = 86_400.0;
            (seconds / DAY / MOST).ceil() * DAY
        });
        let mut marks = Vec::new();
        let mut next = (began / step).ceil() * step - began;
        while next <= seconds {
            marks.push(next);
            next += step;
        }
        Self::new(0.0..seconds.max(f64::MIN_POSITIVE), marks)
    }
}

/// 1, 2 or 5 times a power of ten, at least this.
fn round(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(f64::MIN_POSITIVE).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|one| *one >= least).unwrap_or(least)
}

impl Ranged for Marks {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    #[expect(clippy::cast_possible_truncation, reason = "pixels")]
    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let length = self.range.end - self.range.start;
        let part = (value - self.range.start) / length;
        let (from, to) = (f64::from(limit.0), f64::from(limit.1));
        (from + part * (to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.marks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_few() {
        let marks = Marks::up_to(173.0);
        assert_eq!((marks.range, marks.marks), (0.0..200.0, vec![0.0, 50.0, 100.0, 150.0, 200.0]));
        let nothing = Marks::up_to(0.0);
        assert_eq!((nothing.range, nothing.marks), (0.0..1.0, vec![0.0, 1.0]));
        for most in [1.0, 3.0, 7.0, 11.0, 99.0, 640.0, 1e6, 3e9] {
            let marks = Marks::up_to(most);
            assert!(marks.range.end >= most && (2..=7).contains(&marks.marks.len()), "{marks:?}");
        }
    }

    #[test]
    fn times_are_marked_where_a_clock_shows_round_ones() {
        // 23:26:55 and 14 s: marks at :56, :58, :00 and so on.
        let marks = Marks::times(14.0, 84_415.0);
        assert_eq!(marks.marks, [1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0]);
        let hour = Marks::times(3_600.0, 84_415.0);
        assert_eq!(hour.marks.first(), Some(&185.0));
        for seconds in [0.0, 0.4, 60.0, 86_400.0, 3e7] {
            assert!(Marks::times(seconds, 5.0).marks.len() <= 10, "{seconds}");
        }
    }
}
