//! Quantiles and tail probabilities of two distributions.

/// 97.5 % quantiles of Student's t with 1 to 30 degrees of freedom.
const T_975: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// 97.5 % quantile of the normal distribution.
const Z_975: f64 = 1.959_963_985;

/// The 97.5 % quantile of Student's t, so that ± it holds 95 %: the table up to 30 degrees of freedom, then
/// z + (z³ + z) ÷ 4ν + (5z⁵ + 16z³ + 3z) ÷ 96ν² (Abramowitz and Stegun 26.7.5), off by less than 0.0005.
///
/// Infinite with no degree of freedom.
pub(super) fn t_975(degrees: usize) -> f64 {
    let Some(row) = degrees.checked_sub(1) else { return f64::INFINITY };
    if let Some(quantile) = T_975.get(row) {
        return *quantile;
    }
    let nu = super::ratio::real(u64::try_from(degrees).unwrap_or(u64::MAX));
    let z = Z_975;
    let (z3, z5) = (z.powi(3), z.powi(5));
    z + (z3 + z) / (4.0 * nu) + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * nu * nu)
}

/// ln Γ(x) for x > 0, by Lanczos' sum of seven terms: 14 digits.
pub(super) fn ln_gamma(x: f64) -> f64 {
    const FIRST: f64 = 0.999_999_999_999_809_9;
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let mut sum = FIRST;
    let mut step = 0.0;
    for term in TERMS {
        step += 1.0;
        sum += term / (x + step);
    }
    let t = x + 7.5;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// Terms after which a sum is given up: it converges in some √a of them.
const MOST_STEPS: u32 = 10_000;
const PRECISION: f64 = 1e-15;
const TINY: f64 = 1e-300;

/// Probability of a χ² at least this high by chance: the regularised Γ(df ÷ 2, χ² ÷ 2), by its series below
/// the mean and by Lentz' continued fraction above (Numerical Recipes 6.2).
pub(super) fn chi_square_tail(chi2: f64, degrees: u32) -> f64 {
    let (a, x) = (f64::from(degrees) / 2.0, chi2 / 2.0);
    if a <= 0.0 || x <= 0.0 {
        return 1.0;
    }
    let scale = (a * x.ln() - x - ln_gamma(a)).exp();
    let tail = if x < a + 1.0 { 1.0 - scale * series(a, x) } else { scale * fraction(a, x) };
    tail.clamp(0.0, 1.0)
}

/// Σ xⁿ ÷ (a(a+1)…(a+n)).
fn series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum, mut divisor) = (1.0 / a, 1.0 / a, a);
    for _ in 0..MOST_STEPS {
        divisor += 1.0;
        term *= x / divisor;
        sum += term;
        if term < sum * PRECISION {
            break;
        }
    }
    sum
}

/// 1 ÷ (x+1−a− 1(1−a) ÷ (x+3−a− …)).
fn fraction(a: f64, x: f64) -> f64 {
    let keep = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut denominator = x + 1.0 - a;
    let (mut above, mut below) = (1.0 / TINY, 1.0 / denominator);
    let mut value = below;
    let mut step = 0.0;
    for _ in 0..MOST_STEPS {
        step += 1.0;
        let numerator = -step * (step - a);
        denominator += 2.0;
        below = 1.0 / keep(numerator * below + denominator);
        above = keep(denominator + numerator / above);
        value *= below * above;
        if (below * above - 1.0).abs() < PRECISION {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_agrees_with_the_tables() {
        for (degrees, expected) in [(9, 2.262), (29, 2.045), (31, 2.0395), (60, 2.0003), (120, 1.9799)] {
            assert!((t_975(degrees) - expected).abs() < 0.0005, "{degrees}: {}", t_975(degrees));
        }
        assert!(t_975(0).is_infinite());
    }

    #[test]
    fn the_tail_of_chi_square_agrees_with_the_tables() {
        let table = [
            (3.841, 1, 0.05),
            (6.635, 1, 0.01),
            (18.307, 10, 0.05),
            (3.940, 10, 0.95),
            (82.529, 63, 0.05),
            (92.010, 63, 0.01),
            (45.741, 63, 0.95),
        ];
        for (chi2, degrees, expected) in table {
            let tail = chi_square_tail(chi2, degrees);
            assert!((tail - expected).abs() < 2e-4, "{chi2} {degrees}: {tail}");
        }
        assert!((chi_square_tail(0.0, 5) - 1.0).abs() < 1e-12 && chi_square_tail(1e4, 5) < 1e-100);
    }
}
