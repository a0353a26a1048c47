//! How many collisions were to be expected, from how full the range was.
//!
//! Observed ÷ expected has no threshold: it is read beside the reference of a healthy host, which falls from
//! 1.25 to 0.37 for connects as a half fills from 25 % to 95 %, and rises from 1.15 to 6.0 for bind(0).

use super::{
    ratio::{real, share},
    search::Known,
};

/// One half of the unreserved ports of a range, by parity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Half {
    /// Unreserved ports in it (H).
    pub ports: u32,
    /// Of these, the barred ones (b).
    pub barred: u32,
}

impl Half {
    fn free(self) -> Option<u32> {
        self.ports.checked_sub(self.barred).filter(|free| *free != 0)
    }

    /// Mean collisions until a free port is met, ports taken in random order: b ÷ (H − b + 1).
    fn until_free(self) -> Option<f64> {
        self.free().map(|free| f64::from(self.barred) / (f64::from(free) + 1.0))
    }
}

/// What is to be expected of one search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// Mean number of collisions.
    pub collisions: f64,
    /// Whether it finds no port.
    pub fails: bool,
}

/// Expected collisions of a choice without replacement (E_u), from the occupancy of the half that the site
/// takes first and of the other.
///
/// b₀ ÷ (H₀ − b₀ + 1); with the first half full H₀ + b₁ ÷ (H₁ − b₁ + 1); with both full H₀ + H₁, and it
/// fails. A range without halves has all its ports in the first.
#[must_use]
pub fn expected_uniform(first: Half, other: Half) -> Expected {
    let full = f64::from(first.ports);
    if let Some(collisions) = first.until_free() {
        Expected { collisions, fails: false }
    } else if let Some(rest) = other.until_free() {
        Expected { collisions: full + rest, fails: false }
    } else {
        Expected { collisions: full + f64::from(other.ports), fails: true }
    }
}

/// Expected collisions of a bind(0), which starts at random each time and then probes in line:
/// ½(1 ÷ (1 − α)² − 1) with α = b₀ ÷ H₀. None where the half has no free port.
#[must_use]
pub fn expected_linear(first: Half) -> Option<f64> {
    let free = f64::from(first.free()?) / f64::from(first.ports);
    Some(0.5 * (1.0 / (free * free) - 1.0))
}

/// One port of a map of a half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It can be given.
    Free,
    /// Somebody has it.
    Barred,
    /// It is skipped, and is no collision.
    Reserved,
}

/// Expected collisions of a search with a random start on a map that is seen (E_m), exact.
///
/// `first` and `other` hold the ports of each half in rising order. Without reserved ports it is
/// Σ L(L+1) ÷ 2H₀ over the cyclic barred runs of length L; a start on a reserved port walks on like any other,
/// so that the run behind a hole counts once more for each port of the hole. With the first half full, all of
/// it and then the same for the other. None of a map without ports.
#[must_use]
pub fn expected_on_map(first: &[Place], other: &[Place]) -> Option<Expected> {
    let barred = |half: &[Place]| half.iter().filter(|place| **place == Place::Barred).count();
    if first.is_empty() && other.is_empty() {
        return None;
    }
    if let Some(collisions) = until_free(first) {
        return Some(Expected { collisions, fails: false });
    }
    let full = real(u64::try_from(barred(first)).ok()?);
    Some(match until_free(other) {
        Some(rest) => Expected { collisions: full + rest, fails: false },
        None => Expected { collisions: full + real(u64::try_from(barred(other)).ok()?), fails: true },
    })
}

/// Mean barred ports from a random start to the next free port; none where none is free.
fn until_free(half: &[Place]) -> Option<f64> {
    let free = half.iter().position(|place| *place == Place::Free)?;
    let (before, after) = half.split_at(free);
    // Backwards from a free port, once around: `ahead` is what a search that starts here meets.
    let (mut ahead, mut sum) = (0_u64, 0_u64);
    for place in before.iter().rev().chain(after.iter().rev()) {
        match place {
            Place::Free => ahead = 0,
            Place::Barred => ahead += 1,
            Place::Reserved => {}
        }
        sum += ahead;
    }
    Some(real(sum) / real(u64::try_from(half.len()).ok()?))
}

/// How full both halves of a pool were at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// The half that a search takes first.
    pub first: Half,
    /// The other one.
    pub other: Half,
}

impl Occupancy {
    /// As it was before `given` of these ports were given, at most so many: those of the other half came last.
    #[must_use]
    pub fn before(self, given: u64) -> Self {
        let given = u32::try_from(given).unwrap_or(u32::MAX);
        let of_other = given.min(self.other.barred);
        let take = |half: Half, less: u32| Half { barred: half.barred.saturating_sub(less), ..half };
        Self { first: take(self.first, given.saturating_sub(of_other)), other: take(self.other, of_other) }
    }

