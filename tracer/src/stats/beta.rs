//! The beta distribution: what exact intervals of shares and of ratios of counts are made from.
//!
//! Of the crates that have it, one is wrong where both counts exceed 3,000 and the others give up on their fraction
//! too early for counts of millions.

use super::tails::ln_gamma;

/// Steps of the continued fraction: it converges in some √max(a, b) of them.
const MOST_STEPS: u32 = 20_000;
const PRECISION: f64 = 1e-14;
const TINY: f64 = 1e-300;
/// Halvings of the interval in which a quantile is: more than there are bits to gain.
const HALVINGS: u32 = 64;

/// The number that a beta distribution with these parameters, both above 0, stays below with this probability.
#[must_use]
pub fn beta_quantile(probability: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if below(middle, a, b) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The regularised incomplete beta function I_x(a, b).
fn below(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let scale = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p();
    let scale = scale.exp();
    let share = if x < (a + 1.0) / (a + b + 2.0) {
        scale * fraction(x, a, b) / a
    } else {
        1.0 - scale * fraction(1.0 - x, b, a) / b
    };
    share.clamp(0.0, 1.0)
}

/// Its continued fraction, by Lentz (Numerical Recipes 6.4).
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    let keep = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut above, mut under) = (1.0, 1.0 / keep(1.0 - (a + b) * x / (a + 1.0)));
    let mut value = under;
    let mut step = 0.0;
    for _ in 0..MOST_STEPS {
        step += 1.0;
        let even = step * (b - step) * x / ((a + 2.0 * step - 1.0) * (a + 2.0 * step));
        let odd = -(a + step) * (a + b + step) * x / ((a + 2.0 * step) * (a + 2.0 * step + 1.0));
        let mut change = 1.0;
        for numerator in [even, odd] {
            under = 1.0 / keep(1.0 + numerator * under);
            above = keep(1.0 + numerator / above);
            change = above * under;
            value *= change;
        }
        if (change - 1.0).abs() < PRECISION {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_the_tables_and_with_the_normal_distribution_where_counts_are_high() {
        // Clopper and Pearson: 0 of 10 leaves up to 30.85 %, 5 of 10 from 18.71 to 81.29 %, 3 of 100 to 8.52 %.
        for (probability, a, b, expected) in [
            (0.975, 1.0, 10.0, 0.308_497),
            (0.025, 5.0, 6.0, 0.187_086),
            (0.975, 6.0, 5.0, 0.812_914),
            (0.975, 4.0, 97.0, 0.085_176),
            (0.5, 2.0, 2.0, 0.5),
            (0.025, 0.5, 0.5, 0.001_541_3),
        ] {
            let found = beta_quantile(probability, a, b);
            assert!((found - expected).abs() < 1e-5, "{probability} {a} {b}: {found}");
        }
        for size in [4_000.0, 1e5, 1e7] {
            let found = beta_quantile(0.975, size, size);
            let normal = 0.5 + 1.959_964 * 0.5 / (2.0_f64 * size + 1.0).sqrt();
            assert!((found - normal).abs() < 1e-6, "{size}: {found} {normal}");
        }
    }
}
