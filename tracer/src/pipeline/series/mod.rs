//! What a run looked like from second to second, in bounded memory however long it is.
//!
//! Nothing is done for an event: once a second the running totals are compared with those of the second before.

use crate::event::MonoNs;

/// Points that are kept; when they are full, neighbours become one.
pub const MOST_POINTS: usize = 600;
/// Pools whose course is kept.
pub const MOST_TRACKED: usize = 16;

/// Fewer points say nothing of how much they vary.
const LEAST_POINTS: u64 = 10;

const SECOND_NS: u64 = 1_000_000_000;

/// Allocations, failed ones included, and failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Ports asked for.
    pub allocations: u64,
    /// Of these, the refused.
    pub failures: u64,
}

impl Count {
    /// Adds another.
    pub fn add(&mut self, other: Self) {
        self.allocations = self.allocations.saturating_add(other.allocations);
        self.failures = self.failures.saturating_add(other.failures);
    }

    /// What came since another was taken.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            allocations: self.allocations.saturating_sub(before.allocations),
            failures: self.failures.saturating_sub(before.failures),
        }
    }

    /// What of it came within `passed` of `all` nanoseconds, if it came evenly.
    fn within(self, passed: u64, all: u64) -> Self {
        let part = |count: u64| {
            let product = u128::from(count) * u128::from(passed.min(all));
            u64::try_from(product / u128::from(all.max(1))).unwrap_or(count)
        };
        Self { allocations: part(self.allocations), failures: part(self.failures) }
    }
}

/// The course of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct Track<K> {
    /// The pool.
    pub key: K,
    /// Its highest utilisation.
    pub peak: f32,
    /// The highest utilisation of each point; none where nobody looked, or the pool was not followed yet. It may end
    /// before the counts do.
    pub shares: Vec<Option<f32>>,
}

/// Counts of each step, and the course of the fullest pools.
#[derive(Clone, Debug, PartialEq)]
pub struct Series<K> {
    start: MonoNs,
    step_s: u64,
    counts: Vec<Count>,
    /// The totals when they were last taken, and when that was.
    last: Count,
    last_at: MonoNs,
    tracks: Vec<Track<K>>,
}

impl<K: Clone + PartialEq> Series<K> {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new(start: MonoNs) -> Self {
        let last = Count { allocations: 0, failures: 0 };
        Self { start, step_s: 1, counts: Vec::new(), last, last_at: start, tracks: Vec::new() }
    }

    /// When it began.
    #[must_use]
    pub const fn start(&self) -> MonoNs {
        self.start
    }

    /// Seconds of a point.
    #[must_use]
    pub const fn step_s(&self) -> u64 {
        self.step_s
    }

    /// The counts of the points; the sums are exact.
    #[must_use]
    pub fn counts(&self) -> &[Count] {
        &self.counts
    }

    /// The fullest pools, in no order.
    #[must_use]
    pub fn tracks(&self) -> &[Track<K>] {
        &self.tracks
    }

    /// The variance of these counts of the points over their mean; none of another window than from the start until
    /// `at`, of less than ten whole points, and where nothing came.
    #[must_use]
    pub fn dispersion(&self, start: MonoNs, at: MonoNs, of: impl Fn(&Count) -> u64) -> Option<f64> {
        let whole = self.second(at) / self.step_s;
        let counts = || (0..whole).zip(self.counts.iter().map(Some).chain(std::iter::repeat(None)));
        let number = |count: Option<&Count>| real(count.map_or(0, &of));
        if start != self.start || whole < LEAST_POINTS {
            return None;
        }
        let mean = counts().map(|(_, count)| number(count)).sum::<f64>() / real(whole);
        let squares: f64 = counts().map(|(_, count)| (number(count) - mean).powi(2)).sum();
        (mean > 0.0).then(|| squares / real(whole - 1) / mean)
    }

    /// Takes the running totals, if another second has begun since they were taken last. What came since is spread
    /// evenly over the seconds since.
    pub fn sample(&mut self, at: MonoNs, totals: impl FnOnce() -> Count) {
        if self.second(at) > self.second(self.last_at) {
            self.end(at, totals());
        }
    }