    /// What was to be expected on average of searches that came one by one while the pool went from there to here: E_u
    /// (see [`expected_uniform`]), averaged along the way. Nothing of a pool that is full all the time.
    #[must_use]
    pub fn expected_since(self, before: Self) -> Option<f64> {
        let [in_first, in_other] = [(before.first, self.first), (before.other, self.other)]
            .map(|(one, two)| two.barred.abs_diff(one.barred));
        let ramps = [
            (in_first, ramp(before.first, self.first)),
            // The other half is searched once the first is full.
            (if self.first.free().is_none() { in_other } else { 0 }, {
                ramp(before.other, self.other).map(|rest| f64::from(self.first.ports) + rest)
            }),
        ];
        let (steps, sum) = ramps
            .into_iter()
            .filter_map(|(steps, mean)| Some((f64::from(steps), mean.filter(|_| steps != 0)?)))
            .fold((0.0, 0.0), |(steps, sum), (more, mean)| (steps + more, sum + more * mean));
        if steps > 0.0 {
            return Some(sum / steps);
        }
        let Expected { collisions, fails } = expected_uniform(self.first, self.other);
        (!fails).then_some(collisions)
    }
}

/// The mean of b ÷ (H − b + 1) along the way: with x = H + 1 − b it is (H + 1) ÷ x − 1, whose integral is a logarithm. None
/// where nothing changes.
fn ramp(from: Half, to: Half) -> Option<f64> {
    let left = |half: Half| f64::from(half.ports.saturating_sub(half.barred)) + 1.0;
    let all = f64::from(from.ports.max(to.ports)) + 1.0;
    let (from, to) = (left(from), left(to));
    ((from - to).abs() > 0.5).then(|| all * (from / to).ln() / (from - to) - 1.0)
}

/// What was expected of the searches so far, so that it can be set against what was observed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ExpectedSums {
    searches: u64,
    expected: f64,
    observed: u64,
}

impl ExpectedSums {
    /// Adds searches that found a port and met so many collisions together, of which `expected` each were to be expected.
    pub(super) fn add(&mut self, expected: f64, met: Known) {
        self.searches += met.searches;
        self.expected += expected * real(met.searches);
        self.observed += met.sum;
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.searches += other.searches;
        self.expected += other.expected;
        self.observed += other.observed;
    }

    /// How many searches that is: those whose collisions are known, and how full their pool was.
    #[must_use]
    pub const fn searches(&self) -> u64 {
        self.searches
    }

    /// Expected collisions per allocation; none where no occupancy was known.
    #[must_use]
    pub fn per_allocation(&self) -> Option<f64> {
        (self.searches != 0).then(|| self.expected / real(self.searches))
    }

    /// Collisions that the same searches met, per allocation.
    #[must_use]
    pub fn observed_per_allocation(&self) -> Option<f64> {
        share(self.observed, self.searches)
    }

    /// Observed ÷ expected; none where either is not known.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        observed_to_expected(self.observed_per_allocation(), self.per_allocation())
    }
}

