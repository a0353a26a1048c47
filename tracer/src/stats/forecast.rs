//! When a pool will be full, if what happens goes on.

use super::{
    ratio::{real, seconds},
    tails::t_975,
};

/// One-second net counts that a forecast needs.
const LEAST_SECONDS: usize = 10;

/// What is known of a pool at the moment of the forecast, t.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demand<'a> {
    /// Unreserved ports of the range (N).
    pub ports: u32,
    /// Of these, barred now (U).
    pub barred: u32,
    /// Allocations that succeeded, less ports freed by a close (not by the end of a TIME_WAIT), in each of the
    /// last whole seconds: at least ten.
    pub net_per_second: &'a [i64],
    /// Nanoseconds until each TIME_WAIT of the pool ends, in any order: exact, `sock_diag` tells each timer.
    pub time_waits_due_ns: &'a [u64],
    /// Allocations per second that succeeded (λ̂), for the level; none where it is not known.
    pub allocations_per_second: Option<f64>,
    /// Mean hold in seconds (Ŵ), for the level; none where no close was seen.
    pub hold_s: Option<f64>,
}

/// What will become of a pool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Forecast {
    /// It is full now.
    Full,
    /// It will be full after so many seconds.
    In {
        /// The best estimate, T̂.
        estimate_s: f64,
        /// With the steepest slope of its 95 % interval.
        low_s: f64,
        /// With the flattest one.
        high_s: f64,
    },
    /// It fills to λŴ ÷ N of its ports, and no more.
    LevelsOff {
        /// That share, 0 to 1.
        utilisation: f64,
    },
    /// It empties.
    Falls,
}

/// Mean net growth per second, with its 95 % interval: mean ± t·s ÷ √n, and at least ± 1 ÷ n.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// The mean.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Slope {
    /// The slope of one-second net counts; none of fewer than ten.
    #[must_use]
    pub fn of(net_per_second: &[i64]) -> Option<Self> {
        let n = net_per_second.len();
        if n < LEAST_SECONDS {
            return None;
        }
        let counts = || net_per_second.iter().map(|count| signed(*count));
        let size = real(u64::try_from(n).ok()?);
        let mean = counts().sum::<f64>() / size;
        let squares: f64 = counts().map(|count| (count - mean) * (count - mean)).sum();
        // Whole ports in whole seconds: however even they are, their mean is not known better than to one of them.
        let error = (t_975(n - 1) * (squares / (size - 1.0)).sqrt() / size.sqrt()).max(1.0 / size);
        Some(Self { mean, low: mean - error, high: mean + error })
    }
}

fn signed(count: i64) -> f64 {
    real(count.unsigned_abs()).copysign(if count < 0 { -1.0 } else { 1.0 })
}

/// Forecasts a pool: the first τ with U + (λ̂ − μ̂)τ − (TIME_WAITs due by τ) ≥ N.
///
/// A level below N (λŴ < N) comes before a straight line. None where there are fewer than ten seconds, and
/// where the interval of the slope spans 0: no forecast.
#[must_use]
pub fn forecast(demand: &Demand<'_>) -> Option<Forecast> {
    let missing = match demand.ports.checked_sub(demand.barred) {
        None | Some(0) => return Some(Forecast::Full),
        Some(missing) => f64::from(missing),
    };
    let slope = Slope::of(demand.net_per_second)?;
    if slope.low <= 0.0 && slope.high >= 0.0 {
        return None;
    }
    if slope.high < 0.0 {
        return Some(Forecast::Falls);
    }
    if let (Some(rate), Some(hold_s)) = (demand.allocations_per_second, demand.hold_s) {
        let utilisation = rate * hold_s / f64::from(demand.ports);
        if utilisation < 1.0 {
            return Some(Forecast::LevelsOff { utilisation });
        }
    }
    let mut due: Vec<u64> = demand.time_waits_due_ns.to_vec();
    due.sort_unstable();
    let full = |slope: f64| first_full(missing, slope, &due);
    let estimate_s = full(slope.mean);
    Some(Forecast::In { estimate_s, low_s: full(slope.high), high_s: full(slope.low) })
}

/// The first τ in seconds with slope·τ − (due by τ) ≥ missing; the slope is positive.
fn first_full(missing: f64, slope: f64, due: &[u64]) -> f64 {
    let mut freed = 0.0;
    for next in due {
        let reached = (missing + freed) / slope;
        if reached < seconds(*next) {
            return reached;
        }
        freed += 1.0;
    }
    (missing + freed) / slope
}

