//! How the choices spread over the range.

use super::{ratio::share, scope::Scope, tails::chi_square_tail};
use crate::event::{PortRange, Reserved};

/// Buckets of the range.
const BUCKETS: u32 = 64;
/// Ports of a reserved hole from which on the first ones behind it are watched.
const HOLE: u32 = 64;
/// Ports behind a hole that are watched.
const BEHIND: u16 = 4;
/// Hot ports that are listed.
const MOST_HOT: usize = 16;
/// A port is hot at this many times the median of those used, and at [`HOT_USES`].
const HOT_RATIO: f64 = 5.0;
const HOT_USES: u32 = 20;

/// A port that was chosen far more often than others, or that stands behind a reserved hole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HotPort {
    /// The port.
    pub port: u16,
    /// How often it was given.
    pub uses: u32,
    /// `uses` ÷ the median of the ports that were given at all; none where that median is not known.
    pub to_median: Option<f64>,
    /// Reserved ports in a row before it, 64 and more, where it is one of the first four behind them.
    pub behind_hole: Option<u32>,
}

/// Choices by bucket of the range.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// First port of each bucket, and at the end the port after the range: buckets are as equal as whole ports
    /// allow (28,232 ÷ 64 is not whole). A range of fewer than 64 ports has one bucket a port.
    pub bucket_edges: Vec<u32>,
    /// Choices in each bucket.
    pub counts: Vec<u64>,
    /// χ² of the first choices of each destination and 10 s, against cells proportional to the unreserved ports
    /// of the half that a connect takes first. None where a cell expects fewer than five, or the reserved
    /// ports are not known.
    pub chi2: Option<f64>,
    /// Probability of a χ² at least as high by chance.
    pub p_value: Option<f64>,
    /// First choices that this rests on.
    pub first_choices: u64,
    /// Ports that were given at least 20 times and 5 times as often as the median of those given at all, and, if
    /// they were given, the first four behind each reserved hole of 64 ports or more; by falling uses, at most 16.
    pub hot_ports: Vec<HotPort>,
    /// Choices outside the range that their search went through.
    pub out_of_range: u64,
}

impl Distribution {
    /// The choices of a scope over a range.
    #[must_use]
    pub fn of(scope: &Scope, range: PortRange, reserved: Option<&Reserved>) -> Self {
        let edges = edges(range);
        let sum = |of: &dyn Fn(u16) -> u32| -> Vec<u64> {
            buckets(&edges).map(|ports| ports.map(|port| u64::from(of(port))).sum()).collect()
        };
        let first = |port| if in_first_half(range, port) { scope.firsts(port) } else { 0 };
        let firsts = sum(&first);
        let expected = reserved
            .map(|reserved| sum(&|port| u32::from(in_first_half(range, port) && !reserved.contains(port))));
        let test = expected.and_then(|expected| chi_square(&firsts, &expected));
        Self {
            counts: sum(&|port| scope.uses(port)),
            bucket_edges: edges,
            chi2: test.map(|(chi2, _)| chi2),
            p_value: test.map(|(_, p_value)| p_value),
            first_choices: firsts.iter().sum(),
            hot_ports: hot_ports(scope, range, reserved),
            out_of_range: scope.out_of_range(),
        }
    }
}

fn in_first_half(range: PortRange, port: u16) -> bool {
    (port ^ range.low()) & 1 == 0
}

fn edges(range: PortRange) -> Vec<u32> {
    let ports = range.count();
    let buckets = BUCKETS.min(ports);
    (0..=buckets).map(|bucket| u32::from(range.low()) + bucket * ports / buckets).collect()
}

fn buckets(edges: &[u32]) -> impl Iterator<Item = std::ops::RangeInclusive<u16>> + '_ {
    edges.windows(2).filter_map(|pair| match pair {
        [first, end] => Some(u16::try_from(*first).ok()?..=u16::try_from(end.checked_sub(1)?).ok()?),
        _ => None,
    })
}

/// χ² and its probability; none where a cell that has ports expects fewer than five, or there is one cell only.
fn chi_square(observed: &[u64], ports: &[u64]) -> Option<(f64, f64)> {
    let (total, all) = (observed.iter().sum::<u64>(), ports.iter().sum::<u64>());
    let mut chi2 = 0.0;
    let mut cells = 0_u32;
    for (choices, ports) in observed.iter().zip(ports) {
        if *ports == 0 {
            continue;
        }
        let expected = share(total * ports, all)?;
        if expected < 5.0 {
            return None;
        }
        let off = super::ratio::real(*choices) - expected;
        chi2 += off * off / expected;
        cells += 1;
    }
    let degrees = cells.checked_sub(1).filter(|degrees| *degrees != 0)?;
    Some((chi2, chi_square_tail(chi2, degrees)))
}

fn hot_ports(scope: &Scope, range: PortRange, reserved: Option<&Reserved>) -> Vec<HotPort> {
    let ports = || (range.low()..=range.high()).filter(|port| scope.uses(*port) != 0);
    let mut given: Vec<u32> = ports().map(|port| scope.uses(port)).collect();
    given.sort_unstable();
    let Some(median) = given.get(given.len() / 2).copied() else { return Vec::new() };
    let holes: Vec<(u16, u32)> = reserved
        .iter()
        .flat_map(|set| set.stretches())
        .map(|(first, last)| (last, u32::from(last - first) + 1))
        .filter(|(_, length)| *length >= HOLE)
        .collect();
    let behind_hole = |port: u16| {
        let is_behind = |(last, _): &&(u16, u32)| *last < port && port - last <= BEHIND;
        holes.iter().find(is_behind).map(|(_, length)| *length)
    };
    let mut hot: Vec<HotPort> = ports()
        .map(|port| {
            let uses = scope.uses(port);
            let to_median = share(uses.into(), median.into());
            HotPort { port, uses, to_median, behind_hole: behind_hole(port) }
        })
        .filter(|hot| {
            let above = hot.uses >= HOT_USES && hot.to_median.is_some_and(|ratio| ratio >= HOT_RATIO);
            above || hot.behind_hole.is_some()
        })
        .collect();
    hot.sort_by_key(|hot| (std::cmp::Reverse(hot.uses), hot.port));
    hot.truncate(MOST_HOT);
    hot
}