/// Observed ÷ expected collisions per allocation; none where either is not known, or none was expected.
#[must_use]
pub fn observed_to_expected(observed: Option<f64>, expected: Option<f64>) -> Option<f64> {
    let expected = expected.filter(|expected| *expected > 0.0)?;
    Some(observed? / expected)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-9 * (1.0 + other.abs())
    }

    fn half(map: &[Place]) -> Half {
        let count = |wanted: &[Place]| map.iter().filter(|one| wanted.contains(one)).count();
        let of = |wanted: &[Place]| u32::try_from(count(wanted)).unwrap();
        Half { ports: of(&[Place::Free, Place::Barred]), barred: of(&[Place::Barred]) }
    }

    /// Mean collisions over all orders in which the ports may be looked at.
    fn over_all_orders(free: u32, barred: u32) -> f64 {
        if barred == 0 {
            return 0.0;
        }
        let hit = f64::from(barred) / f64::from(barred + free);
        hit * (1.0 + over_all_orders(free, barred - 1))
    }

    #[test]
    fn linear_probing_at_a_half_and_at_nine_tenths() {
        let at = |barred| expected_linear(Half { ports: 1000, barred });
        assert!(close(at(500).unwrap(), 1.5) && close(at(900).unwrap(), 49.5));
        assert_eq!((at(0), at(1000)), (Some(0.0), None));
    }

    #[test]
    fn a_full_first_half_costs_all_of_it() {
        let full = Half { ports: 14_116, barred: 14_116 };
        let empty = Half { ports: 14_116, barred: 0 };
        assert_eq!(expected_uniform(full, empty), Expected { collisions: 14_116.0, fails: false });
        assert_eq!(expected_uniform(full, full), Expected { collisions: 28_232.0, fails: true });
        assert_eq!(expected_uniform(empty, full), Expected { collisions: 0.0, fails: false });
        assert_eq!(expected_on_map(&[], &[]), None);
    }

    #[test]
    fn nothing_expected_is_no_ratio() {
        assert_eq!(observed_to_expected(Some(1.0), Some(0.0)), None);
        assert_eq!(observed_to_expected(None, Some(1.0)), None);
        assert_eq!(observed_to_expected(Some(1.0), Some(0.5)), Some(2.0));
    }

    fn place() -> impl Strategy<Value = Place> {
        prop_oneof![3 => Just(Place::Free), 4 => Just(Place::Barred), 1 => Just(Place::Reserved)]
    }

    fn occupancy(first: [u32; 2], other: [u32; 2]) -> Occupancy {
        let half = |[ports, barred]: [u32; 2]| Half { ports, barred };
        Occupancy { first: half(first), other: half(other) }
    }

    /// The mean of what each search expects that takes one port more than the one before.
    fn one_by_one(from: Occupancy, searches: u32) -> f64 {
        let (mut now, mut sum) = (from, 0.0);
        for _ in 0..searches {
            sum += expected_uniform(now.first, now.other).collisions;
            let half = if now.first.free().is_some() { &mut now.first } else { &mut now.other };
            half.barred += 1;
        }
        sum / f64::from(searches)
    }

    #[test]
    fn on_the_way_from_one_look_to_the_next_it_is_the_mean_of_the_single_searches() {
        for (from, searches) in [
            (occupancy([14_116, 0], [14_116, 0]), 7_000),
            (occupancy([14_116, 7_000], [14_116, 0]), 7_000),
            (occupancy([14_116, 14_000], [14_116, 0]), 500),
            (occupancy([14_116, 14_116], [14_116, 500]), 9_000),
        ] {
            let mut to = from;
            to.first.barred = (from.first.barred + searches).min(14_116);
            to.other.barred += searches - (to.first.barred - from.first.barred);
            let (found, truth) = (to.expected_since(from).unwrap(), one_by_one(from, searches));
            assert!((found - truth).abs() < 0.01 * truth + 0.01, "{from:?} {searches}: {found} {truth}");
            assert_eq!(to.before(searches.into()), from);
        }
    }

    #[test]
    fn a_pool_that_stays_as_it_is_expects_what_its_occupancy_tells() {
        let half_full = occupancy([100, 50], [100, 0]);
        assert_eq!(half_full.expected_since(half_full), Some(50.0 / 51.0));
        let full = occupancy([100, 100], [100, 100]);
        assert_eq!(full.expected_since(full), None);
        // Ports that come back are the same way, backwards.
        let empty = occupancy([100, 0], [100, 0]);
        let ways =
            [(empty, half_full), (half_full, empty)].map(|(to, from)| to.expected_since(from).unwrap());
        assert!(close(ways[0], ways[1]), "{ways:?}");
    }

    proptest! {
        #[test]
        fn no_occupancy_makes_it_less_than_nothing(
            halves in proptest::array::uniform4(0_u32..40), barred in proptest::array::uniform4(0_u32..40), given in 0_u64..90
        ) {
            let [a, b, c, d] = halves;
            let [e, f, g, h] = barred;
            let (from, to) = (occupancy([a, e], [b, f]), occupancy([c, g], [d, h]));
            for before in [from, to.before(given)] {
                prop_assert!(to.expected_since(before).is_none_or(|mean| mean >= 0.0 && mean.is_finite()));
            }
        }

        #[test]
        fn without_replacement_agrees_with_enumeration(free in 1_u32..40, barred in 0_u32..40) {
            let first = Half { ports: free + barred, barred };
            let found = expected_uniform(first, Half::default());
            prop_assert!(close(found.collisions, over_all_orders(free, barred)));
            prop_assert!(!found.fails);
        }

        #[test]
        fn on_a_map_every_start_was_walked(
            first in proptest::collection::vec(place(), 1..24), other in proptest::collection::vec(place(), 1..24)
        ) {
            let walk = |map: &[Place], start: usize| {
                let cycle = map.iter().cycle().skip(start).take(map.len());
                let mut met = 0_u32;
                for place in cycle {
                    match place {
                        Place::Free => return (met, true),
                        Place::Barred => met += 1,
                        Place::Reserved => {}
                    }
                }
                (met, false)
            };
            let mut sum = 0.0;
            let mut fails = false;
            for start in 0..first.len() {
                let (met, found) = walk(&first, start);
                sum += f64::from(met);
                if !found {
                    let rest: f64 = (0..other.len()).map(|start| f64::from(walk(&other, start).0)).sum();
                    sum += rest / real(other.len() as u64);
                    fails = !walk(&other, 0).1;
                }
            }
            let found = expected_on_map(&first, &other).unwrap();
            prop_assert!(close(found.collisions, sum / real(first.len() as u64)), "{found:?} {sum}");
            prop_assert_eq!(found.fails, fails);
        }

        #[test]
        fn on_a_map_without_holes_it_is_the_sum_over_runs(map in proptest::collection::vec(any::<bool>(), 2..40)) {
            let places: Vec<Place> =
                map.iter().map(|barred| if *barred { Place::Barred } else { Place::Free }).collect();
            prop_assume!(half(&places).free().is_some() && map.iter().any(|barred| *barred));
            let free = map.iter().position(|barred| !barred).unwrap();
            let turned: Vec<bool> = map[free..].iter().chain(&map[..free]).copied().collect();
            let runs = turned.split(|barred| !barred).map(|run| real((run.len() * (run.len() + 1)) as u64)).sum::<f64>();
            let found = expected_on_map(&places, &[]).unwrap();
            prop_assert!(close(found.collisions, runs / (2.0 * real(map.len() as u64))));
        }
    }
}
