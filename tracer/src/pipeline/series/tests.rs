//! Sums are exact and memory is bounded, whatever comes.

use proptest::prelude::*;

use super::*;

fn at(seconds: u64, ms: u64) -> MonoNs {
    MonoNs(77 * SECOND_NS + seconds * SECOND_NS + ms * 1_000_000)
}

fn count(allocations: u64, failures: u64) -> Count {
    Count { allocations, failures }
}

fn begun() -> Series<u32> {
    Series::new(at(0, 0))
}

#[test]
fn a_second_has_what_came_in_it_and_what_came_since_is_spread_evenly() {
    let mut series = begun();
    series.sample(at(0, 900), || unreachable!("no second is over"));
    series.sample(at(1, 0), || count(10, 1));
    series.sample(at(1, 50), || unreachable!("no second is over"));
    // A quarter of a second too late: a fifth of it belongs to the next second.
    series.sample(at(2, 250), || count(60, 1));
    // Asleep for a while.
    series.sample(at(5, 250), || count(72, 4));
    series.end(at(5, 500), count(73, 4));
    let all = [count(10, 1), count(40, 0), count(13, 0), count(4, 1), count(4, 1), count(2, 1)];
    assert_eq!((series.counts(), series.step_s()), (&all[..], 1));
}

#[test]
fn an_hour_has_at_most_600_points_of_the_same_length() {
    let mut series = begun();
    for second in 1..=3_600 {
        series.sample(at(second, 0), || count(second * 7, second));
    }
    assert_eq!((series.step_s(), series.counts().len()), (8, 450));
    assert!(series.counts().iter().all(|one| *one == count(56, 8)));
}

#[test]
fn pools_are_followed_from_when_they_fill_and_the_emptiest_gives_way() {
    let mut series = begun();
    series.look(at(1, 0), [(1, 0.5), (2, 0.0)].into_iter(), true);
    series.look(at(3, 0), [(1, 0.25), (3, 0.75)].into_iter(), true);
    series.look(at(4, 0), [(3, 1.0)].into_iter(), true);
    series.look(at(5, 0), [(3, 0.5)].into_iter(), false);
    let of = |key: u32| series.tracks().iter().find(|track| track.key == key).unwrap();
    assert_eq!(of(1).shares, [None, Some(0.5), None, Some(0.25), Some(0.0)]);
    assert_eq!(of(3).shares, [None, None, None, Some(0.75), Some(1.0), Some(0.5)]);
    assert_eq!((series.tracks().len(), of(3).peak), (2, 1.0));

    series.look(at(6, 0), (10..40).map(|key| (key, 0.6)), true);
    assert_eq!(series.tracks().len(), MOST_TRACKED);
    let has = |key: u32| series.tracks().iter().any(|track| track.key == key);
    assert!(has(3) && !has(1), "{:?}", series.tracks());
}

proptest! {
    #[test]
    fn sums_stay_exact_and_points_few(
        steps in proptest::collection::vec((0_u64..200_000, 0_u64..100_000, 0_u64..100_000), 1..200)
    ) {
        let mut series = begun();
        let (mut ms, mut sum) = (0, Count::default());
        for (later, given, failed) in steps {
            ms += later;
            sum.add(count(given + failed, failed));
            series.sample(at(0, ms), || sum);
            series.look(at(0, ms), [(1, 0.5)].into_iter(), true);
            prop_assert!(series.counts().len() <= MOST_POINTS);
            prop_assert!(series.tracks().iter().all(|track| track.shares.len() <= MOST_POINTS));
        }
        series.end(at(0, ms), sum);
        let mut all = Count::default();
        series.counts().iter().for_each(|one| all.add(*one));
        prop_assert_eq!(all, sum);
        prop_assert!(series.step_s().is_power_of_two());
    }

    #[test]
    fn peaks_outlive_merging(shares in proptest::collection::vec(0.001_f32..=1.0, 1..2_000)) {
        let mut series = begun();
        for (second, share) in (0_u64..).zip(&shares) {
            series.look(at(second, 0), [(1, *share)].into_iter(), true);
        }
        let kept = series.tracks()[0].shares.iter().flatten().copied().fold(0.0, f32::max);
        let highest = shares.iter().copied().fold(0.0, f32::max);
        prop_assert_eq!((kept, series.tracks()[0].peak), (highest, highest));
    }
}