/// Ports freed in an interval where releases are not seen: F = A − (U₁ − U₀), from the allocations A that
/// succeeded and the ports barred before and after.
///
/// None where that would be negative: then stock and flow disagree, and that is for the caller to say.
#[must_use]
pub fn freed(allocations: u64, barred_before: u32, barred_after: u32) -> Option<u64> {
    (allocations + u64::from(barred_before)).checked_sub(u64::from(barred_after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RANGE: u32 = 28_232;

    #[test]
    fn a_leak_is_forecast_within_a_tenth_and_the_interval_holds_the_truth() {
        let net = [48, 53, 50, 44, 57, 49, 51, 52, 46, 50];
        let demand = Demand { ports: 5_000, barred: 500, net_per_second: &net, ..Demand::default() };
        let Some(Forecast::In { estimate_s, low_s, high_s }) = forecast(&demand) else {
            panic!("{:?}", forecast(&demand));
        };
        let truth = 90.0;
        assert!((estimate_s - truth).abs() < 0.1 * truth, "{estimate_s}");
        assert!(low_s <= truth && truth <= high_s, "{low_s} {high_s}");
    }

    #[test]
    fn churn_that_fits_levels_off_where_a_straight_line_would_be_full_in_64_seconds() {
        let net: Vec<i64> = (0..30).map(|second| 300 + i64::from(second % 3) - 1).collect();
        let churn = Demand {
            ports: RANGE,
            barred: 9_000,
            net_per_second: &net,
            allocations_per_second: Some(300.0),
            hold_s: Some(60.0),
            ..Demand::default()
        };
        let Some(Forecast::LevelsOff { utilisation }) = forecast(&churn) else { panic!() };
        assert!((utilisation - 0.6376).abs() < 0.0001, "{utilisation}");
        let Some(Forecast::In { estimate_s, .. }) = forecast(&Demand { hold_s: None, ..churn }) else {
            panic!();
        };
        assert!((estimate_s - 64.1).abs() < 0.5, "{estimate_s}");
    }

    #[test]
    fn no_forecast_from_noise_from_little_or_from_a_pool_that_is_full() {
        let noise = [5, -6, 7, -5, 4, -3, 6, -7, 1, -2];
        let of = |net: &[i64], barred| {
            forecast(&Demand { ports: 100, barred, net_per_second: net, ..Demand::default() })
        };
        assert_eq!(of(&noise, 10), None);
        assert_eq!(of(&[9; 9], 10), None);
        assert_eq!(of(&[], 100), Some(Forecast::Full));
        assert_eq!(of(&[-3; 10], 10), Some(Forecast::Falls));
        assert_eq!(of(&[0; 10], 10), None);
    }

    #[test]
    fn an_even_leak_is_not_known_to_the_moment() {
        let demand = Demand { ports: 5_000, barred: 680, net_per_second: &[50; 11], ..Demand::default() };
        let Some(Forecast::In { estimate_s, low_s, high_s }) = forecast(&demand) else { panic!() };
        assert!((estimate_s - 86.4).abs() < 1e-9);
        // One port in eleven seconds: 4,320 ports at 50.09 and at 49.91 a second.
        assert!((low_s - 86.243).abs() < 1e-3 && (high_s - 86.557).abs() < 1e-3, "{low_s} {high_s}");
    }

    #[test]
    fn frees_follow_from_stock_and_flow() {
        assert_eq!((freed(100, 40, 60), freed(10, 0, 20)), (Some(80), None));
    }

    proptest! {
        #[test]
        fn the_first_moment_is_that_of_a_walk_through_time(
            missing in 1_u32..400, slope in 1_u32..60, due in proptest::collection::vec(0_u64..60, 0..200)
        ) {
            let mut due: Vec<u64> = due.into_iter().map(|second| second * 1_000_000_000).collect();
            due.sort_unstable();
            let found = first_full(f64::from(missing), f64::from(slope), &due);
            let level = |tau: f64| {
                let freed = due.iter().filter(|due| seconds(**due) <= tau).count();
                f64::from(slope) * tau - real(freed as u64)
            };
            prop_assert!(level(found) >= f64::from(missing) - 1e-6);
            let mut tau = 0.0;
            while tau < found - 1e-3 {
                prop_assert!(level(tau) < f64::from(missing), "{tau} {found}");
                tau += 0.05;
            }
        }
    }
}