    /// Takes the totals in the middle of a second, as at the end.
    pub fn end(&mut self, at: MonoNs, totals: Count) {
        let (first, last) = (self.second(self.last_at), self.second(at));
        let risen = totals.since(self.last);
        let all = at.0.saturating_sub(self.last_at.0);
        let mut before = Count::default();
        for second in first..=last {
            let over = self.end_of(second).saturating_sub(self.last_at.0);
            let until = if second == last { risen } else { risen.within(over, all) };
            let part = until.since(before);
            before = until;
            // A second that has only begun has a place of its own when anything has come in it.
            if second != last || part != Count::default() {
                self.put(second, part);
            }
        }
        self.last = totals;
        self.last_at = self.last_at.max(at);
    }

    /// Takes the utilisation of pools as it was found. Where `all` of the pools were looked at, the others are empty.
    pub fn look(&mut self, at: MonoNs, found: impl Iterator<Item = (K, f32)>, all: bool) {
        let point = self.point(self.second(at));
        let mut seen = vec![false; self.tracks.len()];
        for (key, share) in found.filter(|(_, share)| *share > 0.0) {
            match self.tracks.iter().position(|track| track.key == key) {
                Some(known) => {
                    raise(self.tracks.get_mut(known), point, share);
                    seen.get_mut(known).into_iter().for_each(|seen| *seen = true);
                }
                None => self.follow(key, point, share, &mut seen),
            }
        }
        for (track, _) in self.tracks.iter_mut().zip(seen).filter(|(_, seen)| all && !seen) {
            raise(Some(track), point, 0.0);
        }
    }

    /// Follows a pool from now on, in the place of the emptiest one if there is no other.
    fn follow(&mut self, key: K, point: usize, share: f32, seen: &mut Vec<bool>) {
        let place = if self.tracks.len() < MOST_TRACKED {
            self.tracks.len()
        } else {
            let places = self.tracks.iter().enumerate();
            let emptiest = places.min_by(|(_, one), (_, other)| one.peak.total_cmp(&other.peak));
            match emptiest {
                Some((place, track)) if track.peak < share => place,
                _ => return,
            }
        };
        let mut track = Track { key, peak: 0.0, shares: Vec::new() };
        raise(Some(&mut track), point, share);
        if let Some((old, seen)) = self.tracks.get_mut(place).zip(seen.get_mut(place)) {
            (*old, *seen) = (track, true);
        } else {
            self.tracks.push(track);
            seen.push(true);
        }
    }

    fn second(&self, at: MonoNs) -> u64 {
        at.0.saturating_sub(self.start.0) / SECOND_NS
    }

    /// When a second is over.
    fn end_of(&self, second: u64) -> u64 {
        self.start.0.saturating_add(second.saturating_add(1).saturating_mul(SECOND_NS))
    }

    fn put(&mut self, second: u64, count: Count) {
        let point = self.point(second);
        if self.counts.len() <= point {
            self.counts.resize(point + 1, Count::default());
        }
        if let Some(sum) = self.counts.get_mut(point) {
            sum.add(count);
        }
    }

    /// The point of a second, for which there is room.
    fn point(&mut self, second: u64) -> usize {
        loop {
            let point = usize::try_from(second / self.step_s).unwrap_or(usize::MAX);
            if point < MOST_POINTS {
                return point;
            }
            self.halve();
        }
    }

    /// Makes two neighbours one.
    fn halve(&mut self) {
        self.step_s = self.step_s.saturating_mul(2);
        self.counts = self
            .counts
            .chunks(2)
            .map(|pair| {
                let mut sum = Count::default();
                for one in pair {
                    sum.add(*one);
                }
                sum
            })
            .collect();
        for track in &mut self.tracks {
            let higher = |pair: &[Option<f32>]| pair.iter().flatten().copied().reduce(f32::max);
            track.shares = track.shares.chunks(2).map(higher).collect();
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a second")]
fn real(count: u64) -> f64 {
    count as f64
}

fn raise<K>(track: Option<&mut Track<K>>, point: usize, share: f32) {
    let Some(track) = track else { return };
    track.peak = track.peak.max(share);
    if track.shares.len() <= point {
        track.shares.resize(point + 1, None);
    }
    if let Some(highest) = track.shares.get_mut(point) {
        *highest = Some(highest.unwrap_or(0.0).max(share));
    }
}

#[cfg(test)]
mod tests;
